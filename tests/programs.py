"""Our scripts as processes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import IO

import peers
import pytest

SCRIPTS = Path(__file__).parent.parent / "python"

# Maximum wait for a script, in seconds.
PATIENCE = 20.0


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a script that ended."""

    code: int
    screen: list[str]
    notes: list[str]


class Lines:
    """The lines of a pipe, read by a thread as they arrive."""

    def __init__(self, pipe: IO[str]) -> None:
        self.taken: list[str] = []
        self._ended = False
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._thread = Thread(target=self._read, args=(pipe,))
        self._thread.start()

    def _read(self, pipe: IO[str]) -> None:
        with pipe:
            for line in pipe:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def next(self, patience: float = PATIENCE) -> str | None:
        """Return the next line, or None at the end."""
        if self._ended:
            return None
        try:
            line = self._queue.get(timeout=max(patience, 0))
        except Empty:
            raise AssertionError(f"nothing came in time after {self.taken[-20:]}") from None
        if line is None:
            self._ended = True
        else:
            self.taken.append(line)
        return line

    def until(self, pattern: str) -> re.Match[str]:
        """Read lines up to the first that matches as a whole; return the match."""
        for line in self._following():
            if match := re.fullmatch(pattern, line):
                return match
        raise AssertionError(f"no line {pattern!r} among {self.taken}")

    def all(self) -> list[str]:
        """Return all lines from the beginning, once the pipe has ended."""
        for _ in self._following():
            pass
        self._thread.join()
        return self.taken

    def _following(self) -> Iterator[str]:
        deadline = time.monotonic() + PATIENCE
        while (line := self.next(deadline - time.monotonic())) is not None:
            yield line


# Runs a command on a terminal of its own, of 80 columns and 24 lines.
ON_TERMINAL = """
import fcntl, os, pty, struct, sys, termios
def read(terminal):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    return os.read(terminal, 65536)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read)))
"""


class Program:
    """A script of ours or `udpulse`, running; it is killed at the end of the block in any case.

    `inside` names the network namespace to run it in. With `terminal` it has a terminal, whose
    keys are `type`, and with `stdin` a pipe to type into.
    """

    def __init__(
        self,
        script: str,
        *args: str | float,
        inside: str | None = None,
        terminal: bool = False,
        stdin: bool = False,
    ) -> None:
        enter = [] if inside is None else ["ip", "netns", "exec", inside]
        path = [str(SCRIPTS / script)] if script.endswith(".py") else ["-m", script]
        command = [*enter, sys.executable, *path, *map(str, args)]
        if terminal:
            command = [sys.executable, "-c", ON_TERMINAL, *command]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if terminal or stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # The script must flush by itself.
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.screen = Lines(self._process.stdout)
        self.notes = Lines(self._process.stderr)

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self.ended()

    def listening(self) -> int:
        """Return the port of a server, once it listens."""
        return int(self.notes.until(r"Listening on .*:(\d+); Ctrl-C ends it")[1])

    def interrupted(self, *, again: bool = False) -> Ended:
        """Press Ctrl-C, repeatedly if `again`, and wait for the end."""
        if sys.platform == "win32":
            pytest.skip("SIGINT cannot be sent to one process there")
        self._process.send_signal(signal.SIGINT)
        while again and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.ended()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def type(self, keys: str) -> None:
        """Press keys at the terminal, or write to stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(keys)
        self._process.stdin.flush()

    def end_input(self) -> None:
        """Close stdin."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def ended(self) -> Ended:
        """Wait for the end."""
        self.end_input()
        screen, notes = self.screen.all(), self.notes.all()
        return Ended(self._process.wait(PATIENCE), screen, notes)


def run(script: str, *args: str | float, inside: str | None = None) -> Ended:
    """Run a script to its end."""
    with Program(script, *args, inside=inside) as program:
        return program.ended()


def shape(line: str) -> str:
    """Return a line of a screen with T for each time of six decimals."""
    return re.sub(r"-?\d+\.\d{6}(?!\d)", "T", line)


def shapes(lines: list[str]) -> list[str]:
    """Return the shapes of lines."""
    return [shape(line) for line in lines]


def shown(server: Program, port: int) -> list[tuple[str, bool]]:
    """Return each message that a ping server has shown, and whether it was dropped."""
    # Once it shows one more, it has finished with all others.
    peers.beat(port, ["the end"])
    server.screen.until("b'THE END'")
    oops = "Oops, dropped it!"
    lines = server.screen.taken
    return [(line, after == oops) for line, after in pairwise(lines) if line != oops]


def pings(replies: Sequence[str | None], server: str = "127.0.0.1") -> list[str]:
    """Return the ping client's screen, in shape, for pings with these replies."""
    lines = []
    for seq, reply in enumerate(replies, 1):
        if reply is None:
            lines += [f"{seq}: Request timed out"]
        else:
            lines += [reply, f"from {server}: time=T"]
    times = "-" if all(reply is None for reply in replies) else "T"
    loss = percent(replies.count(None), len(replies))
    return [*lines, f"min: {times}, max: {times}, avg: {times}", f"Packet loss rate: {loss}"]


def beats(story: str) -> list[str]:
    """Return the heartbeat server's screen, in shape; `1;2` means two beats without a time."""
    return [f"Running fine at b'{part}'" if part.isdigit() else part for part in story.split(";")]


def failed(seq: int, received: int, expected: int) -> list[str]:
    """Return the end of the heartbeat server's screen."""
    what = "heartbeat" if expected == 1 else "heartbeats"
    lost = percent(expected - received, expected)
    return [
        f"Looks like the client has failed at {seq}",
        f"Received {received} of {expected} {what}, {lost} lost one way",
    ]


def percent(part: int, whole: int) -> str:
    """Return a share as screens show it."""
    return f"{100 * part / whole:.1f}".removesuffix(".0") + "%"
