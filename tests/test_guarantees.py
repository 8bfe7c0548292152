"""Promises of docs/guarantees.md that no other test shows."""

import ctypes
import gc
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import peers
import pytest

import udpulse
from udpulse import EchoServer, Relay, StampReflector
from udpulse.impair import Link, Uniform

ROUGH: dict[str, Any] = {
    "uplink": Link(loss=0.2, duplication=0.2, delay=Uniform(0, 0.05)),
    "downlink": Link(loss=0.2, duplication=0.2, delay=Uniform(0, 0.05)),
}


def settled(server: Any) -> int:
    """Check the counts of a server at a moment; return how many packets are settled."""
    while True:
        counters, truth = server.counters, server.truth
        # Two snapshots belong together if nothing has happened between them.
        if (counters, truth) == (server.counters, server.truth):
            break
    gone = counters.relayed if isinstance(server, Relay) else counters.replied
    done: int = gone + counters.dropped + counters.send_failed
    assert counters.received == done + truth.pending
    return done


def test_counts_add_up_while_packets_are_delayed(sender: socket.socket) -> None:
    count = 200
    with (
        peers.open_socket() as upstream,
        EchoServer(port=0, **ROUGH) as echo,
        Relay(*upstream.getsockname(), **ROUGH) as relay,
    ):
        for server in (echo, relay):
            for number in range(count):
                sender.sendto(b"%d" % number, server.address)
                settled(server)
            while settled(server) < count:
                pass
            assert server.truth.uplink.lost > 0


@pytest.mark.skipif(sys.platform == "win32", reason="calls the C library by Linux's means")
def test_probes_and_answers_do_not_wait_for_the_interpreter(sender: socket.socket) -> None:
    sender.settimeout(None)
    buffer = ctypes.create_string_buffer(1024)

    def receive_with_the_gil() -> int:
        length: int = ctypes.PyDLL(None).recv(sender.fileno(), buffer, len(buffer), 0)
        return length

    with EchoServer(port=0, delay=0.05) as server:
        sender.sendto(b"request", server.address)
        assert receive_with_the_gil() == len(b"request")
    with udpulse.PingClient(*sender.getsockname(), count=3, interval=0.05, timeout=30):
        for _ in range(3):
            assert receive_with_the_gil() == 64


FACTORIES: list[Callable[[], Any]] = [
    lambda: EchoServer(port=0),
    lambda: Relay("127.0.0.1", 9, listen=("127.0.0.1", 0)),
    lambda: StampReflector(port=0),
    lambda: udpulse.HeartbeatServer(port=0),
]


def test_a_server_that_nobody_refers_to_stops() -> None:
    for make in FACTORIES:
        server = make()
        server.start()
        address = server.address
        del server
        gc.collect()
        with socket.socket(type=socket.SOCK_DGRAM) as same:
            while True:
                try:
                    same.bind(address)
                except OSError:
                    continue
                break


# A root user becomes nobody, who may not be allowed to read the modules that are imported late.
UNPRIVILEGED = """
import os, udpulse, udpulse._ending
if os.name == "posix" and os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
with (
    udpulse.EchoServer(port=0) as echo,
    udpulse.Relay(*echo.address) as relay,
    udpulse.StampReflector(port=0) as reflector,
    udpulse.HeartbeatServer(port=0) as fleet,
    udpulse.HeartbeatClient(*fleet.address, interval=30),
):
    assert udpulse.ping(*relay.address, count=1, timeout=30).answered
    assert udpulse.stamp(*reflector.address, count=1, timeout=30).answered
    assert udpulse.ping_many([echo.address], count=1, timeout=30)[0].answered
    assert isinstance(next(fleet), udpulse.events.Up)
"""


def test_no_privilege_is_needed() -> None:
    subprocess.run([sys.executable, "-c", UNPRIVILEGED], check=True, timeout=50)
