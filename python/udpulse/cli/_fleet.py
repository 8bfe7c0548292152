"""The texts and the live screen about the clients of a heartbeat server."""

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING

from udpulse import HeartbeatServer, Peer
from udpulse._printable import joined, printable
from udpulse._states import RANKS, STATES
from udpulse.cli._text import clock, counted, duration, percent
from udpulse.events import (
    Busy,
    ClockStepped,
    Conflict,
    Down,
    Event,
    Failed,
    Heard,
    Ignored,
    LateBeat,
    Lost,
    MassSilence,
    Missing,
    Moved,
    Paused,
    Recovered,
    Restarted,
    Stalled,
    Stopped,
    Suspect,
    TooOften,
    Up,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

TROUBLE = STATES[: STATES.index("overdue")]

STYLES = {
    "down": "bold red",
    "failed": "bold red",
    "missing": "bold red",
    "stalled": "yellow",
    "suspect": "yellow",
    "overdue": "yellow",
    "busy": "cyan",
    "up": "green",
}

CAUSES = {
    "silence": "silent for {silence}",
    "old_beats": "only old beats came for {silence}",
    "busy_over": "the silence that it announced is over",
    "mass_silence": "silent for {silence}, like many others",
    "short_timeout": "the timeout is not longer than its interval; from now on 5 intervals count",
}

#: Datagrams that did not count, by their counters.
TROUBLES = {
    "ignored": "ignored: no beat",
    "unproven": "did not prove to be of the client that they name",
    "rejected": "of new clients found the table full; --max-peers is its size",
    "unauthenticated": "had no signature",
    "unknown_keys": "were signed with a key that is not in --keys",
    "bad_tags": "had a wrong tag: another's key, or altered",
    "replays": "had come before",
    "old_boots": "were of an old boot: recorded, or their host's clock is wrong",
    "overlong_names": "had a name that is too long",
    "receive_drops": "lost by this host, which did not read them in time",
    "send_failed": "could not be answered",
}

#: Payloads are cut to this many characters.
LONGEST_PAYLOAD = 80

#: Clients in trouble that a summary lists.
LISTED = 20

#: Changes at the foot of the screen.
RECENT = 5


def label(client: Event | Peer) -> str:
    """Return the name of a client, or else its address."""
    if client.name is not None:
        return printable(client.name)
    return "this server" if client.address[1] == 0 else joined(client.address)


def event_line(event: Event) -> str:
    """Return the line about an event."""
    return f"{clock(event.time)} {label(event)}: {event_text(event)}"


def event_text(event: Event) -> str:
    """Return the text about an event."""
    match event:
        case Up(address=address, name=name):
            return "up" if name is None else f"up, at {joined(address)}"
        case Suspect(silence=silence, timeout=timeout):
            return f"suspect, silent for {duration(silence)}; down after {duration(timeout)}"
        case Down(cause=cause, silence=silence):
            return f"down, {CAUSES[cause].format(silence=duration(silence))}{loss_text(event)}"
        case Recovered(state=state, duration=lasted):
            return f"back, was {state} for {duration(lasted)}"
        case Restarted(cause=cause):
            return "restarted" + (", its numbers began again" if cause == "sequence" else "")
        case Stopped():
            return f"stopped, it said goodbye{loss_text(event)}"
        case Failed(error=error):
            return f"failed{f', {printable(error)}' if error else ''}{loss_text(event)}"
        case Stalled(age=age, task=task):
            of_task = f" in {printable(task)}" if task else ""
            for_age = "" if age is None else f" for {duration(age)}"
            return f"stalled, it beats but makes no progress{of_task}{for_age}"
        case Busy(duration=silence):
            return f"busy, it announced a silence of {duration(silence)}"
        case Lost(first=first, last=last, excused=excused):
            beats = f"beat {first}" if first == last else f"beats {first} to {last}"
            return f"lost {beats}" + (f", {excused} of them excused" if excused else "")
        case LateBeat(seq=seq):
            return f"beat {seq} came late, it is not lost"
        case Moved(address=address, old=old):
            return f"moved from {joined(old)} to {joined(address)}"
        case Conflict(addresses=addresses):
            return f"several senders beat as one client: {', '.join(map(joined, addresses))}"
        case TooOften(interval=interval, gap=gap):
            return f"beats every {duration(gap)}, but declares {duration(interval)}"
        case ClockStepped(step=step):
            return f"the clock stepped by {step:+.3f} s"
        case Paused(duration=lasted):
            return f"did not run for {duration(lasted)}; that is no client's silence"
        case MassSilence(silent=silent, alive=alive):
            return f"{silent} of {counted(alive, 'client')} fell silent together"
        case Missing():
            return "missing, it was never heard"
        case Heard(seq=seq, payload=payload):
            return f"beat {payload_text(payload) if seq is None else seq}"
        case Ignored(payload=payload):
            return f"ignored {payload_text(payload)}: it is no beat"


def payload_text(payload: bytes) -> str:
    """Return a payload in quotes, cut."""
    text = printable(payload)
    return f'"{text[:LONGEST_PAYLOAD]}{"..." if len(text) > LONGEST_PAYLOAD else ""}"'


def loss_text(counts: Down | Failed | Stopped) -> str:
    """Return how many beats were lost before the end, if that is known and any were."""
    lost = (counts.expected or 0) - counts.received
    return f"; {lost} of {counted(counts.expected or 0, 'beat')} lost" if lost > 0 else ""


def loss(peer: Peer) -> float | None:
    """Return the share of beats that were lost."""
    return None if not peer.expected else max(1 - peer.received / peer.expected, 0)


def trouble(peer: Peer) -> tuple[int, float, str]:
    """Return the sort key of a client: the worst state, then the highest loss."""
    return RANKS[peer.state], -(loss(peer) or 0), peer.name or ""


def totals(peers: Collection[Peer], missing: Collection[str]) -> str:
    """Return how many clients there are in each state."""
    states = Counter[str](peer.state for peer in peers)
    states["missing"] = len(missing)
    parts = [f"{states[state]} {state}" for state in reversed(STATES) if states[state]]
    clients = counted(len(peers), "client")
    return f"{clients}: {', '.join(parts)}" if parts else clients


def summary(server: HeartbeatServer) -> str:
    """Return the lines about all clients of a server."""
    peers = server.peers()
    lines = [*summary_lines(peers, server.missing)]
    unsigned = 0 if server.keys is None else sum(peer.key is None for peer in peers)
    if unsigned:
        lines.insert(1, f"{counted(unsigned, 'client')} not authenticated")
    return "\n".join(lines)


def summary_lines(peers: Collection[Peer], missing: Collection[str]) -> Iterator[str]:
    """Return the lines about all clients: totals, and those in trouble."""
    yield totals(peers, missing)
    if missing:
        yield f"never heard: {', '.join(map(printable, missing))}"
    worst = [peer for peer in nsmallest(LISTED + 1, peers, trouble) if peer.state in TROUBLE]
    for peer in worst[:LISTED]:
        yield f"{label(peer)}: {peer.state}, last beat {clock(peer.last_received_at)}" + (
            f", {printable(peer.error)}" if peer.error else ""
        )
    if len(worst) > LISTED:
        yield "..."


@dataclass
class Fleet:
    """The live screen: a table of clients sorted by trouble, and the latest changes."""

    server: HeartbeatServer
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=RECENT))
    #: The last change of state of each client, by name or address.
    changes: dict[str, Event] = field(default_factory=dict)

    def add(self, events: list[Event]) -> None:
        """Record events."""
        self.recent.extend(events[-RECENT:])
        for event in events:
            match event:
                case (
                    Up() | Suspect() | Down() | Recovered() | Stopped() | Failed() | Stalled()
                    | Busy()
                ):  # fmt: skip
                    self.changes[label(event)] = event
                case Moved(old=old, name=None) if change := self.changes.pop(joined(old), None):
                    self.changes[label(event)] = change

    def render(self, width: int, height: int) -> "RenderableType":
        """Draw the screen."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        peers, missing = self.server.peers(), self.server.missing
        self.prune(peers)
        below = [event_line(event) for event in self.recent]
        room = max(height - 5 - len(below), 1)
        table = Table(box=None, expand=True, pad_edge=False, header_style="bold")
        table.add_column("client", ratio=3, no_wrap=True)
        table.add_column("state", width=8)
        for title in ("since", "last beat", "loss", "delay"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("cause", ratio=2, no_wrap=True)
        if self.server.keys is not None:
            table.add_column("key", no_wrap=True)
        for name in missing[:room]:
            cells = [printable(name), "missing", "", "", "", "", "never heard"]
            table.add_row(*map(Text, cells), style=STYLES["missing"])
        now = time.time()
        for peer in nsmallest(room - len(missing[:room]), peers, trouble):
            table.add_row(*map(Text, self.row(peer, now)), style=STYLES.get(peer.state, ""))
        hidden = len(peers) + len(missing) - table.row_count
        rest = [Text(f"and {hidden} more", style="dim")] if hidden else []
        head = Text(f"{joined(self.server.address)}  {totals(peers, missing)}", style="bold")
        lines = [Text(line, style="dim") for line in below]
        for line in [head, *lines]:
            line.truncate(width, overflow="ellipsis")
        return Group(head, table, *rest, Text(), *lines)

    def row(self, peer: Peer, now: float) -> list[str]:
        """Return the cells about a client."""
        change = self.changes.get(label(peer))
        since = peer.last_received_at if peer.state == "overdue" else change and change.time
        share = loss(peer)
        key = [] if self.server.keys is None else [peer.key or "none"]
        return [
            label(peer),
            peer.state,
            "" if since is None else duration(now - since),
            duration(now - peer.last_received_at),
            "" if share is None else percent(round(share, 3)),
            "" if peer.delay is None else duration(peer.delay),
            cause(peer, change),
            *key,
        ]

    def prune(self, peers: list[Peer]) -> None:
        """Forget clients that the server has replaced, if they are many."""
        if len(self.changes) > 2 * len(peers) + RECENT:
            known = {label(peer) for peer in peers}
            self.changes = {name: self.changes[name] for name in self.changes.keys() & known}


def cause(peer: Peer, change: Event | None) -> str:
    """Return why a client is in its state, in a few words."""
    match peer.state, change:
        case "failed", _:
            return printable(peer.error or "")
        case "stalled", _:
            return f"no progress{f' in {printable(peer.task)}' if peer.task else ''}"
        case "down", Down(cause=word):
            return word.replace("_", " ")
        case "busy", Busy(duration=silence):
            return f"silence of {duration(silence)}"
        case (("suspect" | "down"), _):
            return "silence"
    return counted(peer.failures, "failure") if peer.failures else ""
