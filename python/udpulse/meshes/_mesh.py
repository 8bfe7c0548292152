"""Meshes: hosts that measure each other."""

from __future__ import annotations

import ipaddress
import math
import queue
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from udpulse._core import PingReport
from udpulse._errors import NotStartedError
from udpulse.meshes._engine import Engine, Pending, Threads
from udpulse.meshes._plan import Pair, plan
from udpulse.meshes._report import MeshReport
from udpulse.meshes._work import Protocol, Session, measure, respond

if TYPE_CHECKING:
    from distributed import Client
    from typing_extensions import Self

#: The addresses of a mesh without hosts: Linux has all of them.
HERE = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


class Mesh:
    """Hosts that measure each other, over and over.

    hosts: the addresses of this host that measure each other, a distributed.Client whose workers'
        hosts do, or another Engine; None for four loopback addresses (Linux).
    protocol: "ping" for round trips, or "stamp" also for each direction (RFC 8762).
    count: the number of probes from each host to each other, 1 or more.
    rate: the most probes per second that a host sends, and that it receives, above 0.
    timeout: the time to wait for each reply, in seconds.
    size: the length of a probe in bytes; None for the default of the protocol.
    port: the port of the responders, 0 for any free one.
    peers: the number of others that a host measures per visit, 1 or more; None for all of up to
        100 hosts, and 20 of more. The next visit measures the next ones.
    groups: the group, such as a rack or a zone, of each host: hosts measure those of their group,
        and one of every other group. None for no groups.
    host_timeout: the time after which a host that does not end its work is given up, in seconds
        beyond the time that the work takes.
    max_loss: the highest tolerable loss, 0 to 1: a cell is bad if its whole confidence interval is
        above that.
    max_rtt: the highest tolerable median round trip, in seconds; None for three times the usual
        one, and 5 ms more.

    Each host has a responder at its address while the mesh runs. No host is in two measurements at
    the same time. A host that joins is in the next visit. A visit stops neither for a host that
    hangs nor for one that leaves.

    Raises ValueError and TypeError if an argument is out of range or of a wrong type, and
    ImportError for a Client if distributed is not installed.
    """

    def __init__(
        self,
        hosts: Iterable[str] | Client | Engine | None = None,
        *,
        protocol: Protocol = "ping",
        count: int = 20,
        rate: float = 100.0,
        timeout: float = 1.0,
        size: int | None = None,
        port: int = 0,
        peers: int | None = None,
        groups: Mapping[str, str] | None = None,
        host_timeout: float = 10.0,
        max_loss: float = 0.01,
        max_rtt: float | None = None,
    ) -> None:
        """Check the arguments; nothing runs yet."""
        if protocol not in ("ping", "stamp"):
            raise ValueError(f"protocol must be 'ping' or 'stamp', not {protocol!r}")
        if peers is not None:
            at_least_one("peers", peers)
        at_least_one("count", count)
        for name, value in (("rate", rate), ("host_timeout", host_timeout)):
            positive(name, value)
        if max_rtt is not None:
            positive("max_rtt", max_rtt)
        if not 0 <= max_loss <= 1:
            raise ValueError(f"max_loss must be a share from 0 to 1, not {max_loss!r}")
        self.protocol = protocol
        self.count = count
        self.rate = rate
        self.timeout = timeout
        self.size = size
        self.port = port
        self.peers = peers
        self.groups: dict[str, str] | None = None if groups is None else dict(groups)
        self.host_timeout = host_timeout
        self.max_loss = max_loss
        self.max_rtt = max_rtt
        self._engine = engine_of(hosts)
        self._session = Session(protocol, count, 1 / rate, timeout, size)
        self._session.check(port)
        self._name = ""
        self._visits = 0

    def __repr__(self) -> str:
        """Return the settings."""
        names = ("protocol", "count", "rate", "timeout", "size", "port", "peers", "host_timeout")
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"<Mesh {settings}>"

    def start(self) -> None:
        """Prepare the hosts; do nothing if the mesh runs.

        Raises OSError if the engine cannot.
        """
        if not self._name:
            self._name = f"udpulse-mesh-{uuid.uuid4().hex}"
            self._engine.open(self._name)

    def stop(self) -> None:
        """Stop the responders; do nothing if the mesh does not run."""
        name, self._name = self._name, ""
        if name:
            self._engine.close(name)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the mesh runs."""
        return bool(self._name)

    def visit(self) -> MeshReport:
        """Have each host measure the others once; return the report.

        KeyboardInterrupt has the `report` so far.

        Raises NotStartedError if the mesh does not run.
        """
        if not self._name:
            raise NotStartedError("the mesh does not run: start() comes first")
        visit = Visit(self, self._engine, self._name, self._session)
        try:
            visit.run(self._visits)
        except KeyboardInterrupt as error:
            error.report = visit.report()  # type: ignore[attr-defined]
            raise
        self._visits += 1
        return visit.report()

    def __iter__(self) -> Iterator[MeshReport]:
        """Yield the report of each visit, one after the other, while the mesh runs."""
        while self.running:
            yield self.visit()


def mesh(hosts: Iterable[str] | Client | Engine | None = None, **options: Any) -> MeshReport:
    """Have hosts measure each other once; return the report.

    The arguments are those of `Mesh`.
    """
    with Mesh(hosts, **options) as running:
        return running.visit()


@dataclass
class Visit:
    """One visit of a mesh."""

    mesh: Mesh
    engine: Engine
    name: str
    session: Session
    started_at: float = field(default_factory=time.time)
    addresses: Mapping[str, str] = field(default_factory=dict)
    responders: dict[str, tuple[str, int]] = field(default_factory=dict)
    reports: dict[Pair, PingReport] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)

    def run(self, number: int) -> None:
        """Start the responders; measure."""
        self.addresses = self.engine.hosts()
        board = Board(self.engine)
        for host, address in self.addresses.items():
            work = partial(respond, self.name, address, self.mesh.port, self.mesh.protocol)
            board.submit(host, host, work, self.mesh.host_timeout)
        while board:
            for host, result in board.finished():
                self.note(host, host, result, self.responders)
        self.measure(number)

    def measure(self, number: int) -> None:
        """Measure each pair as soon as both of its hosts are free."""
        todo = plan(
            [*self.responders], peers=self.mesh.peers, groups=self.mesh.groups, visit=number
        )
        free = set(self.responders)
        board = Board(self.engine)
        longest = self.session.duration + self.mesh.host_timeout
        while todo or board:
            later = []
            for pair in todo:
                sender, receiver = pair
                if sender in self.unreachable:
                    continue
                if sender in free and receiver in free:
                    free -= {sender, receiver}
                    target = self.responders[receiver]
                    work = partial(measure, self.addresses[sender], target, self.session)
                    board.submit(pair, sender, work, longest)
                else:
                    later.append(pair)
            todo = later
            for pair, result in board.finished():
                self.note(pair, pair[0], result, self.reports)
                free |= set(pair)

    def note(self, key: Any, host: str, result: Any, results: dict[Any, Any]) -> None:
        """Note the result of work, or why its host cannot be used."""
        if isinstance(result, BaseException):
            self.unreachable[host] = str(result) or type(result).__name__
        else:
            results[key] = result

    def report(self) -> MeshReport:
        """Return the report so far."""
        return MeshReport(
            hosts=tuple(sorted(self.addresses, key=natural)),
            reports=dict(self.reports),
            unreachable=dict(self.unreachable),
            groups=dict(self.mesh.groups or {}),
            protocol=self.mesh.protocol,
            started_at=self.started_at,
            ended_at=time.time(),
            max_loss=self.mesh.max_loss,
            max_rtt=self.mesh.max_rtt,
        )


class Board:
    """Work that hosts do now, each with a deadline."""

    def __init__(self, engine: Engine) -> None:
        """Begin without work."""
        self.engine = engine
        self.ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pending: dict[Any, tuple[Pending[Any], float, float]] = {}

    def __len__(self) -> int:
        """Return how much work there is."""
        return len(self.pending)

    def submit(self, key: Any, host: str, work: partial[Any], patience: float) -> None:
        """Start work on a host; it is overdue after `patience` seconds."""
        pending = self.engine.submit(host, work.func, *work.args)
        self.pending[key] = (pending, time.monotonic() + patience, patience)
        pending.add_done_callback(lambda _: self.ended.put(key))

    def finished(self) -> list[tuple[Any, Any]]:
        """Wait until work has ended or is overdue; return keys with results or exceptions."""
        if not self.pending:
            return []
        due = min(due for _, due, _ in self.pending.values())
        keys = []
        try:
            keys.append(self.ended.get(timeout=max(due - time.monotonic(), 0)))
            while True:
                keys.append(self.ended.get_nowait())
        except queue.Empty:
            pass
        results = []
        for key in keys:
            if key in self.pending:
                pending, _, patience = self.pending.pop(key)
                results.append((key, result_of(pending, patience)))
        now = time.monotonic()
        for key, (pending, due, patience) in [*self.pending.items()]:
            if due <= now:
                del self.pending[key]
                pending.cancel()
                results.append((key, TimeoutError(f"no result after {patience:.3g} s")))
        return results


def result_of(pending: Pending[Any], patience: float) -> Any:
    """Return the result of work that has ended, or its exception."""
    try:
        return pending.result(timeout=patience)
    except (Exception, CancelledError) as error:  # noqa: BLE001
        return error


def engine_of(hosts: Any) -> Engine:
    """Return the engine that an argument stands for."""
    if hosts is None:
        return Threads(HERE)
    if hasattr(hosts, "scheduler_info"):
        from udpulse.meshes._dask import Dask

        return Dask(hosts)
    if hasattr(hosts, "submit"):
        engine: Engine = hosts
        return engine
    if isinstance(hosts, str):
        raise TypeError(f"hosts must be several addresses, not the str {hosts!r}")
    addresses = list(dict.fromkeys(hosts))
    versions = set()
    for address in addresses:
        try:
            versions.add(ipaddress.ip_address(address).version)
        except ValueError:
            raise ValueError(
                f"hosts must be addresses of this host such as 127.0.0.2, not {address!r}"
            ) from None
    if len(addresses) < 2:
        raise ValueError(f"hosts must be two or more different addresses, not {addresses!r}")
    if len(versions) > 1:
        raise ValueError(f"hosts must be all IPv4 or all IPv6 addresses, not {addresses!r}")
    return Threads(addresses)


def natural(host: str) -> tuple[int, Any, str]:
    """Return the key by which hosts are sorted: addresses by number, before names."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (9, 0, host)
    return (address.version, int(address), host)


def at_least_one(name: str, value: Any) -> None:
    """Refuse a number that is not whole or below 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value!r}")


def positive(name: str, value: Any) -> None:
    """Refuse anything but a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, not {value!r}")
