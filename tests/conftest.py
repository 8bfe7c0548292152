"""Fixtures and plugins for all tests."""

from collections.abc import Iterator

import peers
import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def silent() -> Iterator[peers.Address]:
    """The address of a socket that is never read, so that nothing is answered or refused."""
    with peers.open_socket() as sink:
        yield sink.getsockname()
