"""Messages to the service manager (sd_notify(3)), if it asks for them."""

import contextlib
import os
import socket
import time

#: How long a message waits for a busy manager, in seconds.
PATIENCE = 5.0


class Notify:
    """The socket of NOTIFY_SOCKET; without one nothing is sent.

    The variables are removed, so that no program of an alert speaks for the service.
    """

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "")
        # An @ stands for the zero byte of an abstract name.
        self._address = "\0" + path[1:] if path[:1] == "@" else path
        self._period = 0.0
        self._last = 0.0
        if microseconds.isdecimal() and process in ("", str(os.getpid())):
            self._period = int(microseconds) / 2e6

    def send(self, *lines: str, patience: float = PATIENCE) -> None:
        """Send a message; a manager that does not read misses it."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        ):
            manager.settimeout(patience)
            manager.connect(self._address)
            manager.send("\n".join(lines).encode())

    def reloading(self) -> None:
        """Announce a reload; READY=1 ends it."""
        # On Linux that clock is the manager's, too.
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self, now: float) -> None:
        """Feed the watchdog, twice per period; it does not wait."""
        if self._period and now - self._last >= self._period:
            self._last = now
            self.send("WATCHDOG=1", patience=0)
