"""The end of a heartbeat client: what it says, and when it falls silent."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from udpulse import HeartbeatClient

BYE = ["bye"] * 3


class Ear:
    """A socket that hears a client."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(30)
        self.address: tuple[str, int] = self._socket.getsockname()

    def wait(self) -> bytes:
        """Return the next datagram."""
        return self._socket.recv(2048)

    def farewell(self) -> list[str]:
        """Return the statuses, and the types of exceptions, of all datagrams that have come."""
        said: list[str] = []
        self._socket.setblocking(False)
        while True:
            try:
                beat = self._socket.recv(2048)
            except BlockingIOError:
                return said
            parts = re.findall(rb";[se]=(\w+)", beat)
            said += [b" ".join(parts).decode()] if parts else []

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.close()


class ÜberError(Exception):
    """A name that is not ASCII."""


class Incomparable:
    """A value like an array, whose comparison has no truth value."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")


ENDS: list[tuple[BaseException | None, list[str]]] = [
    (None, BYE),
    (KeyboardInterrupt(), BYE),
    (GeneratorExit(), BYE),
    (asyncio.CancelledError(), BYE),
    (SystemExit(), BYE),
    (SystemExit(0), BYE),
    (SystemExit(1), ["failed SystemExit"] * 3),
    (SystemExit("secret"), ["failed SystemExit"] * 3),
    (SystemExit(0.0), ["failed SystemExit"] * 3),
    (SystemExit(Incomparable()), ["failed SystemExit"] * 3),
    (KeyError("secret"), ["failed KeyError"] * 3),
    (ÜberError(), ["failed"] * 3),
]


@pytest.mark.parametrize(
    ("exception", "said"),
    ENDS,
    ids=[f"{type(end).__name__}-{at}" for at, (end, _) in enumerate(ENDS)],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_block_says_how_it_was_left(
    ear: Ear, asynchronous: bool, exception: BaseException | None, said: list[str]
) -> None:
    client = HeartbeatClient(*ear.address, interval=30)

    async def leave() -> None:
        await client.__aenter__()
        first.append(ear.wait())
        await client.__aexit__(type(exception) if exception else None, exception, None)

    first: list[bytes] = []
    if asynchronous:
        asyncio.run(leave())
    else:
        with contextlib.suppress(BaseException), client:
            first.append(ear.wait())
            if exception is not None:
                raise exception
    assert not client.running
    assert ear.farewell() == said
    assert len(first) == 1


@pytest.mark.parametrize(
    ("options", "end", "said"),
    [
        ({}, lambda client: client.stop(), BYE),
        ({}, lambda client: client.stop(goodbye=False), []),
        ({}, lambda client: client.stop(failure="exit_3"), ["failed exit_3"] * 3),
        ({"goodbye": False}, lambda client: client.stop(failure="x"), ["failed x"] * 3),
        ({"goodbye": False}, lambda client: client.stop(), []),
        ({"goodbye": False}, lambda client: client.__exit__(None, None, None), []),
        (
            {"goodbye": False},
            lambda client: client.__exit__(OSError, OSError(), None),
            ["failed OSError"] * 3,
        ),
        ({"count": 1}, list, BYE),
        ({"count": 1, "goodbye": False}, list, []),
        ({"fail_at": 1}, list, []),
        ({"fail_chance": 1.0}, lambda client: client.__exit__(None, None, None), []),
        ({"format": "beat {seq}"}, lambda client: client.stop(), []),
        ({"format": "beat {seq}"}, lambda client: client.__exit__(OSError, OSError(), None), []),
    ],
)
def test_an_orderly_end_says_goodbye_if_the_client_may(
    ear: Ear, options: dict[str, Any], end: Callable[[HeartbeatClient], Any], said: list[str]
) -> None:
    client = HeartbeatClient(*ear.address, interval=30, **options)
    client.start()
    if not options.keys() & {"fail_at", "fail_chance"}:
        ear.wait()
    end(client)
    client.stop()
    assert ear.farewell() == said


def test_a_goodbye_is_said_once(ear: Ear) -> None:
    client = HeartbeatClient(*ear.address, interval=30)
    for _ in range(2):
        with client:
            ear.wait()
            client.stop()
            client.stop()
        assert ear.farewell() == BYE
        ear._socket.settimeout(30)


def test_goodbye_must_be_a_truth_value() -> None:
    client = HeartbeatClient("127.0.0.1")
    with pytest.raises(TypeError, match=r"^goodbye must be True or False, not 'no'"):
        client.stop(goodbye="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["", "exit 3", "3", "Über", "x" * 65])
def test_a_failure_must_be_an_identifier(word: str) -> None:
    client = HeartbeatClient("127.0.0.1")
    with pytest.raises(ValueError, match=r"^failure must be an ASCII identifier"):
        client.stop(failure=word)


def test_a_dropped_client_warns_and_falls_silent(ear: Ear) -> None:
    client = HeartbeatClient(*ear.address, interval=30)
    client.start()
    ear.wait()
    with pytest.warns(ResourceWarning, match=r"HeartbeatClient of 127\.0\.0\.1:\d+ was dropped"):
        del client
    assert ear.farewell() == []


PROGRAM = """
import asyncio, gc, os, signal, sys
from udpulse import HeartbeatClient
client = HeartbeatClient("127.0.0.1", int(sys.argv[1]), interval=30)
client.start()
print("ready", flush=True)
sys.stdin.readline()
{end}
"""

TERMINATE = "signal.signal(signal.SIGTERM, lambda *_: sys.exit())\nos.kill(os.getpid(), 15)"


# Some programs, such as those of tkinter, print the exception of a callback and go on.
CALLBACK = """
def call():
    try:
        raise LookupError("secret")
    except LookupError as error:
        sys.last_value = error
call()
"""

NEVER_LEFT = """
async def main():
    await client.__aenter__()
    raise LookupError("secret")
asyncio.run(main())
"""

LOOP_ENDS = """
async def main():
    async with client:
        await asyncio.Future()
loop = asyncio.new_event_loop()
task = loop.create_task(main())
loop.run_until_complete(asyncio.sleep(0))
loop.close()
del task, loop
gc.collect()
assert not client.running
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", BYE),
        pytest.param(CALLBACK, BYE, id="callback"),
        pytest.param(NEVER_LEFT, ["failed LookupError"] * 3, id="never left"),
        pytest.param(LOOP_ENDS, BYE, id="loop ends"),
        ("sys.exit(3)", BYE),
        ("raise KeyboardInterrupt", BYE),
        ("raise LookupError('secret')", ["failed LookupError"] * 3),
        ("with client: raise LookupError('secret')", ["failed LookupError"] * 3),
        ("sys.ps1 = '> '; raise LookupError", BYE),
        ("os._exit(0)", []),
        ("del client", []),
        pytest.param("with client: " + TERMINATE.replace("\n", "; "), BYE, id="terminated"),
        ("os.kill(os.getpid(), signal.SIGKILL)", []),
    ],
)
def test_the_end_of_a_program_is_heard(ear: Ear, end: str, said: list[str]) -> None:
    if "signal" in end and not hasattr(signal, "SIGKILL"):
        pytest.skip("no such signal here")
    command = [sys.executable, "-c", PROGRAM.format(end=end), str(ear.address[1])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, stdout=pipe, text=True) as program:
        ear.wait()
        program.communicate("\n", timeout=30)
    assert ear.farewell() == said


FORK = """
import os, sys, time
from udpulse import HeartbeatClient
client = HeartbeatClient("127.0.0.1", int(sys.argv[1]), interval=30)
work = client.progress()
client.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    def refused(call):
        try:
            call()
        except RuntimeError as error:
            assert "HeartbeatClient beats in another process" in str(error), error
        else:
            os._exit(1)
    refused(client.progress)
    refused(work.__enter__)
    refused(lambda: client.busy(until=time.time() + 60))
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_silent_and_is_told_so(ear: Ear) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(ear.address[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as program:
        ear.wait()
        program.communicate("\n", timeout=30)
    assert program.returncode == 0
    assert ear.farewell() == []
