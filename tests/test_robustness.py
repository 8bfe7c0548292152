"""No datagram, of any length or content, ends a server."""

import random
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import udpulse
from udpulse import EchoServer, HeartbeatServer

# Every power of two and its neighbours, and the shortest and the longest payload.
LENGTHS = sorted({0, 65507} | {2**n + d for n in range(16) for d in (-1, 0, 1)} | {1024, 9000})
CONTENTS = [
    b"\0",
    b"\xff",
    b"9",
    b"1:",
    b"2026-01-01 ",
    b"Mon Feb  6 22:32:10 2017",
    b"\n",
    "é".encode(),
    b"1 2999-01-01 00:00:00 ",
    b"1 Mon Jan  1 00:00:00 0001 ",
]


def datagrams() -> list[bytes]:
    """Return datagrams of all lengths with monotonous, hostile and random contents."""
    noise = random.Random(5)
    return [
        *(
            (content * (length // len(content) + 1))[:length]
            for content in CONTENTS
            for length in LENGTHS
        ),
        *(noise.randbytes(length) for length in LENGTHS),
        *(noise.randbytes(noise.randrange(80)) for _ in range(2000)),
    ]


@pytest.fixture
def client() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        client.settimeout(10)
        yield client


def test_the_echo_server_answers_every_datagram(client: socket.socket) -> None:
    with EchoServer(port=0, transform="upper") as server:
        for datagram in datagrams():
            client.sendto(datagram, server.address)
            assert client.recv(65536) == datagram.upper()
        assert server.counters.replied == len(datagrams())
        assert server.running


def test_the_heartbeat_server_accounts_for_every_datagram(client: socket.socket) -> None:
    with HeartbeatServer(port=0, reply=True, every_beat=True) as server:
        for number, datagram in enumerate(datagrams(), 1):
            client.sendto(datagram, server.address)
            # One at a time: a burst would overflow the socket's queue.
            while server.counters.received < number:
                pass
        c = server.counters
        assert (
            c.received
            == c.beats + c.goodbyes + c.duplicates + c.stale + c.unproven + c.ignored + c.rejected
        )
        assert server.running


USES_OF_A_HOST: dict[str, Callable[[str], object]] = {
    "EchoServer": EchoServer,
    "HeartbeatServer": HeartbeatServer,
    "StampReflector": udpulse.StampReflector,
    "HeartbeatClient": udpulse.HeartbeatClient,
    "also": lambda host: udpulse.HeartbeatClient("127.0.0.1", also=[(host, 9)]),
    "PingClient": udpulse.PingClient,
    "ping": udpulse.ping,
    "ping_many": lambda host: udpulse.ping_many([("127.0.0.1", 9), (host, 9)]),
}


@pytest.mark.parametrize("use", USES_OF_A_HOST.values(), ids=USES_OF_A_HOST)
@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "12000"])
def test_a_short_form_of_an_address_is_refused(use: Callable[[str], object], host: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^host must be .* such as 127\.0\.0\.1 .*, not '{host}'$"
    ):
        use(host)


@pytest.mark.parametrize("length", [0, 1, 1024, 65507])
def test_the_ping_client_survives_any_reply(length: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        with udpulse.PingClient(*server.getsockname(), count=2, timeout=30, size=0) as client:
            _, address = server.recvfrom(1024)
            server.sendto(b"\xff" * length, address)
            server.sendto(*server.recvfrom(1024))
            assert len(list(client)) == 2
        report = client.report()
        assert (report.answered, report.guessed, report.received) == (2, 1, 2)


CLOSED = """
import os, time, udpulse
with udpulse.EchoServer(port=0) as server:
    to = server.address
    kept = set(os.listdir("/proc/self/fd"))
    objects = [
        udpulse.EchoServer(port=0),
        udpulse.HeartbeatServer(port=0),
        udpulse.StampReflector(port=0),
        udpulse.Relay(*to),
        udpulse.HeartbeatClient(*to, interval=0.01),
        udpulse.PingClient(*to, count=None, interval=0.01),
        udpulse.PingSweep([to] * 3, rounds=None, interval=0.01),
    ]
    for one in objects:
        one.start()
    for descriptor in set(os.listdir("/proc/self/fd")) - kept:
        try:
            os.close(int(descriptor))
        except OSError:  # that of the list itself
            pass
    began = time.process_time()
    time.sleep(0.5)
    print(time.process_time() - began, flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="lists its descriptors by Linux's means")
def test_no_thread_spins_on_a_closed_descriptor() -> None:
    run = subprocess.run([sys.executable, "-c", CLOSED], capture_output=True, text=True, check=True)
    # A thread that spins takes half a second, or all that a busy host leaves to it.
    assert float(run.stdout) < 0.3
