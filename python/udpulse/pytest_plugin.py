"""The pytest plugin: fixtures that start servers which misbehave on purpose.

A failing test's report tells what each server of its fixtures did, how to make it again, and where
a capture of its packets is.
"""

import inspect
import os
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar

import pytest

from udpulse._core import EchoServer, Keys, Relay
from udpulse.impair import Link, Step

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from udpulse._core import _Delay, _Loss

__all__ = ["EchoOptions", "EchoServerFactory", "RelayFactory", "RelayOptions"]

KEEP = 100_000
SHOWN = 40
CAPTURE_LIMIT = 1 << 26

S = TypeVar("S", EchoServer, Relay)

_servers = pytest.StashKey[list["_Server"]]()
_started = pytest.StashKey[float]()


class EchoOptions(TypedDict, total=False):
    """The options of EchoServer."""

    loss: "_Loss"
    delay: "_Delay"
    uplink: Link | None
    downlink: Link | None
    seed: int | None
    transform: Literal["upper", "echo"]
    max_size: int
    max_rate: float | None
    keys: Keys | str | os.PathLike[str] | None
    unauthenticated: Literal["refuse", "accept"]
    threads: int
    timeline: "Iterable[Step | dict[str, Any]]"
    keep: int | Literal["all"]
    capture: str | os.PathLike[str] | None
    capture_snaplen: int | None
    capture_limit: int


class RelayOptions(TypedDict, total=False):
    """The options of Relay."""

    listen: tuple[str, int]
    uplink: Link | None
    downlink: Link | None
    per_client: Iterable[tuple[Link | None, Link | None]]
    seed: int | None
    idle: float | None
    max_clients: int
    ttl: int | None
    timeline: "Iterable[Step | dict[str, Any]]"
    keep: int | Literal["all"]
    capture: str | os.PathLike[str] | None
    capture_snaplen: int | None
    capture_limit: int


class EchoServerFactory(Protocol):
    """Starts EchoServers. The type of the fixture `echo_server` and of its wider ones."""

    def __call__(
        self, host: str = "127.0.0.1", port: int = 0, **options: "Unpack[EchoOptions]"
    ) -> EchoServer:
        """Start and return an EchoServer with these arguments."""


class RelayFactory(Protocol):
    """Starts Relays. The type of the fixture `udp_relay` and of its wider ones."""

    def __call__(self, host: str, port: int, **options: "Unpack[RelayOptions]") -> Relay:
        """Start and return a Relay with these arguments."""


def _echo_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EchoServerFactory]:
    """Return a factory of echo servers that stop when the fixture ends.

    It takes the arguments of EchoServer. By default the host is 127.0.0.1, the port any free one,
    and the last 100,000 fates are kept. The test fails if this host itself lost packets or
    replies, because the truth is incomplete then. The report of a failed test tells what each
    server did to the last 40 packets since the test began, its seed and links, and the path of a
    capture of up to 64 MiB; it is deleted if all tests pass. `capture=None` makes none.
    """
    with _Servers(request, tmp_path_factory) as servers:

        def start(
            host: str = "127.0.0.1", port: int = 0, **options: "Unpack[EchoOptions]"
        ) -> EchoServer:
            servers.prepare(options)
            return servers.start(EchoServer(host, port, **options))

        yield start


def _udp_relay(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RelayFactory]:
    """Return a factory of relays that stop when the fixture ends.

    It takes the arguments of Relay, the host and port of the upstream first. Everything else is as
    with `echo_server`.
    """
    with _Servers(request, tmp_path_factory) as servers:

        def start(host: str, port: int, **options: "Unpack[RelayOptions]") -> Relay:
            servers.prepare(options)
            return servers.start(Relay(host, port, **options))

        yield start


_function_echo_server = pytest.fixture(_echo_server, name="echo_server")
_module_echo_server = pytest.fixture(_echo_server, name="module_echo_server", scope="module")
_session_echo_server = pytest.fixture(_echo_server, name="session_echo_server", scope="session")
_function_udp_relay = pytest.fixture(_udp_relay, name="udp_relay")
_module_udp_relay = pytest.fixture(_udp_relay, name="module_udp_relay", scope="module")
_session_udp_relay = pytest.fixture(_udp_relay, name="session_udp_relay", scope="session")


@dataclass
class _Server:
    """A server of a fixture, and whether a test that used it has failed."""

    fixture: str
    server: EchoServer | Relay
    failed: bool = False


class _Servers:
    """The servers of a fixture, and the directory of their captures."""

    def __init__(self, request: pytest.FixtureRequest, paths: pytest.TempPathFactory) -> None:
        self.fixture = request.fixturename or ""
        self.of_node = request.node.stash.setdefault(_servers, [])
        self.own: list[_Server] = []
        self.paths = paths
        self.captures: Path | None = None

    def prepare(self, options: EchoOptions | RelayOptions) -> None:
        """Add the options of a fixture's server that are not given."""
        options.setdefault("keep", KEEP)
        if "capture" not in options:
            if self.captures is None:
                base = self.paths.getbasetemp()
                self.captures = Path(tempfile.mkdtemp(prefix="captures-", dir=base))
            options["capture"] = self.captures / f"{self.fixture}_{len(self.own) + 1}.pcapng"
            options.setdefault("capture_limit", CAPTURE_LIMIT)

    def start(self, server: S) -> S:
        """Start a server."""
        server.start()
        self.own.append(_Server(self.fixture, server))
        self.of_node.append(self.own[-1])
        return server

    def __enter__(self) -> "Self":
        """Begin without servers."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers, delete captures that nobody needs; fail if the truth is incomplete."""
        incomplete = []
        for own in self.own:
            own.server.stop()
            if own.server.counters.send_failed or own.server.truth.receive_drops:
                own.failed = True
                incomplete.append(own.server)
        self.delete_captures()
        for server in incomplete:
            pytest.fail(f"the host itself lost packets or replies of {server}")

    def delete_captures(self) -> None:
        """Delete the captures of servers without a failed test, and an empty directory."""
        if self.captures is None:
            return
        needed = {own.server.capture for own in self.own if own.failed}
        files = [*self.captures.iterdir()]
        unneeded = [file for file in files if str(file) not in needed]
        for file in unneeded:
            file.unlink()
        if files == unneeded:
            self.captures.rmdir()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test began."""
    item.stash[_started] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the servers did to the report of a failed test."""
    report = yield
    if report.failed:
        for number, used in enumerate(_of_test(item), 1):
            used.failed = True
            text = "\n".join(_told(used.server, item.stash[_started]))
            report.sections.append((f"{used.fixture} {number}", text))
    return report


def _of_test(item: pytest.Item) -> Iterator[_Server]:
    """Return the servers of the fixtures that a test uses."""
    fixtures = getattr(item, "fixturenames", ())
    for node in item.listchain():
        for server in node.stash.get(_servers, []):
            if server.fixture in fixtures:
                yield server


def _told(server: EchoServer | Relay, since: float) -> Iterator[str]:
    """Return lines about a server: how to make it again, its capture, counts and last fates."""
    # The command line's texts, which only a failing test needs.
    from udpulse.cli import _fates
    from udpulse.cli._text import counted, notes

    yield _call(server)
    if server.capture is not None and os.path.exists(server.capture):
        yield f"capture: {server.capture}"
    yield _fates.summary(server)
    yield from notes(server.truth.to_dict(), _fates.TROUBLES, "packet")
    fates = [fate for fate in server.fates() if fate.received_at >= since]
    if hidden := max(len(fates) - SHOWN, 0) + server.rows_dropped:
        yield f"{counted(hidden, 'packet')} before these"
    if fates:
        first = fates[0].received_at
        yield "seconds since the first packet:"
        steps = [step for step in server.steps() if step.time >= since]
        for event in _fates.in_order(fates[-SHOWN:], steps):
            yield f"{_fates.moment(event) - first:12.6f} {_fates.path_text(event)}"


def _call(server: EchoServer | Relay) -> str:
    """Return the call that makes a server with the same settings and random choices."""
    given = [repr(server.host), str(server.port if isinstance(server, Relay) else 0)]
    for name, parameter in inspect.signature(type(server)).parameters.items():
        value = getattr(server, name)
        is_option = parameter.kind is parameter.KEYWORD_ONLY
        is_record = name == "keep" or name.startswith("capture")
        if is_option and not is_record and value != parameter.default:
            given.append(f"{name}={value!r}")
    return f"{type(server).__name__}({', '.join(given)})"
