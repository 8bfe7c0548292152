"""Progress marks of an application: after each function call, on each pass of the event loop."""

import asyncio
import functools
import inspect
import weakref
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from weakref import WeakKeyDictionary

from udpulse._core import HeartbeatClient

# Weak, so that a dropped loop can free its tasks.
_watches: "WeakKeyDictionary[HeartbeatClient, weakref.ref[asyncio.Task[None]]]"
_watches = WeakKeyDictionary()


def watch(client: HeartbeatClient) -> None:
    """Tick for `client` from the running event loop until `unwatch`."""
    unwatch(client)
    client._tick()
    _watches[client] = weakref.ref(asyncio.create_task(_tick(client)))


async def _tick(client: HeartbeatClient) -> None:
    while True:
        client._tick()
        await asyncio.sleep(client._tick_period)


def unwatch(client: HeartbeatClient) -> None:
    """Stop ticking for `client`."""
    watching = _watches.pop(client, None)
    task = watching() if watching else None
    if task is not None and not task.get_loop().is_closed():
        task.cancel()


def decorated(
    progress: AbstractContextManager[object], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return `function`, plain or coroutine, wrapped to mark progress after each call."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            "progress() cannot decorate a generator function, whose calls end before its work "
            "begins; write `with beat.progress():` in it"
        )
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: object, **kwargs: object) -> object:
            with progress:
                return await function(*args, **kwargs)

        return wait

    async def rest(result: Coroutine[Any, Any, object], block: ExitStack) -> object:
        with block:
            return await result

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        with ExitStack() as block:
            block.enter_context(progress)
            result = function(*args, **kwargs)
            # Of a coroutine function inside a plain one.
            return rest(result, block.pop_all()) if inspect.iscoroutine(result) else result

    return call
