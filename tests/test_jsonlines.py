"""Runs as lines of JSON: what is written is read back."""

import io
import json
from typing import Any

import peers
import pytest

import udpulse
from udpulse import EchoServer, PingClient, PingSweep, events, jsonlines
from udpulse.impair import Link, Uniform


def written(running: jsonlines.Running, **options: Any) -> list[dict[str, Any]]:
    """Return the lines of a running object."""
    file = io.StringIO()
    jsonlines.write(running, file, **options)
    return [json.loads(line) for line in file.getvalue().splitlines()]


def reread(lines: list[dict[str, Any]]) -> Any:
    """Return what the lines describe."""
    return jsonlines.read(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))


def test_a_session_is_read_back() -> None:
    link = Link(loss=0.2, duplication=0.2, corruption=0.1, delay=Uniform(0.0, 0.15))
    with EchoServer(port=0, uplink=link) as server:
        client = PingClient(*server.address, count=200, interval=0.001, timeout=0.05, linger=0.3)
        lines = written(client)
    report = client.report()
    assert [line["event"] for line in lines[:2]] == ["start", "probe"]
    kinds = [line["event"] for line in lines]
    assert (kinds.count("probe"), kinds.count("revised")) == (200, report.late)
    assert report.late > 0
    assert reread(lines) == report
    summary = lines[-1]
    assert summary["event"] == "summary"
    assert (summary["sent"], summary["late"]) == (report.sent, report.late)


@pytest.mark.parametrize("keep", [0, 7, "all"])
@pytest.mark.parametrize("flows", [1, 3])
def test_the_kept_rows_are_read_back(keep: Any, flows: int) -> None:
    with EchoServer(port=0, loss=0.3) as server:
        options = {"interval": 0.0005, "timeout": 0.05, "keep": keep, "flows": flows}
        client = PingClient(*server.address, count=60, **options)
        assert reread(written(client)) == client.report()


def test_a_sweep_is_read_back(silent: peers.Address) -> None:
    with EchoServer(port=0) as server:
        sweep = PingSweep([server.address, silent], rounds=2, interval=0.01, timeout=0.05)
        lines = written(sweep)
    assert reread(lines) == sweep.reports()
    probes = [line for line in lines if line["event"] == "probe"]
    assert sorted((probe["target_index"], probe["round"], probe["seq"]) for probe in probes) == [
        (target, number, seq) for target in (0, 1) for number in (0, 1) for seq in (1, 2, 3)
    ]


def test_revisions_are_yielded_if_asked_for() -> None:
    with EchoServer(port=0, delay=0.1) as server:
        client = PingClient(
            *server.address, count=3, interval=0.001, timeout=0.01, linger=10.0, revisions=True
        )
        verdicts = []
        for event in client:
            if isinstance(event, events.Revised):
                assert event.probe.rtt is not None
                assert event.probe.rtt >= 0.1
                verdicts.append((event.probe.seq, event.probe.verdict))
                if len(verdicts) == 3:
                    client.stop()
    assert verdicts == [(1, "late"), (2, "late"), (3, "late")]


def test_a_running_object_is_refused() -> None:
    with EchoServer(port=0) as server, pytest.raises(ValueError, match="running must not run yet"):
        jsonlines.write(server, io.StringIO())


def test_a_heartbeat_client_is_read_back(silent: peers.Address) -> None:
    client = udpulse.HeartbeatClient(*silent, count=3, interval=0.01)
    beats = reread(written(client))
    assert [(beat.seq, beat.outcome) for beat in beats] == [(1, "sent"), (2, "sent"), (3, "sent")]
