"""Asynchronous iteration of the running objects."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import peers
import pytest

import udpulse
from udpulse import (
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    PingClient,
    PingSweep,
    StampReflector,
)


async def all_of(thing: Any) -> list[Any]:
    return [event async for event in thing]


def test_probes_come_as_they_are_decided() -> None:
    with EchoServer(port=0, loss="lab", seed=1) as server:
        client = PingClient(*server.address, count=20, timeout=0.05)
        probes = asyncio.run(all_of(client))
    assert [probe.seq for probe in probes] == list(range(1, 21))
    assert {probe.verdict for probe in probes} == {"answered", "lost"}


def test_reports_come_as_targets_finish() -> None:
    async def numbers(sweep: PingSweep) -> list[int]:
        return [report.sent async for report in sweep]

    with EchoServer(port=0) as server:
        sweep = PingSweep([server.address] * 100, count=2, rounds=3, rate=100_000)
        assert asyncio.run(numbers(sweep)) == [2] * 300


NAMES = [
    "EchoServer",
    "HeartbeatServer",
    "StampReflector",
    "PingClient",
    "PingSweep",
    "HeartbeatClient",
]


@pytest.mark.parametrize(
    "make",
    [
        lambda _: EchoServer(port=0),
        lambda _: HeartbeatServer(port=0),
        lambda _: StampReflector(port=0),
        lambda silent: PingClient(*silent, count=None, timeout=30),
        lambda silent: PingSweep([silent], timeout=30),
        lambda silent: HeartbeatClient(*silent, interval=30, fail_at=2),
    ],
    ids=NAMES,
)
def test_stop_from_another_thread_ends_the_iteration(
    make: Callable[[peers.Address], Any], silent: peers.Address
) -> None:
    async def stopped_while_it_waits() -> None:
        with make(silent) as thing:
            task = asyncio.ensure_future(all_of(thing))
            await asyncio.sleep(0)  # let it wait
            await asyncio.get_running_loop().run_in_executor(None, thing.stop)
            await task

    asyncio.run(stopped_while_it_waits())


@pytest.mark.parametrize(
    "make",
    [
        lambda: EchoServer("localhost", 0),
        lambda: HeartbeatServer("localhost", 0),
        lambda: StampReflector("localhost", 0),
        lambda: PingClient("localhost", 9, count=None, timeout=30),
        lambda: PingSweep([("localhost", 9)], timeout=30),
        lambda: HeartbeatClient("localhost", 9, interval=30),
    ],
    ids=NAMES,
)
def test_each_is_an_asynchronous_context(make: Callable[[], Any]) -> None:
    async def enter(thing: Any) -> None:
        async with thing as same:
            assert same is thing
            assert thing.running
        assert not thing.running

    asyncio.run(enter(make()))


def test_a_client_beats_on_after_its_loop() -> None:
    client = HeartbeatClient("127.0.0.1", 9, interval=30)
    asyncio.run(client.__aenter__())
    assert client.running
    client.stop()
    assert not client.running


def test_a_client_goes_on_between_two_runs_of_its_loop() -> None:
    client = HeartbeatClient("127.0.0.1", 9, interval=30)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.__aenter__())
    gc.collect()
    assert client.running
    loop.run_until_complete(client.__aexit__(None, None, None))
    assert not client.running
    loop.close()


def test_many_sessions_share_one_loop_and_no_thread_of_python_waits() -> None:
    async def both(addresses: list[tuple[str, int]]) -> list[list[Any]]:
        before = threading.active_count()
        sessions = [PingClient(*address, count=20) for address in addresses]
        results = await asyncio.gather(*map(all_of, sessions))
        assert threading.active_count() == before
        return results

    with EchoServer(port=0) as server:
        results = asyncio.run(both([server.address] * 50))
    assert [[probe.seq for probe in probes] for probes in results] == [list(range(1, 21))] * 50


def test_a_ping_is_awaited() -> None:
    async def both(address: tuple[str, int]) -> list[Any]:
        before = threading.active_count()
        results = await asyncio.gather(
            udpulse.async_ping(*address, count=5),
            udpulse.async_ping_many([address, address], count=2),
            udpulse.async_ping_many([]),
        )
        assert threading.active_count() == before
        return list(results)

    with EchoServer(port=0) as server:
        report, reports, none = asyncio.run(both(server.address))
        assert (report.answered, [r.answered for r in reports], none) == (5, [2, 2], [])
        assert len(report.columns()["seq"]) == 5
        named = udpulse.async_ping("localhost", server.address[1], count=1)
        assert asyncio.run(named).answered == 1
    with pytest.raises(ValueError, match="count must be 1 or more if no duration is given"):
        asyncio.run(udpulse.async_ping("127.0.0.1", count=None))


def test_a_cancelled_ping_ends(silent: peers.Address) -> None:
    async def give_up() -> None:
        for call in (
            lambda: udpulse.async_ping(*silent, count=10**6, interval=0.001),
            lambda: udpulse.async_ping_many([silent], count=10**6),
        ):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call(), 0.01)

    def engine_threads() -> set[Path]:
        threads = set()
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it has ended meanwhile
                if (task / "comm").read_text() == "udpulse\n":
                    threads.add(task)
        return threads

    if not Path("/proc/self/task").exists():
        asyncio.run(give_up())
        return
    # A thread that has resolved a name may still be ending.
    before = engine_threads()
    asyncio.run(give_up())
    assert engine_threads() <= before


def test_a_cancelled_wait_loses_no_event() -> None:
    async def impatient(client: PingClient) -> list[int]:
        numbers: list[int] = []
        events = aiter(client)
        while True:
            try:
                numbers.append((await asyncio.wait_for(anext(events), 0.001)).seq)
            except asyncio.TimeoutError:
                continue
            except StopAsyncIteration:
                return numbers

    with EchoServer(port=0, loss=0.5, seed=3) as server:
        client = PingClient(*server.address, count=20, timeout=0.005)
        assert asyncio.run(impatient(client)) == list(range(1, 21))


def test_two_tasks_share_the_events_of_one_object() -> None:
    async def shared(client: PingClient) -> tuple[list[Any], list[Any]]:
        return await asyncio.gather(all_of(client), all_of(client))

    with EchoServer(port=0) as server:
        one, other = asyncio.run(shared(PingClient(*server.address, count=200)))
    assert sorted(probe.seq for probe in one + other) == list(range(1, 201))


def test_two_tasks_cannot_share_an_iterator() -> None:
    async def shared(server: EchoServer) -> None:
        events = aiter(server)
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # let it wait
        with pytest.raises(RuntimeError, match="already being iterated"):
            await anext(events)
        await asyncio.to_thread(udpulse.ping, *server.address, count=1)
        assert (await first).number == 1

    with EchoServer(port=0, keep=1) as server:
        asyncio.run(shared(server))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no list of descriptors here")
def test_a_cancelled_wait_leaves_no_descriptor() -> None:
    async def give_up(server: EchoServer) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(all_of(server), 0.001)

    async def count(server: EchoServer) -> list[int]:
        numbers = []
        for _ in range(20):
            await give_up(server)
            gc.collect()
            numbers.append(len(os.listdir("/proc/self/fd")))
        return numbers

    with EchoServer(port=0, keep=1) as server:
        numbers = asyncio.run(count(server))
    assert len(set(numbers)) == 1


@pytest.mark.skipif(
    sys.platform != "linux" or "UDPULSE_PORTABLE" in os.environ,
    reason="other platforms need three descriptors",
)
def test_the_waits_of_a_loop_share_a_descriptor() -> None:
    script = """
import asyncio, resource, udpulse

options = dict(count=2, interval=0.1, timeout=30.0)

async def iterate(address):
    return len([probe async for probe in udpulse.PingClient(*address, **options)])

async def main(address):
    pings = (udpulse.async_ping(*address, **options) for _ in range(100))
    print({report.answered for report in await asyncio.gather(*pings)})
    print(set(await asyncio.gather(*(iterate(address) for _ in range(100)))))

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
with udpulse.EchoServer(port=0) as server:
    asyncio.run(main(server.address))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.stdout.split(), ran.stderr) == (["{2}", "{2}"], "")


def test_a_cancelled_wait_leaves_no_other_asleep() -> None:
    async def first_and_rest(address: peers.Address) -> list[int]:
        clients = [PingClient(*address, count=3, interval=0.05) for _ in range(3)]
        waits = [asyncio.create_task(all_of(client)) for client in clients]
        await asyncio.sleep(0)
        waits.pop(0).cancel()
        return [len(probes) for probes in await asyncio.gather(*waits)]

    with EchoServer(port=0) as server:
        counts = asyncio.run(asyncio.wait_for(first_and_rest(server.address), peers.PATIENCE))
    assert counts == [3, 3]


def test_a_fast_object_leaves_the_loop_to_others() -> None:
    with EchoServer(port=0) as server, PingClient(*server.address, count=None) as client:
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(asyncio.wait_for(all_of(client), 0.05))
        assert client.running
    gc.collect()  # a socket left open is a ResourceWarning, which is an error
