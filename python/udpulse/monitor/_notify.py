"""Messages to the service manager (sd_notify(3)), if it asks for them."""

import contextlib
import os
import socket
import time


class Notify:
    """The socket of NOTIFY_SOCKET; without one nothing is sent.

    The variables are removed, so that no program of an alert speaks for the service.
    """

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "")
        self._socket: socket.socket | None = None
        self._period = 0.0
        self._last = 0.0
        if path and hasattr(socket, "AF_UNIX"):
            # An @ stands for the zero byte of an abstract name.
            address = "\0" + path[1:] if path[0] == "@" else path
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            try:
                self._socket.connect(address)
            except OSError:
                self._socket.close()
                self._socket = None
        if microseconds.isdecimal() and process in ("", str(os.getpid())):
            self._period = int(microseconds) / 2e6

    def send(self, *lines: str) -> None:
        """Send a message; a manager that does not read it misses it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send("\n".join(lines).encode())

    def reloading(self) -> None:
        """Tell that a reload begins; READY=1 ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def alive(self, now: float) -> None:
        """Feed the watchdog, twice per period."""
        if self._period and now - self._last >= self._period:
            self._last = now
            self.send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
