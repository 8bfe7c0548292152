"""The work that a mesh has its hosts do."""

from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, TypeAlias

from udpulse._core import (
    EchoServer,
    PingClient,
    PingReport,
    StampReflector,
    StampSender,
    ping,
    stamp,
)

Protocol: TypeAlias = Literal["ping", "stamp"]


@dataclass(frozen=True)
class Session:
    """How a host measures another."""

    protocol: Protocol
    count: int
    interval: float
    timeout: float
    size: int | None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the sender."""
        options = {"count": self.count, "interval": self.interval, "timeout": self.timeout}
        return options if self.size is None else {**options, "size": self.size}

    @property
    def duration(self) -> float:
        """The longest time that it takes, in seconds."""
        return self.count * self.interval + 2 * self.timeout

    def check(self, port: int) -> None:
        """Raise the error of the sender or of a responder at a port if an option is wrong."""
        sender: Any = PingClient if self.protocol == "ping" else StampSender
        sender("127.0.0.1", 1, **self.options)
        responder(self.protocol, "127.0.0.1", port)


#: The servers of this process: of each mesh, one per address.
_servers: dict[tuple[str, str], EchoServer | StampReflector] = {}
_lock = Lock()


def responder(protocol: Protocol, address: str, port: int) -> EchoServer | StampReflector:
    """Return a server that answers probes; it does not run."""
    kind: Any = EchoServer if protocol == "ping" else StampReflector
    server: EchoServer | StampReflector = kind(address, port, keep=0)
    return server


def respond(mesh: str, address: str, port: int, protocol: Protocol) -> tuple[str, int]:
    """Start the server of a mesh at an address of this host, unless it runs.

    Returns its address.
    """
    with _lock:
        server = _servers.get((mesh, address))
        if server is None:
            server = responder(protocol, address, port)
            server.start()
            _servers[mesh, address] = server
        return server.address


def release(mesh: str) -> None:
    """Stop the servers of a mesh in this process."""
    with _lock:
        servers = [_servers.pop(key) for key in [*_servers] if key[0] == mesh]
    for server in servers:
        server.stop()


def measure(address: str, target: tuple[str, int], session: Session) -> PingReport:
    """Measure the path from an address of this host to a server."""
    call: Any = ping if session.protocol == "ping" else stamp
    report: PingReport = call(*target, source=(address, 0), keep=0, **session.options)
    return report
