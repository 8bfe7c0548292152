"""What the tests share."""

from collections.abc import Iterator

import peers
import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def silent() -> Iterator[peers.Address]:
    """The address of a socket that nobody reads, so that nothing is answered or refused."""
    with peers.open_socket() as sink:
        yield sink.getsockname()
