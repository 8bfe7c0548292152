"""The ends of heartbeat clients: which exception is a failure, and the end of the interpreter."""

import asyncio
import atexit
import sys

from udpulse._core import _end_clients


def failure(exception: BaseException) -> str | None:
    """Return the name of the exception's type; None if it is an orderly end."""
    if isinstance(exception, SystemExit) and exception.code in (0, None):
        return None
    if isinstance(exception, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError):
        return None
    return type(exception).__name__


@atexit.register
def _end() -> None:
    # An interactive session goes on after an uncaught exception.
    interactive = hasattr(sys, "ps1")
    _end_clients(None if interactive else getattr(sys, "last_value", None))
