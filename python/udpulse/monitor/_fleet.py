"""The clients of a monitor's heartbeat server."""

import math
import time
from collections.abc import Callable
from typing import Any

from udpulse import HeartbeatServer, events
from udpulse._printable import joined, printable
from udpulse._states import State
from udpulse.monitor._book import GONE, Book
from udpulse.monitor._config import Part
from udpulse.monitor._rows import Client, Server, label

#: The share of the time that lists of all clients may cost, and the least time between two of them
#: in seconds.
SHARE = 0.1
EVERY = 1.0

#: The size of a heartbeat server's table, unless it is given.
MAX_PEERS = 65_536

#: The word and the text of events that change no state.
NEWS: dict[type, tuple[str, Callable[[Any], str]]] = {
    events.Restarted: ("restarted", lambda event: event.cause),
    events.Moved: ("moved", lambda event: f"from {joined(event.old)} to {joined(event.address)}"),
    events.Conflict: ("conflict", lambda event: ", ".join(map(joined, event.addresses))),
    events.TooOften: (
        "too_often",
        lambda event: f"every {event.gap:.3g} s, but declares {event.interval:.3g} s",
    ),
    events.ClockStepped: ("clock_stepped", lambda event: f"by {event.step:+.3f} s"),
    events.MassSilence: (
        "mass_silence",
        lambda event: f"{event.silent} of {event.alive} clients fell silent together",
    ),
}


class Fleet:
    """Follows the clients by the server's events; those that are absent by their deadlines."""

    def __init__(self, book: Book) -> None:
        self.clients: dict[str, Client] = {}
        #: The server itself, whose counts go on.
        self.server = Server("watch", "heartbeat", "", time.time())
        self._book = book
        #: Clients that were not heard yet, and those whose only beat may be forged.
        self._absent: dict[str, Client] = {}
        self._doubtful: dict[str, Client] = {}
        self._expected: frozenset[str] = frozenset()
        self._grace = 0.0
        self._max_peers = MAX_PEERS
        #: The number of clients after the last look at all of them.
        self._listed = 0
        self._due = -math.inf
        self._dropped = 0

    def arrange(self, part: Part | None) -> None:
        """Know the clients that the configuration expects, and those of the time before."""
        if part is None:
            self.clients, self._absent, self._doubtful = {}, {}, {}
            return
        self._grace = part.grace
        self._expected = frozenset(map(printable, part.expect))
        self._max_peers = part.options.get("max_peers", MAX_PEERS)
        known = self._book.known_clients()[: self._max_peers]
        for name in [*self._expected, *known]:
            if name not in self.clients:
                client = self.clients[name] = Client(name, "", time.time())
                client.confirmed = True
                self._book.remember(client)
                if client.state == "unknown":
                    self._await(client)
        for name, client in [*self.clients.items()]:
            client.expected = name in self._expected
            # Nothing is known of it but that it was expected.
            if not (client.expected or client.address):
                del self.clients[name]
                self._absent.pop(name, None)
                self._book.forget(client)

    def lose(self, cause: str) -> None:
        """Know nothing of clients that lived: the server does not run."""
        for client in self.clients.values():
            client.peer, client.is_heard = None, False
            if client.state not in GONE:
                self._book.move(client, "unknown", time.time(), cause)
                self._await(client)

    def _await(self, client: Client) -> None:
        """Wait for a client until its timeout, as if its last beat had come now."""
        client.deadline = time.monotonic() + max(self._grace, client.timeout or 0.0)
        self._absent[client.name] = client

    def tick(self, now: float, wall: float) -> None:
        """Judge the absent, and look at those that are new."""
        for name, client in [*self._absent.items()]:
            if client.deadline is None or now >= client.deadline:
                del self._absent[name]
                client.deadline = None
                if client.state == "unknown":
                    self._book.move(client, "missing", wall, "not heard in time")
        if self._doubtful or self._book.has_unsaved_clients():
            self.refresh(now)

    def add(self, event: events.Event) -> None:
        """Record an event of the server."""
        if len(self.clients) > self._listed + self._max_peers:
            # A flood of names: most of them have been replaced.
            self.refresh(time.monotonic(), is_due=True)
        match event:
            case events.Up() | events.Restarted():
                self._heard(event, "up", event.time)
            case events.Recovered(timeout=timeout):
                self._heard(event, "up", event.time).timeout = timeout
            case events.Suspect(timeout=timeout):
                self._heard(event, "suspect", event.time).timeout = timeout
            case events.Down(timeout=timeout, cause=cause):
                client = self._heard(event, "down", event.time, cause.replace("_", " "))
                client.timeout = timeout
            case events.Stopped():
                self._heard(event, "stopped", event.time)
            case events.Failed(error=error):
                self._heard(event, "failed", event.time, printable(error or ""))
            case events.Stalled(task=task):
                text = f"no progress{f' in {printable(task)}' if task else ''}"
                self._heard(event, "stalled", event.time, text)
            case events.Busy(duration=duration):
                # After a restart of the monitor it may be silent for as long.
                self._heard(event, "busy", event.time).timeout = duration
            case events.Moved():
                self._moved(event)
        if (news := NEWS.get(type(event))) is not None:
            word, describe = news
            about = {} if event.address[1] == 0 else {"kind": "heartbeat", "name": label(event)}
            self._book.emit(word, event.time, **about, text=describe(event))

    def _moved(self, event: events.Moved) -> None:
        """Record a new address; a client without a name has it as its name."""
        old, new = joined(event.old), label(event)
        if event.name is None and (client := self.clients.pop(old, None)) is not None:
            self._book.forget(client)
            for waiting in (self._absent, self._doubtful):
                if waiting.pop(old, None) is not None:
                    waiting[new] = client
            client.name = new
            self.clients[new] = client
            self._book.mark(client)
        if new in self.clients:
            self.clients[new].address = joined(event.address)

    def _heard(self, client_of: Any, state: State, wall: float, cause: str = "") -> Client:
        """Return the client of an event or a list, in its new state."""
        name = label(client_of)
        client = self.clients.get(name)
        if client is None:
            client = self.clients[name] = self._doubtful[name] = Client(name, "", wall)
            client.expected = name in self._expected
        client.address = joined(client_of.address)
        client.deadline, client.is_heard = None, True
        self._absent.pop(name, None)
        self._book.move(client, state, wall, cause)
        return client

    def refresh(self, now: float, *, is_due: bool = False) -> None:
        """Look at all clients, if that costs a small share of the time."""
        server: HeartbeatServer | None = self.server.object
        if server is None or not (is_due or now >= self._due):
            return
        begun = time.thread_time()
        has_missed = server.events_dropped != self._dropped
        self._dropped = server.events_dropped
        peers = {label(peer): peer for peer in server.peers()}
        for name, peer in peers.items():
            client = self.clients.get(name)
            if client is None or has_missed:
                # Its events were dropped, or come next.
                state = "up" if peer.state in ("unknown", "learning", "overdue") else peer.state
                client = self._heard(peer, state, time.time())
            client.peer = peer
            if client.state != "busy":
                client.timeout = peer.timeout
            # Nobody makes up a name for a single beat then.
            if not client.confirmed and peer.state != "unknown":
                client.confirmed = True
                self._book.tell_state(client, "unknown")
        for name in self.clients.keys() - peers.keys():
            client = self.clients[name]
            client.peer = None
            if client.is_heard and not client.expected:
                # The server has replaced it.
                del self.clients[name]
                self._book.forget(client)
        self._doubtful = {
            name: client for name, client in self.clients.items() if not client.confirmed
        }
        self._listed = len(self.clients)
        self._due = now + max(EVERY, (time.thread_time() - begun) / SHARE)
