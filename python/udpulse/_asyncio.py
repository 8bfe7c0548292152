"""Asynchronous iteration: events of the engine through the running event loop."""

import asyncio
import socket
from typing import Generic, Protocol, TypeVar

from udpulse._core import _Waiter

_Event = TypeVar("_Event")
_EventOut = TypeVar("_EventOut", covariant=True)

# After so many events in a row the loop's other tasks get a turn.
_ROW = 64


class _Running(Protocol[_EventOut]):
    """What all running objects have."""

    def _poll(self, waiter: _Waiter) -> _EventOut | None: ...


class Events(Generic[_Event]):
    """The events of one running object, for one event loop at a time.

    No thread waits: the engine makes a socket readable that the loop watches. A cancelled wait
    loses no event.
    """

    _socket: socket.socket | None = None  # until the system has given one

    def __init__(self, running: _Running[_Event]) -> None:
        """Watch `running`."""
        self._running = running
        self._waiter, number = _Waiter.pair()
        self._socket = socket.socket(fileno=number)
        self._socket.setblocking(False)
        self._taken = 0
        self._waiting = False

    def __aiter__(self) -> "Events[_Event]":
        """Give itself."""
        return self

    async def __anext__(self) -> _Event:
        """Wait for the next event."""
        if self._waiting:
            # The loop wakes one task per socket: the other would wait forever.
            raise RuntimeError("already being iterated; give each task an iterator of its own")
        self._waiting = True
        try:
            self._taken += 1
            if self._taken % _ROW == 0:
                await asyncio.sleep(0)
            while (event := self._running._poll(self._waiter)) is None:
                assert self._socket is not None
                await asyncio.get_running_loop().sock_recv(self._socket, 1)
            return event
        finally:
            self._waiting = False

    def __del__(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
