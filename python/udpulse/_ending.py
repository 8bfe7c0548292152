"""The ends of heartbeat clients: which exception is a failure, and the end of the interpreter."""

import atexit
import sys

from udpulse._core import _end_clients


def failure(exception: BaseException) -> str | None:
    """Return the name of the exception's type; None if it is an orderly end."""
    if isinstance(exception, SystemExit):
        code = exception.code
        # As for the interpreter, other values equal to 0 are messages.
        if code is None or (isinstance(code, int) and code == 0):
            return None
    if isinstance(exception, KeyboardInterrupt | GeneratorExit):
        return None
    # Not imported here: that takes longer than the start of a client.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(exception, asyncio.CancelledError):
        return None
    return type(exception).__name__


def _has_left_program(exception: BaseException) -> bool:
    """Return whether it left the outermost frame; one of a callback may only have been printed."""
    trace = exception.__traceback__
    return trace is None or trace.tb_frame.f_back is None


@atexit.register
def _end() -> None:
    # An interactive session goes on after an uncaught exception.
    last = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    _end_clients(last if last is not None and _has_left_program(last) else None)
