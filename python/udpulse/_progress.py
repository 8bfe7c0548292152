"""Marking progress after each call of a function."""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


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
