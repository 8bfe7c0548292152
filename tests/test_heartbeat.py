"""The heartbeat: declarations of clients, judgements of the server, pauses of its process."""

import asyncio
import contextlib
import ctypes
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

import numpy
import peers
import pytest

import udpulse
from udpulse import HeartbeatClient, HeartbeatServer
from udpulse._progress import decorated

E = TypeVar("E")

# Time in addition to the timeout, in seconds: no pause of this host marks a client down.
PATIENT = 60.0


def wait_for(server: HeartbeatServer, kind: type[E]) -> E:
    """Return the next event of a kind."""
    for event in server:
        if isinstance(event, kind):
            return event
    raise AssertionError("the server ended")


@pytest.fixture
def server() -> Iterator[HeartbeatServer]:
    with HeartbeatServer(port=0, every_beat=True) as server:
        yield server


def test_a_beat_declares_its_client(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.02, name="api-1"):
        wait_for(server, udpulse.events.Up)
        heard = [wait_for(server, udpulse.events.Heard) for _ in range(3)]
        (peer,) = server.peers()
    assert [event.name for event in heard] == ["api-1"] * 3
    word, seq, sent = heard[1].payload.split()
    assert (int(seq), abs(float(sent) - time.time()) < 60) == (2, True)
    assert word.startswith(b"Heartbeat;i=20;b=")
    assert word.endswith(b";id=api-1")
    assert (peer.name, peer.interval, peer.timeout) == ("api-1", 0.02, 0.1)
    assert peer.boot is not None
    assert peer.delay is not None
    assert peer.delay >= 0


def test_a_custom_format_declares_nothing(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=9, format="Heartbeat {seq} {time}"):
        heard = wait_for(server, udpulse.events.Heard)
    assert heard.payload.startswith(b"Heartbeat 1 ")
    assert server.peers()[0].boot is None


def test_leaving_says_goodbye_and_a_crash_does_not(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.02) as client:
        wait_for(server, udpulse.events.Heard)
    stopped = wait_for(server, udpulse.events.Stopped)
    assert stopped.address[1] == client.address[1]
    with HeartbeatClient(*server.address, interval=0.1, name="crashes") as client:
        while wait_for(server, udpulse.events.Heard).seq != 2:
            pass
        client.stop(goodbye=False)
    down = wait_for(server, udpulse.events.Down)
    assert (down.name, down.cause, down.timeout) == ("crashes", "silence", 0.5)
    assert down.silence >= down.timeout
    assert down.expected == down.received == client.counters.sent


def test_a_client_that_comes_back_is_recovered_or_restarted(server: HeartbeatServer) -> None:
    client = HeartbeatClient(*server.address, interval=0.02, name="back")
    for _ in range(2):
        client.start()
        while wait_for(server, udpulse.events.Heard).seq != 2:
            pass
        client.stop(goodbye=False)
    # The last beat may still be in flight.
    while server.peers()[0].received < client.counters.sent:
        pass
    restarted = [
        event for event in server.next_batch() if isinstance(event, udpulse.events.Restarted)
    ]
    assert not restarted, "an earlier wait read it"
    (peer,) = server.peers()
    assert peer.received == client.counters.sent


def test_several_servers_hear_each_beat() -> None:
    with HeartbeatServer(port=0) as one, HeartbeatServer(port=0) as two:
        client = HeartbeatClient(*one.address, also=[two.address], interval=0.02, name="both")
        with client:
            assert client.server == one.address
            for server in (one, two):
                assert wait_for(server, udpulse.events.Up).name == "both"
        for server in (one, two):
            wait_for(server, udpulse.events.Stopped)
        # The goodbyes after the first may still be in flight.
        counters = (one.counters, two.counters)
        while client.counters.sent != sum(c.beats + c.goodbyes for c in counters):
            counters = (one.counters, two.counters)
        assert [peer.received for server in (one, two) for peer in server.peers()] == [
            c.beats for c in counters
        ]


@pytest.mark.parametrize("hosts", [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_servers_of_both_families_hear_a_client(hosts: tuple[str, str]) -> None:
    with HeartbeatServer(hosts[0], 0) as one, HeartbeatServer(hosts[1], 0) as two:
        with HeartbeatClient(*one.address, also=[two.address], name="both") as client:
            assert client.server == one.address
            for server in (one, two):
                assert wait_for(server, udpulse.events.Up).address == (
                    server.address[0],
                    client.address[1],
                )
        assert client.counters.send_failed == 0


def test_an_announced_silence_is_reported(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.02, grace=PATIENT) as client:
        client.busy(until=time.time() + 60)
        busy = wait_for(server, udpulse.events.Busy)
        assert 50 < busy.duration <= 60
        client.progress()
        assert wait_for(server, udpulse.events.Recovered).state == "busy"
        with pytest.raises(ValueError, match=r"^until must be a time to come"):
            client.busy(until=time.time() - 1)


def test_an_announced_silence_and_its_end_are_sent_early(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=3600) as client:
        wait_for(server, udpulse.events.Up)
        for _ in range(2):
            client.busy(until=time.time() + 60)
            wait_for(server, udpulse.events.Busy)
            client.progress()
            assert wait_for(server, udpulse.events.Recovered).state == "busy"
        assert server.peers()[0].received == 5


def test_progress_is_a_call_a_context_and_a_decorator(server: HeartbeatServer) -> None:
    client = HeartbeatClient(*server.address, interval=0.01)

    @client.progress()
    def work(value: int) -> int:
        """Work."""
        return value + 1

    @client.progress()
    async def wait(value: int) -> int:
        return value + 2

    assert (work(1), asyncio.run(wait(1)), work.__doc__) == (2, 3, "Work.")
    with client:
        client.progress()
        while b";a=" not in wait_for(server, udpulse.events.Heard).payload:
            pass
        last = last_progress(server)
        for mark in (lambda: work(1), lambda: asyncio.run(wait(1)), lambda: client.progress()):
            mark()
            last = last_progress(server, after=last)
        with client.progress():
            pass
        last_progress(server, after=last)


def test_a_crash_is_reported_with_its_type_and_failures(server: HeartbeatServer) -> None:
    client = HeartbeatClient(*server.address, interval=0.01, name="crashes")
    with contextlib.suppress(OSError), client:
        fail(client, "block", ValueError("secret"))
        while (peer := server.peer("crashes")) is None or peer.failures != 1:
            wait_for(server, udpulse.events.Heard)
        raise OSError("secret")
    failed = wait_for(server, udpulse.events.Failed)
    assert (failed.name, failed.error) == ("crashes", "OSError")
    peer = server.peer("crashes")
    assert peer is not None
    assert (peer.state, peer.status, peer.error) == ("failed", "failed", "OSError")
    assert server.peer("other") is None


def test_an_expected_client_is_missing_until_it_is_heard() -> None:
    with HeartbeatServer(port=0, expect=["api", "db"], grace=0.1) as server:
        event = wait_for(server, udpulse.events.Missing)
        assert (event.name, event.address) == ("api", ("0.0.0.0", 0))
        assert server.missing == ["api", "db"]
        with HeartbeatClient(*server.address, interval=0.02, name="db"):
            wait_for(server, udpulse.events.Up)
        assert server.missing == ["api"]


def payload_with(server: HeartbeatServer, pattern: bytes) -> bytes:
    """Wait for a beat that contains `pattern`."""
    while not re.search(pattern, payload := wait_for(server, udpulse.events.Heard).payload):
        pass
    return payload


def fail(client: HeartbeatClient, how: str, error: BaseException) -> None:
    """Raise `error` in a block, a decorated function or a decorated coroutine."""
    with contextlib.suppress(type(error)):
        if how == "block":
            with client.progress():
                raise error

        @client.progress()
        def work() -> None:
            raise error

        @client.progress()
        async def wait() -> None:
            raise error

        if how == "function":
            work()
        coroutine = wait()
        with contextlib.closing(coroutine):
            coroutine.send(None)


@pytest.mark.parametrize("how", ["block", "function", "coroutine"])
def test_work_that_fails_is_no_progress(server: HeartbeatServer, how: str) -> None:
    options: dict[str, Any] = {"interval": 0.01, "stall_after": 0.1, "grace": PATIENT}
    with HeartbeatClient(*server.address, **options) as client:
        for orderly in (KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(0)):
            fail(client, how, orderly)
        while server.peers() == [] or server.peers()[0].state != "stalled":
            fail(client, how, OSError("secret"))
        stalled = wait_for(server, udpulse.events.Stalled)
        assert stalled.age is not None
        assert stalled.age > 0.1
        payload = payload_with(server, rb";f=\d")
        assert b"secret" not in payload
        for _ in range(2):
            fail(client, how, OSError())
        client.progress()
        wait_for(server, udpulse.events.Recovered)


def test_a_silence_lasts_until_the_work_is_done(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.01) as client:
        client.busy(until=time.time() + 600)
        wait_for(server, udpulse.events.Busy)
        fail(client, "block", OSError())
        with client.progress("restore"):
            payload_with(server, rb";s=busy;\S*;f=1[; ]")
        recovered = wait_for(server, udpulse.events.Recovered)
        assert recovered.state == "busy"


def test_a_coroutine_of_a_plain_function_is_awaited(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.01) as client:

        async def work() -> int:
            raise LookupError

        with pytest.raises(LookupError):
            asyncio.run(client.progress()(lambda: work())())
        payload_with(server, rb";f=1[; ]")


def generate() -> Iterator[int]:
    yield 1


async def generate_later() -> AsyncIterator[int]:
    yield 1


class Generates:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [generate, generate_later, Generates(), lambda: generate()])
def test_a_generator_function_is_not_decorated(function: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"^progress\(\) cannot decorate a generator function"):
        HeartbeatClient("127.0.0.1").progress()(function)()


class Waits:
    """A callable object whose call is a coroutine, and an awaitable that is not."""

    async def __call__(self) -> int:
        return await self

    def __await__(self) -> Generator[None, None, int]:
        yield
        if "fail" in log:
            raise LookupError
        return 7


log: list[str] = []


class Recorder:
    """A progress mark that records."""

    def __enter__(self) -> None:
        log.append("begin")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        log.append(type(error).__name__)


@pytest.mark.parametrize(
    "function",
    [
        Waits(),
        lambda: Waits(),
        functools.partial(Waits()),
        Waits().__call__,
        lambda: asyncio.ensure_future(Waits()()),
    ],
)
def test_progress_of_asynchronous_work_is_its_end(function: Callable[[], Any]) -> None:
    async def run() -> None:
        for word, end in (("go on", "NoneType"), ("fail", "LookupError")):
            work = decorated(Recorder(), function)()
            log.append(word)
            with contextlib.suppress(LookupError):
                assert await work == 7
            await asyncio.sleep(0)
            # A coroutine begins when it is awaited.
            assert log in (["begin", word, end], [word, "begin", end])
            log.clear()

    asyncio.run(run())


def test_failures_are_counted(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.01) as client:
        wait_for(server, udpulse.events.Heard)
        for error in (OSError(), SystemExit(2), GeneratorExit(), SystemExit()):
            fail(client, "block", error)
        payload_with(server, rb";f=2[; ]")


def test_an_application_that_never_makes_progress_is_stalled(server: HeartbeatServer) -> None:
    with HeartbeatClient(*server.address, interval=0.02, stall_after=0.1, grace=PATIENT):
        stalled = wait_for(server, udpulse.events.Stalled)
        (peer,) = server.peers()
    assert stalled.age is not None
    assert stalled.age > 0.1
    assert peer.state == "stalled"
    assert peer.progress_age is not None
    assert peer.progress_age > 0.1


def test_the_task_whose_progress_is_oldest_decides(server: HeartbeatServer) -> None:
    options: dict[str, Any] = {"interval": 0.02, "stall_after": 0.2, "grace": PATIENT}

    async def work() -> None:
        async with HeartbeatClient(*server.address, **options) as client:
            poll = client.progress("poll")

            async def others_work_until(call: Callable[..., Any], *args: Any) -> Any:
                waiting = asyncio.create_task(asyncio.to_thread(call, server, *args))
                while not waiting.done():
                    client.progress("write")
                    client.progress()
                    await asyncio.sleep(0.01)
                return await waiting

            await others_work_until(wait_for, udpulse.events.Stalled)
            assert b";t=poll" in await others_work_until(payload_with, b";s=stalled")
            poll.finish()
            recovered = await others_work_until(wait_for, udpulse.events.Recovered)
            assert recovered.state == "stalled"

    asyncio.run(work())


def test_task_names_are_checked_and_bounded() -> None:
    client = HeartbeatClient("127.0.0.1")
    for task in ("", "a b", "a;b", "x" * 65):
        with pytest.raises(ValueError, match=r"^task must be 1 to 64 bytes without blanks"):
            client.progress(task)
    for n in range(64):
        client.progress(f"task-{n}")
    with pytest.raises(ValueError, match=r"^task must be one of at most 64 names, not one more"):
        client.progress("task-64")
    client.progress("task-1").finish()
    client.progress("task-64")


def last_progress(server: HeartbeatServer, after: float = 0.0) -> float:
    """Wait for a beat that reports progress later than `after`; return its time."""
    while True:
        message = wait_for(server, udpulse.events.Heard).payload
        match = re.search(rb";a=([0-9.]+)\S* \d+ ([0-9.]+)$", message)
        assert match, message
        age, sent = float(match[1]) / 1000, float(match[2])
        # The two clocks drift apart by less than 1 ms. Skip a beat sent sooner than that after its
        # progress, so that the next progress comes later than that, too.
        if age > 0.001 and sent - age > after + 0.001:
            return sent - age


OBSERVER = """
import udpulse
with udpulse.HeartbeatServer(port=0) as server:
    print(*server.address, flush=True)
    for event in server:
        print(type(event).__name__, getattr(event, "name", None), flush=True)
"""


@contextlib.contextmanager
def observer() -> "Iterator[tuple[subprocess.Popen[bytes], peers.Address]]":
    """Run a server in a process of its own, which prints each event; kill it at the end."""
    program = [sys.executable, "-c", OBSERVER]
    with subprocess.Popen(program, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().decode().split()
            yield process, (host, int(port))
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no libc")
def test_a_stuck_interpreter_keeps_beating_and_is_stalled() -> None:
    with observer() as (process, address):
        assert process.stdout is not None
        told, buffer = b"", ctypes.create_string_buffer(1024)
        options: dict[str, Any] = {"interval": 0.02, "stall_after": 0.1, "grace": PATIENT}
        with HeartbeatClient(*address, name="stuck", **options) as client:
            client.progress()
            while b"Stalled stuck" not in told:
                # A C call that keeps the GIL: no Python thread runs until the server reports.
                length = ctypes.PyDLL(None).read(process.stdout.fileno(), buffer, len(buffer))
                assert length > 0
                told += buffer.raw[:length]
            client.progress()
            while b"Recovered stuck" not in told:
                told += process.stdout.readline()
    assert b"Down" not in told


def test_a_blocked_event_loop_is_stalled(server: HeartbeatServer) -> None:
    seen = threading.Event()

    def watch() -> udpulse.events.Stalled:
        stalled = wait_for(server, udpulse.events.Stalled)
        seen.set()
        return stalled

    async def work() -> tuple[udpulse.events.Stalled, udpulse.events.Recovered]:
        async with HeartbeatClient(
            *server.address, interval=0.02, stall_after=0.2, grace=PATIENT
        ) as client:
            assert client.running
            watched = asyncio.get_running_loop().run_in_executor(None, watch)
            assert seen.wait(30), "the loop is blocked until the server reports it"
            return await watched, await asyncio.to_thread(
                wait_for, server, udpulse.events.Recovered
            )

    stalled, recovered = asyncio.run(work())
    assert stalled.age is not None
    assert stalled.age > 0.2
    assert recovered.state == "stalled"
    wait_for(server, udpulse.events.Stopped)


def test_a_running_event_loop_makes_progress_but_ends_no_silence(
    server: HeartbeatServer,
) -> None:
    async def turn() -> bytes:
        async with HeartbeatClient(*server.address, interval=0.02) as client:
            await asyncio.to_thread(wait_for, server, udpulse.events.Up)
            client.busy(until=time.time() + 60)
            await asyncio.to_thread(wait_for, server, udpulse.events.Busy)
            last = await asyncio.to_thread(last_progress, server)
            await asyncio.to_thread(last_progress, server, last)
            return (await asyncio.to_thread(wait_for, server, udpulse.events.Heard)).payload

    assert b";s=busy" in asyncio.run(turn())


def test_nested_contexts_are_left_twice_and_watched_once(server: HeartbeatServer) -> None:
    async def enter() -> int:
        client = HeartbeatClient(*server.address, interval=0.02)
        async with client:
            async with client:
                pass
            assert not client.running, "as with `with`"
        return len(asyncio.all_tasks())

    assert asyncio.run(enter()) == 1


FORK = """
import os, sys, udpulse
with udpulse.HeartbeatServer(port=0, every_beat=True) as server:
    client = udpulse.HeartbeatClient(*server.address, interval=0.01, name="parent")
    with client:
        for event in server:
            if isinstance(event, udpulse.events.Heard):
                break
        child = os.fork()
        if child == 0:
            assert not client.running
            client.stop()
            client.stop()
            # It exits like any program, through the interpreter's end.
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert client.running
        seen = client.counters.sent
        while client.counters.sent < seen + 3:
            pass
    # The goodbyes may still be in flight.
    while server.counters.received < client.counters.sent:
        pass
    (peer,) = server.peers()
    assert peer.received == server.counters.beats, "one boot, and only the parent's beats"
    assert server.counters.duplicates == 0
print("whole")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_beat() -> None:
    program = [sys.executable, "-W", "ignore", "-c", FORK]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=30)
    assert (ended.stdout, ended.returncode) == ("whole\n", 0), ended.stderr


SUMMER = """
import os, sys, time, udpulse
from datetime import datetime, timezone

# Summer time begins within a second or two.
at = time.gmtime(int(time.time() + 0.2) + 1)
day = at.tm_yday - (at.tm_year % 4 == 0 and at.tm_mon > 2)
start = f"J{day}/{at.tm_hour}:{at.tm_min}:{at.tm_sec}"
os.environ["TZ"] = f"WINTER0SUMMER-1,{start},J{(day + 180) % 365 + 1}/0"
time.tzset()
with udpulse.HeartbeatServer(port=0, every_beat=True) as server:
    to = server.address
    with udpulse.HeartbeatClient(*to, interval=0.02, format="{seq} {datetime}") as client:
        for event in server:
            if isinstance(event, udpulse.events.Heard):
                local = datetime.fromisoformat(event.payload.decode().split(" ", 1)[1])
                if local.replace(tzinfo=timezone.utc).timestamp() - event.time > 3000:
                    break
    print(server.peers()[0].difference < 1800, client.counters.sent > 1)
"""


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no zones by environment here")
def test_both_sides_follow_a_change_to_summer_time() -> None:
    ended = subprocess.run([sys.executable, "-c", SUMMER], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("True True\n", "")


def test_hand_written_text_is_a_client(server: HeartbeatServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as netcat:
        netcat.sendto(b"hb;id=by-hand;i=100\n", server.address)
        assert wait_for(server, udpulse.events.Heard).name == "by-hand"
        netcat.sendto(b"HB;ID=by-hand;I=100;S=BYE\n", server.address)
        assert wait_for(server, udpulse.events.Stopped).name == "by-hand"


def test_a_greeting_is_neither_received_nor_expected(server: HeartbeatServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for beat in (b"connected at 12:00:01", b"seq 3", b"busy at 12:00:02", b"seq 5"):
            client.sendto(beat, server.address)
            assert wait_for(server, udpulse.events.Heard).payload == beat
    (peer,) = server.peers()
    assert (peer.seq, peer.received, peer.expected) == (5, 2, 3)


@pytest.mark.parametrize(
    ("asks", "timeout"),
    [
        ({"multiplier": 20.0}, 20 * 86400),
        ({"multiplier": 1000.0}, 50 * 86400),
        ({"grace": 3600.0}, 86400 + 3600),
        ({"grace": 86400.0, "multiplier": 2.0}, 2 * 86400 + 7200),
    ],
)
def test_a_client_asks_for_its_timeout(asks: Any, timeout: float) -> None:
    with (
        HeartbeatServer(port=0, max_multiplier=50, max_grace=7200) as server,
        HeartbeatClient(*server.address, interval=86400, name="job", **asks),
    ):
        wait_for(server, udpulse.events.Up)
        (peer,) = server.peers()
        assert (peer.interval, peer.timeout) == (86400, timeout)


def test_beats_without_a_sequence_number_are_a_client() -> None:
    beats = [b"alive", b"", b"\x00\xff", b'{"host": "pi4", "load": 3}', b"web-03 up 7"]
    with (
        HeartbeatServer(port=0, every_beat=True, opaque=True) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        for beat in beats:
            client.sendto(beat, server.address)
            heard = wait_for(server, udpulse.events.Heard)
            assert (heard.payload, heard.seq) == (beat, None)
        (peer,) = server.peers()
        assert (peer.seq, peer.received, peer.expected) == (None, len(beats), None)
        assert server.counters.ignored == 0


@pytest.mark.parametrize(("numbers", "seqs"), [("counting", [None, 17]), ("first", [4, 5])])
def test_a_rule_finds_the_sequence_number(numbers: Any, seqs: list[int | None]) -> None:
    with (
        HeartbeatServer(port=0, every_beat=True, numbers=numbers) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        for beat, seq in zip((b"pi4 17", b"pi5 seq 17"), seqs, strict=True):
            client.sendto(beat, server.address)
            assert wait_for(server, udpulse.events.Heard).seq == seq


@pytest.mark.parametrize(
    ("old_beats", "seqs"), [("ignore", [5, 6, 8]), ("accept", [5, 4, 6, 6, 8])]
)
def test_old_beats_are_shown_if_they_are_accepted(old_beats: Any, seqs: list[int]) -> None:
    heard = []
    with (
        HeartbeatServer(port=0, timeout=60, every_beat=True, old_beats=old_beats) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        for seq in (5, 4, 6, 6, 8, 7):
            client.sendto(b"seq %d" % seq, server.address)
        for event in server:
            if isinstance(event, udpulse.events.Heard):
                heard.append(event.seq)
            if isinstance(event, udpulse.events.LateBeat):
                assert event.seq == 7
                break
    assert heard == seqs


def test_a_client_knows_whether_it_is_heard() -> None:
    options: dict[str, Any] = {"interval": 0.02, "unheard_after": 2}
    with HeartbeatServer(port=0, reply=True) as server:
        address = server.address
        with HeartbeatServer(port=0) as silent:
            client = HeartbeatClient(*address, also=[silent.address], **options)
            assert client.heard_at is None
            with client:
                while client.heard_at is None:
                    next(client)
                assert abs(client.heard_at - time.time()) < 60
                server.stop()
                heard = client.heard_at
                while (unheard := next_unheard(client)).time < heard:
                    pass
                assert unheard.server == address, "the other never replied"
                # Three beats follow the last reply; the first may be late by almost an interval.
                assert 0.02 < unheard.silence == pytest.approx(unheard.time - heard, abs=0.5)
                with HeartbeatServer(*address, reply=True):
                    while client.heard_at == heard:
                        next(client)


def next_unheard(client: HeartbeatClient) -> udpulse.events.Unheard:
    """Return the next Unheard of a client."""
    return next(event for event in client if isinstance(event, udpulse.events.Unheard))


def test_a_beat_that_did_not_leave_is_not_sent(server: HeartbeatServer) -> None:
    # This host refuses a broadcast that was not asked for.
    client = HeartbeatClient(
        "255.255.255.255", 9, also=[server.address], interval=0.01, count=2, goodbye=False
    )
    assert [beat.outcome for beat in outcomes(client)] == ["sent", "sent"]
    assert (client.counters.sent, client.counters.send_failed) == (4, 2)
    for _ in range(2):
        assert b";d=" not in wait_for(server, udpulse.events.Heard).payload
    alone = HeartbeatClient("255.255.255.255", 9, interval=0.01, count=2, goodbye=False)
    assert [beat.outcome for beat in outcomes(alone)] == ["send_failed", "send_failed"]
    assert (alone.counters.sent, alone.counters.send_failed) == (2, 2)
    assert isinstance(alone.last_send_error, OSError)


def outcomes(client: HeartbeatClient) -> list[udpulse.Beat]:
    """Return the beats of a client."""
    return [beat for beat in client if isinstance(beat, udpulse.Beat)]


def test_a_name_without_an_address_is_no_error(server: HeartbeatServer) -> None:
    name = ("no such host", 9)
    with HeartbeatClient(*name, also=[server.address], interval=0.01) as client:
        wait_for(server, udpulse.events.Up)
        while not client.unresolved:
            next(client)
        assert list(client.unresolved) == [name]
        assert client.server is None
        assert client.counters.send_failed > 0


def test_columns_match_the_peers(server: HeartbeatServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for beat in (b"hb;i=1000;id=a;b=f 7", b"hb;i=1000;id=a;b=f 9", b"3 1486420330.5"):
            client.sendto(beat, server.address)
            wait_for(server, udpulse.events.Heard)
        columns = server.columns()
        peers = {peer.name: peer for peer in server.peers()}
    assert {len(column) for column in columns.values()} == {2}
    a = list(columns["name"]).index("a")
    for field in ("seq", "received", "expected", "reordered", "duplicates", "boot", "state"):
        assert columns[field][a] == getattr(peers["a"], field), field
    for field in ("interval", "timeout"):
        assert columns[f"{field}_ns"][a] / 1e9 == getattr(peers["a"], field), field
    assert server.started_at is not None
    received_at = server.started_at + columns["last_received_at_ns"][a] / 1e9
    assert received_at == pytest.approx(peers["a"].last_received_at, abs=1e-6)
    assert (columns["port"][a], columns["address"][a]) == (client_port(peers["a"]), "127.0.0.1")
    assert numpy.isnan(columns["delay_ns"][a])
    assert columns["delay_ns"][1 - a] == 0
    assert numpy.isnan(columns["boot"][1 - a])
    with pytest.raises(ValueError, match="read-only"):
        columns["seq"][0] = 0


def client_port(peer: udpulse.Peer) -> int:
    return peer.address[1]


def test_batches_hold_all_waiting_events_and_drops_are_counted() -> None:
    with HeartbeatServer(port=0, timeout=60, every_beat=True) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            total = 70_000
            for start in range(0, total, 100):
                for seq in range(start, start + 100):
                    client.sendto(b"%d" % seq, server.address)
                while server.counters.received < start + 100:
                    pass
        assert len(server.next_batch(10)) == 10
        rest = 0
        server.stop()
        while batch := server.next_batch():
            rest += len(batch)
        # One Up, and each beat.
        assert (10 + rest, server.events_dropped) == (65_536, total + 1 - 65_536)
        assert server.next_batch() == []


@pytest.mark.skipif(
    sys.platform != "linux" or "UDPULSE_PORTABLE" in os.environ, reason="no kernel stamps here"
)
def test_verdicts_do_not_wait_for_idle_time() -> None:
    with HeartbeatServer(port=0, every_beat=True) as server:
        with peers.open_sockets(2) as (dead, alive):
            for seq in (1, 2):
                dead.sendto(b"hb;id=dead;i=1 %d" % seq, server.address)
            for seq in range(30_000):
                alive.sendto(b"hb;id=alive;i=1000 %d" % seq, server.address)
            # Send the last datagram again if this host drops it.
            while not server.counters.ignored:
                alive.sendto(b"no beat", server.address)
        server.stop()
        events = []
        while batch := server.next_batch():
            events += batch
    down = [isinstance(event, udpulse.events.Down) for event in events].index(True)
    assert any(isinstance(event, udpulse.events.Heard) for event in events[down:])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"detector": "best"}, "detector must be 'fixed', 'multiple', 'chen', 'two_window'"),
        ({"timeout": 5, "down": 3}, "timeout must be None beside detector, suspect or down, not 5"),
        ({"down": 0}, "down must be a finite number above 0, not 0"),
        ({"suspect": 9}, "suspect must be at most down, which is 5, not 9"),
        ({"expect": ["a b"]}, "expect must be names of 1 to 255 bytes without blanks"),
        ({"old_beats": "drop"}, "old_beats must be 'ignore' or 'accept', not 'drop'"),
    ],
)
def test_a_bad_server_option_is_a_value_error(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        HeartbeatServer(**arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "a b"}, "name must be 1 to 255 bytes"),
        ({"name": ""}, "name must be 1 to 255 bytes"),
        ({"name": "x" * 256}, "name must be 1 to 255 bytes"),
        ({"also": [("fe80::1", 9)]}, "host must be a link-local address with its interface"),
        ({"spread": 0.6}, "spread must be a part of the interval from 0 to 0.5, not 0.6"),
        ({"stall_after": 0}, "stall_after must be above 0 and below 9.2e9 seconds, not 0"),
        ({"also": [("127.0.0.1", 0)]}, "port must be 1 to 65535, not 0"),
    ],
)
def test_a_bad_client_option_is_a_value_error(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        HeartbeatClient("127.0.0.1", **arguments)


def test_each_detector_follows_a_client_until_it_is_down() -> None:
    for detector in ("multiple", "chen", "two_window", "bertier", "phi", "phi_exp"):
        with HeartbeatServer(port=0, detector=detector) as server:
            with HeartbeatClient(*server.address, interval=0.01) as client:
                while client.counters.sent < 10:
                    pass
                client.stop(goodbye=False)
            down = wait_for(server, udpulse.events.Down)
            # Without a detector, it is 5 s.
            assert down.silence >= down.timeout != 5, detector
            assert down.timeout > 0, detector


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP here")
def test_a_suspended_server_marks_only_dead_clients_down() -> None:
    with observer() as (process, address):
        assert process.stdout is not None
        lines = (line.decode() for line in iter(process.stdout.readline, b""))
        # The timeout is one second; the stop is longer.
        clients = [HeartbeatClient(*address, interval=0.2, name=f"c{n}") for n in range(12)]
        for client in clients:
            client.start()
        assert {next(lines) for _ in clients} == {f"Up c{n}\n" for n in range(12)}
        process.send_signal(signal.SIGSTOP)
        sent = clients[1].counters.sent
        clients[0].stop(goodbye=False)
        while clients[1].counters.sent < sent + 10:
            time.sleep(0.01)
        process.send_signal(signal.SIGCONT)
        told = []
        for line in lines:
            told.append(line)
            if line.startswith("Down"):
                break
        for client in clients:
            client.stop()
    assert "Paused None\n" in told
    assert [line for line in told if line.startswith("Down")] == ["Down c0\n"]
