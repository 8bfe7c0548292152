"""The echo server as a test bench: its records match the replies that a client receives."""

import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any

import numpy as np
import peers
import pytest

from udpulse import EchoServer, HeartbeatServer, NotStartedError
from udpulse.impair import (
    Exponential,
    GilbertElliott,
    Link,
    LossPattern,
    Normal,
    Pareto,
    RateLimit,
    Reordering,
    Rule,
    Uniform,
)

NUMBER = struct.Struct("!IQ")
MAGIC = 0x9E3779B97F4A7C15
SIZE = 64


def numbered(number: int) -> bytes:
    """Return a datagram in which any flipped bit shows."""
    content = NUMBER.pack(number, number * MAGIC % 2**64)
    return (content * (SIZE // len(content) + 1))[:SIZE]


def with_flipped(datagram: bytes, *bits: int | None) -> bytes:
    """Return a datagram with these bits flipped."""
    flipped = bytearray(datagram)
    for bit in bits:
        if bit is not None:
            flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def number_in(datagram: bytes) -> int | None:
    """Return the number of a datagram, or None if it was changed."""
    number, _ = NUMBER.unpack_from(datagram)
    return int(number) if datagram == numbered(number) else None


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        client.bind(("127.0.0.1", 0))
        client.settimeout(10)
        yield client


def exchange(client: socket.socket, server: EchoServer, count: int) -> list[bytes]:
    """Send numbered datagrams and return all replies, in order of arrival."""
    replies: list[bytes] = []

    def read(under_way: int) -> None:
        while sent - server.counters.received + server.truth.delayed > under_way:
            client.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    replies.append(client.recv(2048))
            client.settimeout(10)

    for sent in range(1, count + 1):
        client.sendto(numbered(sent - 1), server.address)
        # Keep no more in flight than any buffer holds.
        read(32)
    read(0)
    while len(replies) < server.truth.replies:
        replies.append(client.recv(2048))
    return replies


ROUGH: dict[str, Any] = {
    "uplink": Link(
        loss=GilbertElliott(p=0.02, r=0.3),
        duplication=0.05,
        corruption=0.02,
        delay=Exponential(0.0005),
        reordering=Reordering(0.02, 0.002),
    ),
    "downlink": Link(
        loss=0.05,
        duplication=0.03,
        corruption=0.02,
        rate=RateLimit(200_000_000, queue=100_000),
        delay=Uniform(0, 0.001),
        keep_order=True,
    ),
}


def bits_of(column: Any) -> list[int | None]:
    return [None if np.isnan(bit) else int(bit) for bit in column]


def test_replies_match_the_truth_probe_by_probe(client: socket.socket) -> None:
    count = 5000
    with EchoServer(port=0, seed=5, keep=count, **ROUGH) as server:
        replies = exchange(client, server, count)
        truth, counters = server.truth, server.counters
        started_at, clients = server.started_at, server.clients
    columns, copies = server.columns(), server.columns("copies")
    assert truth.receive_drops == 0
    assert {len(column) for column in columns.values()} == {counters.received} == {count}
    assert {len(column) for column in copies.values()} == {truth.replies}
    assert counters.received == counters.replied + counters.dropped
    assert clients == [client.getsockname()]
    assert not columns["client"].any()

    # Reply by reply, bit by bit, in order of arrival.
    numbers_sent = columns["number"][copies["fate"]] - 1
    bits = zip(
        numbers_sent, bits_of(copies["uplink_bit"]), bits_of(copies["downlink_bit"]), strict=True
    )
    assert replies == [with_flipped(numbered(int(number)), *ways) for number, *ways in bits]
    fates = server.fates()
    objects = sorted((copy for fate in fates for copy in fate.copies), key=attrgetter("number"))
    assert [copy.downlink_bit for copy in objects] == bits_of(copies["downlink_bit"])
    assert [copy.corrupted for copy in objects] == copies["corrupted"].tolist()
    assert [copy.number for copy in objects] == copies["number"].tolist()

    # Times count from the start of the server.
    assert started_at is not None
    for times, told_at in (
        (columns["received_at_ns"], [fate.received_at for fate in fates]),
        (columns["sent_at_ns"], [fate.sent_at or np.nan for fate in fates]),
        (copies["sent_at_ns"], [copy.sent_at for copy in objects]),
    ):
        # A float holds a Unix time to 240 ns.
        assert np.allclose(started_at + times / 1e9, told_at, rtol=0, atol=1e-6, equal_nan=True)
    assert np.isnan(columns["sent_at_ns"]).sum() == counters.dropped

    told = np.zeros(count, int)
    changed = np.zeros(count, int)
    told[columns["number"] - 1] = columns["replies"]
    changed[columns["number"] - 1] = columns["corrupted"]
    numbers = Counter(number_in(reply) for reply in replies)
    # The number of a corrupt reply cannot be trusted; all others match the truth.
    assert numbers.pop(None) == changed.sum() > 0
    measured = np.array([numbers[number] for number in range(count)])
    assert (measured == told - changed).all()

    assert (told == 0).sum() == counters.dropped > 0
    assert (told > 1).sum() > 0
    ways = (truth.uplink, truth.downlink)
    for way, column in zip(ways, (columns["uplink"], columns["downlink"]), strict=True):
        seen = [int(((column >> bit) & 1).sum()) for bit in range(5)]
        assert seen == [way.lost, way.duplicated, way.corrupted, way.held, way.queue_full]


def test_reordering_matches_the_truth(client: socket.socket) -> None:
    # Held back until all the rest is sent, so that the order does not depend on speed.
    link = Link(reordering=Reordering(0.2, 0.5))
    with EchoServer(port=0, downlink=link, seed=2, keep=100) as server:
        order = [number_in(reply) for reply in exchange(client, server, 100)]
        held = [fate.number - 1 for fate in server.fates() if fate.downlink == ("held",)]
        direct = [fate.number - 1 for fate in server.fates() if not fate.downlink]
    assert held
    assert sorted(order, key=lambda number: (number in held, number)) == order
    assert sorted(held + direct) == list(range(100))


def test_a_seed_gives_the_same_fates_to_any_client() -> None:
    def fates() -> list[tuple[Any, ...]]:
        with (
            EchoServer(port=0, seed=5, keep=500, **ROUGH) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            client.settimeout(10)
            exchange(client, server, 500)
            every = [
                (f.number, *f.uplink, 0, *f.downlink, f.replies, f.corrupted)
                for f in server.fates()
            ]
        return sorted(every)

    assert fates() == fates()


def test_a_pattern_drops_exactly_its_packets(client: socket.socket) -> None:
    lost = [False, True, True, False]
    with EchoServer(port=0, loss=LossPattern(lost), keep=8) as server:
        assert [number_in(reply) for reply in exchange(client, server, 8)] == [0, 3, 4, 7]
        outcomes = [fate.outcome for fate in server.fates()]
        assert server.columns()["outcome"].tolist() == outcomes
    assert outcomes == ["replied", "lost", "lost", "replied"] * 2


def test_the_last_fates_are_kept(client: socket.socket) -> None:
    with EchoServer(port=0, keep=3) as server:
        exchange(client, server, 5)
        assert [fate.number for fate in server.fates()] == [3, 4, 5]
        assert server.columns()["number"].tolist() == [3, 4, 5]
        fate = next(server)
    assert (fate.size, fate.answer, fate.replies) == (SIZE, numbered(2), 1)
    assert fate.sent_at is not None
    assert fate.sent_at >= fate.received_at


def test_a_delayed_reply_comes_no_sooner(client: socket.socket) -> None:
    with EchoServer(port=0, uplink=Link(delay=0.02), downlink=Link(delay=0.03), keep=1) as server:
        client.sendto(b"x", server.address)
        assert client.recv(10) == b"x"
        (fate,) = server.fates()
    assert fate.sent_at is not None
    assert fate.sent_at - fate.received_at >= 0.0499


@pytest.mark.parametrize("threads", [1, 3])
def test_many_clients_are_distinguished(threads: int) -> None:
    with (
        EchoServer(port=0, threads=threads, keep=1000) as server,
        peers.open_sockets(20) as clients,
    ):
        for client in clients:
            for number in range(10):
                client.sendto(numbered(number), server.address)
                assert number_in(client.recv(2048)) == number
        assert sorted(server.clients) == sorted(client.getsockname() for client in clients)
        assert np.bincount(server.columns()["client"]).tolist() == [10] * 20


@pytest.mark.skipif(peers.PORTABLE, reason="other systems do not tell where a datagram came to")
def test_a_reply_leaves_from_the_address_that_was_asked(client: socket.socket) -> None:
    with EchoServer("", 0) as server:
        asked = ("127.0.0.2", server.address[1])
        client.sendto(b"x", asked)
        assert client.recvfrom(10) == (b"x", asked)


@pytest.mark.parametrize("host", ["127.0.0.1", "", "::"])
def test_two_servers_made_to_talk_to_each_other_do_not_loop(
    host: str, client: socket.socket
) -> None:
    with EchoServer(host, 0) as first, EchoServer(host, 0) as second:
        ours, theirs = (("127.0.0.1", server.address[1]) for server in (first, second))
        also_theirs = ("127.0.0.1" if host == "127.0.0.1" else "127.0.0.2", theirs[1])
        for source in (also_theirs, ours, ("127.0.0.1", 7)):
            peers.forge(b"loop", source, ours)
        # Later requests are answered later: if there were a loop, it would have begun by then.
        for address in (ours, theirs):
            client.sendto(b"after", address)
            assert client.recv(10) == b"after"
        assert (first.counters.received, first.truth.unanswerable) == (4, 3)
        assert (second.counters.received, second.truth.unanswerable) == (1, 0)


OTHER_PROCESS = """
import sys, udpulse
link = udpulse.impair.Link(duplication=float(sys.argv[1]))
with udpulse.EchoServer(port=0, downlink=link) as server:
    print(server.address[1], flush=True)
    for _ in sys.stdin:
        counters, truth = server.counters, server.truth
        received = counters.received + truth.receive_drops
        print(received, truth.replies, truth.unanswerable, flush=True)
"""


@contextmanager
def other_server(duplication: float) -> Iterator[tuple[peers.Address, Callable[[], list[int]]]]:
    """Run an echo server in another process. Return its address and a function for its counts."""
    command = [sys.executable, "-c", OTHER_PROCESS, str(duplication)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        asking, answers = process.stdin, process.stdout
        assert asking is not None
        assert answers is not None
        port = int(answers.readline())

        def ask() -> list[int]:
            asking.write("?\n")
            asking.flush()
            return [int(count) for count in answers.readline().split()]

        yield ("127.0.0.1", port), ask


only_linux_tells_hops = pytest.mark.skipif(
    peers.PORTABLE, reason="other systems do not tell how many hops a datagram has left"
)


@only_linux_tells_hops
@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_two_servers_of_two_processes_stop_a_loop(host: str) -> None:
    with EchoServer(host, 0) as ours, other_server(0) as (theirs, ask):
        peers.forge(b"loop", theirs, ("127.0.0.1", ours.address[1]))
        ended = 0
        while ended == 0:
            received, _, refused = ask()
            ended = refused + ours.truth.unanswerable
            # Replies bounce one at a time, and each server checks one receive in 64.
            assert received <= 64
        assert ended == 1


@only_linux_tells_hops
@pytest.mark.parametrize("duplication", [0.2, 1])
def test_two_servers_that_duplicate_stop_a_loop(duplication: float) -> None:
    with (
        EchoServer(port=0, downlink=Link(duplication=duplication)) as ours,
        other_server(duplication) as (theirs, ask),
    ):
        peers.forge(b"loop", theirs, ours.address)
        over = False
        while not over:
            received, replies, refused = ask()
            counters, truth = ours.counters, ours.truth
            # All that each has sent has come, and nobody has sent more since.
            over = truth.pending == 0 and (counters.received, truth.replies) == (
                replies + 1 - truth.receive_drops,
                received,
            )
        assert truth.unanswerable + refused > 0


def test_a_heartbeat_server_that_replies_is_not_answered(client: socket.socket) -> None:
    with EchoServer(port=0) as server, HeartbeatServer(port=0, reply=True) as other:
        peers.forge(b"1", other.address, server.address)
        client.sendto(b"after", server.address)
        assert client.recv(10) == b"after"
        assert (server.truth.unanswerable, other.counters.received) == (1, 0)


def test_two_heartbeat_servers_that_reply_do_not_loop(client: socket.socket) -> None:
    with HeartbeatServer(port=0, reply=True) as first, HeartbeatServer(port=0, reply=True) as other:
        peers.forge(b"beat 1", other.address, first.address)
        client.sendto(b"beat 2", first.address)
        assert client.recv(10) == b"BEAT 2"
        counters = first.counters
        assert (counters.received, counters.ignored, counters.replied) == (2, 1, 1)
        assert other.counters.received == 0


def test_a_source_over_its_rate_is_dropped(client: socket.socket) -> None:
    with EchoServer(port=0, max_rate=0.001) as server:
        exchange(client, server, 50)
        assert server.truth.limited == server.counters.dropped == 49


BAD_ARGUMENTS: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (EchoServer, (), {"transform": "rot13"}, "transform must be 'upper' or 'echo', not 'rot13'"),
    (EchoServer, (), {"max_rate": 0}, "max_rate must be 3e-8 to 1e9 packets per second, not 0"),
    (EchoServer, (), {"threads": 0}, "threads must be 1 to 256, not 0"),
    (EchoServer, (), {"loss": 0.1, "uplink": Link()}, "loss must be part of uplink, not given"),
    (GilbertElliott, (1.5,), {}, "p must be a probability from 0 to 1, not 1.5"),
    (GilbertElliott, (0.1, -1), {}, "r must be a probability from 0 to 1, not -1"),
    (LossPattern, ([],), {}, "lost must be 1 to 16777216 packets long, not 0"),
    (Uniform, (2, 1), {}, "high must be at least low \\(2 s\\), not 1"),
    (Normal, (-1, 1), {}, "mean must be a number of seconds from 0 to 3600, not -1"),
    (Exponential, (4000,), {}, "mean must be a number of seconds from 0 to 3600, not 4000"),
    (Pareto, (1, 0), {}, "shape must be a number above 0, not 0"),
    (Reordering, (2, 1), {}, "p must be a probability from 0 to 1, not 2"),
    (Reordering, (0.1, 0), {}, "delay must be above 0 and below 9.2e9 seconds, not 0"),
    (
        RateLimit,
        (0,),
        {},
        "bits_per_second must be a whole number from 1 to 2\\*\\*64 - 1, not 0",
    ),
    (Link, (), {"duplication": 2}, "duplication must be a probability from 0 to 1, not 2"),
    (Link, (), {"corruption": -1}, "corruption must be a probability from 0 to 1, not -1"),
    (Link, (), {"delay": -1}, "delay must be a number of seconds from 0 to 3600, a Uniform"),
]


@pytest.mark.parametrize(("make", "positional", "named", "text"), BAD_ARGUMENTS)
def test_an_impossible_value_is_a_value_error(
    make: Any, positional: tuple[Any, ...], named: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        make(*positional, **named)


def test_models_compare_and_show_themselves() -> None:
    assert GilbertElliott(0.1, 0.5) == GilbertElliott(0.1, 0.5) != GilbertElliott(0.1, 0.4)
    assert repr(GilbertElliott(0.1, 0.5)) == ("GilbertElliott(p=0.1, r=0.5)")
    assert repr(Uniform(0.1, 0.5)) == "Uniform(low=0.1, high=0.5)"
    assert repr(LossPattern([True, False])) == "LossPattern(lost=(True, False))"
    assert Link(loss=0.1) == Link(loss=0.1) != Link(loss=0.2)
    assert repr(Link()) == "Link()"
    assert repr(Link(loss="lab", delay=Uniform(0, 0.5), keep_order=True)) == (
        "Link(loss='lab', delay=Uniform(low=0.0, high=0.5), keep_order=True)"
    )
    rough = Link(loss=0.1, duplication=0.2, corruption=0.3, rate=RateLimit(9), delay=0.4)
    assert repr(rough) == (
        "Link(loss=0.1, duplication=0.2, corruption=0.3, "
        "rate=RateLimit(bits_per_second=9, queue=65536), delay=0.4)"
    )


def answers_to(client: socket.socket, *datagrams: bytes) -> list[bytes]:
    """Send datagrams, and then one that is always answered last. Return the other answers."""
    for datagram in (*datagrams, b"last"):
        client.send(datagram)
    return list(iter(lambda: client.recv(9), b"last"))


def test_links_change_while_the_server_runs(client: socket.socket) -> None:
    first_of_two = LossPattern([True, False])
    with EchoServer(port=0, keep=0) as server:
        client.connect(server.address)
        assert answers_to(client, b"1") == [b"1"]
        server.uplink = Link(loss=first_of_two)
        assert server.uplink == Link(loss=first_of_two)
        assert answers_to(client, b"1") == []
        # The pattern goes on if it is set again, as do counters.
        server.uplink = Link(loss=first_of_two, duplication=1)
        assert answers_to(client, b"1", b"2", b"3") == [b"2", b"2"]
        assert client.recv(9) == b"last"
        server.uplink = None
        server.downlink = Link(mtu=28 + 4)
        assert answers_to(client, b"12345", b"1234") == [b"1234"]
        truth = server.truth
        assert (truth.uplink.lost, truth.uplink.duplicated, truth.downlink.too_big) == (3, 2, 1)
    # The links stay for the next start.
    with server:
        client.connect(server.address)
        assert answers_to(client, b"12345") == []
    with pytest.raises(TypeError, match="uplink must be"):
        server.uplink = 0.3  # type: ignore[assignment]


def test_a_client_gets_links_of_its_own(client: socket.socket) -> None:
    with (
        EchoServer(port=0) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for one in (client, other):
            one.settimeout(10)
            one.connect(server.address)
        server.set_links(client.getsockname(), uplink=Link(loss=1), downlink=Link(mtu=1500))
        client.send(b"lost")
        assert answers_to(other, b"1") == [b"1"]
        server.set_links(client.getsockname(), uplink=Link())
        assert answers_to(client, b"1") == [b"1"]
        assert server.truth.uplink.lost == 1
        with pytest.raises(ValueError, match="client must be"):
            server.set_links(("localhost", 5000))
    with pytest.raises(NotStartedError):
        EchoServer(port=0).set_links(("127.0.0.1", 5000))


def test_a_rule_of_the_downlink_sees_the_answer(client: socket.socket) -> None:
    uplink = Link(rules=[Rule("drop", value=b"b", nth=1), Rule("corrupt", value=b"x", bit=0)])
    downlink = Link(rules=[Rule("drop", value=b"B", nth=2), Rule("drop", value=b"Y")])
    with EchoServer(port=0, transform="upper", uplink=uplink, downlink=downlink) as server:
        client.connect(server.address)
        # The first of b is lost on the way in; x comes out of the uplink as y.
        for datagram in (b"b1", b"b2", b"b3", b"b4", b"x", b"end"):
            client.send(datagram)
        assert [client.recv(9) for _ in range(3)] == [b"B2", b"B4", b"END"]
        fates = server.fates()[:5]
        assert [(fate.uplink_rule, fate.downlink_rule) for fate in fates] == [
            (0, None),
            (None, None),
            (None, 0),
            (None, None),
            (1, 1),
        ]
        assert [fate.outcome for fate in fates] == ["lost", "replied", "lost", "replied", "lost"]
        assert (fates[4].uplink, fates[4].downlink) == (("corrupted",), ("lost",))


def test_nothing_sent_during_an_outage_arrives(client: socket.socket) -> None:
    with EchoServer(port=0, seed=1) as server:
        client.connect(server.address)
        assert answers_to(client, b"1") == [b"1"]
        with server.outage(way="uplink"):
            client.send(b"lost")
            # The server has read it.
            assert next(fate for fate in server if fate.answer == b"lost").uplink == ("outage",)
        assert answers_to(client, b"2") == [b"2"]
        outage = server.outage(3600, way="downlink")
        client.send(b"lost")
        assert next(fate for fate in server if fate.answer == b"lost").downlink == ("outage",)
        outage.end()
        outage.end()
        assert answers_to(client, b"3") == [b"3"]
        assert (server.truth.uplink.outage, server.truth.downlink.outage) == (1, 1)


def test_packets_held_by_an_outage_leave_at_its_end(client: socket.socket) -> None:
    with EchoServer(port=0) as server:
        client.connect(server.address)
        with server.outage(mode="hold"):
            client.send(b"1")
            client.send(b"2")
            while server.truth.delayed < 2:
                pass
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(9)
            client.settimeout(10)
        assert [client.recv(9) for _ in range(2)] == [b"1", b"2"]
        # An outage with an end needs nobody to end it.
        server.outage(0.01, mode="hold")
        assert answers_to(client, b"3") == [b"3"]


def test_an_outage_refuses_clients(client: socket.socket) -> None:
    with EchoServer(port=0) as server:
        client.connect(server.address)
        assert answers_to(client, b"1") == [b"1"]
        with server.outage(mode="refuse"):
            client.send(b"2")
            with pytest.raises(ConnectionRefusedError):
                client.recv(9)
        while True:
            # The server listens again soon after the end.
            with suppress(ConnectionRefusedError):
                client.send(b"3")
                assert client.recv(9) == b"3"
                break
        with pytest.raises(ValueError, match="way must be 'both' with mode='refuse'"):
            server.outage(mode="refuse", way="uplink")
        with pytest.raises(ValueError, match="duration must be above 0"):
            server.outage(0)
    with pytest.raises(NotStartedError):
        EchoServer(port=0).outage()
