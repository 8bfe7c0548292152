"""Follows a running object until it ends, Ctrl-C or SIGTERM."""

import signal
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from udpulse.cli._run import Screen

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

#: Time between two calls of `show` without an event, in seconds.
TICK = 0.1


class Running(Protocol[T]):
    """A client or a server."""

    @property
    def running(self) -> bool: ...
    def next_batch(self, limit: int = ..., timeout: float | None = ...) -> list[T]: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


def follow(
    running: Running[T],
    show: Callable[[list[T]], None],
    summary: Callable[[], str],
    *,
    title: Callable[[], str] | None = None,
    events: bool = True,
) -> bool:
    """Show events as they come, and no events every now and then; return whether it was ended.

    The first Ctrl-C and SIGTERM end it, the second aborts. SIGQUIT prints the `summary` so far.
    The `title` is printed once the object runs. Without `events` the object's events are left
    unread, and `show` is only called every now and then.
    """
    # A signal that comes right after the start must not find the old handlers.
    with Signals() as signals, running:
        signals.orderly = True
        if title:
            Screen().note(title())
        follow_until(signals, running, show, summary, events=events)
    while events and (rest := running.next_batch(timeout=0)):
        show(rest)
    return signals.ended


def follow_until(
    signals: "Signals",
    running: Running[T],
    show: Callable[[list[T]], None],
    summary: Callable[[], str],
    *,
    events: bool = True,
) -> None:
    """Show events until the object or a signal ends it."""
    while running.running and not signals.ended:
        if events:
            show(running.next_batch(timeout=TICK))
        else:
            time.sleep(TICK)
            show([])
        if signals.asked:
            signals.asked = False
            Screen().note(summary())


class Signals:
    """Notes signals, so that none interrupts a line or a drawing.

    Those that end a program raise KeyboardInterrupt until an orderly end is possible, and the
    second time. One that was ignored before, as nohup does, stays ignored.
    """

    #: Names of the signals that end the program; not every platform has all.
    ENDING: tuple[str, ...] = ("SIGINT", "SIGTERM")

    def __init__(self) -> None:
        self.ended: bool = False
        self.asked: bool = False
        #: A start may wait for a resolver.
        self.orderly: bool = False

    def end(self, number: int, *_: object) -> None:
        """Handle a signal that ends the program."""
        if self.ended or not self.orderly:
            raise KeyboardInterrupt
        self.ended = True

    def ask(self, *_: object) -> None:
        """Handle SIGQUIT."""
        self.asked = True

    def __enter__(self) -> "Self":
        """Install the handlers."""
        handlers: dict[signal.Signals, Callable[..., None]] = {
            number: self.end
            for number in signal.Signals
            if number.name in self.ENDING and signal.getsignal(number) is not signal.SIG_IGN
        }
        if sys.platform != "win32":
            handlers[signal.SIGQUIT] = self.ask
        self._before = {number: signal.signal(number, new) for number, new in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handlers before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
