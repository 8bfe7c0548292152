"""The pytest plugin: the fixture `echo_server`."""

from collections.abc import Generator, Iterator
from typing import Any, Protocol

import pytest

from udpulse._core import EchoServer

KEEP = 100_000
SHOWN = 20

_servers = pytest.StashKey[list[EchoServer]]()


class EchoServerFactory(Protocol):
    """A factory of running EchoServers that stop at the end of the test."""

    def __call__(self, host: str = "127.0.0.1", port: int = 0, **options: Any) -> EchoServer:
        """Start and return an EchoServer with these arguments."""


@pytest.fixture
def echo_server(request: pytest.FixtureRequest) -> Iterator[EchoServerFactory]:
    """Return a factory of echo servers that stop at the end of the test.

    It takes the arguments of EchoServer. By default the host is 127.0.0.1, the port any free one,
    and the last 100,000 fates are kept. The test fails if this host itself lost packets or
    replies, because the truth is incomplete then. The report of a failed test shows the counters,
    the truth and the last 20 fates of each server.
    """
    servers = request.node.stash.setdefault(_servers, [])

    def start(host: str = "127.0.0.1", port: int = 0, **options: Any) -> EchoServer:
        server = EchoServer(host, port, **{"keep": KEEP, **options})
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
    for server in servers:
        if server.counters.send_failed or server.truth.receive_drops:
            pytest.fail(f"the host itself lost packets or replies of {server}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the truth to the report of a failed test."""
    report = yield
    if report.failed:
        servers: list[EchoServer] = item.stash.get(_servers, [])
        for number, server in enumerate(servers, 1):
            report.sections.append((f"echo server {number}", "\n".join(_told(server))))
    return report


def _told(server: EchoServer) -> Iterator[str]:
    """Return lines about a server: its counters, its truth and its last fates."""
    yield repr(server)
    yield repr(server.counters)
    yield repr(server.truth)
    fates = server.fates()
    for fate in fates[-SHOWN:]:
        yield repr(fate)
    dropped = server.rows_dropped
    if len(fates) > SHOWN or dropped:
        yield f"({len(fates) - SHOWN} fates before these, and {dropped} that fell off)"
