"""The book of a monitor: events, alerts, and their store."""

import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import Any

from udpulse._states import State
from udpulse.monitor._alerts import Alerts, Runner, message_of
from udpulse.monitor._config import AlertRule, Config, StoreConfig
from udpulse.monitor._rows import HOUR, Client, Counted, Sketch, Target, Track
from udpulse.monitor._status import Alert, EventDict
from udpulse.monitor._store import Memory, Saved, Store

#: Events that a monitor remembers.
EVENTS = 1000

#: Rows that the configuration no longer has whose counts are kept.
BASES = 100_000

#: Time between two writes of the counts of a target, in seconds.
SAVE = 10.0

#: States of clients that last while nothing is heard, over a restart, too.
GONE: tuple[State, ...] = ("down", "failed", "missing", "stopped")

Key = tuple[str, str]


class Book:
    """Records events, and passes them to alerts, viewers and the store.

    `lock` guards the book and the rows; nobody waits for the network or a disk inside.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.alerts = Alerts(self._tell)
        self.runner = Runner(lambda text: self.emit("failed", text=text))
        self.store: Store | None = None
        self._news = threading.Condition()
        self._is_closed = False
        self._events: deque[EventDict] = deque(maxlen=EVENTS)
        # Beyond those of an earlier run, with or without a store.
        self._last_id = time.time_ns() // 1_000_000
        #: The content of the store at the start; None until it was read.
        self._memory: Memory | None = None
        #: The counts of rows that the configuration no longer has.
        self._bases: dict[Key, Counter[str]] = {}
        #: Rows to store.
        self._unsaved: dict[Key, Track] = {}
        self._save_due = 0.0
        self._hour = 0.0

    def open(self, config: Config, started_at: float) -> None:
        """Open the store and read it.

        Raises OSError or ValueError, as `Store.start` does.
        """
        self._hour = started_at // HOUR * HOUR
        if config.store is not None:
            store = Store(config.store, started_at)
            store.start()
            self.store = store
        self.alerts.set_rules(config.alerts, started_at)
        self.recall()

    def change_store(self, config: StoreConfig | None) -> None:
        """Apply another retention; the store stays the same until the next start."""
        before = self.store.config if self.store is not None else None
        if config == before:
            return
        if self.store is not None and config is not None and config.path == self.store.config.path:
            self.store.keep_for(config.retention)
        else:
            self.emit("failed", text="store: another path needs a restart")

    def close(self) -> None:
        """Close the store, and end all waits."""
        self._is_closed = True
        with self._news:
            self._news.notify_all()
        if self.store is not None:
            self.store.stop()

    # Events.

    def emit(self, event: str, wall: float | None = None, **fields: Any) -> None:
        """Add an event."""
        with self.lock:
            self._last_id += 1
            entry = {"id": self._last_id, "time": wall or time.time(), "event": event, **fields}
            self._events.append(entry)
            if self.store is not None:
                self.store.add_event(entry)
        with self._news:
            self._news.notify_all()

    def events(self, after: int) -> list[EventDict]:
        """Return the events with a greater id than `after`."""
        with self.lock:
            return [event for event in self._events if event["id"] > after]

    def wait(self, after: int, timeout: float) -> bool:
        """Wait for an event with a greater id than `after`; return whether there is one."""

        def has_news() -> bool:
            return bool(self._events) and self._last_id > after

        with self._news:
            self._news.wait_for(lambda: has_news() or self._is_closed, timeout)
        return has_news()

    def move(self, track: Track, state: State, wall: float, cause: str = "") -> None:
        """Change the state of a row."""
        before = track.become(state, wall, cause)
        if before is not None and not (isinstance(track, Client) and not track.confirmed):
            self.tell_state(track, before)

    def tell_state(self, track: Track, before: State) -> None:
        """Emit the change of a row's state."""
        self.mark(track)
        cause = {"cause": track.cause} if track.cause else {}
        self.emit(
            "state",
            track.since,
            kind=track.kind,
            name=track.name,
            state=track.state,
            was=before,
            **cause,
        )
        self.alerts.change(track, time.monotonic(), time.time())

    def _tell(self, rule: AlertRule, alert: Alert, event: str) -> None:
        """Emit the event of an alert, store it, and queue its command."""
        wall = time.time()
        self.emit(event, wall, alert=rule.name, kind=alert.kind, name=alert.row, text=alert.text)
        if self.store is not None:
            since = alert.since if event == "alert" else None
            self.store.put_alert(rule.name, alert.kind, alert.row, since)
        if rule.command:
            self.runner.put(rule, message_of(rule, alert, event, wall))

    # The past.

    def recall(self) -> bool:
        """Restore the past once the store was read. Return whether it happened now."""
        memory = self.store.memory() if self.store is not None else None
        if memory is None:
            return False
        self._memory = memory
        self._last_id = max(self._last_id, memory.last_id)
        self.alerts.recall(memory.alerts, time.monotonic())
        for key in memory.alerts:
            if self.store is not None and key[0] not in self.alerts.rules:
                self.store.put_alert(*key, None)
        return True

    def known_clients(self) -> list[str]:
        """Return the names of clients that the store knows, and nobody asked for yet."""
        rows: Iterable[Key] = self._memory.rows if self._memory is not None else ()
        return [name for kind, name in rows if kind == "heartbeat"]

    def remember(self, track: Track) -> None:
        """Let a row go on from its past."""
        key = (track.kind, track.name)
        memory = self._memory
        saved = memory.rows.pop(key, None) if memory is not None else None
        if isinstance(track, Counted):
            if key in self._bases:
                track.base = self._bases.pop(key)
            if saved is not None:
                track.base.update(saved.counts)
            track.hour_base = Counter(track.base)
            if memory is not None:
                track.hour_base.subtract(memory.hour.pop(key, {}))
        if memory is None or saved is None:
            return
        self.mark(track)
        track.recall(memory.changes.pop(key, []))
        if isinstance(track, Client):
            track.address, track.timeout = saved.address, saved.timeout
            if track.state == "unknown" and saved.state in GONE:
                track.become(saved.state, time.time(), saved.cause)

    def keep(self, track: Counted) -> None:
        """Keep the counts of a row that is gone, should it come back."""
        self._bases[track.kind, track.name] = track.base
        if len(self._bases) > BASES:
            del self._bases[next(iter(self._bases))]

    # Storing it.

    def mark(self, track: Track) -> None:
        """Store a row with the next save."""
        if self.store is not None:
            self._unsaved[track.kind, track.name] = track

    def forget(self, track: Track) -> None:
        """Delete a row from the store."""
        self._unsaved.pop((track.kind, track.name), None)
        if self.store is not None:
            self.store.forget_row(track.kind, track.name)

    def has_unsaved_clients(self) -> bool:
        """Return whether the next save stores a client."""
        return any(isinstance(track, Client) for track in self._unsaved.values())

    def save(
        self, tracks: Collection[Track], now: float, wall: float, *, is_last: bool = False
    ) -> None:
        """Store changed rows; at the end of an hour, and of the monitor, all of them."""
        hour = wall // HOUR * HOUR
        is_whole = is_last or hour != self._hour
        is_due = is_whole or now >= self._save_due
        for track in tracks:
            if is_whole or (isinstance(track, Counted) and track.has_news(is_due)):
                self.mark(track)
        if is_due:
            self._save_due = now + SAVE
        # Before the store was read, its counts are greater.
        if self.store is not None and self._memory is not None:
            for track in self._unsaved.values():
                self._save_track(self.store, track, wall)
            self._unsaved = {}
        if hour != self._hour:
            self._hour = hour
            for track in tracks:
                if isinstance(track, Counted):
                    track.begin_hour()

    def _save_track(self, store: Store, track: Track, wall: float) -> None:
        """Store a row, and this hour of one that the configuration has."""
        if isinstance(track, Client) and not track.confirmed:
            return
        total = track.total() if isinstance(track, Counted) else Counter[str]()
        saved = Saved(
            address=track.address,
            state=track.state,
            since=track.since,
            cause=track.cause,
            timeout=track.timeout if isinstance(track, Client) else None,
            counts=dict(total),
        )
        store.put_row(track.kind, track.name, saved, wall)
        if isinstance(track, Client) and not track.expected:
            return
        if isinstance(track, Counted):
            total.subtract(track.hour_base)
        sketch = track.hour if isinstance(track, Target) else Sketch()
        store.put_hour(
            self._hour,
            track.kind,
            track.name,
            counts={name: number for name, number in total.items() if number},
            p50=sketch.percentile(50),
            p99=sketch.percentile(99),
            seconds=track.seconds(self._hour, min(wall, self._hour + HOUR)),
        )
