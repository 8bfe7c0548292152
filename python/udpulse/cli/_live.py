"""Screens that are redrawn in place, if stdout is a terminal that can do that."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # rich takes longer to import than a short command runs.
    from rich.console import RenderableType

#: Least time between two drawings, in seconds.
PERIOD = 0.2

#: Highest share of the time that is spent on drawing.
SHARE = 0.1

#: Time over which rates are measured, in seconds.
WINDOW = 1.0

#: Draws a screen of this many columns and lines.
Render = Callable[[int, int], "RenderableType"]


def on_terminal() -> bool:
    """Return whether stdout is a terminal that moves its cursor."""
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and os.environ.get("TERM") not in ("dumb", "unknown")
    )


@contextmanager
def live(render: Render, final: Render | None = None) -> Iterator[Callable[[], None]]:
    """Yield a function that draws what `render` returns, if enough time has passed.

    Lines printed meanwhile go above the screen. At the end what `final` returns replaces it, or
    nothing. Off a terminal nothing is drawn.
    """
    if not on_terminal():
        yield lambda: None
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=sys.stdout, force_terminal=True, highlight=False, markup=False)
    notes = sys.stderr is not None and sys.stderr.isatty()
    with Live(console=console, auto_refresh=False, transient=True, redirect_stderr=notes) as screen:
        size = console.size
        due = -float("inf")

        def draw() -> None:
            nonlocal size, due
            start = time.monotonic()
            if start < due:
                return
            if size != console.size:
                # The terminal has wrapped the lines of the last drawing.
                console.clear()
                size = console.size
            screen.update(render(*size), refresh=True)
            end = time.monotonic()
            due = end + max(PERIOD, (end - start) * (1 / SHARE - 1))

        yield draw
    if final is not None:
        console.print(final(*console.size))


@dataclass
class Meter:
    """The rates of counters."""

    since: float = field(default_factory=time.monotonic)
    before: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def lines(self, counts: Mapping[str, int]) -> Iterator[str]:
        """Return a line for each count with its rate."""
        now, values = time.monotonic(), [*counts.values()]
        before = self.before or [0] * len(values)
        if (passed := now - self.since) >= WINDOW:
            self.rates = [(new - old) / passed for new, old in zip(values, before, strict=True)]
            self.since, self.before = now, values
        rates = self.rates or [0.0] * len(values)
        for (word, count), rate in zip(counts.items(), rates, strict=True):
            yield f"{word:<10}{count:>14,}{rate:>12,.0f}/s"
