"""The texts about the packets of a reflector."""

from udpulse._printable import joined
from udpulse.cli._text import milliseconds
from udpulse.reports import Reflected

REASONS = {
    "unanswerable": "not answered, an answer could start a loop or reach many hosts",
    "looped": "not answered, it is a reply itself",
    "not_allowed": "dropped, its source is outside --allow",
    "limited": "dropped, above the source's --max-rate",
    "short": "dropped, shorter than a reply; --twamp-light answers from 14 bytes on",
    "unauthenticated": "dropped, not authenticated",
    "bad_tag": "dropped, no key gives its tag",
    "replayed": "dropped, it came before",
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
    "replayed": "had come before",
    "queue_full": "found too many replies waiting",
    "stateless_answers": "got an answer without a session, as there were --max-sessions",
    "receive_drops": "lost by this host, which did not read them in time",
}


def text(reflected: Reflected) -> str:
    """Return the text about a packet: its numbers, its way here, and its reply."""
    parts = [joined(reflected.client)]
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
