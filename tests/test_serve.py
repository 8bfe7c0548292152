"""The monitor and `udpulse serve`: configuration, reload, store, alerts, the service manager."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import peers
import programs
import pytest
from expositions import parsed, value

import udpulse
from udpulse import EchoServer, HeartbeatClient, Relay, StampReflector, metrics
from udpulse.cli import main
from udpulse.impair import Link
from udpulse.monitor import Config, ConfigError, Monitor, Row, _book, _store
from udpulse.monitor._alerts import Alerts, Runner
from udpulse.monitor._config import AlertRule, StoreConfig, parse
from udpulse.monitor._notify import Notify
from udpulse.monitor._rows import Sketch, Target, Track
from udpulse.monitor._status import Alert, Kind

unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and programs of Unix")

EXAMPLE = files("udpulse.monitor").joinpath("example.toml").read_text("utf-8")

# Maximum wait for an event, in seconds.
PATIENCE = 20.0


def config(text: str, folder: Path = Path()) -> Config:
    """Return the configuration that a text describes."""
    return parse(text.encode(), str(folder / "test.toml"))


def ping_of(server: EchoServer, name: str = "far", **options: float) -> str:
    """Return a table that pings a server quickly."""
    host, port = server.address
    more = "".join(f"{key} = {value}\n" for key, value in options.items())
    return f'[[ping]]\nname = "{name}"\nhost = "{host}"\nport = {port}\ninterval = 0.02\n{more}'


def heartbeat(port: int = 0, more: str = "") -> str:
    """Return a heartbeat server."""
    return f"[heartbeat]\nport = {port}\n{more}\n"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with peers.open_socket() as holder:
        return peers.port_of(holder)


def until(monitor: Monitor, after: int = 0, **wanted: object) -> dict[str, Any]:
    """Wait for an event with these values and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for event in monitor.events(after):
            if wanted.items() <= event.items():
                return event
            after = event["id"]
        monitor.wait(after, PATIENCE)
    raise AssertionError(f"no event {wanted} among {monitor.events()}")


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for something that has no event."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def row(monitor: Monitor, kind: Kind, name: str) -> Row:
    """Return a row that exists."""
    found = monitor.row(kind, name)
    assert found is not None
    return found


# The configuration.

WRONG = """\
log = "xml"
[[ping]]
hosst = "192.0.2.1"
[[ping]]
host = "192.0.2.1"
intervall = 2
timeout = -1
interval = "1s"   # a unit
count = 5
text = '''
[http]
port = 1
'''
[[ping]]
host = "192.0.2.1"
port = 70000
outage_after = 0
[[ping_many]]
targets = ["192.0.2.1:7",
           "192.0.2.1:99999"]
[[ping_many]]
targets = ["192.0.2.1:7", "192.0.2.1:7"]
flows = 2
[[echo]]
[[echo]]
loss = 2
[heartbeat]
expect = ["a b"]
[http]
port = "9469"
host = ""
hosts = []
[store]
retention = 5
[[alert]]
name = "a"
loss = 0.1
state = "dwon"
[[alert]]
name = "a"
kinds = ["heartbeat"]
p99 = 0.1
command = ["/no/such/program"]
[alerts]
[[reflect]]
port = 0
labels = { site = "berlin", name = "a" }
[[stamp]]
host = "192.0.2.1"
labels = "berlin"
[[stamp]]
host = "192.0.2.2"
[stamp.labels]
site = 5
"""

ERRORS = [
    (1, "log must be 'lines' or 'json', not 'xml'"),
    (2, "[[ping]] needs host"),
    (3, "there is no 'hosst' in [[ping]]; did you mean 'host'?"),
    (6, "there is no 'intervall' in [[ping]]; did you mean 'interval'?"),
    (7, "timeout must be"),
    (8, "interval must be"),
    (9, "count cannot be set: a monitor runs without end"),
    (10, "there is no 'text' in [[ping]]; there is "),
    (16, "port must be"),
    (17, "outage_after must be a whole number, 1 or more, not 0"),
    (19, "'192.0.2.1:99999' is not an address; give HOST:PORT"),
    (23, "flows cannot be set"),
    (26, "loss must be"),
    (28, "expect"),
    (30, "port must be a whole number from 0 to 65535, not '9469'"),
    (31, "host must be an address, such as '127.0.0.1', not ''"),
    (32, "there is no 'hosts' in [http]; did you mean 'host'?"),
    (33, "[store] needs path"),
    (34, "retention must be a number of seconds, 3600 or more, not 5"),
    (35, "an alert needs one of state, loss, p50 and p99, not state and loss"),
    (38, "there is no 'dwon' among state; did you mean 'down'?"),
    (41, "p99 is known of kinds ping, stamp, ping_many only"),
    (43, "command: '/no/such/program' is not a program that can be run"),
    (44, "there is no 'alerts'; did you mean 'alert'?"),
    (47, "labels must have other names than address, "),
    (50, "labels must be texts by their names, not 'berlin'"),
    (53, "labels must be texts, not 5 for site"),
]


def test_each_error_has_its_line_and_what_is_allowed() -> None:
    with pytest.raises(ConfigError) as caught:
        config(WRONG)
    problems = caught.value.problems
    assert [each.line for each in problems] == [line for line, _ in ERRORS]
    for each, (_, text) in zip(problems, ERRORS, strict=True):
        assert text in each.text
    assert str(caught.value).startswith("test.toml:1: log must be 'lines' or 'json', not 'xml'\n")


@pytest.mark.parametrize(
    ("text", "line", "error"),
    [
        ("[[ping]]\nhost = \n", 2, "this is not TOML: invalid value"),
        ('[[ping]]\nhost = "a', 2, "this is not TOML: "),
        ("\n# \udcff\n", 2, "this is not UTF-8"),
        ("", 1, "there is nothing to run; add a table of ping, "),
        ("[ping]\nhost = 'a'\n", 1, "ping must be [[ping]], with two brackets"),
        ("\n[[heartbeat]]\n", 2, "heartbeat must be [heartbeat], one table"),
        ("[[echo]]\n[[echo]]\n", 2, "two of [[echo]] have the name 'echo'; set name"),
        ("[[echo]]\nkeys = 'none.keys'\n", 2, "none.keys: No such file or directory"),
        ("[[ping]]\nhost = 'a'\n'fill' = 7", 3, "fill must be"),
        ("[[echo]]\nport = " + "9" * 5000, 1, "this has a number with too many digits"),
        ("[[ping_many]]\ntargets = ['a']\ntimeout = " + "9" * 400, 3, "timeout must be"),
        ("[[echo]]\n[store]\nretention = " + "9" * 400 + "\npath = 'a'", 3, "retention must be"),
        ("[[echo]]\n[store]\npath = 'a\\u0000'".replace("'", '"'), 3, "path must be"),
        ("[[echo]]\n[[echo]]\nname = 'b'\ntimeline = [{}]", 4, "timeline[0]: "),
    ],
)
def test_an_error_names_the_line(text: str, line: int, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(errors="surrogateescape"), "x.toml")
    (problem,) = caught.value.problems
    assert problem.line == line
    assert error in problem.text


def test_a_target_is_in_one_group() -> None:
    group = '[[ping_many]]\ntargets = ["192.0.2.0/24:7"]\n'
    with pytest.raises(ConfigError) as caught:
        config(f'{group}{group}name = "b"\n')
    (problem,) = caught.value.problems
    assert problem.line == 3
    assert problem.text == "the target 192.0.2.1:7 is in two groups"


def test_the_example_is_right_and_so_is_all_that_it_shows(tmp_path: Path) -> None:
    shown = re.sub(r"(?m)^# (?=\[|\w+ = )", "", EXAMPLE)
    shown = shown.replace("/usr/local/bin/notify", sys.executable.replace("\\", "/"))
    assert config(EXAMPLE).alerts == ()
    whole = config(shown, tmp_path)
    assert [part.kind for part in whole.parts] == [
        "ping",
        "stamp",
        "ping_many",
        "heartbeat",
        "echo",
    ]
    assert [rule.for_ for rule in whole.alerts] == [60, 300]
    assert whole.store is not None
    assert whole.store.path == str(tmp_path / "udpulse.db")


def test_a_part_is_the_same_if_its_options_are() -> None:
    one, other = (
        config(f'{comment}[[ping]]\nhost = "a"\nfill = "xy"\nsource = ["", 0]\n').parts
        for comment in ("", "# moved down\n")
    )
    assert one == other
    assert one[0].name == "a:12000"
    assert one[0].options["source"] == ("", 0)
    assert one[0].make().count is None


# Rows.


def test_a_history_has_the_worst_state_of_each_minute() -> None:
    track = Track("ping", "a", "", 600.0)
    track.become("up", 610.0)
    track.become("down", 700.0, "refused")
    track.become("up", 710.0)
    assert track.history(790.0) == ("up", "down", "up", "up")
    assert track.outages() == [{"start": 700.0, "end": 710.0, "cause": "refused"}]
    assert track.uptime(790.0) == pytest.approx(170 / 180)
    assert track.history(790.0 + 86_400) == ("up",) * 30
    assert track.seconds(605.0, 705.0) == {"unknown": 5.0, "up": 90.0, "down": 5.0}
    track.recall([(500.0, "up", ""), (650.0, "unknown", "")])
    assert track.seconds(400.0, 610.0) == {"up": 100.0, "unknown": 10.0}


def test_a_target_is_down_after_some_probes_without_an_answer() -> None:
    target = Target("ping", "a", "", 0.0, limit=2)
    probes = [
        (verdict, 0.5 if verdict == "answered" else None)
        for verdict in [
            "lost",
            "answered",
            "refused",
            "refused",
            "send_failed",
            "refused",
            "answered",
        ]
    ]
    states = [
        target.add(udpulse.Probe(seq=seq, verdict=verdict, rtt=rtt, sent_at=seq), "")[0]  # type: ignore[arg-type]
        for seq, (verdict, rtt) in enumerate(probes, 1)
    ]
    assert states == ["suspect", "up", "suspect", "down", "unknown", "down", "up"]
    assert target.loss == 5 / 7
    for seq in range(1000):
        target.add(udpulse.Probe(seq=seq + 1, verdict="answered", rtt=seq / 1000, sent_at=seq), "")
    assert (target.loss, target.missed) == (0.0, 0)
    assert target.interval() == pytest.approx((0, 0.0126), abs=1e-4)
    assert target.percentiles() == (0.849, 0.996)


def test_a_sketch_knows_percentiles_within_two_percent() -> None:
    sketch = Sketch()
    for rank in range(1, 1001):
        sketch.add(rank / 1000)
    assert sketch.percentile(50) == pytest.approx(0.5, rel=0.02)
    assert sketch.percentile(99) == pytest.approx(0.99, rel=0.02)
    assert sketch.percentile(99.99) is None


# Alerts.


class Told:
    """Alerts that were told, by a clock of its own."""

    def __init__(self, *rules: AlertRule) -> None:
        self.now = 0.0
        self.heard: list[tuple[str, str, str]] = []
        self.alerts = Alerts(self._tell)
        self.alerts.set_rules(rules, 0.0)
        self.target = Target("ping", "db1", "", 0.0, limit=3)

    def _tell(self, rule: AlertRule, alert: Alert, event: str) -> None:
        self.heard.append((event, rule.name, alert.text))

    def become(self, state: Any, cause: str = "") -> None:
        self.target.become(state, self.now, cause)
        self.alerts.change(self.target, self.now, self.now)

    def after(self, seconds: float) -> list[tuple[str, str, str]]:
        """Return the alerts of a time."""
        self.now += seconds
        self.alerts.tick([self.target], lambda kind, name: self.target, self.now, self.now)
        heard, self.heard = self.heard, []
        return heard


def test_an_alert_is_raised_and_cleared_after_its_time() -> None:
    told = Told(AlertRule(name="down", rows=("db*",), state=("down",), for_=10.0))
    told.become("down", "refused")
    assert told.after(5) == []
    told.become("up")
    assert told.after(6) == []
    told.become("down", "refused")
    assert told.after(9) == []
    assert told.after(1) == [("alert", "down", "down, refused")]
    assert [alert.since for alert in told.alerts.raised()] == [21.0]
    told.become("up")
    assert told.after(5) == []
    told.become("down")
    assert told.after(20) == []
    told.become("unknown")
    assert told.after(100) == []
    told.become("up")
    assert told.after(9) == []
    assert told.after(1) == [("clear", "down", "up")]
    assert told.alerts.raised() == ()


def test_an_alert_without_a_time_is_immediate_and_ends_with_its_rule() -> None:
    rule = AlertRule(name="lossy", loss=0.5)
    told = Told(rule, AlertRule(name="others", rows=("web*",), loss=0.1))
    for seq in (1, 2):
        told.target.add(udpulse.Probe(seq=seq, verdict="lost", sent_at=seq), "")
    assert told.after(1) == [("alert", "lossy", "loss 100% is above 50%")]
    told.alerts.set_rules([rule], 0.0)
    assert told.heard == []
    told.alerts.set_rules([AlertRule(name="lossy", loss=0.4)], 0.0)
    assert told.heard == [("clear", "lossy", "loss 100% is above 50%")]


def test_an_alert_of_a_row_that_is_gone_is_cleared() -> None:
    told = Told(AlertRule(name="down", state=("down",)))
    told.become("down")
    assert told.after(0) == [("alert", "down", "down")]
    told.alerts.tick([], lambda kind, name: None, 1.0, 1.0)
    assert told.heard == [("clear", "down", "down")]


def test_an_alert_survives_a_restart_without_telling_again() -> None:
    told = Told(AlertRule(name="down", state=("down", "missing")))
    told.alerts.recall({("down", "ping", "db1"): 5.0, ("gone", "ping", "db1"): 5.0}, 0.0)
    assert told.after(100) == []
    assert [alert.since for alert in told.alerts.raised()] == [5.0]
    told.become("up")
    assert told.after(0) == [("clear", "down", "up")]


@unix
def test_a_program_reads_the_alert_and_a_slow_one_is_killed(tmp_path: Path) -> None:
    failed: list[str] = []
    runner = Runner(failed.append)
    out = tmp_path / "out"
    rules = [
        AlertRule(name="a", state=("down",), command=("sh", "-c", f"cat > {out}")),
        AlertRule(name="b", state=("down",), command=("sh", "-c", "sleep 60"), timeout=0.1),
        AlertRule(name="c", state=("down",), command=("sh", "-c", "exit 3")),
        AlertRule(name="d", state=("down",), command=("/no/such/program",)),
    ]
    for rule in rules:
        runner.put(rule, {"alert": rule.name})
    runner.start()
    runner.stop()
    assert json.loads(out.read_text()) == {"alert": "a"}
    assert failed == [
        "sh: killed after 0.1 s",
        "sh: exit code 3",
        "/no/such/program: No such file or directory",
    ]
    assert runner.errors == 3


def test_alerts_that_nobody_takes_are_dropped() -> None:
    runner = Runner(lambda text: None)
    rule = AlertRule(name="a", state=("down",), command=("true",))
    for _ in range(1003):
        runner.put(rule, {})
    assert runner.dropped == 3


# The monitor.


def test_a_monitor_follows_a_target() -> None:
    server = EchoServer(port=0)
    server.start()
    host, port = server.address
    with Monitor(config(ping_of(server))) as monitor:
        until(monitor, kind="ping", name="far", state="up", was="unknown")
        server.stop()
        down = until(monitor, kind="ping", name="far", state="down")
        assert down["cause"] == "refused" or peers.PORTABLE
        with EchoServer(host, port):
            up = until(monitor, down["id"], kind="ping", name="far", state="up")
            assert up["was"] == "down"
        now = row(monitor, "ping", "far")
        assert now.address == f"{host}:{port}"
        assert now.loss is not None
        assert now.loss_interval is not None
        assert 0 < now.loss_interval[0] < now.loss < now.loss_interval[1] < 1
        assert now.p50 is not None
        assert now.history[-1] == "down"
        assert {verdict for _, verdict, _ in monitor.strip("ping", "far")} >= {"answered"}
        (outage, *_) = monitor.outages("ping", "far")
        assert outage["end"] > outage["start"]
        assert monitor.row("ping", "none") is None
    assert [event["event"] for event in monitor.events()[-1:]] == ["stopped"]
    counts = monitor.snapshot().rows[0].counts
    assert counts["sent"] == sum(counts.values()) - counts["sent"] > 0


def test_a_monitor_follows_many_targets_and_names_without_addresses() -> None:
    with EchoServer(port=0) as server:
        host, port = server.address
        text = f'[[ping_many]]\ntargets = ["{host}:{port}", "no.such.host.invalid"]\n'
        single = '[[ping]]\nhost = "no.such.host.invalid"\n'
        with Monitor(config(text + "interval = 0.05\n" + single)) as monitor:
            until(monitor, event="failed", kind="ping", name="no.such.host.invalid:12000")
            until(monitor, kind="ping_many", name=f"{host}:{port}", state="up")
            wait_for(lambda: row(monitor, "ping_many", "no.such.host.invalid:12000").cause)
            wait_for(lambda: row(monitor, "ping", "no.such.host.invalid:12000").cause)
            report = next(s.object for s in monitor.sources() if s.name == f"{host}:{port}")
            assert isinstance(report, udpulse.PingReport)
            assert report.target == (host, port)
            wait_for(lambda: row(monitor, "ping_many", f"{host}:{port}").counts["answered"] > 2)
            states = {each.name: each.state for each in monitor.snapshot().rows}
    assert states == {
        f"{host}:{port}": "up",
        "no.such.host.invalid:12000": "unknown",
    }


def test_a_wall_clock_may_step_back(monkeypatch: pytest.MonkeyPatch) -> None:
    real, ahead = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    with EchoServer(port=0) as server, Monitor(config(ping_of(server))) as monitor:
        until(monitor, name="far", state="up")
        began = row(monitor, "ping", "far").since
        ahead = -7200.0
        wait_for(lambda: row(monitor, "ping", "far").since < began)
        far = row(monitor, "ping", "far")
        assert far.since == pytest.approx(began + ahead, abs=60.0)
        assert far.history
        assert far.uptime is not None


def test_a_late_reply_in_a_group_answers_nothing() -> None:
    with EchoServer(port=0, delay=0.14) as server:
        host, port = server.address
        text = f'[[ping_many]]\ntargets = ["{host}:{port}"]\ninterval = 0.1\ntimeout = 0.08\n'
        with Monitor(config(text)) as monitor:
            wait_for(lambda: monitor.sources() and monitor.sources()[0].object.foreign > 1)
            (source,) = monitor.sources()
            assert source.object.lost >= source.object.foreign
            assert source.object.answered == 0


def test_a_reload_keeps_what_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    with EchoServer(port=0) as server:
        same = ping_of(server, "same") + "[[echo]]\nport = 0\n"
        file.write_text(same + ping_of(server, "other") + ping_of(server, "old"))
        with Monitor(file) as monitor:
            for name in ("same", "other", "old"):
                until(monitor, name=name, state="up")
            before = {source.name: source.object for source in monitor.sources()}
            echo = row(monitor, "echo", "echo").address
            file.write_text("[[ping]]\nhost = 5\n")
            with pytest.raises(ConfigError):
                monitor.reload()
            file.write_text(
                "# more\n"
                + same
                + '[echo.labels]\nsite = "berlin"\n'
                + ping_of(server, "other", size=100)
                + ping_of(server, "new")
            )
            last = monitor.events()[-1]["id"]
            counts = row(monitor, "ping", "other").counts
            monitor.reload()
            until(monitor, last, name="new", state="up")
            wait_for(lambda: len(monitor.sources()) == 4)
            after = {source.name: source.object for source in monitor.sources()}
            assert after["same"] is before["same"]
            assert after["echo"] is before["echo"]
            labels = {source.name: source.labels for source in monitor.sources()}
            assert (labels["echo"], labels["new"]) == ({"site": "berlin"}, {})
            assert row(monitor, "echo", "echo").address == echo
            assert after["other"] is not before["other"]
            assert not before["other"].running
            assert row(monitor, "ping", "other").counts["answered"] >= counts["answered"]
            assert monitor.row("ping", "old") is None
            assert not before["old"].running
            until(monitor, last, event="reloaded")


def test_the_page_comes_and_goes_with_a_reload() -> None:
    with Monitor(config(heartbeat() + "[http]\nport = 0\n")) as monitor:
        first = monitor.http_address
        assert first is not None
        with urllib.request.urlopen("http://{}:{}/api/".format(*first)) as answer:
            assert json.load(answer)["rows"] == []
        monitor.reload(config(heartbeat()))
        assert monitor.http_address is None
        with EchoServer(port=0):
            monitor.reload(config(heartbeat() + "[http]\nport = 0\nprobe = true\n"))
        assert monitor.http_address is not None
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            monitor.reload(config(heartbeat() + f"[http]\nport = {port}\n"))
        failed = until(monitor, event="failed")["text"]
        assert re.fullmatch(rf"\[http\] 127.0.0.1:{port}: .*in use.*", failed)


def test_a_server_that_cannot_start_is_an_error_at_first_and_later_a_row() -> None:
    with EchoServer(port=0) as taken:
        echo = f"[[echo]]\nport = {taken.address[1]}\n"
        monitor = Monitor(config(echo))
        with pytest.raises(OSError, match="in use"):
            monitor.start()
        assert not monitor.running
        with pytest.raises(udpulse.NotStartedError):
            monitor.reload()
        with Monitor(config(ping_of(taken))) as monitor:
            monitor.reload(config(echo))
            failed = until(monitor, kind="echo", state="failed")
            assert "in use" in failed["cause"]
            monitor.reload(config(heartbeat(taken.address[1], 'expect = ["api"]')))
            failed = until(monitor, kind="watch", state="failed")
            assert row(monitor, "heartbeat", "api").cause == failed["cause"]


def test_clients_are_known_missing_and_not_made_up() -> None:
    more = 'expect = ["api", "db"]\ngrace = 0.5'
    with Monitor(config(heartbeat(more=more))) as monitor:
        (source,) = monitor.sources()
        with HeartbeatClient(*source.object.address, interval=0.05, multiplier=100, name="api"):
            forged = peers.open_socket()
            forged.sendto(b"Heartbeat 1 1700000000", source.object.address)
            until(monitor, kind="heartbeat", name="api", state="up")
            until(monitor, kind="heartbeat", name="db", state="missing", cause="not heard in time")
            wait_for(lambda: row(monitor, "heartbeat", "api").counts.get("received", 0) > 3)
            api = row(monitor, "heartbeat", "api")
            assert api.timeout == pytest.approx(5.0)
            assert api.interval == pytest.approx(0.05)
        until(monitor, kind="heartbeat", name="api", state="stopped")
        snapshot = monitor.snapshot()
        assert [each.name for each in snapshot.rows] == ["db", "api"]
        assert snapshot.clients == {"missing": 1, "stopped": 1}
        forged.close()


def test_a_client_may_be_listed_before_its_events_are_read() -> None:
    with Monitor(config(heartbeat())) as monitor:
        (source,) = monitor.sources()
        with (
            monitor._book.lock,
            HeartbeatClient(*source.object.address, interval=0.01, multiplier=100, name="api"),
        ):
            wait_for(lambda: source.object.counters.beats > 3)
            monitor._fleet.refresh(0.0, is_due=True)
            assert monitor.row("heartbeat", "api") is not None
        until(monitor, name="api", state="stopped")
        states = [e["state"] for e in monitor.events() if e.get("name") == "api"]
        assert states == ["up", "stopped"]


def test_new_keys_in_the_same_file_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "test.keys"
    udpulse.Keys({"a": b"0" * 32}).write(file)
    text = '[[echo]]\nport = 0\nkeys = "test.keys"\n'
    before, same = config(text, tmp_path), config(text, tmp_path)
    file.unlink()
    udpulse.Keys({"other": b"0" * 32}).write(file)
    assert before.parts[0].is_same(same.parts[0])
    assert not before.parts[0].is_same(config(text, tmp_path).parts[0])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_its_own_ends_a_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    with Monitor(config(heartbeat())) as monitor:

        def fail(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(monitor, "_fold", fail)
        wait_for(lambda: not monitor.running)
        with pytest.raises(udpulse.NotStartedError):
            monitor.reload()
    assert monitor.events()[-1]["event"] == "stopped"


def test_a_heartbeat_server_that_changes_forgets_no_client() -> None:
    port = free_port()
    with (
        Monitor(config(heartbeat(port))) as monitor,
        HeartbeatClient("127.0.0.1", port, interval=0.05, multiplier=100, name="api"),
    ):
        (source,) = monitor.sources()
        first = until(monitor, name="api", state="up")
        monitor.reload(config(heartbeat(port, 'expect = ["api"]')))
        assert monitor.sources()[0].object is source.object
        monitor.reload(config(heartbeat(port, 'expect = ["api"]\nmax_peers = 100')))
        until(monitor, first["id"], name="api", state="unknown", was="up")
        until(monitor, first["id"], name="api", state="up", was="unknown")
        assert {event.get("state") for event in monitor.events()} <= {None, "up", "unknown"}


def test_what_a_monitor_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_book, "BASES", 10)
    server = EchoServer(port=0)
    server.start()
    with Monitor(config(heartbeat(more="max_peers = 20") + ping_of(server))) as monitor:
        server.stop()
        until(monitor, name="far", state="down")
        with monitor._book.lock:
            target = monitor._targets["ping", "far"]
            for seq in range(1, 1001):
                verdict: Any = "answered" if seq % 2 else "refused"
                rtt = 1.1 ** (seq % 300 - 200) if seq % 2 else None
                probe = udpulse.Probe(seq=seq, verdict=verdict, rtt=rtt, sent_at=seq)
                monitor._add(target, probe, time.time())
            assert (len(target.probes), len(target.changes)) == (300, 256)
            assert len(target.hour.buckets) < 2000
            assert len(monitor.events()) == 1000
            assert len(monitor.outages("ping", "far")) <= 128
            watch = monitor._running["heartbeat", "heartbeat"]
            # Its server forgets dead newcomers for others.
            with peers.open_socket() as forger:
                number = 0
                while watch.object.counters.beats < 100:
                    number += 1
                    beat = b"Heartbeat;i=10;id=n%d 1 1700000000" % number
                    forger.sendto(beat, watch.object.address)
                    time.sleep(0.001)
            monitor._drain(watch, time.time())
            assert len(monitor._fleet.clients) <= 2 * 20 + 1
        for number in range(30):
            text = ping_of(server, f"other{number}")
            monitor.reload(config(heartbeat(more="max_peers = 20") + text))
        assert len(monitor._book._bases) <= 10
        assert [each.name for each in monitor.snapshot().rows if each.kind == "ping"] == ["other29"]


# The store.


def stored(folder: Path, more: str = "") -> str:
    """Return a store in a folder."""
    return f'[store]\npath = "{(folder / "m.db").as_posix()}"\n{more}'


def query(folder: Path, text: str) -> list[Any]:
    """Read from the store."""
    with closing(sqlite3.connect(folder / "m.db")) as connection:
        return connection.execute(text).fetchall()


def test_a_restart_goes_on(tmp_path: Path) -> None:
    port = free_port()
    alert = '[[alert]]\nname = "gone"\nstate = ["missing"]\n'
    with EchoServer(port=0) as server:
        expected = 'expect = ["never"]\ngrace = 0.1'
        text = heartbeat(port, expected) + ping_of(server) + alert + stored(tmp_path)
        with (
            Monitor(config(text)) as monitor,
            HeartbeatClient("127.0.0.1", port, interval=0.05, multiplier=100, name="api"),
        ):
            until(monitor, name="far", state="up")
            until(monitor, name="api", state="up")
            until(monitor, event="alert", name="never")
        last = monitor.events()[-1]["id"]
        counts = row(monitor, "ping", "far").counts
        assert counts["answered"] > 0
        with Monitor(config(text)) as monitor:
            assert row(monitor, "heartbeat", "api").state == "stopped"
            assert row(monitor, "heartbeat", "never").state == "missing"
            assert [alert.row for alert in monitor.snapshot().alerts] == ["never"]
            up = until(monitor, name="far", state="up", was="unknown")
            assert up["id"] > last
            again = row(monitor, "ping", "far")
            assert all(again.counts[name] >= count for name, count in counts.items())
            assert monitor.snapshot().observer.store_errors == 0
        assert not [e for e in monitor.events() if e["event"] == "alert"]
    ((total,),) = query(tmp_path, "SELECT counts FROM rows WHERE name = 'far'")
    hours = query(tmp_path, "SELECT counts, seconds FROM hours WHERE name = 'far'")
    assert sum(json.loads(each)["answered"] for each, _ in hours) == json.loads(total)["answered"]
    assert query(tmp_path, "PRAGMA user_version") == [(1,)]
    assert query(tmp_path, "SELECT count(*) FROM runs") == [(2,)]


def test_losses_of_each_direction_go_on(tmp_path: Path) -> None:
    with (
        StampReflector(port=0) as reflector,
        Relay(*reflector.address, uplink=Link(loss=0.3), downlink=Link(loss=0.3), seed=1) as relay,
    ):
        host, port = relay.address
        text = f'[[stamp]]\nname = "far"\nhost = "{host}"\nport = {port}\ninterval = 0.005\n'
        text += "timeout = 0.5\n" + stored(tmp_path)
        with Monitor(config(text)) as monitor:
            wait_for(lambda: row(monitor, "stamp", "far").counts.get("reverse_lost", 0) > 3)
        counts = monitor.snapshot().rows[0].counts
        assert counts["forward_lost"] > 0
        with Monitor(config(text)) as monitor:
            wait_for(monitor.sources)
            (source,) = monitor.sources()
            samples = parsed(metrics.render([("far", source.object, source.base)]))
            for way in ("forward", "reverse"):
                lost = value(samples, "udpulse_stamp_lost_total", way=way)
                assert lost >= counts[f"{way}_lost"]


@unix
def test_after_a_kill_nobody_is_down_and_the_gap_is_unknown(tmp_path: Path) -> None:
    port = free_port()
    with (
        EchoServer(port=0) as server,
        HeartbeatClient("127.0.0.1", port, interval=0.05, multiplier=100, name="api"),
    ):
        text = heartbeat(port) + ping_of(server) + stored(tmp_path)
        file = tmp_path / "m.toml"
        file.write_text(text)
        with programs.Program("udpulse", "serve", str(file)) as service:
            service.notes.until(r".* heartbeat api: up .*")
            saved = "SELECT 1 FROM rows WHERE name = 'api' AND timeout > 0"
            wait_for(lambda: (tmp_path / "m.db").exists() and has_table(tmp_path))
            wait_for(lambda: query(tmp_path, saved))
            wait_for(lambda: query(tmp_path, "SELECT 1 FROM rows WHERE name = 'far'"))
            with pytest.raises(OSError, match=r"another monitor uses the store: .*m\.db"):
                Monitor(file).start()
            service.send(signal.SIGKILL)
        ((alive,),) = query(tmp_path, "SELECT alive FROM runs")
        ((counts,),) = query(tmp_path, "SELECT counts FROM rows WHERE name = 'far'")
        with Monitor(file) as monitor:
            up = until(monitor, kind="heartbeat", name="api", state="up")
            assert up["was"] == "unknown"
            until(monitor, name="far", state="up")
            track = monitor._fleet.clients["api"]
            gap = track.seconds(alive, up["time"])
            assert gap == {"unknown": pytest.approx(up["time"] - alive)}
            far = row(monitor, "ping", "far").counts
            assert all(far[name] >= count for name, count in json.loads(counts).items())
    assert {event.get("state") for event in monitor.events()} <= {None, "up"}


def has_table(folder: Path) -> bool:
    """Return whether the store has its tables."""
    return query(folder, "SELECT count(*) FROM sqlite_master") > [(4,)]


def test_a_locked_store_stops_no_judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "PATIENCE", 0.01)
    monkeypatch.setattr(_store, "EVERY", 0.05)
    with EchoServer(port=0) as server:
        text = ping_of(server) + stored(tmp_path)
        with Monitor(config(text)) as monitor:
            first = until(monitor, name="far", state="up")
            wait_for(lambda: query(tmp_path, f"SELECT 1 FROM events WHERE id = {first['id']}"))
        lock = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        with Monitor(config(text)) as monitor:
            up = until(monitor, name="far", state="up")
            wait_for(lambda: monitor._observer().store_errors > 1)
            lock.execute("COMMIT")
            lock.close()
            wait_for(lambda: query(tmp_path, f"SELECT 1 FROM events WHERE id = {up['id']}"))
        assert monitor.snapshot().observer.store_dropped == 0


def test_a_full_disk_stops_no_judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = _store.connect

    def limited(path: str) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 12")
        return connection

    monkeypatch.setattr(_store, "connect", limited)
    monkeypatch.setattr(_store, "EVERY", 0.02)
    server = EchoServer(port=0)
    with server, Monitor(config(ping_of(server) + stored(tmp_path))) as monitor:
        until(monitor, name="far", state="up")
        for number in range(200):
            monitor._book.emit("started", text="x" * 200, name=str(number))
        wait_for(lambda: monitor._observer().store_errors > 0)
        server.stop()
        until(monitor, name="far", state="down")


def test_what_waits_for_a_store_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "WAITING", 10)
    store = _store.Store(StoreConfig(path=str(tmp_path / "x" / "m.db")), 0.0)
    for number in range(15):
        store.add_event({"id": number, "time": 0.0, "event": "started"})
        store.put_row("ping", str(number), _store.Saved(counts={}), 0.0)
    assert store.dropped == 10
    store._write()
    assert (store.errors, store.dropped) == (1, 10)
    for number in range(15, 30):
        store.put_row("ping", str(number), _store.Saved(counts={}), 0.0)
        store._write()
        assert len(store._changes["rows"]) <= 10
    assert store.dropped == 25
    with pytest.raises(FileNotFoundError):
        store.start()


def test_a_store_has_one_monitor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.toml"
    file.write_text("[[echo]]\nport = 0\n" + stored(tmp_path))
    (tmp_path / "link.db").symlink_to(tmp_path / "m.db")
    with Monitor(file) as monitor:
        assert query(tmp_path, "SELECT count(*) FROM rows") is not None
        for name in ("m.db", "link.db"):
            file.write_text(file.read_text().replace("m.db", name))
            code, _, err = run(capsys, str(file))
            assert (code, err) == (
                3,
                f"udpulse: another monitor uses the store: {tmp_path / name}\n",
            )
        assert monitor.running
    for _ in range(2):
        with Monitor(file):
            pass
    (tmp_path / "m.db").unlink()
    (tmp_path / "m.db").mkdir()
    with pytest.raises(IsADirectoryError):
        Monitor(file).start()
    file.write_text("[[echo]]\nport = 0\n" + stored(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        Monitor(file).start()


def test_a_reload_changes_the_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "EVERY", 0.02)
    text = "[[echo]]\nport = 0\n"
    with Monitor(config(text + stored(tmp_path))) as monitor:
        monitor._book.emit("failed", time.time() - 10_000, text="old")
        wait_for(lambda: query(tmp_path, "SELECT 1 FROM events WHERE event = 'failed'"))
        monitor.reload(config(text + stored(tmp_path, "retention = 3600\n")))
        wait_for(lambda: not query(tmp_path, "SELECT 1 FROM events WHERE event = 'failed'"))
        last = monitor.events()[-1]["id"]
        monitor.reload(config(text + stored(tmp_path / "other")))
        failed = until(monitor, last, event="failed")
        assert failed["text"] == "store: another path needs a restart"
        last = monitor.events()[-1]["id"]
        monitor.reload(config(text + stored(tmp_path, "retention = 3600\n")))
        assert [event["event"] for event in monitor.events(last)] == ["reloaded"]


@pytest.mark.parametrize("content", ["text", "newer", "other"])
def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "m.db"
    if content == "text":
        file.write_text("This is not a database, and it is long enough." * 9)
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE t (c)")
            connection.execute(f"PRAGMA user_version = {2 if content == 'newer' else 0}")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"m.db: (it has version|file is not a database)"):
        Monitor(config("[[echo]]\nport = 0\n" + stored(tmp_path))).start()
    assert file.read_bytes() == before


# The service.


@unix
@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_in_both_kinds_of_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool
) -> None:
    if is_abstract and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    path = f"@udpulse-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path.replace("@", "\0"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        notify = Notify()
        assert "NOTIFY_SOCKET" not in os.environ
        notify.send("READY=1")
        for now in (1.0, 1.9, 2.0, 2.5, 3.1):
            notify.alive(now)
        heard = [manager.recv(100) for _ in range(3)]
        manager.setblocking(False)
        heard += [manager.recv(100)]
        with pytest.raises(BlockingIOError):
            manager.recv(100)
    assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]


@unix
def test_the_example_runs_as_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXAMPLE.replace('"lines"', '"json"')
    for port in ("12007", "12000", "9469"):
        text = text.replace(port, str(free_port()))
    file = tmp_path / "udpulse.toml"
    file.write_text(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        # Under nohup a child would ignore it.
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with programs.Program("udpulse", "serve", str(file)) as service:
            signal.signal(signal.SIGHUP, before)
            assert heard(manager) == b"READY=1"
            service.notes.until(r'.*"kind": "ping", "name": "echo", "state": "up".*')
            file.write_text(text + "[nothing]\n")
            service.send(signal.SIGHUP)
            service.notes.until(r'.*"not reloaded".*there is no .nothing.*')
            assert heard(manager).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert heard(manager) == b"READY=1"
            file.write_text(text.replace("outage_after = 3", "outage_after = 4"))
            service.send(signal.SIGHUP)
            service.notes.until(r'.*"event": "reloaded".*')
            while manager.recv(100) != b"WATCHDOG=1":
                pass
            service.send(signal.SIGTERM)
            ended = service.ended()
            while heard(manager) != b"STOPPING=1":
                pass
    assert (ended.code, ended.screen) == (0, [])
    events = [json.loads(line) for line in ended.notes]
    assert [events[0]["event"], events[-1]["event"]] == ["started", "stopped"]


def heard(manager: socket.socket) -> bytes:
    """Return the next message to the service manager that does not feed the watchdog."""
    while (message := manager.recv(100)) == b"WATCHDOG=1":
        pass
    return message


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run `udpulse serve`; return its exit code and its output on stdout and stderr."""
    code = main(["serve", *words])
    return code, *capsys.readouterr()


def test_exit_codes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "udpulse.toml"
    code, out, err = run(capsys, "--example")
    assert (code, out, err) == (0, EXAMPLE, "")
    file.write_text(out)
    code, out, err = run(capsys, "--check", str(file))
    assert (code, out, err) == (0, f"{file}: 3 parts, 3 rows, 0 alerts\n", "")
    file.write_text("[[echo]]\nport = -1\nhots = 5\n")
    for words in (["--check", str(file)], [str(file)]):
        code, out, err = run(capsys, *words)
        assert (code, out) == (2, "")
        assert re.fullmatch(rf"{file}:2: port must be .*\n{file}:3: there is no 'hots' .*\n", err)
    code, _, err = run(capsys, str(tmp_path / "none.toml"))
    assert (code, err.count("\n")) == (2, 1)
    assert "none.toml': No such file" in err
    assert run(capsys)[::2] == (2, "udpulse: there is no CONFIG; --help shows the usage\n")
    with EchoServer(port=0) as taken:
        file.write_text(f"[[echo]]\nport = {taken.address[1]}\n")
        code, _, err = run(capsys, str(file))
    assert code == 3
    assert "Address already in use" in err
    (tmp_path / "m.db").write_text("This is not a database, and it is long enough." * 9)
    file.write_text("[[echo]]\nport = 0\n" + stored(tmp_path))
    code, _, err = run(capsys, str(file))
    assert (code, err.count("\n")) == (2, 1)
    assert "file is not a database" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_ends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "udpulse.toml"
    file.write_text("[[echo]]\nport = -1\n")
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stderr", open(full, "w", closefd=False, buffering=1))  # noqa: SIM115
    assert main(["serve", str(file)]) == 2
    os.dup2(os.open(os.devnull, os.O_WRONLY), full)


def test_the_unit_of_systemd_is_right(tmp_path: Path) -> None:
    if not (program := shutil.which("systemd-analyze")):
        pytest.skip("no systemd-analyze here")
    unit = Path(__file__).parent.parent / "docs" / "udpulse.service"
    text = unit.read_text("utf-8").replace("/opt/udpulse/bin/udpulse", sys.executable)
    (tmp_path / "udpulse.service").write_text(text)
    verified = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / "udpulse.service")],
        capture_output=True,
        text=True,
    )
    mine = [line for line in verified.stderr.splitlines() if "udpulse.service" in line]
    assert (mine, verified.returncode) == ([], 0), verified.stderr
