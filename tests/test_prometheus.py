"""A real Prometheus, if one is installed, scrapes a page and checks the rules."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peers
import pytest
from monitors import FakeMonitor, row

from udpulse import (
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    PingClient,
    PingSweep,
    StampSender,
    metrics,
)
from udpulse.monitor._http import serve_http
from udpulse.monitor._status import HttpConfig, Source

RULES = Path(__file__).parent.parent / "docs" / "udpulse.rules.yml"

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs prometheus and promtool",
)

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: udpulse
    static_configs: [{{targets: ["{page}"]}}]
  - job_name: probe
    metrics_path: /probe
    scrape_timeout: 2s
    scrape_interval: 2s
    params: {{count: ["2"]}}
    static_configs: [{{targets: ["{target}"]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: "{page}"}}
"""


def test_the_rules_are_right() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_finds_nothing_in_the_names(silent: peers.Address) -> None:
    with HeartbeatServer(port=0) as server, HeartbeatClient(*server.address, name="a") as client:
        next(iter(server))
        sources: list[metrics.Source] = [
            ("ping", PingClient(*silent)),
            ("stamp", StampSender(*silent)),
            ("echo", EchoServer(port=0)),
            ("server", server),
            ("client", client),
        ]
        page = metrics.render(sources)
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    assert checked.returncode == 0, checked.stderr.decode()


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[[str, str], Callable[[str], Any]]]:
    """Start a Prometheus that scrapes a page and probes a target; return a function to ask it."""
    started: list[subprocess.Popen[str]] = []

    def start(page: str, target: str) -> Callable[[str], Any]:
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(rules=RULES, page=page, target=target))
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stderr
        log: list[str] = []
        for line in process.stderr:
            log.append(line)
            if found := re.search(r"Listening on.*address=\S*?:(\d+)", line):
                break
        else:
            raise AssertionError("".join(log))
        # Nothing must hold up its log.
        threading.Thread(target=process.stderr.read, daemon=True).start()

        def query(expression: str) -> Any:
            query = urllib.parse.urlencode({"query": expression})
            url = f"http://127.0.0.1:{found[1]}/api/v1/query?{query}"
            deadline = time.monotonic() + 4 * peers.PATIENCE
            while time.monotonic() < deadline:
                try:
                    with urllib.request.urlopen(url, timeout=peers.PATIENCE) as answer:
                        if result := json.load(answer)["data"]["result"]:
                            return result
                except urllib.error.HTTPError as error:
                    # It is unavailable until it is ready.
                    error.close()
                time.sleep(0.1)
            raise AssertionError(f"no {expression}")

        return query

    yield start
    for process in started:
        process.terminate()
        with process:
            pass


def test_it_scrapes_a_page(ask: Callable[[str, str], Callable[[str], Any]]) -> None:
    name = 'a"b\\c\nd 漢'
    with (
        EchoServer(port=0) as echo,
        PingClient(*echo.address, count=5, interval=0.001, linger=0) as client,
        HeartbeatServer(port=0) as server,
        HeartbeatClient(*server.address, interval=0.05, name='q"\\'),
        PingSweep([echo.address], count=2, rounds=2, rate=1000) as sweep,
    ):
        client._finish()
        list(sweep)
        objects = [("ping", name, client), ("heartbeat", "s", server), ("ping_many", "m", sweep)]
        sources = [
            Source(kind=kind, name=name, address="", object=thing)  # type: ignore[arg-type]
            for kind, name, thing in objects
        ]
        http = serve_http(FakeMonitor([row("a")], sources), HttpConfig(port=0, probe=True))
        try:
            target = "{}:{}".format(*echo.address)
            query = ask("{}:{}".format(*http.address), target)
            (answered,) = query('udpulse_ping_answered_total{kind="ping"}')
            assert answered["metric"]["name"] == name
            assert answered["value"][1] == "5"
            (count,) = query('udpulse_ping_rtt_seconds_count{kind="ping_many"} == 4')
            assert count["metric"]["target"] == target
            (state,) = query('udpulse_peer_state{state=~"up|learning|unknown"} == 1')
            assert state["metric"]["peer"] == 'q"\\'
            states = query("udpulse:peers:count")
            assert len(states) == 10
            (sent,) = query('udpulse_ping_sent_total{job="probe"}')
            assert (sent["metric"]["instance"], sent["value"][1]) == (target, "2")
            assert query('probe_success{job="probe"} == 1')
            assert query('min_over_time(up{job="udpulse"}[1m]) == 1')
        finally:
            http.stop()
