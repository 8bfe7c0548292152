"""The rows of a monitor: the history of each target, client and server."""

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from udpulse import Peer, PingReport, Probe
from udpulse._printable import joined, printable
from udpulse._states import RANKS, STATES, State
from udpulse.monitor._status import HISTORY, Kind, Row

#: The states in which a thing counts as up, those in which it is neither up nor down, and the
#: others: those of an outage.
GOOD: frozenset[State] = frozenset(["up", "learning", "overdue", "suspect", "busy"])
BLANK: frozenset[State] = frozenset(["unknown", "stopped"])
BAD: frozenset[State] = frozenset(STATES) - GOOD - BLANK

#: States of clients that have no event.
QUIET = ("learning", "overdue")

#: Changes of state that a row remembers.
CHANGES = 256

#: Probes that a target remembers: its loss and percentiles are theirs.
PROBES = 300

DAY = 86_400.0
HOUR = 3600.0
MINUTE = 60.0

#: Counts of a target, as those of `PingReport.settled`.
VERDICTS = ("sent", "answered", "late", "lost", "refused", "unreachable", "send_failed")

#: The verdicts of a probe that is decided.
DECIDED: tuple[
    Literal["answered", "late", "lost", "refused", "unreachable", "send_failed"], ...
] = ("answered", "late", "lost", "refused", "unreachable", "send_failed")

Change = tuple[float, State, str]


class Track:
    """A row while it changes."""

    __slots__ = ("address", "cause", "changes", "kind", "name", "state")

    def __init__(self, kind: Kind, name: str, address: str, now: float) -> None:
        self.kind = kind
        self.name = name
        self.address = address
        self.state: State = "unknown"
        self.cause = ""
        #: Each with its time, oldest first. Most rows change rarely, so that a list is smallest.
        self.changes: list[Change] = [(now, "unknown", "")]

    @property
    def since(self) -> float:
        """The start of the state."""
        return self.changes[-1][0]

    def become(self, state: State, now: float, cause: str = "") -> State | None:
        """Change the state; return the one before, or None if it is the same."""
        before, self.cause = self.state, cause
        if state == before:
            return None
        self.state = state
        # The wall clock may have stepped back.
        self.changes.append((max(now, self.since), state, cause))
        if len(self.changes) > CHANGES:
            del self.changes[0]
        return before

    @property
    def shown(self) -> State:
        """The state that the row has."""
        return self.state

    def recall(self, changes: list[Change]) -> None:
        """Put the changes before the start in front."""
        # The wall clock may have stepped back since.
        start = self.changes[0][0]
        before = [(min(time, start), state, cause) for time, state, cause in changes]
        self.changes = [*before, *self.changes][-CHANGES:]

    def shift(self, start: float, by: float) -> None:
        """Follow a wall clock that stepped back: move the changes since the start."""
        self.changes = [
            (time + by if time >= start else min(time, start + by), state, cause)
            for time, state, cause in self.changes
        ]

    def spans(self, start: float, end: float) -> Iterator[tuple[State, float, float]]:
        """Return each state with its start and end, within a time."""
        ends = [change[0] for change in self.changes[1:]] + [math.inf]
        for (begun, state, _), ended in zip(self.changes, ends, strict=True):
            if begun < end and ended > start:
                yield state, max(begun, start), min(ended, end)

    def seconds(self, start: float, end: float) -> dict[State, float]:
        """Return how long each state lasted within a time."""
        total: dict[State, float] = {}
        for state, begun, ended in self.spans(start, end):
            total[state] = total.get(state, 0.0) + ended - begun
        return total

    def uptime(self, now: float) -> float | None:
        """Return the share of the last day in which it was up, of the time in which it is known."""
        up = down = 0.0
        for state, seconds in self.seconds(now - DAY, now).items():
            if state in GOOD:
                up += seconds
            elif state in BAD:
                down += seconds
        return up / (up + down) if up + down > 0 else None

    def history(self, now: float) -> tuple[State, ...]:
        """Return the worst state of each of the last minutes."""
        this = math.floor(now / MINUTE)
        first = max(this - HISTORY + 1, math.floor(self.changes[0][0] / MINUTE))
        if self.changes[-1][0] < first * MINUTE:
            return (self.state,) * (this - first + 1)
        worst: dict[int, State] = {}
        for state, begun, ended in self.spans(first * MINUTE, max(now, self.since) + 1.0):
            # A state that ends as a minute begins is none of that minute.
            last = math.ceil(ended / MINUTE) - 1
            for minute in range(math.floor(begun / MINUTE), min(last, this) + 1):
                other = worst.get(minute, state)
                worst[minute] = min(state, other, key=lambda each: (each in BLANK, RANKS[each]))
        return tuple(worst.get(minute, self.state) for minute in range(first, this + 1))

    def outages(self) -> list[dict[str, Any]]:
        """Return the times in which it was down."""
        found: list[dict[str, Any]] = []
        for begun, state, cause in self.changes:
            if state in BAD and (not found or found[-1]["end"] is not None):
                found.append({"start": begun, "end": None, "cause": cause or state})
            elif state not in BAD and found and found[-1]["end"] is None:
                found[-1]["end"] = begun
        return found

    def row(self, now: float) -> Row:
        """Return the row."""
        return Row(
            kind=self.kind,
            name=self.name,
            address=self.address,
            state=self.shown,
            since=self.since,
            cause=self.cause,
            uptime=self.uptime(now),
            history=self.history(now),
            **self.numbers(),
        )

    def numbers(self) -> dict[str, Any]:
        """Return the other attributes of the row."""
        return {}


class Counted(Track):
    """A row with counts that go on over restarts."""

    __slots__ = ("base", "hour_base", "object")

    def __init__(self, kind: Kind, name: str, address: str, now: float) -> None:
        super().__init__(kind, name, address, now)
        #: The running object that counts; None if it does not run.
        self.object: Any = None
        #: The counts of the time before that object, and of the time before this hour.
        self.base: Counter[str] = Counter()
        self.hour_base: Counter[str] = Counter()

    def counts(self) -> Mapping[str, int]:
        """Return the counts of the object."""
        return self.object.counters.to_dict() if self.object is not None else {}

    def total(self) -> Counter[str]:
        """Return all counts."""
        total = Counter(self.base)
        total.update(self.counts())
        return total

    def begin_hour(self) -> None:
        """Count a new hour."""
        self.hour_base = self.total()

    def retire(self) -> None:
        """The object has stopped: add its counts to those of the time before."""
        self.base = self.total()
        self.object = None

    def has_news(self, is_due: bool) -> bool:
        """Return whether there is something to store; a target waits until that is due."""
        raise NotImplementedError


class Target(Counted):
    """A target of probes."""

    __slots__ = (
        "cached",
        "hour",
        "is_unsaved",
        "last_received_at",
        "limit",
        "missed",
        "probes",
        "ranked",
        "report",
        "unanswered",
        "version",
    )

    def __init__(self, kind: Kind, name: str, address: str, now: float, limit: int) -> None:
        super().__init__(kind, name, address, now)
        #: The number of unanswered probes in a row that make it down.
        self.limit = limit
        self.unanswered = 0
        #: The last probes: send time, verdict and round trip.
        self.probes: deque[tuple[float, str, float | None]] = deque(maxlen=PROBES)
        #: Those of them without an answer in time.
        self.missed = 0
        self.last_received_at: float | None = None
        #: All probes since the start of the object; of a group it is the sum of its reports.
        self.report = PingReport()
        self.hour = Sketch()
        self.is_unsaved = False
        #: Rises with each probe. The last row, and its source.
        self.version = 0
        self.cached: tuple[tuple[Any, ...], Row] | None = None
        #: The percentiles at a version.
        self.ranked: tuple[int, tuple[float | None, float | None]] = (0, (None, None))

    def counts(self) -> Mapping[str, int]:
        """Return the counts of decided probes; one that may still be answered late is lost."""
        if self.object is not None:
            self.report = self.object.report()
        counts = {name: getattr(self.report, name) for name in VERDICTS}
        counts["sent"] -= self.report.pending
        if self.kind == "stamp":
            counts["forward_lost"] = self.report.forward.lost or 0
            counts["reverse_lost"] = self.report.reverse.lost or 0
            counts["unattributed"] = self.report.unattributed or 0
        return counts

    def begin_hour(self) -> None:
        """Count a new hour."""
        super().begin_hour()
        self.hour = Sketch()

    def retire(self) -> None:
        """The object has stopped: add its counts to those of the time before."""
        super().retire()
        self.report = PingReport()

    def has_news(self, is_due: bool) -> bool:
        """Return whether there is something to store, at the time for targets."""
        has_news = is_due and self.is_unsaved
        self.is_unsaved &= not is_due
        return has_news

    def add(self, probe: Probe, cause: str) -> tuple[State, str]:
        """Record a probe; return the state that it makes, and the cause."""
        verdict, rtt = probe.verdict, probe.rtt
        if len(self.probes) == PROBES:
            self.missed -= self.probes[0][1] != "answered"
        self.probes.append((probe.sent_at, verdict, rtt))
        self.is_unsaved = True
        self.version += 1
        if verdict == "answered":
            self.unanswered = 0
            self.last_received_at = probe.sent_at + (rtt or 0.0)
            if rtt is not None:
                self.hour.add(rtt)
            return "up", ""
        self.missed += 1
        if verdict == "send_failed":
            # That says nothing about the target.
            return "unknown", cause
        self.unanswered += 1
        return "down" if self.unanswered >= self.limit else "suspect", cause

    @property
    def loss(self) -> float | None:
        """The loss among the last probes."""
        return self.missed / len(self.probes) if self.probes else None

    def interval(self) -> tuple[float, float] | None:
        """Return the confidence interval of that loss."""
        if self.missed == 0:
            return interval_without_loss(len(self.probes))
        answered = (
            Probe(seq=seq, verdict="answered" if rtt is not None else "lost", rtt=rtt, sent_at=at)
            for seq, (at, _, rtt) in enumerate(self.probes, 1)
        )
        return PingReport.from_probes(answered).loss_interval

    def percentiles(self) -> tuple[float | None, float | None]:
        """Return the median and the 99th percentile of those probes' round trips."""
        version, found = self.ranked
        if version != self.version:
            times = sorted(rtt for _, _, rtt in self.probes if rtt is not None)
            median = times[(len(times) - 1) // 2] if times else None
            p99 = times[math.ceil(0.99 * len(times)) - 1] if len(times) >= 100 else None
            found = (median, p99)
            self.ranked = (self.version, found)
        return found

    def row(self, now: float) -> Row:
        """Return the row, made again only after a probe or a minute."""
        key = (self.version, self.state, self.cause, now // MINUTE)
        if self.cached is None or self.cached[0] != key:
            self.cached = (key, super().row(now))
        return self.cached[1]

    def numbers(self) -> dict[str, Any]:
        """Return the other attributes of the row."""
        p50, p99 = self.percentiles()
        return {
            "last_received_at": self.last_received_at,
            "counts": dict(self.total()),
            "loss": self.loss,
            "loss_interval": self.interval(),
            "p50": p50,
            "p99": p99,
        }


class Client(Track):
    """A client of the heartbeat server."""

    __slots__ = ("confirmed", "deadline", "expected", "is_heard", "peer", "timeout")

    def __init__(self, name: str, address: str, now: float) -> None:
        super().__init__("heartbeat", name, address, now)
        #: Whether it was heard more than once, expected, or known before the start.
        self.confirmed = False
        self.expected = False
        #: Whether the running server has heard it.
        self.is_heard = False
        #: When it is missing unless it was heard before, by the monotonic clock.
        self.deadline: float | None = None
        self.timeout: float | None = None
        self.peer: Peer | None = None

    @property
    def shown(self) -> State:
        """The state with those that have no event: the server's last list has them."""
        if self.state == "up" and self.peer is not None and self.peer.state in QUIET:
            return self.peer.state
        return self.state

    def numbers(self) -> dict[str, Any]:
        """Return the other attributes of the row."""
        peer = self.peer
        if peer is None:
            return {"timeout": self.timeout}
        counts = {
            "received": peer.received,
            "duplicates": peer.duplicates,
            "reordered": peer.reordered,
        }
        numbers: dict[str, Any] = {"loss": None}
        if peer.expected:
            counts["expected"] = peer.expected
            # A restart between two lists may leave more received than expected.
            numbers["loss"] = max(1 - peer.received / peer.expected, 0.0)
        return {
            **numbers,
            "last_received_at": peer.last_received_at,
            "counts": counts,
            "interval": peer.interval,
            "timeout": peer.timeout,
        }


class Server(Counted):
    """A server."""

    __slots__ = ("saved",)

    def __init__(self, kind: Kind, name: str, address: str, now: float) -> None:
        super().__init__(kind, name, address, now)
        self.saved: Counter[str] = Counter()

    def has_news(self, is_due: bool) -> bool:
        """Return whether there is something to store."""
        before, self.saved = self.saved, self.total()
        return self.saved != before

    def numbers(self) -> dict[str, Any]:
        """Return the other attributes of the row."""
        return {"counts": dict(self.total())}


class Sketch:
    """A histogram of durations with buckets of 2 %, however many durations there are."""

    __slots__ = ("buckets",)

    #: The logarithm of a bucket's size.
    SIZE = math.log(1.02)

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Add a duration."""
        self.buckets[round(math.log(max(seconds, 1e-9)) / self.SIZE)] += 1

    def percentile(self, percent: float) -> float | None:
        """Return a percentile; None with too few durations."""
        count = self.buckets.total()
        if count * (100 - percent) < 100:
            return None
        rank = math.ceil(count * percent / 100)
        for bucket, number in sorted(self.buckets.items()):
            rank -= number
            if rank <= 0:
                return math.exp(bucket * self.SIZE)
        return None


@cache
def interval_without_loss(probes: int) -> tuple[float, float] | None:
    """Return the confidence interval of the loss if all of some probes were answered."""
    answered = (
        Probe(seq=seq + 1, verdict="answered", rtt=1.0, sent_at=seq) for seq in range(probes)
    )
    return PingReport.from_probes(answered).loss_interval


def cause_of(report: PingReport) -> str:
    """Return why a probe of a report has no answer."""
    if report.unresolved:
        return printable(report.unresolved)
    if report.send_errors:
        return printable(", ".join(report.send_errors))
    if report.refused:
        return "refused"
    for icmp, code, router in report.reasons:
        return f"unreachable: ICMP {icmp}/{code}" + (f" from {printable(router)}" if router else "")
    return "no answer" if report.lost or report.late else ""


def probe_of(report: PingReport) -> Probe | None:
    """Return the probe of a report of a single one."""
    verdict = next((name for name in DECIDED if getattr(report, name)), None)
    if verdict is None or report.started_at is None:
        return None
    rtt = report.rtt.min if verdict == "answered" else None
    return Probe(seq=1, verdict=verdict, rtt=rtt, sent_at=report.started_at)


def label(client: Any) -> str:
    """Return the name of a client of an event or a peer, or else its address."""
    return printable(client.name) if client.name is not None else joined(client.address)
