"""Runs an object with lines of JSON on stdout."""

import errno
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from udpulse.cli import _parameters as types
from udpulse.cli._follow import Signals
from udpulse.cli._run import Screen

if TYPE_CHECKING:
    from udpulse.jsonlines import Control, Running

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add --json."""
    text = "Print lines of JSON, one per event."
    # Read first, so that other options can depend on it.
    return click.option("--json", "as_json", is_flag=True, is_eager=True, help=text)(function)


def json_options(function: F) -> F:
    """Add --json and --every."""
    text = "With --json, also the counts of every TIME."
    every = click.option(
        "--every", metavar="TIME", type=types.period, callback=only_with_json, help=text
    )
    return json_option(every(function))


def only_with_json(ctx: click.Context, _: click.Parameter, every: float | None) -> float | None:
    """Refuse --every without --json."""
    if every is not None and not ctx.params["as_json"]:
        raise click.UsageError("--every: only with --json")
    return every


def record(
    running: "Running",
    every: float | None,
    summary: Callable[[], str],
    control: "Control | None" = None,
) -> bool:
    """Write events as lines of JSON until the object ends; return whether it was ended.

    The first Ctrl-C and SIGTERM end it, the second aborts. SIGQUIT prints the `summary` so far.
    `control` starts with it.
    """
    # Screens do without it.
    from udpulse import jsonlines

    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    with Interrupts(summary) as signals:
        try:
            jsonlines.write_controlled(running, sys.stdout, every=every, control=control)
        except KeyboardInterrupt:
            if signals.aborted or not running._start_ns:
                raise
            return True
    return False


def reserve(path: str) -> None:
    """Raise OSError if a file cannot be written at the end of a run."""
    with open(path, "ab"):
        pass


class Interrupts(Signals):
    """Interrupts a call that waits when a signal comes; nothing else writes to stderr meanwhile."""

    def __init__(self, summary: Callable[[], str]) -> None:
        super().__init__()
        self.summary = summary
        self.aborted = False

    def end(self, *_: object) -> None:
        """Handle Ctrl-C and SIGTERM."""
        self.aborted, self.ended = self.ended, True
        raise KeyboardInterrupt

    def ask(self, *_: object) -> None:
        """Handle SIGQUIT."""
        Screen().note(self.summary())
