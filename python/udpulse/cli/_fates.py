"""The texts and the live screen about the packets of a server that impairs them on purpose."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING, Any, TypeAlias

from udpulse import EchoServer, Fate, Relay, StampReflector
from udpulse._printable import joined
from udpulse.cli import _reflected
from udpulse.cli._live import Meter
from udpulse.cli._text import clock, counted, milliseconds, notes
from udpulse.events import ReflectorEvent, RelayEvent, SessionEnded
from udpulse.reports import Reflected, StepDone

if TYPE_CHECKING:
    from rich.console import RenderableType

Server: TypeAlias = EchoServer | Relay | StampReflector
PathEvent: TypeAlias = RelayEvent | ReflectorEvent | StepDone

REASONS = {
    "refused": "refused by the upstream",
    "expired": "dropped, the client's session has ended",
    "hops": "dropped, no hops were left",
    "unanswerable": "not answered, an answer could start a loop",
    "limited": "dropped, above the client's --max-rate",
    "unauthenticated": "dropped, without a tag",
    "unknown_key": "dropped, its tag is of an unknown key",
    "bad_tag": "dropped, its tag is wrong",
    "replayed": "dropped, it came before",
    "delay_line_full": "dropped, too many packets are delayed",
}

#: Packets that no link dropped, by their counts in the truth.
TROUBLES = {
    "unanswerable": "could have started a loop",
    "limited": "came above --max-rate",
    "unauthenticated": "came without a tag",
    "unknown_key": "had a tag of an unknown key",
    "bad_tag": "had a wrong tag",
    "replayed": "had come before",
    "delay_line_full": "found the delay line full",
    "refused": "refused by the upstream",
    "hops": "had no hops left",
    "expired": "waited when their client's session ended",
    "crowded": "of clients beyond the first 16,384 shared their random choices",
    "receive_drops": "lost by this host, which did not read them in time",
}


def path_line(event: PathEvent) -> str:
    """Return the line about an event, with its time."""
    return f"{clock(moment(event))} {path_text(event)}"


def path_text(event: PathEvent) -> str:
    """Return the text about an event: a packet, a step or the end of a session."""
    match event:
        case Fate():
            return fate_text(event)
        case Reflected():
            return _reflected.text(event)
        case StepDone():
            return step_text(event)
        case SessionEnded():
            return session_text(event)


def moment(event: PathEvent) -> float:
    """Return when a packet came, a step was taken or a session ended."""
    return event.received_at if isinstance(event, Fate | Reflected) else event.time


def in_order(events: Iterable[PathEvent], steps: Iterable[StepDone]) -> Iterator[PathEvent]:
    """Return each step before the first event that came after it."""
    return merge(steps, events, key=moment)


def session_text(ended: SessionEnded) -> str:
    """Return the text about the end of a session."""
    reason = "idle" if ended.reason == "idle" else "another client needed its place"
    packets = f"{counted(ended.uplink, 'packet')} up, {ended.downlink} down"
    return f"{joined(ended.client)} session ended, {reason}: {packets}"


def step_text(step: StepDone) -> str:
    """Return the text about a step that was taken."""
    which = f"step {step.index}" + (f" of round {step.round}" if step.round else "")
    whose = "" if step.clients is None else f" of {counted(step.clients, 'client')}"
    return f"{which}: {step.action}{whose} after {counted(step.received, 'packet')}"


def fate_text(fate: Fate) -> str:
    """Return the text about a packet: its impairments on each link, and its end."""
    number = f" #{fate.number}" if fate.number else ""
    both = fate.way == "both"
    links = [
        f"{way if both else ''} {', '.join(word.replace('_', ' ') for word in words)}".strip()
        + ("" if rule is None else f" (rule {rule})")
        for way, words, rule in (
            ("uplink", fate.uplink, fate.uplink_rule),
            ("downlink", fate.downlink, fate.downlink_rule),
        )
        if words
    ]
    way = "" if both else f" {fate.way}"
    what = "; ".join([*links, end_text(fate)])
    return f"{joined(fate.client)}{number} {fate.size} B{way}: {what}"


def end_text(fate: Fate) -> str:
    """Return the end of a packet: its copies that left, or the reason for its drop."""
    if fate.sent_at is None:
        if fate.outcome == "lost":
            return "no reply" if fate.way == "both" else "dropped"
        return REASONS.get(fate.outcome, "it could not be sent")
    count = "" if fate.replies == 1 else f"{counted(fate.replies, 'time')}, first "
    corrupted = f", {fate.corrupted} of them corrupted" if fate.corrupted and count else ""
    done = "refused by the upstream" if fate.outcome == "refused" else fate.outcome
    return f"{done} {count}after {milliseconds(fate.sent_at - fate.received_at)} ms{corrupted}"


def summary_lines(counters: Mapping[str, int], truth: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines about all packets: their ends, and the truth per link."""
    done = "replied" if "replied" in counters else "relayed"
    line = f"{counted(counters['received'], 'packet')}: {counters[done]} {done}"
    yield line + "".join(
        f", {number} {what}"
        for number, what in (
            (counters["dropped"], "dropped"),
            (counters["send_failed"], "failed to send"),
            (truth["pending"], "pending"),
        )
        if number
    )
    for way in ("uplink", "downlink"):
        if what := link_text(truth[way]):
            yield f"{way}: {what}"
    sent, copies = ("sent", "datagrams sent") if done == "relayed" else ("replies", "replies")
    if truth.get(sent, counters[done]) != counters[done]:
        yield f"{truth[sent]} {copies} in all, copies included"


def summary(server: Server) -> str:
    """Return the lines about all packets of a server."""
    return "\n".join(summary_lines(server.counters.to_dict(), server.truth.to_dict()))


def troubles(server: Server) -> Iterator[str]:
    """Return a line about each trouble of a server."""
    reflects = isinstance(server, StampReflector)
    meanings = TROUBLES | (_reflected.TROUBLES if reflects else {})
    return notes(server.counters.to_dict() | server.truth.to_dict(), meanings, "packet")


def link_text(counts: Mapping[str, int]) -> str:
    """Return the counts of a link's impairments."""
    return ", ".join(
        f"{number} {word.replace('_', ' ')}" for word, number in counts.items() if number
    )


@dataclass
class Rates:
    """The live screen: counters, their rates and the number of sessions."""

    server: Server
    meter: Meter = field(default_factory=Meter)

    def render(self, width: int, _height: int) -> "RenderableType":
        """Draw the screen."""
        from rich.console import Group
        from rich.text import Text

        server = self.server
        counters = server.counters.to_dict()
        lines = [Text(joined(server.address), style="bold")]
        names = ("received", "replied", "relayed", "dropped")
        counts = {name: counters[name] for name in names if name in counters}
        lines += map(Text, self.meter.lines(counts))
        if isinstance(server, StampReflector) and server.stateful:
            lines.append(Text(f"{'sessions':<10}{len(server.sessions()):>14,}"))
        truth = server.truth.to_dict()
        for way in ("uplink", "downlink"):
            if done := link_text(truth[way]):
                lines.append(Text(f"{way:<10}{done}"))
        if truth["pending"]:
            lines.append(Text(f"{'pending':<10}{truth['pending']:>14,}"))
        lines += [Text(note, style="yellow") for note in troubles(server)]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Group(*lines)
