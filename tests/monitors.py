"""A monitor that shows what a test tells it."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from udpulse._states import State
from udpulse.monitor._status import EventDict, Kind, Observer, Row, Snapshot, Source

START = 1_600_000_000.0


def row(name: str, state: State = "up", **fields: Any) -> Row:
    """Return a row of a target that does well, but for the given fields."""
    usual: dict[str, Any] = {
        "kind": "ping",
        "address": "198.18.0.1:7",
        "since": START,
        "counts": {"sent": 100, "answered": 99, "lost": 1},
        "loss": 0.01,
        "loss_interval": (0.00177, 0.0545),
        "p50": 0.000123,
        "p99": 0.0456,
        "uptime": 0.999,
        "history": ("up",) * 29 + (state,),
    }
    return Row(name=name, state=state, **{**usual, **fields})


class FakeMonitor:
    """Rows, events and sources that any thread may change."""

    def __init__(self, rows: Sequence[Row], sources: Sequence[Source] = ()) -> None:
        """Begin without events."""
        self._lock = threading.Lock()
        self._rows = {(row.kind, row.name): row for row in rows}
        self._events: list[EventDict] = []
        self._sources = list(sources)
        self.snapshots = 0

    def change(self, row: Row, cause: str = "") -> None:
        """Set a row; report an event if its state is another one."""
        with self._lock:
            before = self._rows.get((row.kind, row.name))
            self._rows[row.kind, row.name] = row
            if before is None or before.state != row.state:
                self._events.append(
                    {
                        "id": len(self._events) + 1,
                        "time": time.time(),
                        "event": "state",
                        "kind": row.kind,
                        "name": row.name,
                        "state": row.state,
                        "was": before and before.state,
                        "cause": cause,
                    }
                )

    def all_rows(self) -> list[Row]:
        """Return all rows."""
        with self._lock:
            return list(self._rows.values())

    def tick(self) -> None:
        """Change the figures of all rows a little."""
        for each in self.all_rows():
            self.change(replace(each, p50=(each.p50 or 0.0) + 1e-5, counts={"sent": 101}))

    def snapshot(self) -> Snapshot:
        """Return the state."""
        with self._lock:
            self.snapshots += 1
            rows = tuple(self._rows.values())
        clients: dict[State, int] = {}
        for each in rows:
            if each.kind == "heartbeat":
                clients[each.state] = clients.get(each.state, 0) + 1
        return Snapshot(
            time=time.time(),
            started_at=START,
            rows=rows,
            clients=clients,
            alerts=(),
            observer=Observer(receive_drops=3),
        )

    def row(self, kind: Kind, name: str) -> Row | None:
        """Return a row."""
        with self._lock:
            return self._rows.get((kind, name))

    def events(self, after: int = 0) -> list[EventDict]:
        """Return the events with a greater id."""
        with self._lock:
            return [event for event in self._events if event["id"] > after]

    def sources(self) -> list[Source]:
        """Return the sources."""
        return self._sources

    def outages(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """Return an outage that ended and one that lasts."""
        return [
            {"start": START, "end": START + 60.0, "cause": "lost"},
            {"start": START + 90.0, "end": None, "cause": "refused"},
        ]

    def strip(self, kind: Kind, name: str) -> list[tuple[float, str, float | None]]:
        """Return a hundred probes, each tenth of them lost."""
        return [
            (START + n, "answered", 0.001 + n % 7 * 1e-4) if n % 10 else (START + n, "lost", None)
            for n in range(100)
        ]
