"""The pairs of scripts on two hosts: network namespaces joined by a virtual cable."""

import re
import signal
from collections.abc import Iterator

import pytest
from hosts import host, ip, joined, within
from programs import Program, failed, pings, run, shapes

SERVER = host("s", 1)
CLIENT = host("c", 2)


@pytest.fixture(scope="module", autouse=True)
def _hosts() -> Iterator[None]:
    with joined(SERVER, CLIENT):
        yield


@pytest.mark.parametrize("bind", ["", SERVER.address], ids=["all interfaces", "one address"])
def test_pings_cross(bind: str) -> None:
    options, patient = ("--loss", 0), ("--timeout", 30)
    with Program("UDPPingerServer.py", bind, 0, *options, inside=SERVER.name) as server:
        to = (SERVER.address, server.listening())
        client = run("UDPPingerClient.py", *to, *patient, "--count", 3, inside=CLIENT.name)
        server.screen.until("b'PING 3 .*")
    replies = [f"PING {seq} T" for seq in (1, 2, 3)]
    assert shapes(client.screen) == pings(replies, SERVER.address)
    assert shapes(server.screen.taken) == [f"b'{reply}'" for reply in replies]
    assert (client.code, client.notes) == (0, [])


def test_a_host_with_a_closed_port() -> None:
    with Program("UDPPingerServer.py", "", 0, inside=SERVER.name) as server:
        port = server.listening()
    # No other program is there to take the port after it.
    options = ("--count", 2, "--timeout", 0.3)
    client = run("UDPPingerClient.py", SERVER.address, port, *options, inside=CLIENT.name)
    assert client.screen == pings([None, None], SERVER.address)
    note = f"{SERVER.address} answered that nothing listens on port {port}"
    assert client.notes == [note]


@pytest.mark.parametrize("keep_running", [False, True])
def test_heartbeats_cross(keep_running: bool) -> None:
    options = ["--timeout", "1", *(["--keep-running", "--by-host"] if keep_running else [])]
    # With this seed, the third beat is skipped.
    fate = ("--interval", 0.05, "--fail-at", 5, "--loss", 0.2, "--seed", 3)
    with Program("UDPHeartBeatServer.py", "", 0, *options, inside=SERVER.name) as server:
        to = (SERVER.address, server.listening())
        client = run("UDPHeartBeatClient.py", *to, *fate, inside=CLIENT.name)
        server.screen.until(".* lost one way")
    assert client.screen == [*(f"Sending {seq}" for seq in (1, 2, 3, 4)), "Failing at 5"]
    fine = [f"Running fine at b'{seq}' (T s)" for seq in (1, 2, 4)]
    story = [*fine[:2], "Lost 1 heartbeat: 3", fine[2], *failed(5, 3, 4)]
    label = f"{CLIENT.address} " if keep_running else ""
    assert shapes(server.screen.taken) == [label + line for line in story]


def test_a_ping_client_that_starts_without_a_route() -> None:
    options = ("--timeout", 0.05, "--count", 1_000_000)
    with Program("UDPPingerServer.py", "", 0, "--loss", 0, inside=SERVER.name) as server:
        to = (SERVER.address, server.listening())
        ip("-n", CLIENT.name, "link", "set", "cable", "down")
        with Program("UDPPingerClient.py", *to, *options, inside=CLIENT.name) as client:
            assert [client.screen.next() for _ in "12"] == pings([None, None])[:2]
            note = f"Cannot send to {SERVER.address}:{to[1]}: Network is unreachable"
            assert client.notes.next() == note
            ip("-n", CLIENT.name, "link", "set", "cable", "up")
            client.screen.until("from .*")
            ended = client.interrupted()
    assert ended.notes.count(note) == 1
    assert re.fullmatch(r"\d+ pings? could not be sent", ended.notes[-1])


def test_a_heartbeat_client_that_starts_without_a_route() -> None:
    always = ("--interval", 0.05, "--fail-chance", 0)
    with Program("UDPHeartBeatServer.py", "", 0, inside=SERVER.name) as server:
        to = (SERVER.address, server.listening())
        ip("-n", CLIENT.name, "link", "set", "cable", "down")
        with Program("UDPHeartBeatClient.py", *to, *always, inside=CLIENT.name) as client:
            note = f"Cannot send to {SERVER.address}:{to[1]}: Network is unreachable"
            assert client.notes.next() == note
            ip("-n", CLIENT.name, "link", "set", "cable", "up")
            server.screen.until("Running fine at .*")
            ended = client.interrupted()
    assert re.fullmatch(r"\d+ heartbeats? could not be sent", ended.notes[-1])


def test_a_cable_unplugged_and_plugged_in_again() -> None:
    # If a host must ask for the other's hardware address, it holds its packets until the answer.
    known = (SERVER.address, "lladdr", SERVER.hardware, "dev", "cable")
    ip("-n", CLIENT.name, "neighbor", "replace", *known, "nud", "permanent")
    options = ("--timeout", 2, "--keep-running")
    always = ("--interval", 0.05, "--fail-chance", 0)
    with Program("UDPHeartBeatServer.py", "", 0, *options, inside=SERVER.name) as server:
        to = (SERVER.address, server.listening())
        with Program("UDPHeartBeatClient.py", *to, *always, inside=CLIENT.name) as client:
            label = server.screen.until(rf"({re.escape(CLIENT.address)}:\d+ )Running fine at .*")[1]
            ip("-n", SERVER.name, "link", "set", "cable", "down")
            end = server.screen.until(rf"{label}Looks like the client has failed at (\d+)")
            ip("-n", SERVER.name, "link", "set", "cable", "up")
            lost = server.screen.until(rf"{label}Lost (\d+) heartbeats: (\d+)\D.*?(\d+)")
            back = int(lost[3]) + 1
            server.screen.until(rf"{label}Running fine at b'{back}' .*")
            # The client did not notice.
            client.screen.until(f"Sending {back}")
    assert lost[2] == end[1]
    assert back - int(lost[2]) == int(lost[1])
    assert client.screen.taken == [f"Sending {seq}" for seq in range(1, back + 1)]


SERVE = """
import sys, udpulse
with udpulse.EchoServer(sys.argv[1], 0) as server:
    print(server.address[1], flush=True)
    sys.stdin.read()
    print(server.counters.replied, server.counters.send_failed)
"""

SEND_AT_ONCE = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(10)
    client.connect((sys.argv[1], int(sys.argv[2])))
    datagrams = [bytes([ord("A") + i]) * 2000 for i in range(26)]
    for datagram in datagrams:
        client.send(datagram)
    print("sent", flush=True)
    print([client.recv(4000) for _ in datagrams] == datagrams)
"""


def test_replies_that_cannot_be_segmented_all_leave() -> None:
    with within(SERVER, SERVE, SERVER.address) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        # The server finds all requests together, and would send the replies in one piece (GSO).
        server.send_signal(signal.SIGSTOP)
        with within(CLIENT, SEND_AT_ONCE, SERVER.address, port) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "sent\n"
            server.send_signal(signal.SIGCONT)
            assert client.communicate(timeout=20)[0] == "True\n"
        assert server.communicate(timeout=20)[0] == "26 0\n"


BEAT = """
import udpulse
with udpulse.HeartbeatServer("fe80::7%lo", 0) as server:
    with udpulse.HeartbeatClient(*server.address, interval=0.05) as client:
        print(type(next(server)).__name__, client.server == server.address)
"""


def test_beats_reach_a_link_local_address() -> None:
    ip("-n", SERVER.name, "address", "add", "fe80::7/64", "dev", "lo", "nodad")
    with within(SERVER, BEAT) as both:
        assert both.communicate(timeout=20)[0] == "Up True\n"


HEAR = """
import sys, udpulse
with udpulse.HeartbeatServer(sys.argv[1], 12000, reply=True) as server:
    print("ready", flush=True)
    for event in server:
        if isinstance(event, udpulse.events.Up):
            print(event.name, event.address[0], flush=True)
            break
    sys.stdin.read()
"""

CALL = """
import sys, udpulse
options = {"broadcast": True} if sys.argv[2] else {}
client = udpulse.HeartbeatClient(sys.argv[1], 12000, interval=0.05, name="caller", **options)
with client:
    print(next(client).outcome, flush=True)
    if sys.stdin.readline():
        while client.heard_at is None:
            next(client)
        print("heard", flush=True)
"""


@pytest.mark.parametrize(
    ("bound", "to", "broadcast"),
    [
        ("", "198.18.255.255", True),
        ("", "255.255.255.255", True),
        ("239.1.2.3", "239.1.2.3", False),
        ("ff05::1:3", "ff05::1:3", False),
        ("ff02::1:3%cable", "ff02::1:3%cable", False),
    ],
)
def test_beats_reach_a_group(bound: str, to: str, broadcast: bool) -> None:
    for each in (SERVER, CLIENT):
        ip("-n", each.name, "route", "replace", "default", "dev", "cable")
        ip(
            "-n",
            each.name,
            "address",
            "replace",
            f"2001:db8::{each.address[-1]}/64",
            "dev",
            "cable",
            "nodad",
        )
    with within(SERVER, HEAR, bound) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        with within(CLIENT, CALL, to, "yes" if broadcast else "") as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "sent\n"
            name, address = server.stdout.readline().split()
            assert client.communicate("\n", timeout=20)[0] == "heard\n"
    assert name == "caller"
    assert (address == CLIENT.address) == (":" not in to)


def test_a_broadcast_that_was_not_asked_for_is_not_sent() -> None:
    with within(CLIENT, CALL, "198.18.255.255", "") as client:
        assert client.communicate(timeout=20)[0] == "send_failed\n"


JOIN = """
import udpulse
try:
    udpulse.HeartbeatServer("239.1.2.3", 0).start()
except OSError as error:
    print(error)
"""


def test_a_group_that_cannot_be_joined_is_named() -> None:
    # Without a route, no interface belongs to the group.
    ip("-n", SERVER.name, "route", "flush", "exact", "default")
    with within(SERVER, JOIN) as server:
        text = server.communicate(timeout=20)[0]
    assert re.fullmatch(r".*cannot join the group of 239\.1\.2\.3:0: No such device\n", text)
