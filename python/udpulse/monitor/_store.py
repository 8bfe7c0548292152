"""The memory of a monitor over restarts: events and hours, never beats or probes.

The tables of the sqlite file, all times in seconds since the Unix epoch:

runs(started, alive): one row per run of the monitor; from `alive` to the next `started` nothing is
known. rows(kind, name, ...): the last state and the counts of each thing. events(id, time, ...):
what `Monitor.events` returns. hours(hour, kind, name, ...): the probes of each target, or the time
in each state, hour by hour. alerts(alert, kind, name, since): those that are raised.
"""

import contextlib
import errno
import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from udpulse._states import State
from udpulse.monitor._config import StoreConfig
from udpulse.monitor._status import EventDict

#: The version of the tables (`user_version`).
VERSION = 1

#: Time between two writes, in seconds.
EVERY = 1.0

#: How long a write waits for another program's lock, in seconds.
PATIENCE = 1.0

#: How long the last write may take, in seconds.
LAST = 30.0

#: The most events that wait for a write.
WAITING = 100_000

#: The most events and rows that a start reads.
READ = 200_000

DAY = 86_400.0
HOUR = 3600.0

TABLES = """
CREATE TABLE runs (started REAL PRIMARY KEY, alive REAL NOT NULL);
CREATE TABLE rows (
    kind TEXT, name TEXT, address TEXT, state TEXT, since REAL, cause TEXT, timeout REAL,
    counts TEXT, seen REAL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL, event TEXT, kind TEXT, name TEXT, body TEXT
);
CREATE INDEX events_time ON events (time);
CREATE INDEX events_name ON events (kind, name);
CREATE TABLE hours (
    hour REAL, kind TEXT, name TEXT, counts TEXT, p50 REAL, p99 REAL, seconds TEXT,
    PRIMARY KEY (hour, kind, name)
) WITHOUT ROWID;
CREATE TABLE alerts (
    alert TEXT, kind TEXT, name TEXT, since REAL, PRIMARY KEY (alert, kind, name)
) WITHOUT ROWID;
"""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A row as it was stored last."""

    address: str = ""
    state: State = "unknown"
    since: float = 0.0
    cause: str = ""
    timeout: float | None = None
    counts: dict[str, int]


@dataclass(slots=True)
class Memory:
    """The state of a store before a start."""

    rows: dict[tuple[str, str], Saved] = field(default_factory=dict)
    #: Changes of state of the last day, by row, oldest first: time, state and cause.
    changes: dict[tuple[str, str], list[tuple[float, State, str]]] = field(default_factory=dict)
    #: The counts of this hour so far.
    hour: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    #: The beginning of each alert that is raised: by alert, kind and name.
    alerts: dict[tuple[str, str, str], float] = field(default_factory=dict)
    #: The greatest id of an event.
    last_id: int = 0


class Store:
    """An sqlite file, written by a thread of its own; a failed write is repeated.

    Only the first open raises: OSError if the file cannot be made or another monitor uses it,
    ValueError if it is none of ours. Later nothing does: `errors` counts.
    """

    def __init__(self, config: StoreConfig, started: float) -> None:
        self.config = config
        self.started = started
        self.errors = 0
        self.dropped = 0
        self.last_error = ""
        self._lock = threading.Lock()
        self._events: deque[EventDict] = deque()
        #: The other columns by table and key, None to delete; a later value replaces another.
        self._changes: dict[str, dict[Key, tuple[Any, ...] | None]] = {}
        self._memory: Memory | None = None
        self._ending = threading.Event()
        self._opened = threading.Event()
        self._refusal: OSError | ValueError | None = None
        self._connection: sqlite3.Connection | None = None
        #: Keeps other monitors off the file.
        self._held = contextlib.ExitStack()
        self._cleaned = 0.0
        self._thread = threading.Thread(target=self._run, name="udpulse-store", daemon=True)

    def start(self) -> None:
        """Open the file; a locked one is opened later."""
        self._held = lock(self.config.path)
        self._thread.start()
        self._opened.wait(2 * PATIENCE)
        if self._refusal is not None:
            raise self._refusal

    def stop(self) -> None:
        """Write the queue and close the file."""
        self._ending.set()
        self._thread.join(LAST)

    def keep_for(self, retention: float) -> None:
        """Change how long events and hours are kept, from the next write on."""
        self.config = replace(self.config, retention=retention)
        self._cleaned = 0.0

    def memory(self) -> Memory | None:
        """Return the content of the file once, after it was read."""
        with self._lock:
            memory, self._memory = self._memory, None
        return memory

    def add_event(self, event: EventDict) -> None:
        """Store an event."""
        with self._lock:
            self._events.append(event)
            if len(self._events) > WAITING:
                self._events.popleft()
                self.dropped += 1

    def put_row(self, kind: str, name: str, saved: Saved, seen: float) -> None:
        """Store a row."""
        counts = json.dumps(saved.counts)
        values = (saved.address, saved.state, saved.since, saved.cause, saved.timeout, counts, seen)
        self._put("rows", (kind, name), values)

    def forget_row(self, kind: str, name: str) -> None:
        """Delete a row."""
        self._put("rows", (kind, name), None)

    def put_hour(
        self,
        hour: float,
        kind: str,
        name: str,
        *,
        counts: dict[str, int],
        p50: float | None,
        p99: float | None,
        seconds: dict[Any, float],
    ) -> None:
        """Store an hour of a row."""
        rounded = {state: round(value, 3) for state, value in seconds.items()}
        values = (json.dumps(counts), p50, p99, json.dumps(rounded))
        self._put("hours", (hour, kind, name), values)

    def put_alert(self, alert: str, kind: str, name: str, since: float | None) -> None:
        """Store that an alert is raised or, without a time, that it no longer is."""
        self._put("alerts", (alert, kind, name), None if since is None else (since,))

    def _put(self, table: str, key: Key, values: tuple[Any, ...] | None) -> None:
        with self._lock:
            waiting = self._changes.setdefault(table, {})
            waiting[key] = values
            self._bound(waiting)

    def _bound(self, waiting: dict[Key, tuple[Any, ...] | None]) -> None:
        """Drop the oldest of too many changes."""
        while len(waiting) > WAITING:
            del waiting[next(iter(waiting))]
            self.dropped += 1

    def _run(self) -> None:
        with self._held:
            while not self._ending.wait(EVERY if self._opened.is_set() else 0):
                self._write()
                self._opened.set()
                if self._refusal is not None:
                    return
            self._write()
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()

    def _write(self) -> None:
        """Write all that waits, in one transaction; keep it if that fails."""
        with self._lock:
            events, self._events = self._events, deque()
            changes, self._changes = self._changes, {}
        try:
            connection = self._connection or self._open()
            now = time.time()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (self.started, now))
                connection.executemany(
                    "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?)", map(values, events)
                )
                for table, entries in changes.items():
                    put(connection, table, entries)
                if now - self._cleaned > HOUR:
                    self._cleaned = now
                    self._clean(connection, now)
        except (sqlite3.Error, OSError, ValueError) as error:
            # Operational errors pass: a lock, a full disk.
            if not self._opened.is_set() and not isinstance(error, sqlite3.OperationalError):
                self._refusal = ValueError(f"store: {self.config.path}: {error}")
            self._keep(events, changes, error)

    def _keep(
        self,
        events: deque[EventDict],
        changes: dict[str, dict[Key, tuple[Any, ...] | None]],
        error: Exception,
    ) -> None:
        """Put back entries that were not written."""
        with self._lock:
            self.errors += 1
            self.last_error = str(error)
            events.extend(self._events)
            self._events = events
            while len(self._events) > WAITING:
                self._events.popleft()
                self.dropped += 1
            for table, entries in changes.items():
                self._changes[table] = {**entries, **self._changes.get(table, {})}
                self._bound(self._changes[table])

    def _open(self) -> sqlite3.Connection:
        """Open the file, make its tables or check their version, and read the past."""
        connection = connect(self.config.path)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            is_new = version == tables == 0
            if not is_new and version != VERSION:
                raise ValueError(
                    f"it has version {version} of the tables, not {VERSION}; give another path"
                )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            if is_new:
                connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version={VERSION}; COMMIT;")
            memory = recall(connection, self.started)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._memory = memory
        self._connection = connection
        return connection

    def _clean(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete entries beyond the retention."""
        oldest = (now - self.config.retention,)
        connection.execute("DELETE FROM events WHERE time < ?", oldest)
        connection.execute("DELETE FROM hours WHERE hour < ?", oldest)
        connection.execute("DELETE FROM runs WHERE alive < ?", oldest)
        connection.execute("DELETE FROM rows WHERE seen < ?", oldest)


def lock(path: str) -> contextlib.ExitStack:
    """Keep other monitors off a file until the end of the context, or of the process.

    sqlite itself locks another file for us: it does so on every system, and the lock ends with its
    process. Programs that read the first file are not disturbed.

    Raises OSError if another monitor has the lock, or if a file cannot be made.
    """
    beside = f"{os.path.realpath(path)}-lock"
    with contextlib.ExitStack() as stack:
        try:
            holder = stack.enter_context(contextlib.closing(connect(beside)))
            holder.executescript(
                "PRAGMA busy_timeout = 0; PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE;"
            )
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise OSError(errno.EBUSY, "another monitor uses the store", path) from None
            for file in (path, beside):
                with open(file, "ab"):
                    pass
            raise OSError(errno.EIO, str(error), beside) from None
        # Not before: that would end the locks of another monitor in this process.
        with open(path, "ab"):
            pass
        return stack.pop_all()


def connect(path: str) -> sqlite3.Connection:
    """Open a file."""
    return sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)


def values(event: EventDict) -> tuple[Any, ...]:
    """Return the columns of an event."""
    columns = (event.get(name) for name in ("id", "time", "event", "kind", "name"))
    return (*columns, json.dumps(event))


#: The columns of the key of each table.
KEYS = {
    "rows": ("kind", "name"),
    "hours": ("hour", "kind", "name"),
    "alerts": ("alert", "kind", "name"),
}


def put(
    connection: sqlite3.Connection, table: str, entries: dict[Key, tuple[Any, ...] | None]
) -> None:
    """Replace rows of a table; delete those without values."""
    kept = [(*key, *values) for key, values in entries.items() if values is not None]
    if kept:
        marks = ", ".join("?" * len(kept[0]))
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", kept)
    gone = [key for key, values in entries.items() if values is None]
    if gone:
        columns = " AND ".join(f"{column} = ?" for column in KEYS[table])
        connection.executemany(f"DELETE FROM {table} WHERE {columns}", gone)


def recall(connection: sqlite3.Connection, started: float) -> Memory:
    """Read the state of a file before a start."""
    memory = Memory()
    read: Callable[..., Iterable[Any]] = connection.execute
    query = "SELECT kind, name, address, state, since, cause, timeout, counts FROM rows"
    for kind, name, address, state, since, cause, timeout, counts in read(
        f"{query} ORDER BY seen DESC LIMIT {READ}"
    ):
        memory.rows[kind, name] = Saved(
            address=address,
            state=state,
            since=since,
            cause=cause,
            timeout=timeout,
            counts=json.loads(counts),
        )
    since_ = started - DAY
    gaps = [alive for (alive,) in read("SELECT alive FROM runs WHERE alive > ?", (since_,))]
    events: dict[tuple[str, str], list[dict[str, Any]]] = {}
    query = "SELECT kind, name, body FROM events WHERE event = 'state' AND time > ?"
    for kind, name, body in read(f"{query} ORDER BY id DESC LIMIT {READ}", (since_,)):
        events.setdefault((kind, name), []).append(json.loads(body))
    for key, saved in memory.rows.items():
        mine = events.get(key, [])[::-1]
        first = mine[0]["was"] if mine else saved.state
        begun = saved.since if not mine else min(since_, mine[0]["time"])
        found = [(begun, first, "" if mine else saved.cause)]
        found += [(each["time"], each["state"], each.get("cause", "")) for each in mine]
        found += [(alive, "unknown", "") for alive in gaps if alive > begun]
        memory.changes[key] = sorted(found, key=lambda change: change[0])
    hour = started // HOUR * HOUR
    for kind, name, counts in read("SELECT kind, name, counts FROM hours WHERE hour = ?", (hour,)):
        memory.hour[kind, name] = json.loads(counts)
    for alert, kind, name, since in read("SELECT alert, kind, name, since FROM alerts"):
        memory.alerts[alert, kind, name] = since
    (last_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    memory.last_id = last_id
    return memory
