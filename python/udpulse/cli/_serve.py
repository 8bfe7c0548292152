"""The run of a server that answers or carries packets."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Protocol, TypeVar

from udpulse.cli._follow import Running, follow
from udpulse.cli._live import Render, live
from udpulse.cli._run import Screen
from udpulse.cli._text import Bound, counted, listening

T = TypeVar("T")


class Server(Running[T], Bound, Protocol[T]):
    """A server whose events are packets."""

    @property
    def events_dropped(self) -> int: ...


def nothing() -> None:
    """Do nothing."""


def serve(
    server: Server[T],
    *,
    line: Callable[[T], str] | None,
    render: Render,
    summary: Callable[[], str],
    troubles: Callable[[], Iterable[str]],
    begun: Callable[[], object] = nothing,
    lines: Callable[[], Iterable[str]] = lambda: (),
) -> None:
    """Serve until Ctrl-C: with the `line` of each packet or, without one, counters on a terminal.

    `begun` is called at the start, and what `lines` returns is shown every now and then. At the end
    `summary` is shown, and `troubles` are noted.
    """
    screen = Screen()
    verbose = line is not None

    def title() -> str:
        begun()
        return listening(server)

    def show(packets: list[T]) -> None:
        if text := [*lines(), *map(line, packets)] if line else [*lines()]:
            screen.show("\n".join(text))
        draw()

    screens = nullcontext(nothing) if verbose else live(render)
    with screens as draw:
        follow(server, show, summary, title=title, events=verbose)
        show([])
    screen.show(summary())
    for note in troubles():
        screen.note(note)
    if server.events_dropped:
        screen.note(f"{counted(server.events_dropped, 'packet')} not shown: they came too fast")
