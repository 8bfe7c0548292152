"""Servers of udpulse and of its peers for the benchmarks, each a process of its own on loopback.

`python servers.py NAME PORT [BEHIND]` runs one that is written in Python, until it is killed.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
LOOPBACK = "127.0.0.1"
LONGEST = 2048
PATIENCE = 10.0

# On Linux udpulse asks for receive buffers of this size, so those written here do, too.
BUFFER = 4 << 20
SO_RCVBUFFORCE = 33

HERE = [sys.executable, __file__]
COMMANDS: dict[str, list[str]] = {
    "irtt": ["irtt", "server", "-b", "127.0.0.1:{port}", "-i", "0"],
    "iperf3": ["iperf3", "-s", "-B", LOOPBACK, "-p", "{port}"],
    "sockperf": ["sockperf", "server", "-i", LOOPBACK, "-p", "{port}"],
    "socat echo": ["socat", "UDP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", "PIPE"],
    "socat relay": [
        *("socat", "-b65536", "UDP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"),
        "UDP4:127.0.0.1:{behind}",
    ],
    "stamp-suite": ["stamp-suite", "-i", "-S", LOOPBACK, "-o", "{port}", "--stateful-reflector"],
}


class PeerError(Exception):
    """A peer did not do its work."""


class Server(NamedTuple):
    """A server that runs."""

    process: "subprocess.Popen[str]"
    port: int

    def cpu_ns(self) -> int:
        """Return the CPU time of its processes that live."""
        tasks = [task for process in self._processes() for task in process.glob("task/*")]
        return sum(int(text.split()[0]) for text in self._read(tasks, "schedstat"))

    def memory(self) -> int:
        """Return the memory of its processes in bytes; they share what they have in common."""
        texts = self._read(self._processes(), "smaps_rollup")
        return 1024 * sum(
            int(number) for t in texts for number in re.findall(r"^Pss: +(\d+)", t, re.M)
        )

    def beats(self) -> int:
        """Return how many beats a server of heartbeats has read."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def _processes(self) -> list[Path]:
        return [
            path.parent
            for path in Path("/proc").glob("[0-9]*/stat")
            for text in self._read([path.parent], "stat")
            if int(text.rpartition(")")[2].split()[2]) == self.process.pid
        ]

    def _read(self, paths: Iterable[Path], name: str) -> Iterator[str]:
        """Yield the files of this name of those that still exist."""
        for path in paths:
            with suppress(OSError):
                yield (path / name).read_text()


@contextmanager
def served(name: str, *, core: int = 0, behind: int = 0) -> Iterator[Server]:
    """Run a server on a core; `behind` is the port to which a relay sends."""
    port = free_port()
    command = COMMANDS.get(name, [*HERE, name, "{port}", "{behind}"])
    if name.startswith("C "):
        command = [built(name.removeprefix("C ")), "{port}", "{behind}"]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *(word.format(port=port, behind=behind) for word in command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + PATIENCE
        while not is_bound(port):
            if process.poll() is not None or time.monotonic() > end:
                raise PeerError(f"{name} does not serve")
            time.sleep(0.01)
        yield Server(process, port)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def free_port() -> int:
    """Return a port that is free for UDP and TCP."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket() as other:
        one.bind((LOOPBACK, 0))
        port: int = one.getsockname()[1]
        other.bind((LOOPBACK, port))
        return port


def is_bound(port: int) -> bool:
    """Return whether a socket of this host has the port."""
    tables = [Path(f"/proc/net/{table}").read_text() for table in ("udp", "tcp")]
    return any(f":{port:04X} 00000000:0000" in table for table in tables)


@cache
def folder() -> "tempfile.TemporaryDirectory[str]":
    """Return the folder of the compiled programs, which goes with this process."""
    return tempfile.TemporaryDirectory(prefix="udpulse-compare-")


@cache
def built(name: str) -> str:
    """Compile a program in C; return its path."""
    if shutil.which("cc") is None:
        sys.exit("needs a C compiler, cc")
    path = f"{folder().name}/{name}"
    subprocess.run(["cc", "-O2", "-o", path, str(FOLDER / f"{name}.c")], check=True)
    return path


def bound(port: int) -> socket.socket:
    """Return a socket of a server."""
    server = socket.socket(type=socket.SOCK_DGRAM)
    with suppress(PermissionError):
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    server.bind((LOOPBACK, port))
    return server


def run_until_killed(server: Any) -> None:
    """Run a server of udpulse."""
    with server:
        sys.stdin.read()


def udpulse_echo(port: int, host: str = LOOPBACK, keep: int = 0) -> None:
    """Echo, without a record of each packet unless told otherwise."""
    import udpulse

    run_until_killed(udpulse.EchoServer(host, port, keep=keep))


def stdlib_echo(port: int, _: int) -> None:
    """Echo as the lab's server does."""
    server = bound(port)
    while True:
        server.sendto(*server.recvfrom(LONGEST))


class AsyncioEcho(asyncio.DatagramProtocol):
    """Echo."""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Return a datagram to its sender."""
        self.transport.sendto(data, address)


async def serve(port: int, protocol: Callable[[], asyncio.DatagramProtocol]) -> None:
    """Serve without end."""
    await asyncio.get_running_loop().create_datagram_endpoint(protocol, sock=bound(port))
    await asyncio.Event().wait()


def asyncio_echo(port: int, _: int) -> None:
    """Echo."""
    asyncio.run(serve(port, AsyncioEcho))


def udpulse_relay(port: int, behind: int) -> None:
    """Pass packets on, without a record of each."""
    import udpulse

    run_until_killed(udpulse.Relay(LOOPBACK, behind, listen=(LOOPBACK, port), keep=0))


class AsyncioUpstream(asyncio.DatagramProtocol):
    """The socket of a client towards the upstream."""

    def __init__(self, listener: Any, client: Any) -> None:
        """Remember the way back."""
        self.listener, self.client = listener, client

    def datagram_received(self, data: bytes, _: Any) -> None:
        """Return an answer."""
        self.listener.sendto(data, self.client)


class AsyncioListener(asyncio.DatagramProtocol):
    """The socket for clients."""

    def __init__(self, behind: int) -> None:
        """Start without clients."""
        self.behind = behind
        self.sessions: dict[Any, Any] = {}
        self.opening: set[Any] = set()

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def datagram_received(self, data: bytes, client: Any) -> None:
        """Pass a datagram on."""
        if client in self.sessions:
            self.sessions[client].sendto(data)
            return
        task = asyncio.ensure_future(self.open(data, client))
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    async def open(self, data: bytes, client: Any) -> None:
        """Open the session of a client."""
        self.sessions[client], _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: AsyncioUpstream(self.transport, client), remote_addr=(LOOPBACK, self.behind)
        )
        self.sessions[client].sendto(data)


def asyncio_relay(port: int, behind: int) -> None:
    """Pass packets on."""
    asyncio.run(serve(port, lambda: AsyncioListener(behind)))


def udpulse_stamp(port: int, _: int) -> None:
    """Reflect, without a record of each packet."""
    import udpulse

    run_until_killed(udpulse.StampReflector(LOOPBACK, port, keep=0))


def count_on_request(count: Callable[[], int]) -> None:
    """Print a number for each line of input."""
    for _ in sys.stdin:
        print(count(), flush=True)


def udpulse_heartbeat(port: int, _: int) -> None:
    """Follow heartbeats."""
    import udpulse

    with udpulse.HeartbeatServer(LOOPBACK, port, max_peers=1 << 20) as server:

        def count() -> int:
            server.next_batch(1 << 20, timeout=0)
            return server.counters.received

        count_on_request(count)


def stdlib_heartbeat(port: int, _: int) -> None:
    """Remember the last beat of each client, its number and its time."""
    server, count = bound(port), 0
    beats: dict[Any, tuple[int, float, float]] = {}
    threading.Thread(target=count_on_request, args=[lambda: count], daemon=True).start()
    while True:
        beat, client = server.recvfrom(LONGEST)
        seq, sent_at = beat.split()[1:]
        beats[client] = (int(seq), float(sent_at), time.time())
        count += 1


SERVERS: dict[str, Callable[[int, int], None]] = {
    "udpulse echo": lambda port, _: udpulse_echo(port),
    "udpulse echo, log": lambda port, _: udpulse_echo(port, keep=10_000),
    "udpulse echo, all addresses": lambda port, _: udpulse_echo(port, host=""),
    "udpulse relay": udpulse_relay,
    "udpulse stamp": udpulse_stamp,
    "udpulse heartbeat": udpulse_heartbeat,
    "stdlib echo": stdlib_echo,
    "stdlib heartbeat": stdlib_heartbeat,
    "asyncio echo": asyncio_echo,
    "asyncio relay": asyncio_relay,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
