"""Progress marks of an application: after the work of a function, on a pass of the event loop."""

import asyncio
import concurrent.futures
import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable
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


GENERATES = (
    "progress() cannot decorate a generator function, whose calls end before its work begins; "
    "write `with beat.progress():` in it"
)


def decorated(
    progress: AbstractContextManager[object], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return `function`, plain or coroutine, wrapped to mark progress at the end of its work."""
    # A callable object is what its class calls.
    kinds = (function, getattr(type(function), "__call__", None))  # noqa: B004
    if any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in kinds):
        raise TypeError(GENERATES)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: object, **kwargs: object) -> object:
            with progress:
                return await function(*args, **kwargs)

        return wait

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        with ExitStack() as block:
            block.enter_context(progress)
            result = function(*args, **kwargs)
            # The work of a plain function may begin later.
            if inspect.isgenerator(result) or inspect.isasyncgen(result):
                raise TypeError(GENERATES)
            if isinstance(result, asyncio.Future | concurrent.futures.Future):
                result.add_done_callback(functools.partial(_leave, block.pop_all()))
            elif inspect.isawaitable(result):
                return _rest(result, block.pop_all())
            return result

    return call


async def _rest(result: Awaitable[object], block: ExitStack) -> object:
    with block:
        return await result


def _leave(
    block: ExitStack, done: "asyncio.Future[object] | concurrent.futures.Future[object]"
) -> None:
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    block.__exit__(type(error) if error else None, error, None)
