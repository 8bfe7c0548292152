"""The monitor: runs the sessions and servers of a configuration and follows them."""

import heapq
import math
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from udpulse import PingReport, Probe
from udpulse._errors import NotStartedError
from udpulse._printable import joined, printable
from udpulse._states import RANKS
from udpulse.monitor._book import Book
from udpulse.monitor._config import TARGETS, Config, Part, load
from udpulse.monitor._fleet import Fleet
from udpulse.monitor._notify import Notify
from udpulse.monitor._rows import Counted, Server, Target, Track, cause_of, probe_of
from udpulse.monitor._status import EventDict, HttpConfig, Kind, Observer, Row, Snapshot, Source

if TYPE_CHECKING:
    from typing_extensions import Self

    from udpulse.monitor._http import HttpServer

#: Time between two looks at what happened, in seconds.
TICK = 0.25

#: A look that comes this much late was held up by a pause of the process, in seconds.
PAUSE = 1.0

#: Time between two snapshots, and between two saves, in seconds.
SECOND = 1.0

#: Time between two attempts to start something, in seconds.
RETRY = 10.0

#: The share of the time that snapshots may cost.
SHARE = 0.1

#: Threads that start sessions, whose names may resolve slowly.
STARTERS = 8

#: Events that are read from an object together.
BATCH = 65_536

#: Clients with a row in a snapshot.
CLIENTS = 1000

Key = tuple[Kind, str]


class Running:
    """A part of the configuration and its object."""

    __slots__ = ("error", "object", "part", "queued", "retry_at", "wanted")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.object: Any = None
        self.error = ""
        self.retry_at = -math.inf
        #: Whether a thread starts it, or will.
        self.queued = False
        self.wanted = True

    @property
    def key(self) -> Key:
        """The kind and the name."""
        return self.part.kind, self.part.name


class Monitor:
    """Runs the sessions and servers of a configuration, follows them, and raises alerts.

    config: the path of a configuration (TOML), or a Config of `load`.
    notify: whether to tell the service manager of systemd that it is ready, reloads, stops and is
        alive, if NOTIFY_SOCKET and WATCHDOG_USEC ask for it.

    It starts with `start` or as a context manager. Servers that cannot start raise; a session that
    cannot, because its name has no address for example, is a row that says so, and is tried again.

    Raises ConfigError, a ValueError with all errors of the file, and OSError if it cannot be read.
    """

    def __init__(self, config: Config | str | os.PathLike[str], *, notify: bool = False) -> None:
        self._config = config if isinstance(config, Config) else load(config)
        self._notify = Notify() if notify else None
        self._reloads = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._reset()

    def _reset(self) -> None:
        self._book = Book()
        self._fleet = Fleet(self._book)
        self._running: dict[Key, Running] = {}
        self._targets: dict[Key, Target] = {}
        self._servers: dict[Key, Server] = {}
        self._queue: queue.SimpleQueue[Running | None] = queue.SimpleQueue()
        self._http: HttpServer | None = None
        self._started_at = 0.0
        self._snapshot: Snapshot | None = None
        self._snapshot_due = -math.inf
        self._save_due = -math.inf
        self._pauses = 0
        self._paused_total = 0.0
        self._events_dropped = 0

    # Its life.

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._config

    @property
    def running(self) -> bool:
        """Whether it is running; an error of its own ends it."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def http_address(self) -> tuple[str, int] | None:
        """The (host, port) of the HTTP server; None without one."""
        return self._http.address if self._http is not None else None

    def start(self) -> None:
        """Start everything; does nothing if it is already running.

        Raises OSError if this host refuses something, for example a port in use, and ValueError if
        the store is not one of ours.
        """
        if self._thread is not None:
            return
        self._reset()
        self._ending.clear()
        self._started_at = time.time()
        try:
            self._book.open(self._config, self._started_at)
            with self._book.lock:
                self._book.emit("started")
                self._book.remember(self._fleet.server)
                self._arrange(self._config)
            for running in self._running.values():
                if running.part.kind not in TARGETS:
                    self._start_object(running, is_needed=True)
            self._http = serve_http(self, self._config.http)
        except BaseException:
            self._stop_objects()
            self._book.close()
            raise
        self._book.runner.start()
        for number in range(STARTERS):
            threading.Thread(
                target=self._start_queued,
                args=(self._queue,),
                name=f"udpulse-start-{number}",
                daemon=True,
            ).start()
        self._thread = threading.Thread(target=self._run, name="udpulse-monitor", daemon=True)
        self._thread.start()
        if self._notify is not None:
            self._notify.send("READY=1")

    def stop(self) -> None:
        """Stop everything, in order; does nothing if it is not running."""
        if self._thread is None:
            return
        if self._notify is not None:
            self._notify.send("STOPPING=1")
        self._ending.set()
        self._thread.join()
        if self._http is not None:
            self._http.stop()
        for _ in range(STARTERS):
            self._queue.put(None)
        self._stop_objects()
        self._book.runner.stop()
        with self._book.lock:
            self._book.emit("stopped")
            now, wall = time.monotonic(), time.time()
            self._fleet.refresh(now, is_due=True)
            self._book.save(self._tracks(), now, wall, is_last=True)
            self._snapshot_due = -math.inf
        self._book.close()
        self._thread = None

    def _stop_objects(self) -> None:
        """Stop all objects, and record their last events."""
        with self._book.lock:
            running = [*self._running.values()]
            for each in running:
                each.wanted = False
                if each.object is not None:
                    each.object._begin_stop()
            for each in running:
                if each.object is not None:
                    each.object.stop()
                    self._drain(each, time.time())

    def __enter__(self) -> "Self":
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stop it."""
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"Monitor({self._config.path!r}, {state}, parts={len(self._config.parts)})"

    def reload(self, config: Config | None = None) -> None:
        """Read the configuration again, or apply another one; change only the parts that differ.

        Sessions and servers whose options are the same go on. Something new that cannot start is a
        row that says so, and is tried again. Another path of the store waits for the next start.

        Raises ConfigError or OSError if there is something wrong with the file; then all goes on as
        before. Raises NotStartedError if it is not running.
        """
        if not self.running:
            raise NotStartedError("the monitor is not running; call start()")
        with self._reloads:
            if self._notify is not None:
                self._notify.reloading()
            try:
                self._reload(config or load(self._config.path))
            finally:
                if self._notify is not None:
                    self._notify.send("READY=1")

    def _reload(self, config: Config) -> None:
        before = self._config
        with self._book.lock:
            self._arrange(config)
            self._config = config
            now, wall = time.monotonic(), time.time()
            self._book.alerts.set_rules(config.alerts, wall)
            for track in self._tracks():
                self._book.alerts.change(track, now, wall)
            self._snapshot_due = -math.inf
        self._book.change_store(config.store)
        if config.http != before.http:
            if self._http is not None:
                self._http.stop()
                self._http = None
            try:
                self._http = serve_http(self, config.http)
            except OSError as error:
                self._book.emit("failed", text=printable(error.strerror or str(error)))
        self._book.emit("reloaded")

    def _arrange(self, config: Config) -> None:
        """Stop parts that the configuration no longer has; queue new ones."""
        new = {(part.kind, part.name): part for part in config.parts}
        for key, running in [*self._running.items()]:
            part = new.get(key)
            if part is not None and part.is_same(running.part):
                running.part = part
                continue
            self._retire(running)
            del self._running[key]
        for key, part in new.items():
            if key not in self._running:
                self._running[key] = Running(part)
        now = time.time()
        targets = {
            (part.kind, name): (part, joined(address))
            for part in new.values()
            if part.kind in TARGETS
            for name, address in part.targets
        }
        self._discard(self._targets, targets)
        for key, (part, address) in targets.items():
            if key not in self._targets:
                self._targets[key] = Target(*key, address, now, part.outage_after)
                self._book.remember(self._targets[key])
            self._targets[key].limit = part.outage_after
        servers = [key for key in new if key[0] in ("echo", "reflect")]
        self._discard(self._servers, servers)
        for key in servers:
            if key not in self._servers:
                self._servers[key] = Server(*key, "", now)
                self._book.remember(self._servers[key])
        self._fleet.arrange(self._beats_part(new))

    @staticmethod
    def _beats_part(parts: dict[Key, Part]) -> Part | None:
        return parts.get(("heartbeat", "heartbeat"))

    def _discard(self, tracks: dict[Key, Any], wanted: Collection[Key]) -> None:
        """Forget rows that the configuration no longer has, but not their counts."""
        for gone in tracks.keys() - set(wanted):
            self._book.keep(tracks.pop(gone))

    def _retire(self, running: Running) -> None:
        """Stop an object; its counts become those of the time before the next one."""
        running.wanted = False
        thing = running.object
        if thing is None:
            return
        thing.stop()
        self._drain(running, time.time())
        self._events_dropped += thing.events_dropped
        running.object = None
        for track in self._rows_of(running):
            track.retire()
        if running.part.kind == "heartbeat":
            self._fleet.lose("the server was restarted")

    def _rows_of(self, running: Running) -> list[Counted]:
        """Return the rows that an object counts for."""
        kind, name = running.key
        if kind in TARGETS:
            return [self._targets[kind, target] for target, _ in running.part.targets]
        return [self._fleet.server if kind == "heartbeat" else self._servers[kind, name]]

    # Starting objects.

    def _start_queued(self, queued: "queue.SimpleQueue[Running | None]") -> None:
        while (running := queued.get()) is not None:
            self._start_object(running)

    def _start_object(self, running: Running, *, is_needed: bool = False) -> None:
        """Start an object; a session that cannot start is tried again."""
        thing = None
        try:
            if running.wanted:
                thing = running.part.make()
                thing.start()
        except (OSError, ValueError, TypeError) as error:
            if is_needed:
                raise
            with self._book.lock:
                running.queued = False
                self._note_failure(running, getattr(error, "strerror", None) or str(error))
            return
        with self._book.lock:
            running.queued = False
            if running.wanted and thing is not None:
                running.object = thing
                for track in self._rows_of(running):
                    # A sweep has no report of a target but that of its last round.
                    if running.part.kind != "ping_many":
                        track.object = thing
                    if isinstance(track, Server):
                        track.address = joined(thing.address)
                        self._book.move(track, "up", time.time())
                return
        if thing is not None:
            thing.stop()

    def _note_failure(self, running: Running, reason: str) -> None:
        """Show why something does not run, and try again later."""
        running.retry_at = time.monotonic() + RETRY
        if not running.wanted:
            return
        cause, now = printable(reason), time.time()
        kind, name = running.key
        if kind in TARGETS and cause != running.error:
            running.error = cause
            self._book.emit("failed", now, kind=kind, name=name, text=cause)
        for track in self._rows_of(running):
            state: Any = "unknown" if isinstance(track, Target) else "failed"
            self._book.move(track, state, now, cause)
        if running.part.kind == "heartbeat":
            self._fleet.lose(cause)

    # Following them.

    def _run(self) -> None:
        due = time.monotonic() + TICK
        lead = time.time() - time.monotonic()
        while not self._ending.wait(max(due - time.monotonic(), 0)):
            now, wall = time.monotonic(), time.time()
            if now - due > PAUSE:
                self._pauses += 1
                self._paused_total += now - due
                text = f"this process did not run for {now - due:.1f} s"
                self._book.emit("paused", wall, text=text)
            with self._book.lock:
                if (step := wall - now - lead) < -PAUSE:
                    # Otherwise all that is known would lie in the future.
                    for track in self._tracks():
                        track.shift(self._started_at, step)
                    self._started_at += step
                lead = wall - now
                self._fold(now, wall)
            if self._notify is not None:
                self._notify.alive(now)
            due = max(due + TICK, now)

    def _fold(self, now: float, wall: float) -> None:
        """Record everything since the last call."""
        if self._book.recall():
            # The store was locked at the start.
            for track in self._tracks():
                self._book.remember(track)
            self._fleet.arrange(self._beats_part({p.key: p.part for p in self._running.values()}))
        for running in [*self._running.values()]:
            if running.object is None:
                if not running.queued and now >= running.retry_at:
                    running.queued = True
                    self._queue.put(running)
                continue
            self._drain(running, wall)
            if not running.object.running:
                self._retire(running)
                again = self._running[running.key] = Running(running.part)
                self._note_failure(again, "it ended")
        self._fleet.tick(now, wall)
        self._book.alerts.tick(self._targets.values(), self._find, now, wall)
        if now >= self._save_due:
            self._save_due = now + SECOND
            self._book.save(self._tracks(), now, wall)

    def _drain(self, running: Running, wall: float) -> None:
        """Record the events of an object."""
        kind, thing = running.part.kind, running.object
        if kind in ("ping", "stamp"):
            target = self._targets[running.key]
            for event in thing.next_batch(BATCH, timeout=0):
                if isinstance(event, Probe):
                    self._add(target, event, wall)
        elif kind == "ping_many":
            for report in thing.next_batch(BATCH, timeout=0):
                self._add_report(report, wall)
        elif kind == "heartbeat":
            for event in thing.next_batch(BATCH, timeout=0):
                self._fleet.add(event)

    def _add(self, target: Target, probe: Probe, wall: float) -> None:
        """Record a probe of a session."""
        cause = ""
        if probe.verdict == "send_failed":
            cause = printable(str(target.object.last_send_error or "not sent"))
        elif probe.verdict != "answered":
            cause = "no answer" if probe.verdict == "lost" else probe.verdict
        state, cause = target.add(probe, cause)
        if state != target.state and state == "down" and probe.verdict == "unreachable":
            cause = cause_of(target.object.report())
        self._book.move(target, state, wall, cause)

    def _add_report(self, report: PingReport, wall: float) -> None:
        """Record the probe of a target of a group."""
        probe = probe_of(report)
        if report.target is None or probe is None:
            return
        target = self._targets["ping_many", joined(report.target)]
        if report.address is not None:
            target.address = joined(report.address)
        # An empty report is that of no target, and so would be a sum with it.
        target.report = target.report + report if target.report.sent else report
        state, cause = target.add(probe, cause_of(report))
        self._book.move(target, state, wall, cause)

    # Looking at it.

    def _tracks(self) -> list[Track]:
        """Return all rows, and that of the heartbeat server."""
        rows: list[Track] = [*self._targets.values(), *self._servers.values()]
        return [*rows, self._fleet.server, *self._fleet.clients.values()]

    def _find(self, kind: Kind, name: str) -> Track | None:
        """Return a row."""
        if kind == "heartbeat":
            client = self._fleet.clients.get(name)
            return client if client is not None and client.confirmed else None
        if kind == "watch":
            return self._fleet.server
        return self._targets.get((kind, name)) or self._servers.get((kind, name))

    def snapshot(self) -> Snapshot:
        """Return a consistent state of everything; calls within a second share one."""
        with self._book.lock:
            now = time.monotonic()
            if self._snapshot is None or now >= self._snapshot_due:
                begun = time.thread_time()
                self._snapshot = self._make_snapshot(now, time.time())
                cost = time.thread_time() - begun
                self._snapshot_due = now + max(SECOND, cost / SHARE)
            return self._snapshot

    def _make_snapshot(self, now: float, wall: float) -> Snapshot:
        self._fleet.refresh(now)
        clients = [client for client in self._fleet.clients.values() if client.confirmed]
        shown = heapq.nsmallest(CLIENTS, clients, key=lambda each: (RANKS[each.shown], each.name))
        tracks: list[Track] = [*self._targets.values(), *self._servers.values(), *shown]
        rows = [track.row(wall) for track in tracks]
        rows.sort(key=lambda row: (RANKS[row.state], row.kind, row.name))
        return Snapshot(
            time=wall,
            started_at=self._started_at,
            rows=tuple(rows),
            clients=Counter(client.shown for client in clients),
            alerts=self._book.alerts.raised(),
            observer=self._observer(),
        )

    def _observer(self) -> Observer:
        """Return the monitor's own health."""
        things = [each.object for each in self._running.values() if each.object is not None]
        drops = sum(target.report.receive_drops for target in self._targets.values())
        servers = [self._fleet.server, *self._servers.values()]
        drops += sum(server.total()["receive_drops"] for server in servers)
        store, runner = self._book.store, self._book.runner
        return Observer(
            pauses=self._pauses,
            paused_total=self._paused_total,
            receive_drops=drops,
            events_dropped=self._events_dropped + sum(thing.events_dropped for thing in things),
            store_errors=store.errors if store is not None else 0,
            store_dropped=store.dropped if store is not None else 0,
            alerts_dropped=runner.dropped,
            alert_errors=runner.errors,
        )

    def row(self, kind: Kind, name: str) -> Row | None:
        """Return a row as it is now; None if there is none.

        kind: its kind.
        name: its name.
        """
        with self._book.lock:
            if kind == "heartbeat":
                self._fleet.refresh(time.monotonic())
            track = self._find(kind, name)
            return track.row(time.time()) if track is not None else None

    def strip(self, kind: Kind, name: str) -> list[tuple[float, str, float | None]]:
        """Return the last probes to a target, oldest first: send time, verdict and round trip.

        kind: the kind of its row.
        name: the name of its row.
        """
        with self._book.lock:
            track = self._find(kind, name)
            return [*track.probes] if isinstance(track, Target) else []

    def outages(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """Return the last outages of a row: "start", "end" (None if it lasts) and "cause".

        kind: its kind.
        name: its name.
        """
        with self._book.lock:
            track = self._find(kind, name)
            return track.outages() if track is not None else []

    def events(self, after: int = 0) -> list[EventDict]:
        """Return the last events, oldest first, as dicts with "id", "time", "event" and others.

        after: an id; only events with greater ones are returned.
        """
        return self._book.events(after)

    def wait(self, after: int, timeout: float) -> bool:
        """Wait for an event with a greater id than `after`; return whether there is one.

        after: an id.
        timeout: the most seconds to wait. The end of the monitor ends it, too.
        """
        return self._book.wait(after, timeout)

    def sources(self) -> list[Source]:
        """Return the running objects with the counts of the time before them, for metrics."""
        with self._book.lock:
            return [
                Source(
                    kind=running.part.kind,
                    name=track.name,
                    address=track.address,
                    object=track.object or track.report if isinstance(track, Target) else thing,
                    base=Counter(track.base),
                    labels=running.part.labels,
                )
                for running in self._running.values()
                if (thing := running.object) is not None
                for track in self._rows_of(running)
            ]


def serve_http(monitor: Monitor, config: HttpConfig | None) -> "HttpServer | None":
    """Start the HTTP server, if the configuration has one."""
    if config is None:
        return None
    # A monitor without a page does not need it.
    from udpulse.monitor import _http

    return _http.serve_http(monitor, config)
