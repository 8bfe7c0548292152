"""Follows a running object until it ends, Ctrl-C or SIGTERM."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

#: Time between two calls of `show` without an event, in seconds.
TICK = 0.2


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
    running: Running[T], show: Callable[[list[T]], None], interim: Callable[[], None]
) -> bool:
    """Show events as they come, no events every now and then; return whether it was interrupted.

    SIGQUIT calls `interim`.
    """
    interrupted = False
    with orderly(interim):
        try:
            with running:
                while running.running:
                    show(running.next_batch(timeout=TICK))
        except KeyboardInterrupt:
            interrupted = True
        while rest := running.next_batch(timeout=0):
            show(rest)
    return interrupted


@contextmanager
def orderly(interim: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C, and SIGQUIT call `interim`."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    handlers: dict[signal.Signals, Callable[..., None]] = {signal.SIGTERM: end}
    if sys.platform != "win32":
        handlers[signal.SIGQUIT] = lambda *_: interim()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
