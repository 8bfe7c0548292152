"""Names that change their address, in a hosts file of the test's own."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosts import read_json, running

import udpulse
from udpulse import EchoServer, HeartbeatServer, PingClient, PingSweep

# Reads /etc/hosts from a file: in a mount namespace of its own.
OWN_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


@contextmanager
def within(hosts: Path, script: str, *args: object) -> "Iterator[subprocess.Popen[str]]":
    """Run a Python script that finds names in the file `hosts`; kill it at the end."""
    own = ["unshare", "--mount", "sh", "-c", OWN_HOSTS, "sh", str(hosts)]
    if not shutil.which("unshare") or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no right to make a mount namespace")
    with running(*own, sys.executable, "-c", script, json.dumps(args)) as process:
        yield process


@contextmanager
def two_servers() -> Iterator[tuple[EchoServer, EchoServer]]:
    """Run a server each on 127.0.0.2 and 127.0.0.3, on one port."""
    for _ in range(9):
        with EchoServer("127.0.0.2", 0) as one:
            try:
                with EchoServer("127.0.0.3", one.address[1]) as other:
                    yield one, other
                    return
            except OSError:
                continue


# Makes a client that looks its server up often.
CLIENT = """
import json, sys, udpulse
port, = json.loads(sys.argv[1])
client = udpulse.PingClient(
    "server.test", port, count=None, interval=0.01, timeout=30.0, resolve_every=0.05
)
"""

FOLLOW = """
with client:
    for probe in client:
        if probe.verdict == "answered":
            print(json.dumps(client.server), flush=True)
            break
    for probe in client:
        if client.report().changes and probe.verdict == "answered":
            break
    report = client.report()
print(json.dumps([client.server, report.target, report.address, report.change_count]))
change, = report.changes
print(json.dumps([change.end, change.before, change.after]))
print(json.dumps(report.sent - report.answered - report.pending))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mount namespaces")
def test_a_session_follows_its_servers_name(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.2 server.test\n")
    with two_servers() as (one, other):
        port = one.address[1]
        with within(hosts, CLIENT + FOLLOW, port) as client:
            assert read_json(client) == list(one.address)
            hosts.write_text("127.0.0.3 server.test\n")
            new = list(other.address)
            assert read_json(client) == [new, ["server.test", port], new, 1]
            assert read_json(client) == ["target", "127.0.0.2", "127.0.0.3"]
            assert read_json(client) == 0, "both servers answer, so nothing is lost"


LOSE = """
with client:
    for probe in client:
        if probe.verdict == "answered":
            print(json.dumps(probe.verdict), flush=True)
            break
    for probe in client:
        if client.report().unresolved:
            break
    for probe in client:
        if probe.verdict == "answered":
            break
    report = client.report()
print(json.dumps([report.change_count, bool(report.unresolved), "name: " in str(report)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mount namespaces")
def test_a_name_that_is_lost_keeps_its_last_address(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 server.test\n")
    with EchoServer(port=0) as server, within(hosts, CLIENT + LOSE, server.address[1]) as client:
        assert read_json(client) == "answered"
        hosts.write_text("")
        assert read_json(client) == [0, True, True]


def test_a_name_that_does_not_resolve_at_the_start_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        udpulse.ping("no-such-host.invalid", count=1)
    with pytest.raises(socket.gaierror):
        PingClient("no-such-host.invalid").start()


def test_a_target_without_an_address_disturbs_no_other() -> None:
    with EchoServer(port=0) as server:
        targets = [("no-such-host.invalid", 9), server.address, ("localhost", server.address[1])]
        options: dict[str, Any] = {"count": 2, "rate": 100_000, "family": 4}
        reports = udpulse.ping_many(targets, **options)
        (alone,) = udpulse.ping_many(targets[:1], **options)
        sweep = PingSweep(targets, rounds=2, **options)
        rounds = list(sweep)
    assert [report.target for report in reports] == targets
    assert [report.address for report in reports] == [None, server.address, server.address]
    for report in (reports[0], alone, sweep.reports()[0]):
        assert (report.sent, report.send_failed, report.send_errors) == (2, 2, {})
        assert report.unresolved
    assert [report.answered for report in reports] == [0, 2, 2]
    assert [report.unresolved for report in reports[1:]] == [None, None]
    assert sorted(report.target or () for report in rounds) == sorted(targets * 2)


APPEAR = """
import json, sys, udpulse
port, = json.loads(sys.argv[1])
targets = [("server.test", port), ("127.0.0.1", port)]
options = dict(count=1, rounds=None, interval=0.02, timeout=0.1, resolve_every=0.05)
with udpulse.PingSweep(targets, **options) as sweep:
    print(json.dumps([report.address for report in sweep.reports()][0]), flush=True)
    for report in sweep:
        if report.target == targets[0] and report.answered:
            break
print(json.dumps([report.address, report.change_count, report.unresolved]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mount namespaces")
def test_a_name_that_appears_is_pinged(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    with EchoServer(port=0) as server, within(hosts, APPEAR, server.address[1]) as sweep:
        assert read_json(sweep) is None
        hosts.write_text("127.0.0.1 server.test\n")
        address, changes, unresolved = read_json(sweep)
    assert (address, unresolved) == (list(server.address), None)
    assert changes <= 1, "the name may have appeared between two rounds"


def test_a_report_knows_its_target() -> None:
    with EchoServer(port=0) as server:
        port = server.address[1]
        report = udpulse.ping("localhost", port, count=1, family=4)
    assert report.target == ("localhost", port)
    assert report.address == ("127.0.0.1", port)
    assert str(report).startswith(f"1 probe to localhost:{port}: 1 answered")
    assert (report + report).target == report.target
    assert (report + udpulse.PingReport()).target is None


BEAT = """
import json, sys, udpulse
port, also = json.loads(sys.argv[1])
client = udpulse.HeartbeatClient(
    "server.test", port, also=[also], interval=0.01, resolve_every=0.05, name="named"
)
last = None
with client:
    for _ in client:
        state = [client.server, *client.unresolved]
        if state != last and (client.server or client.unresolved):
            last = state
            print(json.dumps(state), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mount namespaces")
def test_a_client_beats_to_a_name_that_comes_and_moves(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    with HeartbeatServer(port=0) as known, HeartbeatServer("127.0.0.2", 0) as one:
        port = one.address[1]
        with (
            HeartbeatServer("127.0.0.3", port) as other,
            within(hosts, BEAT, port, known.address) as client,
        ):
            up = next(known)
            assert isinstance(up, udpulse.events.Up)
            assert up.name == "named", "a bad name silences nobody else"
            assert read_json(client) == [None, ["server.test", port]]
            for server in (one, other):
                hosts.write_text(f"{server.address[0]} server.test\n")
                while read_json(client) != [list(server.address)]:
                    pass
                assert isinstance(next(server), udpulse.events.Up)
