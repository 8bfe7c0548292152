"""Progress marks of an application: after each function call, on each pass of the event loop."""

import asyncio
import functools
import inspect
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

from udpulse._core import HeartbeatClient


class _Watch:
    """Ticks for a client while the event loop runs; stops the client if the loop ends first."""

    def __init__(self) -> None:
        self._wanted = True
        # Weak, so that a dropped loop can free its task.
        self._task: weakref.ref[asyncio.Task[None]] | None = None

    async def start(self, client: HeartbeatClient) -> None:
        self._task = weakref.ref(asyncio.create_task(self._run(client)))
        try:
            await asyncio.sleep(0)  # Let it start: a task cancelled before would not clean up.
        except BaseException:
            client.stop()
            raise

    async def _run(self, client: HeartbeatClient) -> None:
        try:
            while True:
                client._tick()
                await asyncio.sleep(client._tick_period)
        finally:
            if self._wanted:
                client.stop()

    def end(self) -> None:
        self._wanted = False
        if self._task is not None and (task := self._task()) is not None:
            task.cancel()


_watches: WeakKeyDictionary[HeartbeatClient, _Watch] = WeakKeyDictionary()


async def watch(client: HeartbeatClient) -> None:
    """Tick for `client` from the running event loop until `unwatch`."""
    unwatch(client)
    _watches[client] = _Watch()
    await _watches[client].start(client)


def unwatch(client: HeartbeatClient) -> None:
    """Stop ticking for `client`."""
    watch = _watches.pop(client, None)
    if watch is not None:
        watch.end()


def decorated(
    progress: AbstractContextManager[object], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return `function`, plain or coroutine, wrapped to mark progress after each call."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: object, **kwargs: object) -> object:
            with progress:
                return await function(*args, **kwargs)

        return wait

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        with progress:
            return function(*args, **kwargs)

    return call
