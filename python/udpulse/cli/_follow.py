"""Follows a running object until it ends, Ctrl-C or SIGTERM."""

import signal
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

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
    interim: Callable[[], None],
    *,
    events: bool = True,
) -> bool:
    """Show events as they come, and no events every now and then; return whether it was ended.

    The first Ctrl-C and SIGTERM end it, the second aborts. SIGQUIT calls `interim`. Without
    `events` the object's events are left unread, and `show` is only called every now and then.
    """
    with running, Signals() as signals:
        while running.running and not signals.ended:
            if events:
                show(running.next_batch(timeout=TICK))
            else:
                time.sleep(TICK)
                show([])
            if signals.asked:
                signals.asked = False
                interim()
    while events and (rest := running.next_batch(timeout=0)):
        show(rest)
    return signals.ended


class Signals:
    """Notes signals, so that none interrupts a line or a drawing.

    Only the second one of those that end a program raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.ended = False
        self.asked = False

    def end(self, *_: object) -> None:
        """Handle Ctrl-C and SIGTERM."""
        if self.ended:
            raise KeyboardInterrupt
        self.ended = True

    def ask(self, *_: object) -> None:
        """Handle SIGQUIT."""
        self.asked = True

    def __enter__(self) -> "Signals":
        """Install the handlers."""
        handlers = {signal.SIGINT: self.end, signal.SIGTERM: self.end}
        if sys.platform != "win32":
            handlers[signal.SIGQUIT] = self.ask
        self._before = {number: signal.signal(number, new) for number, new in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handlers before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
