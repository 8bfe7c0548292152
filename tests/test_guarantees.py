"""Promises of docs/guarantees.md that no other test shows."""

import ctypes
import gc
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import peers
import pytest

import udpulse
from udpulse import EchoServer, Relay, StampReflector
from udpulse.cli import echo, reflect, watch
from udpulse.impair import GilbertElliott, Link, Reordering, Uniform
from udpulse.lab import heartbeat_server, pinger_server

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
        EchoServer(port=0, **ROUGH) as echo_server,
        Relay(*upstream.getsockname(), **ROUGH) as relay,
    ):
        for server in (echo_server, relay):
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


def test_the_fates_of_a_seed_never_change(sender: socket.socket) -> None:
    up = Link(loss=0.1, duplication=0.2, corruption=0.3, delay=Uniform(0, 0.001))
    down = Link(loss=GilbertElliott(0.1, 0.5), reordering=Reordering(0.2, 0.001))
    with EchoServer(port=0, uplink=up, downlink=down, seed=7) as server:
        for number in range(100):
            sender.sendto(b"%03d" % number, server.address)
        while server.counters.received < 100 or server.truth.delayed:
            pass
        fates = [
            (
                fate.number,
                fate.uplink,
                fate.downlink,
                sorted(str(one.uplink_bit) for one in fate.copies),
            )
            for fate in server.fates()
        ]
    assert zlib.crc32(repr(sorted(fates)).encode()) == 4227441783


SERVERS: list[Callable[[], Any]] = [
    lambda: EchoServer(port=0),
    lambda: Relay("127.0.0.1", 9),
    lambda: StampReflector(port=0),
    lambda: udpulse.HeartbeatServer(port=0),
]
CLIENTS: list[Callable[[peers.Address], Any]] = [
    lambda to: udpulse.PingClient(*to, count=None, timeout=1000),
    lambda to: udpulse.PingSweep([to], rounds=None, timeout=1000),
    lambda to: udpulse.StampSender(*to, count=None, timeout=1000),
]


def test_an_object_that_nobody_refers_to_stops(silent: peers.Address) -> None:
    for make in SERVERS + [partial(make, silent) for make in CLIENTS]:
        thing = make()
        thing.start()
        address = thing.address
        del thing
        gc.collect()
        with socket.socket(type=socket.SOCK_DGRAM) as same:
            while True:
                try:
                    same.bind(address)
                except OSError:
                    continue
                break


def place_of(command: click.Command) -> Any:
    """Return the address that a command binds unless told otherwise."""
    (address,) = (one for one in command.params if one.name in ("address", "host"))
    return address.default


def test_servers_bind_loopback_and_those_of_the_lab_all_interfaces() -> None:
    for make in SERVERS:
        with make() as server:
            assert server.address[0] == "127.0.0.1"
    assert {place_of(one.command) for one in (echo, reflect, watch)} == {"127.0.0.1"}
    assert {place_of(one.command) for one in (pinger_server, heartbeat_server)} == {""}


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
