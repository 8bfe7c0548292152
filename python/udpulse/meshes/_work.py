"""The work that a mesh has its hosts do."""

from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, TypeAlias

from udpulse._core import EchoServer, PingReport, StampReflector, ping, stamp

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
    def duration(self) -> float:
        """The longest time that it takes, in seconds."""
        return self.count * self.interval + 2 * self.timeout


#: The servers of this process: of each mesh, one per address.
_servers: dict[tuple[str, str], EchoServer | StampReflector] = {}
_lock = Lock()


def respond(mesh: str, address: str, port: int, protocol: Protocol) -> tuple[str, int]:
    """Start the server of a mesh at an address of this host, unless it runs.

    Returns its address.
    """
    with _lock:
        server = _servers.get((mesh, address))
        if server is None:
            kind: Any = EchoServer if protocol == "ping" else StampReflector
            server = kind(address, port, keep=0)
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
    size = {} if session.size is None else {"size": session.size}
    report: PingReport = call(
        *target,
        count=session.count,
        interval=session.interval,
        timeout=session.timeout,
        source=(address, 0),
        keep=0,
        **size,
    )
    return report
