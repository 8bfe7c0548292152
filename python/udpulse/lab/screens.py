"""The lines that the lab's programs show."""

from collections.abc import Iterator

from udpulse import Beat, Fate, Peer, PingReport, Probe
from udpulse._printable import joined, printable
from udpulse.cli._text import counted, percent
from udpulse.events import (
    Busy,
    Down,
    Event,
    Failed,
    Heard,
    LateBeat,
    Lost,
    Recovered,
    Restarted,
    Stalled,
    Stopped,
)

# Only the ends of a longer row of lost numbers are shown.
LONGEST_ROW = 10


def fate_lines(fate: Fate) -> Iterator[str]:
    """Return the ping server's lines about a packet."""
    yield repr(fate.answer)
    if fate.dropped:
        yield "Oops, dropped it!"


def probe_lines(probe: Probe, server: str) -> Iterator[str]:
    """Return the ping client's lines about a ping."""
    if probe.reply is None or probe.rtt is None:
        yield f"{probe.seq}: Request timed out"
    else:
        yield printable(probe.reply)
        yield f"from {server}: time={probe.rtt:.6f}"


def report_lines(report: PingReport) -> Iterator[str]:
    """Return the ping client's closing lines."""
    rtt = report.rtt
    times = (rtt.min, rtt.max, rtt.mean)
    least, most, mean = ("-" if time is None else f"{time:.6f}" for time in times)
    yield f"min: {least}, max: {most}, avg: {mean}"
    yield f"Packet loss rate: {'-' if report.loss is None else percent(report.loss)}"


def report_notes(report: PingReport) -> Iterator[str]:
    """Return the ping client's closing notes."""
    if report.late:
        yield f"{counted(report.late, 'reply', 'replies')} came late"
    if report.duplicates:
        yield f"{counted(report.duplicates, 'reply', 'replies')} came twice"
    if report.corrupt:
        yield f"{counted(report.corrupt, 'reply', 'replies')} differed from the ping"
    if report.foreign:
        yield f"{counted(report.foreign, 'datagram')} answered no ping"
    if report.send_failed:
        yield f"{counted(report.send_failed, 'ping')} could not be sent"


def beat_line(beat: Beat) -> str:
    """Return the heartbeat client's line about a beat."""
    return f"{'Failing at' if beat.outcome == 'failed' else 'Sending'} {beat.seq}"


def heartbeat_lines(event: Event) -> Iterator[str]:
    """Return the heartbeat server's lines about an event."""
    match event:
        case Heard(seq=seq, difference=difference, payload=payload):
            number = payload if seq is None else str(seq).encode()
            brackets = "" if difference is None else f" ({difference:.6f} s)"
            yield f"Running fine at {number!r}{brackets}"
        case Lost(first=first, last=last, excused=excused):
            lost = last - first + 1 - excused
            row = range(first, last + 1)
            numbers = ", ".join(map(str, row)) if lost <= LONGEST_ROW else f"{first} to {last}"
            yield f"Lost {counted(lost, 'heartbeat')}: {numbers}"
        case LateBeat(seq=seq):
            yield f"Late heartbeat: {seq}"
        case Busy(duration=duration):
            yield f"The client is busy for {duration:g} s"
        case Stalled():
            yield "The client has stalled"
        case Restarted(seq=seq):
            yield f"The client has started again at {seq}"
        case Recovered(seq=seq):
            yield "The client is back" + ("" if seq is None else f" at {seq}")
        case Failed(error=error, received=received, expected=expected):
            yield "The client says that it has failed" + ("" if error is None else f": {error}")
            yield received_line(received, expected)
        case Stopped(received=received, expected=expected):
            yield "The client has said goodbye"
            yield received_line(received, expected)
        case Down(seq=seq, received=received, expected=expected):
            at = "" if seq is None else f" at {seq}"
            yield f"Looks like the client has failed{at}"
            yield received_line(received, expected)


def received_line(received: int, expected: int | None) -> str:
    """Return the heartbeat server's line about received and lost beats."""
    if expected is None:
        return f"Received {counted(received, 'heartbeat')}"
    lost = percent((expected - received) / expected)
    return f"Received {received} of {counted(expected, 'heartbeat')}, {lost} lost one way"


def client_name(client: Event | Peer, *, by_host: bool) -> str:
    """Return a client's host, its port unless `by_host`, and the name that it declares."""
    host, port = client.address
    where = host if by_host else joined((host, port))
    name = getattr(client, "name", None)
    return f"{where} {printable(name)}" if name else where
