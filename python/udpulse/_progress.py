"""Marking the progress of an application: after each call of a function, at each turn of a loop."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from udpulse._core import HeartbeatClient

_watches: dict[HeartbeatClient, asyncio.Task[None]] = {}


async def enter(client: HeartbeatClient, period: float) -> HeartbeatClient:
    """Have the running event loop tick for `client` every `period` seconds until `leave`."""
    client._tick()
    unwatch(client)
    _watches[client] = asyncio.create_task(_watch(client, period))
    return client


async def _watch(client: HeartbeatClient, period: float) -> None:
    while True:
        await asyncio.sleep(period)
        client._tick()


async def leave(client: HeartbeatClient) -> None:
    """Say goodbye without keeping the event loop."""
    unwatch(client)
    await asyncio.to_thread(client.__exit__, None, None, None)


def unwatch(client: HeartbeatClient) -> None:
    """Have nobody tick for `client` any more."""
    watch = _watches.pop(client, None)
    if watch is not None:
        watch.cancel()


def decorated(
    progress: AbstractContextManager[object], function: Callable[..., Any]
) -> Callable[..., Any]:
    """The function, or coroutine function, that marks progress after each call."""
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
