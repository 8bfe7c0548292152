"""Running objects in an event loop: iteration and `async with`."""

import asyncio
import socket
import weakref
from typing import Generic, Protocol, TypeVar

from udpulse._core import HeartbeatClient, _Waiter
from udpulse._errors import NotStartedError
from udpulse._progress import unwatch, watch

_Event = TypeVar("_Event")
_EventOut = TypeVar("_EventOut", covariant=True)
_Result = TypeVar("_Result")
_ResultOut = TypeVar("_ResultOut", covariant=True)

# After this many consecutive events, yield to the loop's other tasks.
_ROW = 64


class _Work(Protocol):
    """Work of the engine that ends by itself or on stop()."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def _has_names(self) -> bool: ...
    def _poll_end(self, waiter: _Waiter) -> bool: ...


class _Run(_Work, Protocol[_ResultOut]):
    """Work with a result."""

    def _finish(self) -> _ResultOut: ...


class _Running(_Work, Protocol):
    """A running object of any class."""

    def _begin_stop(self) -> None: ...


class _Iterable(_Running, Protocol[_EventOut]):
    """A running object with events."""

    def _poll(self, waiter: _Waiter) -> _EventOut | None: ...


_R = TypeVar("_R", bound=_Running)


class _Bell:
    """A socket that the engine makes readable to wake a loop, so that no thread has to wait.

    All waits of a loop share it, because descriptors are few. One of them reads it for all.
    """

    def __init__(self) -> None:
        self.first, number = _Waiter.pair()
        self._socket = socket.socket(fileno=number)
        self._socket.setblocking(False)
        self._waits: dict[int, asyncio.Future[None]] = {}
        self._is_read = False
        # Not `__del__`: in a cycle, the collector may finalize the socket first, with a warning.
        # Not at the end of the interpreter: the loop of a daemon thread may still read.
        weakref.finalize(self, self._socket.close).atexit = False

    async def wait(self, number: int) -> None:
        """Wait until the engine wakes the waiter with this number; may return earlier."""
        loop = asyncio.get_running_loop()
        woken = self._waits[number] = loop.create_future()
        try:
            if self._is_read:
                await woken
                return
            self._is_read = True
            try:
                while not woken.done():
                    await loop.sock_recv(self._socket, 1)
                    self._wake()
            finally:
                self._is_read = False
                # A cancelled read may have consumed the wakeup of others.
                self._wake()
        finally:
            del self._waits[number]
            if not self._is_read:
                # The next one that waits reads.
                _set(next((other for other in self._waits.values() if not other.done()), None))

    def _wake(self) -> None:
        for number in self.first.woken():
            _set(self._waits.get(number))


_bells: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell]"
_bells = weakref.WeakKeyDictionary()


def _bell() -> _Bell:
    """Return the bell of the running loop."""
    loop = asyncio.get_running_loop()
    if (bell := _bells.get(loop)) is None:
        bell = _bells[loop] = _Bell()
    return bell


def _set(woken: "asyncio.Future[None] | None") -> None:
    if woken is not None and not woken.done():
        woken.set_result(None)


class _Wakeup:
    """A waiter on the running loop."""

    def __init__(self) -> None:
        self._bell = _bell()
        self.waiter = self._bell.first.another()

    async def wait(self) -> None:
        """Wait until the engine wakes this waiter; may return earlier."""
        await self._bell.wait(self.waiter.number)


class Events(Generic[_Event]):
    """The events of one running object, for one task at a time.

    Cancelling a wait loses no event.
    """

    def __init__(self, running: _Iterable[_Event]) -> None:
        """Iterate over the events of `running`."""
        self._running = running
        self._wakeup = _Wakeup()
        self._taken = 0
        self._waiting = False

    def __aiter__(self) -> "Events[_Event]":
        """Return itself."""
        return self

    async def __anext__(self) -> _Event:
        """Wait for the next event."""
        if self._waiting:
            # The loop wakes one task per socket; the other would wait forever.
            raise RuntimeError("already being iterated; give each task an iterator of its own")
        self._waiting = True
        try:
            self._taken += 1
            if self._taken % _ROW == 0:
                await asyncio.sleep(0)
            while (event := await self._poll()) is None:
                await self._wakeup.wait()
            return event
        finally:
            self._waiting = False

    async def _poll(self) -> _Event | None:
        try:
            return self._running._poll(self._wakeup.waiter)
        except NotStartedError:
            await start(self._running)
            return self._running._poll(self._wakeup.waiter)


async def start(running: _Work) -> None:
    """Start `running`; if it must resolve names, in a thread, because the resolver blocks."""
    if not running._has_names():
        running.start()
        return
    starting = asyncio.get_running_loop().run_in_executor(None, running.start)
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:

        def stop(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                running.stop()

        starting.add_done_callback(stop)
        raise


async def enter(running: _R) -> _R:
    """Start `running`; a HeartbeatClient also watches the event loop."""
    await start(running)
    if isinstance(running, HeartbeatClient):
        watch(running)
    return running


async def leave(running: _Running, exception: BaseException | None = None) -> None:
    """Stop `running`; a HeartbeatClient says how its block was left."""
    if isinstance(running, HeartbeatClient):
        unwatch(running)
        running._end(exception)
    running._begin_stop()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass  # The coroutine is closed after the end of its loop, so it cannot wait.
    else:
        await asyncio.sleep(0)  # A cancelled watch ends meanwhile.
        await _ended(running)
    running.stop()  # joins threads, which have ended if it has waited


async def finish(run: _Run[_Result]) -> _Result:
    """Return the result of `run`; stop it if cancelled."""
    await start(run)
    try:
        await _ended(run)
        return run._finish()
    finally:
        run.stop()


async def _ended(work: _Work) -> None:
    wakeup = _Wakeup()
    while not work._poll_end(wakeup.waiter):
        await wakeup.wait()
