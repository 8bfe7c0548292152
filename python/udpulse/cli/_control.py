"""The control of a server by lines of JSON on stdin, one step each."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from udpulse import EchoServer, Relay, StampReflector
from udpulse._printable import printable
from udpulse.reports import StepDone

#: The longest line, in bytes.
LONGEST = 1 << 20


class Control:
    """Adds the steps on stdin to a server, and remembers lines that are not one."""

    def __init__(self, server: EchoServer | Relay | StampReflector) -> None:
        self.server = server
        self.shown = 0
        self._errors: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def start(self) -> None:
        """Start to read stdin, unless it is closed or a terminal.

        A terminal stops a program in the background that reads from it.
        """
        try:
            descriptor = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):
            return
        if not os.isatty(descriptor):
            Thread(target=self.read, args=(descriptor,), daemon=True).start()

    def read(self, descriptor: int) -> None:
        """Take a step from each line until the end of the file."""
        with suppress(OSError), open(descriptor, "rb", closefd=False) as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST), b""), 1):
                if line.strip():
                    self.take(number, line)

    def take(self, number: int, line: bytes) -> None:
        """Take a step, or note why a line is not one."""
        try:
            self.server.add_step(json.loads(line))
        except (OSError, RecursionError, RuntimeError, TypeError, ValueError) as error:
            self._errors.put({"line": number, "reason": str(error)})

    def errors(self) -> Iterator[dict[str, Any]]:
        """Return the lines that were not a step since the last call, with the reasons."""
        with suppress(Empty):
            while True:
                yield self._errors.get_nowait()

    def notes(self) -> Iterator[str]:
        """Return the `errors` in words."""
        for error in self.errors():
            yield f"stdin, line {error['line']}: {printable(error['reason'])}"

    def steps(self) -> Iterator[StepDone]:
        """Return the steps that were taken since the last call."""
        for step in self.server.steps():
            if step.number > self.shown:
                self.shown = step.number
                yield step
