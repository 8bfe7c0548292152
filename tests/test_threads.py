"""Eight threads together, on objects of their own and on the same ones."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import Any

import pytest

import udpulse
from udpulse import (
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    PingClient,
    PingReport,
    PingSweep,
    Relay,
    StampReflector,
    StampSender,
)

THREADS = 8

# No pause of this host makes a reply late.
PATIENT = 30.0


def together(work: Callable[[int], Any]) -> list[Any]:
    """Return the results of `work` in threads that begin together, each with its number."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(port=0) as server:
        yield server


def assert_adds_up(report: PingReport) -> None:
    """Check both identities."""
    r = report
    decided = r.answered + r.late + r.lost + r.refused + r.unreachable + r.send_failed
    assert r.sent == decided + r.pending
    assert r.received == r.answered + r.late + r.duplicates + r.corrupt + r.foreign


def test_each_thread_with_objects_of_its_own(echo: EchoServer) -> None:
    def work(number: int) -> None:
        with HeartbeatServer(port=0) as follower, EchoServer(port=0) as own:
            name = f"thread-{number}"
            with HeartbeatClient(*follower.address, interval=0.005, name=name):
                event = next(follower)
                assert isinstance(event, udpulse.events.Up)
                assert event.name == name
            for to in (own.address, echo.address):
                report = udpulse.ping(*to, count=20, timeout=PATIENT)
                assert report.answered == 20
                assert_adds_up(report)
            (swept,) = udpulse.ping_many([own.address], count=5, timeout=PATIENT)
            assert swept.answered == 5
            assert own.counters.replied == own.counters.received == 25

    together(work)
    assert echo.counters.replied == THREADS * 20
    clients = Counter(fate.client for fate in echo.fates())
    assert sorted(clients.values()) == [20] * THREADS


def test_each_event_of_a_shared_object_comes_once(echo: EchoServer) -> None:
    count = 400
    with PingClient(*echo.address, count=count, interval=0.0005, timeout=PATIENT) as client:

        def read(_: int) -> list[int]:
            seqs = []
            for probe in client:
                assert_adds_up(client.report())
                seqs.append(probe.seq)
            return seqs

        seqs = [seq for part in together(read) for seq in part]
    assert sorted(seqs) == list(range(1, count + 1))


def test_every_snapshot_of_a_shared_server_adds_up(echo: EchoServer) -> None:
    link = udpulse.impair.Link(delay=0.001)
    done = threading.Event()

    def look(number: int) -> int:
        if number == 0:
            answered = udpulse.ping(*echo.address, count=200, timeout=PATIENT).answered
            done.set()
            return answered
        looks = 0
        for _ in takewhile(lambda _: not done.is_set(), iter(int, 1)):
            looks += 1
            if number % 2:
                echo.downlink = link if looks % 2 else None
            assert len(echo.columns()["received_at_ns"]) <= echo.counters.received
            fates = echo.fates()
            assert [fate.number for fate in fates] == list(range(1, len(fates) + 1))
        return looks

    answered, *looks = together(look)
    assert answered == 200
    assert min(looks) > 0


THINGS: dict[str, Callable[[tuple[str, int]], Any]] = {
    "PingClient": lambda to: PingClient(*to, count=None, interval=0.001),
    "PingSweep": lambda to: PingSweep([to], rounds=None, interval=0.001),
    "StampSender": lambda to: StampSender(*to, count=None, interval=0.001),
    "HeartbeatClient": lambda to: HeartbeatClient(*to, interval=0.001),
    "EchoServer": lambda _: EchoServer(port=0),
    "Relay": lambda to: Relay(*to),
    "StampReflector": lambda _: StampReflector(port=0),
    "HeartbeatServer": lambda _: HeartbeatServer(port=0),
}


@pytest.mark.parametrize("make", THINGS)
def test_threads_start_and_stop_the_same_object(echo: EchoServer, make: str) -> None:
    thing = THINGS[make](echo.address)

    def work(number: int) -> None:
        for _ in range(10):
            thing.start() if number % 2 else thing.stop()
            repr(thing)

    together(work)
    thing.stop()
    assert not thing.running
    thing.start()
    assert thing.running
    thing.stop()
