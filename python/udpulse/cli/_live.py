"""Screens that are redrawn in place, if stdout is a terminal that can do that."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # rich takes longer to import than a short command runs.
    from rich.console import RenderableType

#: Least time between two drawings, in seconds.
PERIOD = 0.2

#: Highest share of the time that is spent on drawing.
SHARE = 0.1

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
