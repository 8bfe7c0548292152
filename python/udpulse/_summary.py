"""Numbers and tables for people: the HTML of reports, texts in pictures."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape

from udpulse._core import PingReport
from udpulse._printable import joined, printable

UNITS = (
    (1e-6, 1e-9, "ns"),
    (1e-3, 1e-6, "µs"),
    (1.0, 1e-3, "ms"),
    (120.0, 1.0, "s"),
    (7200.0, 60.0, "min"),
    (172800.0, 3600.0, "h"),
)


def unit(seconds: float) -> tuple[float, str]:
    """Return the length in seconds and the name of the unit in which a duration is readable."""
    for below, length, name in UNITS:
        if seconds < below:
            return length, name
    return 86400.0, "d"


def duration(seconds: float | None) -> str:
    """Return a duration with its unit, or a dash for None."""
    if seconds is None:
        return "-"
    length, name = unit(abs(seconds))
    # Three digits, but never with an exponent, as 999.9 would have.
    return f"{float(f'{seconds / length:.3g}'):g} {name}"


def percent(share: float | None) -> str:
    """Return a share of 0 to 1 in percent, or a dash for None."""
    return "-" if share is None else f"{share * 100:.3g} %"


def moment(time: float | None) -> str:
    """Return a time in seconds since the Unix epoch as a text in UTC."""
    if time is None:
        return "-"
    try:
        return f"{datetime.fromtimestamp(time, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        return f"{time:.0f} s"


def loss(report: PingReport) -> str:
    """Return the loss and its confidence interval."""
    if report.loss_interval is None:
        return "-"
    low, high = report.loss_interval
    return f"{percent(report.loss)} (95 % confidence: {percent(low)} to {percent(high)})"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in HTML; the first cell of a row is its heading."""
    lines = ["<table>", f"<caption>{escape(caption)}</caption>"]
    if head:
        cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for name, *values in rows:
        cells = "".join(f"<td>{cell(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{cell(name)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def cell(value: object) -> str:
    """Return a value as HTML, its control characters escaped."""
    return escape(printable(str(value)))


COMPARED = ("sent", "answered", "loss", "min", "median", "p99", "max")


def compared(name: str, report: PingReport) -> tuple[object, ...]:
    """Return the row of one report among several, for `COMPARED`."""
    rtt = report.rtt
    times = map(duration, (rtt.min, rtt.median, rtt.p99, rtt.max))
    return (name, report.sent, report.answered, percent(report.loss), *times)


def caption(report: PingReport) -> str:
    """Return the number of probes and the target of a report."""
    probes = f"{report.sent:,} probe{'' if report.sent == 1 else 's'}"
    return probes if report.target is None else f"{probes} to {joined(report.target)}"


def html(report: PingReport) -> str:
    """Return a report as HTML without styles: a table, and a second one for its flows."""
    rows = [(name, value) for name, value in _rows(report) if value]
    text = table(caption(report), (), rows)
    if report.flows:
        flows = [compared(f"flow {n}", flow) for n, flow in enumerate(report.flows)]
        text += "\n" + table("flows", ("", *COMPARED), flows)
    return text


def _rows(report: PingReport) -> Iterable[tuple[str, str]]:
    """Yield the rows of a report; a row without a value says nothing."""
    yield "started", moment(report.started_at) if report.started_at is not None else ""
    if report.address != report.target:
        yield "address", joined(report.address) if report.address else ""
    for verdict in ("answered", "late", "lost", "refused", "unreachable", "send_failed", "pending"):
        count: int = getattr(report, verdict)
        if count or verdict in ("answered", "lost"):
            yield verdict.replace("_", " "), f"{count:,}"
    yield "guessed", _count(report.guessed)
    yield "loss", loss(report)
    bursts = report.loss_bursts
    if bursts.count and bursts.mean is not None:
        yield (
            "loss bursts",
            f"{bursts.count:,}, mean {bursts.mean:.3g}, longest {bursts.max} probes",
        )
    if report.outage_count:
        yield "outages", f"{report.outage_count:,}, in all {duration(report.outage_total)}"
    for name, times in (
        ("round-trip time", report.rtt),
        ("to the kernel", report.kernel_rtt),
        ("schedule error", report.schedule_error),
    ):
        if times.count:
            named = ("min", times.min), ("median", times.median), ("p99", times.p99)
            parts = [*named, ("max", times.max)]
            yield name, ", ".join(f"{k} {duration(v)}" for k, v in parts if v is not None)
    variation = (
        ("mean", report.ipdv_abs_mean),
        ("RFC 3550 jitter", report.rfc3550_jitter),
        ("p95 above the minimum", report.pdv_p95),
    )
    parts = [(k, v) for k, v in variation if v is not None]
    yield "delay variation", ", ".join(f"{k} {duration(v)}" for k, v in parts)
    for name in ("reordered", "duplicates", "corrupt", "foreign"):
        yield name, _count(getattr(report, name))
    yield "slots missed", _count(report.missed)
    yield "dropped by this host", _count(report.receive_drops)
    if report.paused:
        yield "pauses of this program", f"{report.paused:,}, in all {duration(report.paused_total)}"
    if report.wall_steps:
        step = duration(report.wall_step_total)
        yield "steps of the wall clock", f"{report.wall_steps:,}, in all {step}"
    for (kind, code, router), count in report.reasons.items():
        yield f"ICMP type {kind}, code {code}", f"{count:,} from {router or 'other routers'}"
    for reason, count in report.send_errors.items():
        yield "not sent", f"{count:,}: {reason}"
    for change in report.changes[-3:]:
        yield f"{change.end} address", f"{change.before} to {change.after}, {moment(change.time)}"
    yield "name", report.unresolved or ""
    yield "hint", report.hint or ""


def _count(count: int) -> str:
    """Return a count, or nothing for 0."""
    return f"{count:,}" if count else ""
