"""The run of a server that answers or carries packets."""

from collections.abc import Callable, Iterable
from functools import partial
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


def serve(
    server: Server[T],
    *,
    line: Callable[[T], str] | None,
    render: Render,
    summary: Callable[[], str],
    troubles: Callable[[], Iterable[str]],
) -> None:
    """Serve until Ctrl-C: with the `line` of each packet or, without one, counters on a terminal.

    At the end `summary` is shown, and `troubles` are noted.
    """
    screen, title = Screen(), partial(listening, server)
    if line is not None:

        def show(packets: list[T]) -> None:
            if packets:
                screen.show("\n".join(map(line, packets)))

        follow(server, show, summary, title=title)
    else:
        with live(render) as draw:
            follow(server, lambda _: draw(), summary, title=title, events=False)
    screen.show(summary())
    for note in troubles():
        screen.note(note)
    if server.events_dropped:
        screen.note(f"{counted(server.events_dropped, 'packet')} not shown: they came too fast")
