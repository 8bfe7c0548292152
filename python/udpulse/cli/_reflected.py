"""The texts and the live screen about the packets of a reflector."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from udpulse import StampReflector
from udpulse._printable import joined
from udpulse.cli._live import Meter
from udpulse.cli._text import clock, counted, milliseconds, notes
from udpulse.reports import Reflected

if TYPE_CHECKING:
    from rich.console import RenderableType

REASONS = {
    "unanswerable": "not answered, an answer could start a loop or reach many hosts",
    "looped": "not answered, it is a reply itself",
    "not_allowed": "dropped, its source is outside --allow",
    "limited": "dropped, above the source's --max-rate",
    "short": "dropped, shorter than a reply; --twamp-light answers from 14 bytes on",
    "unauthenticated": "dropped, not authenticated",
    "bad_tag": "dropped, no key gives its tag",
    "queue_full": "dropped, too many replies wait",
}

#: What happened to packets beside a reply, by their counts.
TROUBLES = {
    "unanswerable": "could have started a loop or reached many hosts",
    "looped": "carried a reply",
    "not_allowed": "came from outside --allow",
    "limited": "came above --max-rate",
    "short": "came shorter than a reply; --twamp-light answers from 14 bytes on",
    "unauthenticated": "came without authentication",
    "bad_tag": "had a tag of none of the keys",
    "queue_full": "found too many replies waiting",
    "stateless_answers": "got an answer without a session, as there were --max-sessions",
    "receive_drops": "lost by this host, which did not read them in time",
}


def reflected_line(reflected: Reflected) -> str:
    """Return the line about a packet: its numbers, its way here, and its reply."""
    parts = [f"{clock(reflected.received_at)} {joined(reflected.client)}"]
    if reflected.seq is not None:
        parts.append(f"#{reflected.seq}")
    if reflected.ssid:
        parts.append(f"ssid={reflected.ssid}")
    parts.append(f"{reflected.size} B")
    if reflected.ttl is not None:
        parts.append(f"ttl={reflected.ttl}")
    return f"{' '.join(parts)}: {reply_text(reflected)}"


def reply_text(reflected: Reflected) -> str:
    """Return the outcome of the reply."""
    if reflected.sent_at is None:
        return REASONS.get(reflected.outcome, "not answered")
    residence = milliseconds(reflected.sent_at - reflected.received_at)
    return f"reply #{reflected.reflector_seq} after {residence} ms"


def summary_lines(counters: Mapping[str, int]) -> Iterator[str]:
    """Return the line about all packets."""
    line = f"{counted(counters['received'], 'packet')}: {counters['replied']} replied"
    yield line + "".join(
        f", {counters[name]} {text}"
        for name, text in (("dropped", "dropped"), ("send_failed", "failed to send"))
        if counters[name]
    )


def summary(reflector: StampReflector) -> str:
    """Return the line about all packets of a reflector."""
    return "\n".join(summary_lines(reflector.counters.to_dict()))


@dataclass
class Rates:
    """The live screen: counters, their rates and the number of sessions."""

    reflector: StampReflector
    meter: Meter = field(default_factory=Meter)

    def render(self, width: int, _height: int) -> "RenderableType":
        """Draw the screen."""
        from rich.console import Group
        from rich.text import Text

        reflector = self.reflector
        counters = reflector.counters.to_dict()
        lines = [Text(joined(reflector.address), style="bold")]
        counts = {name: counters[name] for name in ("received", "replied", "dropped")}
        lines += map(Text, self.meter.lines(counts))
        if reflector.stateful:
            lines.append(Text(f"{'sessions':<10}{len(reflector.sessions()):>14,}"))
        lines += [Text(note, style="yellow") for note in notes(counters, TROUBLES, "packet")]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Group(*lines)
