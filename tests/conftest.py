"""Fixtures and plugins for all tests."""

import signal
import socket
from collections.abc import Iterator

import peers
import pytest

pytest_plugins = ["pytester"]

# A job in the background of a shell ignores Ctrl-C, and the programs that it starts inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def silent() -> Iterator[peers.Address]:
    """The address of a socket that is never read, so that nothing is answered or refused."""
    with peers.open_socket() as sink:
        yield sink.getsockname()


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    """A socket whose waits are bounded."""
    with peers.open_socket() as sender:
        yield sender
