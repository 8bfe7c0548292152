"""Runs a command line.

Exit codes: 0 the program did its work; 1 a threshold was broken or nobody answered; 2 it cannot do
what was asked, or no name has an address (one line on stderr says why); 3 this host refused, for
example a port in use (the lab's programs: 2); 130 Ctrl-C ended it before any result (the lab's
clients: early).
"""

import errno
import io
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from udpulse._printable import printable

BROKEN = 1
USAGE = 2
LOCAL_FAILURE = 3
INTERRUPTED = 130

#: The settings of every command line.
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

Program = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Screen:
    """Prints lines to stdout and notes to stderr, each after a label."""

    label: str = ""

    def show(self, line: str) -> None:
        """Print a line of data and flush it."""
        print(self.label + line, flush=True)

    def note(self, line: str) -> None:
        """Print a note about the run, if somebody reads stderr and its disk is not full."""
        if sys.stderr is not None:
            with suppress(OSError):
                print(self.label + line, file=sys.stderr, flush=True)


class Command(click.Command):
    """A command whose function checks its arguments and returns the program to run."""

    def invoke(self, ctx: click.Context) -> Program:
        """Build the program; the library's ValueError becomes one that spells options as typed."""
        try:
            program: Program = super().invoke(ctx)
        except (TypeError, ValueError) as error:
            name, _, text = str(error).partition(" ")
            spellings = {parameter.name: spelling(parameter) for parameter in self.params}
            if isinstance(error, TypeError) and name not in spellings:
                raise
            raise click.ClickException(f"{spellings.get(name, name)} {text}") from None
        return program


def run(
    command: click.Command,
    argv: Sequence[str] | None,
    name: str,
    *,
    interrupted: int = INTERRUPTED,
    local_failure: int = USAGE,
) -> int:
    """Run the program that a command line asks for; return its exit code.

    If Ctrl-C ends it before the program handles that, the exit code is `interrupted`; if this host
    refuses something, `local_failure`.
    """
    own_process = argv is None
    try:
        if own_process and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, Interrupter())
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A reply may hold characters that the terminal's encoding lacks.
            sys.stdout.reconfigure(errors="backslashreplace")
        if sys.stdin is None:
            sys.stdin = open(os.devnull)  # noqa: SIM115
        arguments = sys.argv[1:] if argv is None else list(argv)
        if not arguments and isinstance(command, click.Group):
            arguments = ["--help"]
        # `command.main` would handle Ctrl-C and a closed pipe in its own way.
        with command.make_context(name, arguments, **SETTINGS) as context:
            program: Program = command.invoke(context)
        return program()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return refuse(name, reason(error))
    except BrokenPipeError:
        # The reader of our lines has left; Python's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            example = "0.0.0.0 12001" if local_failure == USAGE else "0.0.0.0:12001"
            text += f"; is another server running? give another port, such as {example}"
        if error.filename is not None:
            text += f": {error.filename}"
        refuse(name, text)
        return USAGE if isinstance(error, socket.gaierror) else local_failure
    except KeyboardInterrupt:
        return interrupted
    finally:
        if own_process:
            # Python's own way out shows a traceback if it is interrupted, and so does `signal` if
            # the signal comes while its handler is exchanged.
            if sys.platform != "win32":
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass
class Interrupter:
    """Handles Ctrl-C: raises KeyboardInterrupt, but only once a second.

    Another one right after the first would cut the closing lines of a program that is ending.
    """

    last: float = -math.inf

    def __call__(self, *_: object) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if now - self.last >= 1:
            self.last = now
            raise KeyboardInterrupt


def refuse(name: str, reason: str) -> int:
    """Print in one line why a program does not run."""
    Screen().note(f"{name}: {printable(' '.join(reason.split()))}")
    return USAGE


def reason(error: click.ClickException) -> str:
    """Return the reason for refusing a command line, in our words if click's are not enough."""
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{spelling(error.param)} is missing; --help shows the usage"
    if isinstance(error, click.BadParameter):
        return f"{spelling(error.param)}: {error.message}" if error.param else error.message
    if not isinstance(error, click.UsageError):
        return error.message
    if isinstance(error, click.NoSuchOption):
        text = unknown_option(error)
    else:
        text = error.format_message().rstrip(".")
        text = text[:1].lower() + text[1:]
    return f"{text}; --help shows the usage"


def unknown_option(error: click.NoSuchOption) -> str:
    """Return the error for an option that does not exist or an argument that looks like one."""
    option, name = error.option_name, error.option_name.lstrip("-")
    if name.isdecimal():
        return f"{option!r} is neither an option nor a port"
    if error.ctx and name in {parameter.name for parameter in error.ctx.command.params}:
        return f"{name.upper()} is given without {option!r}"
    alike = " or ".join(error.possibilities or [])
    return f"there is no option {option!r}" + (f", but {alike}" if alike else "")


def spelling(parameter: click.Parameter) -> str:
    """Return a parameter as the help spells it."""
    if isinstance(parameter, click.Option):
        return parameter.opts[-1]
    return str(parameter.name).upper()
