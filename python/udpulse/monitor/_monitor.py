"""The monitor: runs what a configuration describes and follows it."""

import heapq
import importlib
import math
import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any

from udpulse import HeartbeatServer, PingReport, Probe, events
from udpulse._errors import NotStartedError
from udpulse._printable import joined, printable
from udpulse.monitor._alerts import Alerts, Runner, message_of
from udpulse.monitor._config import TARGETS, AlertRule, Config, Part, load
from udpulse.monitor._notify import Notify
from udpulse.monitor._rows import (
    RANKS,
    VERDICTS,
    Client,
    Server,
    Sketch,
    Target,
    Track,
    add_counts,
    cause_of,
    label,
    probe_of,
)
from udpulse.monitor._status import (
    Alert,
    EventDict,
    HttpConfig,
    Kind,
    Observer,
    Row,
    Snapshot,
    Source,
    State,
)
from udpulse.monitor._store import Memory, Saved, Store

if TYPE_CHECKING:
    from typing_extensions import Self

#: Time between two looks at what happened, in seconds.
TICK = 0.25

#: A look that comes this much late was held up by a pause of the process, in seconds.
PAUSE = 1.0

#: Time between two snapshots, and between two writes of counts, in seconds.
SECOND = 1.0
SAVE = 10.0

#: Time between two attempts to start something, in seconds.
RETRY = 10.0

#: The share of the time that lists of clients and snapshots may cost.
SHARE = 0.1

#: Threads that start sessions, whose names may resolve slowly.
STARTERS = 8

#: Events that are read from an object together.
BATCH = 65_536

#: Events that a monitor remembers, and clients with a row in a snapshot.
EVENTS = 1000
CLIENTS = 1000

#: The size of a heartbeat server's table, unless it is given.
MAX_PEERS = 65_536

HOUR = 3600.0

#: The key of the heartbeat server.
BEATS: tuple[Kind, str] = ("heartbeat", "heartbeat")

#: States of clients that last while nothing is heard, over a restart, too.
GONE = ("down", "failed", "missing", "stopped")


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
    def key(self) -> tuple[Kind, str]:
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
        #: Guards all below; nothing that waits for the network or a disk happens inside.
        self._lock = threading.RLock()
        self._news = threading.Condition()
        self._reloads = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._reset()

    def _reset(self) -> None:
        self._running: dict[tuple[Kind, str], Running] = {}
        self._targets: dict[tuple[Kind, str], Target] = {}
        self._servers: dict[tuple[Kind, str], Server] = {}
        self._clients: dict[str, Client] = {}
        #: Clients that were not heard yet, and those whose first beat may be forged.
        self._absent: dict[str, Client] = {}
        self._doubtful: dict[str, Client] = {}
        #: Rows to store, and the counts of things that do not run now.
        self._unsaved: dict[tuple[Kind, str], Track] = {}
        self._bases: dict[tuple[Kind, str], Counter[str]] = {}
        self._memory: Memory | None = None
        self._hour_bases: dict[tuple[Kind, str], Counter[str]] = {}
        self._hour = 0.0
        self._events: deque[EventDict] = deque(maxlen=EVENTS)
        # Beyond those of an earlier run, with or without a store.
        self._last_id = time.time_ns() // 1_000_000
        self._alerts = Alerts(self._tell)
        self._runner = Runner(self._command_failed)
        self._store: Store | None = None
        self._http: Any = None
        self._queue: queue.SimpleQueue[Running | None] = queue.SimpleQueue()
        self._started_at = 0.0
        self._snapshot: Snapshot | None = None
        self._snapshot_due = -math.inf
        self._peers_due = -math.inf
        self._peers_dropped = 0
        self._second_due = -math.inf
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
        """Whether it is running."""
        return self._thread is not None

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
        self._hour = self._started_at // HOUR * HOUR
        config = self._config
        try:
            if config.store is not None:
                self._store = Store(config.store, self._started_at)
                self._store.start()
            with self._lock:
                self._alerts.set_rules(config.alerts, self._started_at)
                self._recall()
                self._emit("started")
                self._arrange(config)
            for running in self._running.values():
                if running.part.kind not in TARGETS:
                    self._start_object(running, is_needed=True)
            self._http = serve_http(self, config.http)
        except BaseException:
            self._end()
            raise
        self._runner.start()
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
        self._end()
        self._thread = None

    def _end(self) -> None:
        """Stop what was started, and store its last state."""
        self._ending.set()
        with self._news:
            self._news.notify_all()
        if self._http is not None:
            self._http.stop()
        for _ in range(STARTERS):
            self._queue.put(None)
        with self._lock:
            for running in self._running.values():
                running.wanted = False
                if running.object is not None:
                    running.object._begin_stop()
            for running in self._running.values():
                if running.object is not None:
                    running.object.stop()
                    self._drain(running, time.time())
        if self._thread is not None:
            self._runner.stop()
            with self._lock:
                self._emit("stopped")
                self._refresh_peers(time.monotonic(), is_due=True)
                self._save(time.monotonic(), time.time(), is_last=True)
                self._snapshot_due = -math.inf
        if self._store is not None:
            self._store.stop()

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
        """Read the configuration again, or take another one, and change what it changes.

        Sessions and servers whose options are the same go on. Something new that cannot start is a
        row that says so, and is tried again.

        The store stays the same until the next start.

        Raises ConfigError or OSError if there is something wrong with the file; then all goes on as
        before. Raises NotStartedError if it is not running.
        """
        if self._thread is None:
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
        with self._lock:
            self._arrange(config)
            self._config = config
            now, wall = time.monotonic(), time.time()
            self._alerts.set_rules(config.alerts, wall)
            for track in self._tracks():
                self._alerts.change(track, now, wall)
            self._snapshot_due = -math.inf
        if config.store != before.store:
            self._emit("failed", text="store: a change needs a restart")
        if config.http != before.http:
            if self._http is not None:
                self._http.stop()
                self._http = None
            try:
                self._http = serve_http(self, config.http)
            except OSError as error:
                self._emit("failed", text=printable(f"http: {error.strerror or error}"))
        self._emit("reloaded")

    def _arrange(self, config: Config) -> None:
        """Stop what the configuration no longer has, and queue what is new."""
        new = {(part.kind, part.name): part for part in config.parts}
        for key, running in [*self._running.items()]:
            part = new.get(key)
            if part is not None and part.options == running.part.options:
                running.part = part
                continue
            self._retire(running)
            del self._running[key]
        for part in new.values():
            if (part.kind, part.name) not in self._running:
                self._running[part.kind, part.name] = Running(part)
        targets = {
            (part.kind, name): (part, joined(address))
            for part in new.values()
            if part.kind in TARGETS
            for name, address in part.targets
        }
        self._discard(self._targets, targets)
        now = time.time()
        for target, (part, address) in targets.items():
            if target not in self._targets:
                self._targets[target] = Target(*target, address, now, part.outage_after)
                self._remember(self._targets[target])
            self._targets[target].limit = part.outage_after
        servers = {key for key in new if key[0] in ("echo", "reflect")}
        self._discard(self._servers, servers)
        for server in servers - self._servers.keys():
            self._servers[server] = Server(*server, "", now)
            self._remember(self._servers[server])
        self._expect(new.get(BEATS))

    def _discard(self, tracks: dict[Any, Any], wanted: Collection[Any]) -> None:
        """Forget rows that the configuration no longer has, but not their counts."""
        for gone in tracks.keys() - set(wanted):
            self._bases[gone] = tracks.pop(gone).base
            self._hour_bases.pop(gone, None)

    def _expect(self, part: Part | None) -> None:
        """Know the clients that the configuration expects, and those of the time before."""
        if part is None:
            self._clients, self._absent, self._doubtful = {}, {}, {}
            return
        saved = self._memory.rows if self._memory is not None else {}
        known = [name for kind, name in saved if kind == "heartbeat"]
        limit = part.options.get("max_peers", MAX_PEERS)
        expected = [*map(printable, part.expect)]
        for name in [*expected, *known[:limit]]:
            if name not in self._clients:
                client = self._clients[name] = Client(name, "", time.time())
                client.confirmed = True
                self._remember(client)
                if client.state == "unknown":
                    self._await(client, part.grace)
        for name in [*self._absent]:
            if not self._absent[name].address and name not in expected:
                del self._absent[name], self._clients[name]

    def _await(self, client: Client, least: float) -> None:
        """Wait for a client until its timeout, as if its last beat had come now."""
        client.deadline = time.monotonic() + max(least, client.timeout or 0.0)
        self._absent[client.name] = client

    def _retire(self, running: Running) -> None:
        """Stop an object; its counts become those of the time before the next one."""
        running.wanted = False
        thing, kind = running.object, running.part.kind
        if thing is None:
            return
        thing.stop()
        self._drain(running, time.time())
        self._events_dropped += thing.events_dropped
        running.object = None
        if kind in TARGETS:
            for name, _ in running.part.targets:
                target = self._targets[kind, name]
                if kind != "ping_many":
                    target.report = thing.report()
                target.base.update(decided(target.report))
                target.report = PingReport()
        elif kind == "heartbeat":
            self._bases.setdefault(BEATS, Counter()).update(thing.counters.to_dict())
            for client in self._clients.values():
                client.peer, client.is_heard = None, False
                if client.state not in GONE:
                    self._move(client, "unknown", time.time(), "the server was restarted")
                    self._await(client, running.part.grace)
        else:
            self._servers[running.key].base.update(thing.counters.to_dict())

    # The time before the start.

    def _recall(self) -> None:
        """Read what the store knows, once it is open."""
        memory = self._store.memory() if self._store is not None else None
        if memory is None:
            return
        self._memory = memory
        self._last_id = max(self._last_id, memory.last_id)
        if saved := memory.rows.pop(("watch", "heartbeat"), None):
            self._bases.setdefault(BEATS, Counter()).update(saved.counts)
        self._alerts.recall(memory.alerts, time.monotonic())
        # Usually there are none yet: the store was locked at the start.
        for track in self._tracks():
            self._remember(track)
            self._unsaved[track.kind, track.name] = track

    def _remember(self, track: Track) -> None:
        """Let a row go on from its past."""
        key = (track.kind, track.name)
        if isinstance(track, Target | Server) and key in self._bases:
            track.base = self._bases.pop(key)
        saved = self._memory.rows.pop(key, None) if self._memory is not None else None
        if self._memory is None or saved is None:
            return
        track.recall(self._memory.changes.pop(key, []))
        if isinstance(track, Target | Server):
            track.base.update(saved.counts)
            hour = self._memory.hour.pop(key, {})
            self._hour_bases[key] = Counter(track.base)
            self._hour_bases[key].subtract(hour)
        elif isinstance(track, Client):
            track.address, track.timeout = saved.address, saved.timeout
            if track.state == "unknown" and saved.state in GONE:
                track.become(saved.state, time.time(), saved.cause)

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
            with self._lock:
                running.error = printable(getattr(error, "strerror", None) or str(error))
                running.retry_at = time.monotonic() + RETRY
                running.queued = False
                if running.wanted:
                    self._note_failure(running)
            return
        with self._lock:
            running.queued = False
            if running.wanted and thing is not None:
                running.object, running.error = thing, ""
                server = self._servers.get(running.key)
                if server is not None:
                    server.address = joined(thing.address)
                    self._move(server, "up", time.time())
                return
        if thing is not None:
            thing.stop()

    def _note_failure(self, running: Running) -> None:
        """Show why something does not run."""
        now = time.time()
        kind, name = running.key
        if kind == "heartbeat":
            for client in self._clients.values():
                self._move(client, "unknown", now, running.error)
        elif kind in TARGETS:
            for target, _ in running.part.targets:
                self._move(self._targets[kind, target], "unknown", now, running.error)
        else:
            self._move(self._servers[kind, name], "failed", now, running.error)

    # Following them.

    def _run(self) -> None:
        due = time.monotonic() + TICK
        while not self._ending.wait(max(due - time.monotonic(), 0)):
            now, wall = time.monotonic(), time.time()
            if now - due > PAUSE:
                self._pauses += 1
                self._paused_total += now - due
                self._emit("paused", text=f"this process did not run for {now - due:.1f} s")
                due = now
            with self._lock:
                self._fold(now, wall)
            if self._notify is not None:
                self._notify.alive(now)
            due = max(due + TICK, now)

    def _fold(self, now: float, wall: float) -> None:
        """Record what happened since the last time."""
        self._recall()
        for running in [*self._running.values()]:
            if running.object is None:
                if not running.queued and now >= running.retry_at:
                    running.queued = True
                    self._queue.put(running)
                continue
            self._drain(running, wall)
            if not running.object.running:
                running.error = "it ended"
                self._retire(running)
                self._note_failure(running)
                again = self._running[running.key] = Running(running.part)
                again.retry_at = now + RETRY
        for name, client in [*self._absent.items()]:
            if client.deadline is None or now >= client.deadline:
                del self._absent[name]
                client.deadline = None
                if client.state == "unknown":
                    self._move(client, "missing", wall, "not heard in time")
        if self._doubtful:
            self._refresh_peers(now)
        self._alerts.tick(self._targets.values(), self._find, now, wall)
        if now >= self._second_due:
            self._second_due = now + SECOND
            self._save(now, wall)

    def _drain(self, running: Running, wall: float) -> None:
        """Record the events of an object."""
        kind, thing = running.part.kind, running.object
        if kind in ("ping", "stamp"):
            target = self._targets[running.key]
            for event in thing.next_batch(BATCH, timeout=0):
                if isinstance(event, Probe):
                    self._add(target, event, wall, thing)
        elif kind == "ping_many":
            for report in thing.next_batch(BATCH, timeout=0):
                self._add_report(report, wall)
        elif kind == "heartbeat":
            for event in thing.next_batch(BATCH, timeout=0):
                self._add_beat_event(event)

    def _add(self, target: Target, probe: Probe, wall: float, session: Any) -> None:
        """Record a probe of a session."""
        cause = ""
        if probe.verdict == "send_failed":
            cause = printable(str(session.last_send_error or "not sent"))
        elif probe.verdict != "answered":
            cause = "no answer" if probe.verdict == "lost" else probe.verdict
        state, cause = target.add(probe, cause)
        if state != target.state and state == "down" and probe.verdict == "unreachable":
            cause = cause_of(session.report())
        self._move(target, state, wall, cause)

    def _add_report(self, report: PingReport, wall: float) -> None:
        """Record the probe of a target of a group."""
        probe = probe_of(report)
        if report.target is None or probe is None:
            return
        target = self._targets[("ping_many", joined(report.target))]
        if report.address is not None:
            target.address = joined(report.address)
        target.report = target.report + report
        state, cause = target.add(probe, cause_of(report))
        self._move(target, state, wall, cause)

    def _add_beat_event(self, event: events.Event) -> None:
        """Record an event of the heartbeat server."""
        wall, name = event.time, label(event)
        match event:
            case events.Up():
                self._heard(event, "up")
            case events.Recovered(timeout=timeout):
                self._heard(event, "up").timeout = timeout
            case events.Suspect(timeout=timeout):
                self._heard(event, "suspect").timeout = timeout
            case events.Down(timeout=timeout, cause=cause):
                self._heard(event, "down", cause.replace("_", " ")).timeout = timeout
            case events.Stopped():
                self._heard(event, "stopped")
            case events.Failed(error=error):
                self._heard(event, "failed", printable(error or ""))
            case events.Stalled(task=task):
                self._heard(
                    event, "stalled", f"no progress{f' in {printable(task)}' if task else ''}"
                )
            case events.Busy(duration=duration):
                # It need not be heard before, after a restart of the monitor either.
                self._heard(event, "busy").timeout = duration
            case events.Restarted(cause=cause):
                self._heard(event, "up")
                self._emit("restarted", wall, kind="heartbeat", name=name, cause=cause)
            case events.Moved(old=old):
                if event.name is None and (client := self._clients.pop(joined(old), None)):
                    client.name = name
                    self._clients[name] = client
                client = self._heard(event, None)
                text = f"from {joined(old)} to {client.address}"
                self._emit("moved", wall, kind="heartbeat", name=name, text=text)
            case events.Conflict(addresses=addresses):
                text = ", ".join(map(joined, addresses))
                self._emit("conflict", wall, kind="heartbeat", name=name, text=text)
            case events.TooOften():
                self._emit("too_often", wall, kind="heartbeat", name=name)
            case events.ClockStepped(step=step):
                text = f"by {step:+.3f} s"
                self._emit("clock_stepped", wall, kind="heartbeat", name=name, text=text)
            case events.MassSilence():
                self._emit("mass_silence", wall, kind="heartbeat", text="many clients are silent")

    def _heard(self, event: Any, state: State | None, cause: str = "") -> Client:
        """Return the client of an event, in its new state."""
        name = label(event)
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = Client(name, "", event.time)
            self._doubtful[name] = client
        client.address = joined(event.address)
        client.deadline, client.is_heard = None, True
        self._absent.pop(name, None)
        if state is not None:
            self._move(client, state, event.time, cause)
        return client

    def _move(self, track: Track, state: State, wall: float, cause: str = "") -> None:
        """Change the state of a row."""
        before = track.become(state, wall, cause)
        if before is None or (isinstance(track, Client) and not track.confirmed):
            return
        self._unsaved[track.kind, track.name] = track
        self._emit(
            "state",
            wall,
            kind=track.kind,
            name=track.name,
            state=state,
            was=before,
            **({"cause": cause} if cause else {}),
        )
        self._alerts.change(track, time.monotonic(), wall)

    def _refresh_peers(self, now: float, *, is_due: bool = False) -> None:
        """Look at all clients, in a small share of the time."""
        running = self._running.get(BEATS)
        if running is None or running.object is None or not (is_due or now >= self._peers_due):
            return
        server: HeartbeatServer = running.object
        begun = time.perf_counter()
        has_missed = server.events_dropped != self._peers_dropped
        self._peers_dropped = server.events_dropped
        peers = {label(peer): peer for peer in server.peers()}
        for name, peer in peers.items():
            client = self._clients.get(name)
            if client is None or has_missed:
                # Its events were dropped, or come next.
                state = "up" if peer.state in ("unknown", "learning", "overdue") else peer.state
                client = self._heard(peer, state)
            client.peer = peer
            if client.state != "busy":
                client.timeout = peer.timeout
            if not client.confirmed and peer.state != "unknown":
                self._confirm(client)
        for name in self._clients.keys() - peers.keys():
            client = self._clients[name]
            client.peer = None
            if client.is_heard and name not in map(printable, running.part.expect):
                # The server has replaced it.
                self._clients.pop(name)
                if self._store is not None:
                    self._store.forget_row("heartbeat", name)
        self._doubtful = {
            name: client for name, client in self._clients.items() if not client.confirmed
        }
        self._peers_due = now + max(SECOND, (time.perf_counter() - begun) / SHARE)

    def _confirm(self, client: Client) -> None:
        """Show a client that was heard more than once: nobody made up its name for one beat."""
        client.confirmed = True
        state, since = client.state, client.since
        self._unsaved[client.kind, client.name] = client
        self._emit("state", since, kind=client.kind, name=client.name, state=state, was="unknown")
        self._alerts.change(client, time.monotonic(), time.time())

    # Telling of it.

    def _emit(self, event: str, wall: float | None = None, **fields: Any) -> None:
        """Add an event."""
        with self._lock:
            self._last_id += 1
            entry = {"id": self._last_id, "time": wall or time.time(), "event": event, **fields}
            self._events.append(entry)
            if self._store is not None:
                self._store.add_event(entry)
        with self._news:
            self._news.notify_all()

    def _tell(self, rule: AlertRule, alert: Alert, event: str) -> None:
        """Tell that an alert is raised or cleared."""
        wall = time.time()
        self._emit(event, wall, alert=rule.name, kind=alert.kind, name=alert.row, text=alert.text)
        if self._store is not None:
            since = alert.since if event == "alert" else None
            self._store.put_alert(rule.name, alert.kind, alert.row, since)
        if rule.command:
            self._runner.put(rule, message_of(rule, alert, event, wall))

    def _command_failed(self, text: str) -> None:
        self._emit("failed", text=text)

    # Storing it.

    def _save(self, now: float, wall: float, *, is_last: bool = False) -> None:
        """Count what servers do, and store what changed."""
        for key, server in self._servers.items():
            running = self._running[key]
            if running.object is not None:
                counts = add_counts(server.base, running.object.counters.to_dict())
                if counts != server.counts:
                    server.counts = counts
                    self._unsaved[key] = server
        if self._store is None or self._memory is None:
            return
        hour = wall // HOUR * HOUR
        is_whole = is_last or hour != self._hour
        if is_whole:
            self._unsaved.update({(track.kind, track.name): track for track in self._tracks()})
        elif any(isinstance(track, Client) for track in self._unsaved.values()):
            self._refresh_peers(now)
        if is_whole or now >= self._save_due:
            self._save_due = now + SAVE
            for key, target in self._targets.items():
                if is_whole or target.is_unsaved:
                    target.is_unsaved = False
                    self._unsaved[key] = target
        for track in self._unsaved.values():
            self._save_track(track, wall)
        self._unsaved = {}
        beats = self._running.get(BEATS)
        if beats is not None and beats.object is not None:
            base = self._bases.get(BEATS, Counter())
            counts = add_counts(base, beats.object.counters.to_dict())
            self._store.put_row("watch", "heartbeat", Saved(counts=dict(counts)), wall)
        if hour != self._hour:
            self._hour = hour
            for key, target in self._targets.items():
                self._hour_bases[key] = self._total(target)
                target.hour = Sketch()
            for key, server in self._servers.items():
                self._hour_bases[key] = Counter(server.counts)

    def _save_track(self, track: Track, wall: float) -> None:
        """Store a row, and this hour of what the configuration has."""
        if self._store is None or (isinstance(track, Client) and not track.confirmed):
            return
        counts: Counter[str] = Counter()
        if isinstance(track, Target):
            counts = self._total(track)
        elif isinstance(track, Server):
            counts = track.counts
        saved = Saved(
            address=track.address,
            state=track.state,
            since=track.since,
            cause=track.cause,
            timeout=track.timeout if isinstance(track, Client) else None,
            counts=dict(counts),
        )
        self._store.put_row(track.kind, track.name, saved, wall)
        key = (track.kind, track.name)
        part = self._running.get(BEATS)
        if isinstance(track, Client) and (part is None or track.name not in part.part.expect):
            return
        hour = Counter(counts)
        hour.subtract(self._hour_bases.setdefault(key, Counter()))
        percentile = track.hour.percentile if isinstance(track, Target) else lambda _: None
        self._store.put_hour(
            self._hour,
            *key,
            counts={name: number for name, number in hour.items() if number},
            p50=percentile(50),
            p99=percentile(99),
            seconds=track.seconds(self._hour, min(wall, self._hour + HOUR)),
        )

    def _total(self, target: Target) -> Counter[str]:
        """Return all counts of a target; a probe that may still be answered late is lost."""
        return add_counts(target.base, decided(self._report(target)))

    def _report(self, target: Target) -> PingReport:
        """Return the report of a target since its object started."""
        running = self._running.get((target.kind, target.name))
        if target.kind != "ping_many" and running is not None and running.object is not None:
            target.report = running.object.report()
        return target.report

    # Looking at it.

    def _tracks(self) -> Iterator[Track]:
        """Return all rows."""
        return chain(
            [*self._targets.values()], [*self._servers.values()], [*self._clients.values()]
        )

    def _find(self, kind: Kind, name: str) -> Track | None:
        """Return a row."""
        if kind == "heartbeat":
            return self._clients.get(name)
        return self._targets.get((kind, name)) or self._servers.get((kind, name))

    def snapshot(self) -> Snapshot:
        """Return a consistent state of everything; calls within a second share one."""
        with self._lock:
            now = time.monotonic()
            if self._snapshot is None or now >= self._snapshot_due:
                begun = time.perf_counter()
                self._snapshot = self._make_snapshot(now, time.time())
                cost = time.perf_counter() - begun
                self._snapshot_due = now + max(SECOND, cost / SHARE)
            return self._snapshot

    def _make_snapshot(self, now: float, wall: float) -> Snapshot:
        self._refresh_peers(now)
        clients = [client for client in self._clients.values() if client.confirmed]
        shown = heapq.nsmallest(CLIENTS, clients, key=lambda each: (RANKS[each.shown], each.name))
        rows = [
            *(self._target_row(target, wall) for target in self._targets.values()),
            *(track.row(wall) for track in [*self._servers.values(), *shown]),
        ]
        rows.sort(key=lambda row: (RANKS[row.state], row.kind, row.name))
        return Snapshot(
            time=wall,
            started_at=self._started_at,
            rows=tuple(rows),
            clients=Counter(client.shown for client in clients),
            alerts=self._alerts.raised(),
            observer=self._observer(),
        )

    def _target_row(self, target: Target, wall: float) -> Row:
        """Return the row of a target, made again only after a probe or a minute."""
        key = (target.version, target.state, target.cause, wall // 60)
        if target.cached is None or target.cached[0] != key:
            target.counts = self._total(target)
            target.cached = (key, target.row(wall))
        return target.cached[1]

    def _observer(self) -> Observer:
        """Return the monitor's own health."""
        things = [each.object for each in self._running.values() if each.object is not None]
        drops = sum(target.report.receive_drops for target in self._targets.values())
        drops += sum(thing.counters.receive_drops for thing in things if has_drops(thing))
        store = self._store
        return Observer(
            pauses=self._pauses,
            paused_total=self._paused_total,
            receive_drops=drops,
            events_dropped=self._events_dropped + sum(thing.events_dropped for thing in things),
            store_errors=store.errors if store is not None else 0,
            store_dropped=store.dropped if store is not None else 0,
            alerts_dropped=self._runner.dropped,
            alert_errors=self._runner.errors,
        )

    def row(self, kind: Kind, name: str) -> Row | None:
        """Return a row as it is now; None if there is none.

        kind: its kind.
        name: its name.
        """
        with self._lock:
            track, wall = self._find(kind, name), time.time()
            if isinstance(track, Target):
                return self._target_row(track, wall)
            if track is None or (isinstance(track, Client) and not track.confirmed):
                return None
            return track.row(wall)

    def strip(self, kind: Kind, name: str) -> list[tuple[float, str, float | None]]:
        """Return the last probes to a target, oldest first: send time, verdict and round trip.

        kind: the kind of its row.
        name: the name of its row.
        """
        with self._lock:
            track = self._find(kind, name)
            return [*track.probes] if isinstance(track, Target) else []

    def outages(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """Return the last outages of a row: "start", "end" (None if it lasts) and "cause".

        kind: its kind.
        name: its name.
        """
        with self._lock:
            track = self._find(kind, name)
            return track.outages() if track is not None else []

    def events(self, after: int = 0) -> list[EventDict]:
        """Return the last events, oldest first, as dicts with "id", "time", "event" and others.

        after: an id; only events with greater ones are returned.
        """
        with self._lock:
            return [event for event in self._events if event["id"] > after]

    def wait(self, after: int, timeout: float) -> bool:
        """Wait for an event with a greater id than `after`; return whether there is one.

        after: an id.
        timeout: the most seconds to wait. The end of the monitor ends it, too.
        """

        def has_news() -> bool:
            return bool(self._events) and self._events[-1]["id"] > after

        with self._news:
            self._news.wait_for(lambda: has_news() or self._ending.is_set(), timeout)
        return has_news()

    def sources(self) -> list[Source]:
        """Return the running objects with the counts of the time before them, for metrics."""
        found = []
        with self._lock:
            for key, running in self._running.items():
                kind, thing = running.part.kind, running.object
                if kind == "ping_many":
                    for name, _ in running.part.targets:
                        target = self._targets[kind, name]
                        found.append(source(target, target.report))
                elif thing is None:
                    continue
                elif kind == "heartbeat":
                    base = self._bases.get(BEATS, Counter())
                    address = joined(thing.address)
                    found.append(
                        Source(kind=kind, name=kind, address=address, object=thing, base=base)
                    )
                else:
                    found.append(source(self._targets.get(key) or self._servers[key], thing))
        return found


def source(track: Target | Server, thing: Any) -> Source:
    """Return the source of a row."""
    return Source(
        kind=track.kind,
        name=track.name,
        address=track.address,
        object=thing,
        base=Counter(track.base),
    )


def decided(report: PingReport) -> dict[str, int]:
    """Return the probes of a report that are decided, by verdict."""
    counts = {name: getattr(report, name) for name in VERDICTS}
    counts["sent"] -= report.pending
    return counts


def has_drops(thing: Any) -> bool:
    """Return whether a server counts datagrams that it did not read in time."""
    return hasattr(getattr(thing, "counters", None), "receive_drops")


def serve_http(monitor: Monitor, config: HttpConfig | None) -> Any:
    """Start the HTTP server, if the configuration has one."""
    if config is None:
        return None
    # Few monitors have a page.
    return importlib.import_module("udpulse.monitor._http").serve_http(monitor, config)
