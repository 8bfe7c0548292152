"""The texts and the live screen about the packets of an echo server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from udpulse import EchoServer, Fate
from udpulse._printable import joined
from udpulse.cli._live import Meter
from udpulse.cli._text import clock, counted, milliseconds, notes

if TYPE_CHECKING:
    from rich.console import RenderableType

REASONS = {
    "lost": "no reply",
    "unanswerable": "not answered, an answer could start a loop",
    "limited": "dropped, above the client's --max-rate",
    "delay_line_full": "dropped, too many packets are delayed",
}

#: Packets that no link dropped, by their counts in the truth.
TROUBLES = {
    "unanswerable": "could have started a loop",
    "limited": "came above --max-rate",
    "delay_line_full": "found the delay line full",
    "crowded": "of clients beyond the first 16,384 shared their random choices",
    "receive_drops": "lost by this host, which did not read them in time",
}


def fate_line(fate: Fate) -> str:
    """Return the line about a packet, with its time."""
    return f"{clock(fate.received_at)} {fate_text(fate)}"


def fate_text(fate: Fate) -> str:
    """Return the text about a packet: its impairments on both links, and its reply."""
    number = f" #{fate.number}" if fate.number else ""
    links = [
        f"{way} {', '.join(word.replace('_', ' ') for word in words)}"
        for way, words in (("uplink", fate.uplink), ("downlink", fate.downlink))
        if words
    ]
    what = "; ".join([*links, reply_text(fate)])
    return f"{joined(fate.client)}{number} {fate.size} B: {what}"


def reply_text(fate: Fate) -> str:
    """Return the outcome of the reply."""
    if fate.sent_at is None:
        return REASONS.get(fate.outcome, "the reply could not be sent")
    count = "" if fate.replies == 1 else f"{counted(fate.replies, 'time')}, first "
    corrupted = f", {fate.corrupted} of them corrupted" if fate.corrupted and count else ""
    return f"replied {count}after {milliseconds(fate.sent_at - fate.received_at)} ms{corrupted}"


def summary_lines(counters: Mapping[str, int], truth: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines about all packets: their outcomes, and the truth per link."""
    line = f"{counted(counters['received'], 'packet')}: {counters['replied']} replied"
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
        if done := link_text(truth[way]):
            yield f"{way}: {done}"
    if truth["replies"] != counters["replied"]:
        yield f"{truth['replies']} replies in all, copies included"


def summary(server: EchoServer) -> str:
    """Return the lines about all packets of a server."""
    return "\n".join(summary_lines(server.counters.to_dict(), server.truth.to_dict()))


def link_text(counts: Mapping[str, int]) -> str:
    """Return the counts of a link's impairments."""
    return ", ".join(
        f"{number} {word.replace('_', ' ')}" for word, number in counts.items() if number
    )


@dataclass
class Rates:
    """The live screen: counters and their rates."""

    server: EchoServer
    meter: Meter = field(default_factory=Meter)

    def render(self, width: int, _height: int) -> "RenderableType":
        """Draw the screen."""
        from rich.console import Group
        from rich.text import Text

        server = self.server
        counters = server.counters.to_dict()
        lines = [Text(joined(server.address), style="bold")]
        counts = {name: counters[name] for name in ("received", "replied", "dropped")}
        lines += map(Text, self.meter.lines(counts))
        truth = server.truth.to_dict()
        for way in ("uplink", "downlink"):
            if done := link_text(truth[way]):
                lines.append(Text(f"{way:<10}{done}"))
        if truth["pending"]:
            lines.append(Text(f"{'pending':<10}{truth['pending']:>14,}"))
        lines += [Text(note, style="yellow") for note in notes(truth, TROUBLES, "packet")]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Group(*lines)
