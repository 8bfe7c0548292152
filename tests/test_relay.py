"""The relay between foreign programs: whatever comes out is what its records say."""

import itertools
import os
import random
import select
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from udpulse import Fate, NotStartedError, Relay
from udpulse.events import SessionEnded
from udpulse.impair import (
    Exponential,
    GilbertElliott,
    Link,
    LossPattern,
    RateLimit,
    Reordering,
    Rule,
    Uniform,
)

# Linux's; older Pythons have no names for them.
IP_RECVTTL, IP_RECVTOS = 12, 13

PORTABLE = "UDPULSE_PORTABLE" in os.environ
linux_only = pytest.mark.skipif(PORTABLE, reason="needs the headers of packets")


def udp(host: str = "127.0.0.1") -> socket.socket:
    """Return a bound socket with a timeout."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    opened.settimeout(10)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    opened.bind((host, 0))
    return opened


def port_of(sock: socket.socket) -> int:
    """Return the port of a socket."""
    return int(sock.getsockname()[1])


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with udp() as upstream:
        yield upstream


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with udp() as client:
        yield client


def pass_up(client: socket.socket, upstream: socket.socket, datagram: bytes) -> tuple[str, int]:
    """Send a datagram through the relay. Return its source as the upstream sees it."""
    client.send(datagram)
    got, source = upstream.recvfrom(65_535)
    assert got == datagram
    return str(source[0]), int(source[1])


def outcomes(relay: Relay, count: int) -> list[Fate]:
    """Wait for fates and return them."""
    return list(itertools.islice((event for event in relay if isinstance(event, Fate)), count))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_of_any_size_pass_both_ways(host: str) -> None:
    with (
        udp(host) as upstream,
        udp(host) as client,
        Relay(*upstream.getsockname()[:2], listen=(host, 0)) as relay,
    ):
        client.connect(relay.address)
        for size in (0, 1, 1472, 9000, 65_507):
            source = pass_up(client, upstream, os.urandom(size))
            answer = os.urandom(size)
            upstream.sendto(answer, source)
            assert client.recv(65_535) == answer
        assert relay.upstream == (host, port_of(upstream))
        assert relay.sessions == [(host, port_of(client))]
        counters = relay.counters
        assert (counters.received, counters.relayed, relay.truth.sent) == (10, 10, 10)
        assert [fate.way for fate in relay.fates()] == ["uplink", "downlink"] * 5
        assert [fate.number for fate in relay.fates()] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert relay.columns()["way"].tolist() == [0, 1] * 5


def test_each_client_has_a_port_at_the_upstream(upstream: socket.socket) -> None:
    with Relay(*upstream.getsockname()) as relay, ExitStack() as stack:
        clients = [stack.enter_context(udp()) for _ in range(50)]
        sources = []
        for number, client in enumerate(clients):
            client.connect(relay.address)
            sources.append(pass_up(client, upstream, b"%d" % number))
        assert len(set(sources)) == 50
        for number, source in enumerate(sources):
            upstream.sendto(b"%d" % number, source)
        assert [int(client.recv(9)) for client in clients] == list(range(50))
        # The connected sockets hear only the upstream.
        with udp() as stranger:
            for source in sources:
                stranger.sendto(b"forged", source)
        upstream.sendto(b"last", sources[0])
        assert clients[0].recv(9) == b"last"


@linux_only
def test_an_answer_leaves_from_the_address_that_was_asked(upstream: socket.socket) -> None:
    with Relay(*upstream.getsockname(), listen=("", 0)) as relay, udp() as client:
        port = relay.address[1]
        sources = []
        for host in ("127.0.0.1", "127.0.0.7"):
            client.sendto(b"x", (host, port))
            sources.append(upstream.recvfrom(9)[1])
        assert len(set(sources)) == 2
        for source in reversed(sources):
            upstream.sendto(b"y", source)
            host = "127.0.0.1" if source == sources[0] else "127.0.0.7"
            assert client.recvfrom(9) == (b"y", (host, port))


def header(sock: socket.socket) -> tuple[bytes, int, int]:
    """Receive a datagram. Return it, its TTL and its type of service."""
    datagram, control, *_ = sock.recvmsg(65_535, 512)
    values = {kind: int.from_bytes(data[:1], "little") for _, kind, data in control}
    return datagram, values[socket.IP_TTL], values[socket.IP_TOS]


@linux_only
def test_the_ttl_is_lowered_and_the_type_of_service_kept(
    client: socket.socket, upstream: socket.socket
) -> None:
    for sock in (client, upstream):
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
    with Relay(*upstream.getsockname()) as relay:
        client.connect(relay.address)
        source = pass_up(client, upstream, b"first")
        # Expedited forwarding and both bits of ECN; 1 is the last hop.
        for ttl, tos in ((200, 0xB8), (9, 0x03), (9, 0x01), (2, 0x02)):
            for sender, receiver, to in (
                (client, upstream, relay.address),
                (upstream, client, source),
            ):
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
                sender.sendto(b"x", to)
                assert header(receiver) == (b"x", ttl - 1, tos)
    with Relay(*upstream.getsockname(), ttl=255) as relay:
        client.connect(relay.address)
        client.send(b"x")
        assert header(upstream)[1] == 255


@linux_only
def test_a_ring_of_relays_ends(client: socket.socket) -> None:
    with udp() as placeholder:
        port = port_of(placeholder)
    # The second relay sends to the first, which sends to the second.
    with (
        Relay("127.0.0.1", port) as first,
        Relay(*first.address, listen=("127.0.0.1", port)) as last,
    ):
        client.sendto(b"round", first.address)
        while first.truth.hops + last.truth.hops == 0:
            pass
        # A TTL of 64 has 63 hops left at the first.
        assert first.counters.received + last.counters.received == 64


def test_a_refused_upstream_eats_no_datagram(client: socket.socket) -> None:
    with udp() as placeholder:
        address = placeholder.getsockname()
    with Relay(*address, keep="all") as relay:
        client.connect(relay.address)
        for number in range(100):
            client.send(b"%d" % number)
            next(relay)
        while relay.truth.refused < 100:
            pass
        assert [fate.outcome for fate in relay.fates()] == ["refused"] * 100 or PORTABLE
        assert (relay.counters.received, relay.counters.dropped) == (100, 100)
        # It is back: nothing is lost from then on.
        with closing(udp()) as upstream:
            upstream.close()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
                back.bind(address)
                back.settimeout(10)
                for number in range(100):
                    pass_up(client, back, b"%d" % number)
        assert (relay.truth.refused, relay.counters.relayed) == (100, 100)


def ended_at(event: object) -> float:
    """Return when a session ended."""
    assert isinstance(event, SessionEnded)
    return event.time


def test_a_session_ends_when_it_is_idle(client: socket.socket, upstream: socket.socket) -> None:
    with Relay(*upstream.getsockname(), idle=0.05) as relay:
        client.connect(relay.address)
        old = pass_up(client, upstream, b"x")
        assert [fate.answer for fate in outcomes(relay, 1)] == [b"x"]
        ended = next(relay)
        assert ended == SessionEnded(
            client=client.getsockname(), time=ended_at(ended), reason="idle", uplink=1, downlink=0
        )
        assert (relay.truth.idle, relay.sessions) == (1, [])
        # Its port is closed soon after.
        upstream.connect(old)
        with pytest.raises(ConnectionRefusedError):
            deque(iter(lambda: upstream.send(b"late"), 0), 0)
    with Relay(*upstream.getsockname(), idle=None) as relay:
        assert relay.idle is None


def test_another_client_ends_the_longest_idle_session(upstream: socket.socket) -> None:
    with Relay(*upstream.getsockname(), max_clients=2) as relay, ExitStack() as stack:
        clients = [stack.enter_context(udp()) for _ in range(3)]
        for client in clients:
            client.connect(relay.address)
        for number in (0, 1, 0, 2):
            source = pass_up(clients[number], upstream, b"%d" % number)
        *_, ended, last = [next(relay) for _ in range(5)]
        assert isinstance(ended, SessionEnded)
        assert (ended.client, ended.reason) == (clients[1].getsockname(), "evicted")
        assert (ended.uplink, ended.downlink) == (1, 0)
        assert isinstance(last, Fate)
        assert relay.truth.evicted == 1
        assert relay.sessions == [clients[0].getsockname(), clients[2].getsockname()]
        upstream.sendto(b"x", source)
        assert clients[2].recv(9) == b"x"


def test_a_client_gets_another_port(client: socket.socket, upstream: socket.socket) -> None:
    with Relay(*upstream.getsockname()) as relay:
        client.connect(relay.address)
        before = pass_up(client, upstream, b"1")
        assert relay.rebind() == relay.rebind(client.getsockname()) == 1
        assert relay.rebind(("127.0.0.1", 9)) == 0
        after = pass_up(client, upstream, b"2")
        while after == before:
            after = pass_up(client, upstream, b"2")
        upstream.sendto(b"new", after)
        assert client.recv(9) == b"new"
    with pytest.raises(NotStartedError):
        Relay("127.0.0.1", 9).rebind()


def test_links_of_clients(upstream: socket.socket) -> None:
    lost, big = Link(loss=1), Link(mtu=28 + 3)
    with (
        Relay(*upstream.getsockname(), per_client=[(lost, None), (big, None)], keep=9) as relay,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(udp()) for _ in range(3)]
        for client in clients:
            client.connect(relay.address)
            client.send(b"1234")
            client.send(b"123")
        assert [upstream.recv(9) for _ in range(3)] == [b"123", b"1234", b"123"]
        fates = outcomes(relay, 6)
        assert [fate.uplink for fate in fates] == [("lost",), ("lost",), ("too_big",), (), (), ()]
        relay.set_links(clients[0].getsockname(), uplink=Link())
        pass_up(clients[0], upstream, b"now")
        relay.uplink = lost
        for client in clients:
            client.send(b"x")
        assert upstream.recv(9) == b"x"
        assert [fate.outcome for fate in outcomes(relay, 4)][1:] == ["relayed", "relayed", "lost"]
        assert upstream.recv(9) == b"x"


def test_rules_pick_packets_by_bytes_size_and_number(upstream: socket.socket) -> None:
    rules = [Rule("drop", offset=1, value=b"\x02", nth=2), Rule("duplicate", min_size=100)]
    with (
        Relay(*upstream.getsockname(), uplink=Link(rules=rules), keep=9) as relay,
        ExitStack() as stack,
    ):
        long = b"\x04\x02" + bytes(98)
        # Matches are counted for each client.
        for client in (stack.enter_context(udp()) for _ in range(2)):
            client.connect(relay.address)
            for datagram in (b"\x01\x02", b"\x02\x01", b"\x03\x02", long):
                client.send(datagram)
            assert [upstream.recv(999) for _ in range(4)] == [b"\x01\x02", b"\x02\x01", long, long]
        fates = outcomes(relay, 8)
        assert [fate.uplink_rule for fate in fates] == [None, None, 0, 1] * 2
        assert {(fate.answer, fate.outcome) for fate in fates if fate.uplink_rule == 0} == {
            (b"\x03\x02", "lost")
        }
        assert [fate.downlink_rule for fate in fates] == [None] * 8
        assert (relay.truth.uplink.lost, relay.truth.uplink.duplicated) == (2, 2)
        index = relay.columns()["uplink_rule"]
        assert index[2:4].tolist() == [0, 1]
        # Other rules begin to count; the same ones go on.
        relay.uplink = Link(rules=rules, mtu=1500)
        client.send(b"\x05\x02")
        assert upstream.recv(9) == b"\x05\x02"
        relay.uplink = Link(rules=rules[:1])
        client.send(b"\x06\x02")
        client.send(b"\x07\x02")
        client.send(b"end")
        assert [upstream.recv(9) for _ in range(2)] == [b"\x06\x02", b"end"]


def test_each_action_of_a_rule_is_in_the_fate(
    client: socket.socket, upstream: socket.socket
) -> None:
    rules = [
        Rule("drop", value=b"1"),
        Rule("delay", value=b"2", delay=0.01),
        Rule("duplicate", value=b"3"),
        Rule("corrupt", value=b"4", bit=8),
    ]
    with Relay(*upstream.getsockname(), downlink=Link(rules=rules)) as relay:
        client.connect(relay.address)
        source = pass_up(client, upstream, b"x")
        got = []
        for datagram, copies in ((b"1-", 0), (b"2-", 1), (b"3-", 2), (b"4-", 1), (b"5-", 1)):
            upstream.sendto(datagram, source)
            got += [client.recv(9) for _ in range(copies)]
        assert got == [b"2-", b"3-", b"3-", b"4,", b"5-"]
        fates = outcomes(relay, 6)[1:]
        expected = [("lost",), ("held",), ("duplicated",), ("corrupted",), ()]
        assert [fate.downlink for fate in fates] == expected
        assert [fate.downlink_rule for fate in fates] == [0, 1, 2, 3, None]
        assert fates[3].copies[0].downlink_bit == 8


def test_outages(client: socket.socket, upstream: socket.socket) -> None:
    with Relay(*upstream.getsockname()) as relay:
        client.connect(relay.address)
        source = pass_up(client, upstream, b"1")
        with relay.outage(way="downlink"):
            pass_up(client, upstream, b"2")
            upstream.sendto(b"lost", source)
            assert outcomes(relay, 3)[-1].downlink == ("outage",)
        with relay.outage(mode="hold", way="uplink"):
            client.send(b"held")
            upstream.sendto(b"3", source)
            assert client.recv(9) == b"3"
            while relay.truth.delayed == 0:
                pass
        assert upstream.recv(9) == b"held"
        with relay.outage(mode="refuse"):
            client.send(b"4")
            with pytest.raises(ConnectionRefusedError):
                client.recv(9)
        # It listens again soon after the end.
        refused = True
        while refused:
            client.send(b"5")
            readable, *_ = select.select([client, upstream], [], [], 10)
            refused = client in readable
            if refused:
                with pytest.raises(ConnectionRefusedError):
                    client.recv(9)
        assert upstream.recv(9) == b"5"


def test_bad_arguments_are_named(upstream: socket.socket) -> None:
    with pytest.raises(ValueError, match="port must be"):
        Relay("127.0.0.1", 0)
    with pytest.raises(TypeError, match=r"listen must be a \(host, port\)"):
        Relay("127.0.0.1", 9, listen="127.0.0.1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="per_client must be"):
        Relay("127.0.0.1", 9, per_client=[Link()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="idle must be above 0"):
        Relay("127.0.0.1", 9, idle=0)
    with Relay(*upstream.getsockname()) as relay:
        with pytest.raises(ValueError, match="client must be"):
            relay.set_links(("127.0.0.1", 9), uplink=Link())
        with pytest.raises(OSError, match="cannot bind"):
            Relay(*upstream.getsockname(), listen=relay.address).start()


NUMBER = struct.Struct("!BIQ")
EACH = 12_500
HELLO = b"hello"


def rough(seed: int) -> Link:
    """Return a link with every impairment."""
    lost = random.Random(seed).choices([True, False], [2, 98], k=997)
    return Link(
        loss=GilbertElliott(p=0.01, r=0.4) if seed % 2 else LossPattern(lost),
        max_burst=3,
        duplication=0.02,
        corruption=0.01,
        mtu=28 + 120,
        rate=RateLimit(20_000_000, queue=60_000),
        delay=Exponential(0.001) if seed % 2 else Uniform(0, 0.002),
        keep_order=True,
        reordering=Reordering(0.01, 0.004),
    )


def numbered(client: int, number: int) -> bytes:
    """Return a datagram of 13 to 129 bytes in which any flipped bit shows."""
    content = NUMBER.pack(client, number, number * 0x9E3779B97F4A7C15 % 2**64)
    return (content * 11)[: 13 + number * 7 % 117]


def is_busy(
    relay: Relay,
    count: int,
    arrived: dict[tuple[str, int], list[bytes]],
    spare: int = 100,
) -> bool:
    """Return whether the relay or a receiver has more than some datagrams to read or to send."""
    truth = relay.truth
    unread = count - relay.counters.received - truth.receive_drops
    late = truth.sent - sum(map(len, arrived.values()))
    return max(unread, truth.delayed, late) > spare


def test_whatever_comes_out_is_what_the_fates_say() -> None:
    """Two foreign programs exchange 100,000 datagrams through every impairment."""
    clients = 4
    with (
        udp() as upstream,
        Relay(
            *upstream.getsockname(), uplink=rough(1), downlink=rough(2), seed=7, keep="all"
        ) as relay,
        ExitStack() as stack,
    ):
        sockets = [stack.enter_context(udp()) for _ in range(clients)]
        arrived: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        sources: dict[int, tuple[str, int]] = {}
        done = threading.Event()

        def collect(sock: socket.socket, key: object) -> None:
            sock.settimeout(0.05)
            while True:
                try:
                    datagram, source = sock.recvfrom(65_535)
                except TimeoutError:
                    if done.is_set():
                        return
                    continue
                if key is None:
                    arrived["up", source[1]].append(datagram)
                else:
                    arrived["down", port_of(sock)].append(datagram)

        # Each client's port at the upstream.
        for number, sock in enumerate(sockets):
            sock.connect(relay.address)
            while number not in sources:
                sock.send(HELLO)
                sock.settimeout(0.2)
                upstream.settimeout(0.2)
                with suppress(TimeoutError):
                    got, source = upstream.recvfrom(9)
                    if source not in sources.values():
                        sources[number] = source
                    arrived["up", source[1]].append(got)
        ports = {port_of(sock): number for number, sock in enumerate(sockets)}
        # No thread adds a key while another counts.
        for port, number in ports.items():
            arrived["down", port] += []
            arrived["up", sources[number][1]] += []
        threads = [threading.Thread(target=collect, args=(sock, 1)) for sock in sockets]
        threads.append(threading.Thread(target=collect, args=(upstream, None)))
        for thread in threads:
            thread.start()
        try:
            for number in range(EACH):
                for client, sock in enumerate(sockets):
                    sock.send(numbered(client, number))
                    upstream.sendto(numbered(client, number), sources[client])
                # Nobody runs ahead, so that no receive buffer overflows.
                if number % 10 == 9:
                    while is_busy(relay, (number + 1) * 2 * clients, arrived):
                        time.sleep(0)
            while relay.truth.delayed or is_busy(relay, 2 * clients * EACH, arrived, 0):
                time.sleep(0)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        fates, truth, counters = relay.fates(), relay.truth, relay.counters
    assert counters.received == counters.relayed + counters.dropped
    assert (counters.send_failed, truth.delay_line_full, relay.rows_dropped) == (0, 0, 0)
    expected: dict[tuple[str, int], list[tuple[int, bytes]]] = defaultdict(list)
    for fate in fates:
        port = fate.client[1]
        key = ("up", sources[ports[port]][1]) if fate.way == "uplink" else ("down", port)
        for copy in fate.copies:
            datagram = bytearray(fate.answer)
            for bit in (copy.uplink_bit, copy.downlink_bit):
                if bit is not None:
                    datagram[bit // 8] ^= 1 << bit % 8
            assert copy.corrupted == (bytes(datagram) != fate.answer)
            expected[key].append((copy.number, bytes(datagram)))
    assert len(expected) == 2 * clients
    for key, copies in expected.items():
        out = [datagram for _, datagram in sorted(copies) if len(datagram) != len(HELLO)]
        assert [datagram for datagram in arrived[key] if len(datagram) != len(HELLO)] == out
    for way in (truth.uplink, truth.downlink):
        assert min(way.lost, way.duplicated, way.corrupted, way.held, way.too_big) > 0
