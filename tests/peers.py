"""Programs as students and teachers write them for this lab: plain sockets and nothing else."""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import cycle
from types import TracebackType

import pytest

Address = tuple[str, int]

# Whether udpulse has the code path of other systems than Linux here: a session learns only of
# refusals, a sweep of no ICMP error, and neither a session's strangers nor packet headers are seen.
PORTABLE = sys.platform != "linux" or "UDPULSE_PORTABLE" in os.environ

# Maximum wait of a peer, in seconds.
PATIENCE = 10.0

# Unusual datagrams that ping clients of the lab send, or might send.
ODD = [
    b"",
    b"Ping",
    b" leading blank, \t tab",
    b"two lines\nin one\r\n",
    b"it's",
    b'it\'s "quoted"',
    "grüße".encode(),
    "grüße".encode("latin-1"),
    bytes(range(256)),
    b"a" * 1024,
    b"a" * 1024 + b"b",
    b"a" * 9000,
]

DATE = "%Y-%m-%d %H:%M:%S.%f"

# Messages of the lab's clients: the codes are those of `strftime`, {t} is Unix time.
NUMBER_AND_TIME = [
    "Heartbeat 7 {t}",
    "7 {t}",
    "{t} 7",
    "7  {t}",
    " 7 {t}",
    "7,{t}",
    "Ping 7 {t}",
    "7 Ping {t}",
    "Ping 7 {s}",
    "PING 7 {ms}",
    "Ping 7 {t_ms}",
    "7 {us}",
    "7 {ns}",
    "#7 time:{t}",
    "Packet: 7 | Timestamp: {t} ",
    "Ping 7\n{t}\n",
    "\"Ping 7\" '{t}'",
    "Ping 7 {ctime}",
    "Ping #7 {ctime}",
    "7_{ctime}",
    f"7 {DATE}",
    f"7\t{DATE}",
    f"Ping 7: {DATE}",
    f"Ping 7 | {DATE}",
    f"This is Ping 7_{DATE}",
    "Ping 7 %Y-%m-%dT%H:%M:%S",
    "Ping 7 %H:%M:%S",
    "SeqNo: 7 %H:%M:%S.%f",
]
NUMBER = ["7", "Ping 7", "Ping7", "Sequence No.: 7", "Ping 7 0.052", "Ping 7 14:03"]
TIME = ["{t}", "Heartbeat {t}", f"[{DATE}]", "{ctime}", "%H:%M:%S"]
NEITHER = [b"", b"Ping", b"hello", b"\xff\xfe\x00", b" \n|,:#[] ", b"\x80" * 9000]


class Foreign(bytes):
    """A reply sent from a port other than the server's own."""


Rule = Callable[[bytes], Iterable[bytes]]
"""A server's replies to a datagram."""


class Server:
    """The lab's server: a loop around `recvfrom(1024)`, here on a thread that ends with the block.

    It answers by a rule and keeps all datagrams, complete when the block has ended.
    """

    def __init__(self, rule: Rule | None = None) -> None:
        self.heard: list[tuple[bytes, Address]] = []
        self._rule = rule or silent
        self._own, self._other = open_socket(), open_socket()
        # Maximum delay until the thread notices its end.
        self._own.settimeout(0.05)
        self.port = port_of(self._own)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join(PATIENCE)
        self._own.close()
        self._other.close()
        assert not self._thread.is_alive()

    @property
    def messages(self) -> list[str]:
        """The datagrams received, as text."""
        return [datagram.decode() for datagram, _ in self.heard]

    def _serve(self) -> None:
        while True:
            try:
                datagram, client = self._own.recvfrom(1024)
            except TimeoutError:
                # All datagrams that arrived before the end were read.
                if self._ending.is_set():
                    return
                continue
            self.heard.append((datagram, client))
            for reply in self._rule(datagram):
                sender = self._other if isinstance(reply, Foreign) else self._own
                sender.sendto(reply, client)
                if self._ending.is_set():
                    break


def silent(_: bytes) -> Iterable[bytes]:
    """Answer nothing, like a heartbeat server of the lab."""
    return ()


def lab(draws: Iterable[int]) -> Rule:
    """Answer like the server handed out, with `draws` for its random numbers."""
    numbers = iter(draws)

    def rule(datagram: bytes) -> Iterator[bytes]:
        if next(numbers) >= 4:
            yield datagram.upper()

    return rule


def same_case(datagram: bytes) -> Iterator[bytes]:
    """Answer with the datagram unchanged."""
    yield datagram


def damaged(datagram: bytes) -> Iterator[bytes]:
    """Answer with one bit flipped, at another place for each ping."""
    bit = 5 * number(datagram)
    reply = bytearray(datagram.upper())
    reply[bit // 8] ^= 1 << bit % 8
    yield bytes(reply)


def quoted(datagram: bytes) -> Iterator[bytes]:
    """Answer with the ping among other words."""
    yield b"1: You said " + datagram.lower() + b"!"


def greeting(_: bytes) -> Iterator[bytes]:
    """Answer with a number that is not the ping's."""
    yield b"Hello client 1"


def pong(_: bytes) -> Iterator[bytes]:
    """Answer with a word that does not identify the ping."""
    yield b"pong"


def numbered_pong(shift: int = 0) -> Rule:
    """Answer with the number of the ping plus `shift`."""

    def rule(datagram: bytes) -> Iterator[bytes]:
        yield b"Pong %d" % (number(datagram) + shift)

    return rule


def late(*numbers: int) -> Rule:
    """Answer these pings only when the next one arrives, right after their timeout."""
    held: list[bytes] = []

    def rule(datagram: bytes) -> Iterator[bytes]:
        yield from held
        held.clear()
        if number(datagram) in numbers:
            held.append(datagram.upper())
        else:
            yield datagram.upper()

    return rule


def twice(*numbers: int) -> Rule:
    """Answer each ping, and these ones twice."""

    def rule(datagram: bytes) -> Iterator[bytes]:
        yield datagram.upper()
        if number(datagram) in numbers:
            yield datagram.upper()

    return rule


def from_another_port(datagram: bytes) -> Iterator[bytes]:
    """Answer as the lab's server would, but from another port."""
    yield Foreign(datagram.upper())


def after_strangers(datagram: bytes) -> Iterator[bytes]:
    """Send two datagrams that are not answers, then answer."""
    yield Foreign(datagram.upper())
    yield b"Pong 99"
    yield datagram.upper()


def chatty(datagram: bytes) -> Iterator[bytes]:
    """Send datagrams that are not answers for two seconds, then answer."""
    for _ in range(100):
        yield b"Pong 99"
        time.sleep(0.02)
    yield datagram.upper()


def number(datagram: bytes) -> int:
    """Return the number of a ping, read as teachers' servers read it."""
    return int(datagram.split()[1])


def open_socket(host: str = "127.0.0.1") -> socket.socket:
    """Return a UDP socket on a free port whose waits are bounded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((host, 0))
    udp.settimeout(PATIENCE)
    return udp


@contextmanager
def open_sockets(number: int) -> Iterator[list[socket.socket]]:
    """Open `number` sockets at the same time, so that none reuses the port of another."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_socket()) for _ in range(number)]


def exchange(sender: socket.socket, server: Address, packet: bytes) -> bytes:
    """Return a server's reply to a packet."""
    sender.sendto(packet, server)
    return sender.recv(65536)


def port_of(udp: socket.socket) -> int:
    """Return the port that a socket is bound to."""
    return int(udp.getsockname()[1])


@contextmanager
def nobody(host: str = "127.0.0.1") -> Iterator[int]:
    """Reserve a port that is closed to us and that no other program can take."""
    with open_socket(host) as taken:
        # A connected socket receives only from its peer, here itself; to others its port is closed.
        taken.connect(taken.getsockname())
        yield port_of(taken)


def waiting(udp: socket.socket) -> list[bytes]:
    """Return the datagrams that wait in a socket."""
    udp.setblocking(False)
    found = []
    try:
        while True:
            found.append(udp.recv(2048))
    except BlockingIOError:
        udp.settimeout(PATIENCE)
        return found


def written(template: str, when: datetime) -> str:
    """Return a message with the time filled in."""
    us = int(when.timestamp() * 1e6)
    units = {"s": us // 10**6, "ms": us // 1000, "us": us, "ns": us * 1000}
    return when.strftime(template).format(t=us / 1e6, t_ms=us / 1e3, ctime=when.ctime(), **units)


def beat(port: int, messages: Iterable[str | bytes], *, sockets: int = 1) -> None:
    """Send heartbeats from several sockets in turn."""
    with open_sockets(sockets) as senders:
        for sender, message in zip(cycle(senders), messages, strict=False):
            datagram = message.encode() if isinstance(message, str) else message
            sender.sendto(datagram, ("127.0.0.1", port))


def forge(payload: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
    """Send a datagram over loopback with a forged source; skip the test if not permitted."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError:
        pytest.skip("only root may forge a source")
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    hosts = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + hosts
    with raw:
        raw.sendto(ip + udp, (target[0], 0))
