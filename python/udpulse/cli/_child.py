"""Runs a command that beats while it lives."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from threading import Thread

from udpulse._printable import printable
from udpulse.cli._beats import Beats
from udpulse.cli._follow import Signals, follow_until

#: Exit codes of a shell for a command that does not exist, or that cannot be run.
NOT_FOUND = 127
CANNOT_RUN = 126

#: How long the end of a command waits, in seconds: for the first beat, without which no server
#: knows the client, and for the signal that it died of.
PATIENCE = 1.0


def run_command(words: Sequence[str], beats: Beats) -> int:
    """Run a command and beat until it ends; return its exit code as a shell does."""
    client = beats.client
    with Forwarder() as forwarder, client:
        try:
            process = subprocess.Popen(words)
        except OSError as error:
            beats.screen.note(f"udpulse: cannot run {printable(words[0])}: {error.strerror}")
            beats.show(client.next_batch(timeout=PATIENCE))
            is_missing = isinstance(error, FileNotFoundError)
            client.stop(failure="not_found" if is_missing else "cannot_run")
            return NOT_FOUND if is_missing else CANNOT_RUN
        forwarder.forward_to(process)

        def finish() -> None:
            failure = failure_of(process.wait(), forwarder)
            beats.first.wait(PATIENCE)
            client.stop(failure=failure)

        end = Thread(target=finish)
        end.start()
        follow_until(forwarder, client, beats.show, beats.summary)
        # With --count the last beat may leave before the command ends.
        end.join()
    return exit_code(process.returncode)


def failure_of(returncode: int, forwarder: "Forwarder") -> str | None:
    """Return how a command failed; None if its end was orderly: a signal may have asked for it."""
    if returncode == 0 or forwarder.has_received(exit_code(returncode) - 128):
        return None
    if returncode > 0:
        return f"exit_{returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal_{-returncode}"


def exit_code(returncode: int) -> int:
    """Return an exit code as a shell does: 128 + N after signal N."""
    return returncode if returncode >= 0 else 128 - returncode


class Forwarder(Signals):
    """Forwards signals to a command instead of ending."""

    ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")

    def __init__(self) -> None:
        super().__init__()
        self.received: set[int] = set()
        self._send: Callable[[int], None] | None = None

    def end(self, number: int, *_: object) -> None:
        """Forward a signal, now or once there is a command."""
        self.received.add(number)
        if self._send and not (number == signal.SIGINT and has_terminal()):
            self._send(number)

    def has_received(self, number: int) -> bool:
        """Return whether a signal came; not for the main thread, which handles signals.

        One that reaches the command as well, such as Ctrl-C, ends it before it is handled here.
        """
        is_ending = number in self._before
        deadline = time.monotonic() + PATIENCE
        while is_ending and number not in self.received and time.monotonic() < deadline:
            time.sleep(0.01)
        return number in self.received

    def forward_to(self, process: "subprocess.Popen[bytes]") -> None:
        """Forward to a process, signals of the past included."""
        self._send = process.send_signal
        for number in [*self.received]:
            process.send_signal(number)


def has_terminal() -> bool:
    """Return whether Ctrl-C reaches this process and its children from their terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
