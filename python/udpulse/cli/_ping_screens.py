"""The live screens of `udpulse ping`, of lines that are cut to the terminal's width."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from udpulse import VERDICTS, PingClient, PingReport, Probe, StampSender
from udpulse._printable import joined, printable
from udpulse.cli import _strip as strips
from udpulse.cli._strip import STYLES, UNICODE, Glyphs, Scale, Strip
from udpulse.cli._text import counted, percent
from udpulse.cli._text import short_milliseconds as short

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

#: The shortest width that shows more than the least.
WIDE = 66

#: The figures named "last" cover the probes of this many seconds, within these two numbers.
LAST_SECONDS = 10
LAST = (100, 1000)

TIME_OF_DAY = "%H:%M:%S "


def line(*parts: "str | tuple[str, str] | Text") -> "Text":
    """Return a line of parts, each with or without a style."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="crop")


def group(lines: Iterable["Text"], width: int, glyphs: Glyphs) -> "Group":
    """Return lines, cut to a width, as one thing to draw."""
    from rich.console import Group

    return Group(*(cut(line, width, glyphs) for line in lines))


def cut(text: "Text", width: int, glyphs: Glyphs) -> "Text":
    """Cut a text that is too long, and mark the end."""
    if text.cell_len > width:
        text.truncate(width - 1, overflow="crop")
        text.append(glyphs.cut)
    return text


@dataclass
class OneTarget:
    """The screen about one target."""

    client: "PingClient[Any] | StampSender[Any]"
    #: Returns advice about a report, in lines.
    advice: Callable[[PingReport], Iterable[str]]
    glyphs: Glyphs = UNICODE
    strip: Strip = field(default_factory=Strip)
    started: float = field(default_factory=time.monotonic)

    def render(self, width: int, height: int) -> "Group":
        """Draw the screen."""
        report = self.client.report()
        columns = report.columns()
        self.strip.add(columns, report.rows_dropped)
        below = [
            *figures(report, recent(columns), width),
            *map(line, directions(report)),
            *(line((text, "yellow")) for text in [*own_troubles(report), *self.advice(report)]),
            *self.progress(report, width),
        ]
        title = line((target_name(report), "bold"), last_round_trip(columns))
        strip = self.lines(report, width, max(height - 1 - len(below), 2))
        return group([title, *strip, *below], width, self.glyphs)

    def final(self, width: int, height: int) -> "Group":
        """Draw the lines that stay on the terminal."""
        report = self.client.report()
        self.strip.add(report.columns(), report.rows_dropped)
        return group(self.lines(report, width, height), width, self.glyphs)

    def lines(self, report: PingReport, width: int, height: int) -> list["Text"]:
        """Return the strip, each line after the time of day of its first probe, and its legend."""
        length = max((width - len("00:00:00 ")) // 10 * 10, 10)
        shown = [*strips.rows(self.strip.last(length * height), length)][1 - height :]
        scale = Scale.of([ns for row in shown for cell in row if (ns := cell.mean_ns) is not None])
        lines = []
        for row in shown:
            seconds = (report.started_at or 0) + row[0].sent_at_ns / 1e9
            clock = time.strftime(TIME_OF_DAY, time.localtime(seconds))
            lines.append(line((clock, "dim"), *(self.glyphs.of(cell, scale) for cell in row)))
        return [*lines, self.legend(report, scale)]

    def legend(self, report: PingReport, scale: Scale) -> "Text":
        """Return the line on the glyphs, with the number of probes without an answer in time."""
        parts: list[str | tuple[str, str]] = []
        if report.answered:
            low, high = (short(ns / 1e9) for ns in (scale.low, scale.high))
            parts.append(f"{self.glyphs.bars[0]} {low}  {self.glyphs.bars[-1]} {high} ms  ")
        for verdict in STYLES:
            if number := getattr(report, verdict):
                parts += [self.glyphs.mark(verdict), f" {number} {verdict.replace('_', ' ')}  "]
        if self.strip.per_glyph > 1:
            parts += [(f"each {self.strip.per_glyph} probes; 1-9: tenths lost", "dim")]
        return line(*parts)

    def progress(self, report: PingReport, width: int) -> list["Text"]:
        """Return a bar if there is an end."""
        count, duration = self.client.count, self.client.duration
        if count is not None:
            text = f" {report.sent} of {count}"
            return [bar(report.sent / count, text, width, self.glyphs)]
        if duration is not None:
            elapsed = min(time.monotonic() - self.started, duration)
            text = f" {elapsed:.0f} of {duration:g} s"
            return [bar(elapsed / duration, text, width, self.glyphs)]
        return []


def last_round_trip(columns: Any) -> str:
    """Return the result of the last decided probe."""
    decided = (columns["verdict"] != strips.PENDING).nonzero()[0]
    if len(decided) == 0:
        return ""
    rtt_ns = columns["rtt_ns"][decided[-1]]
    verdict = VERDICTS[columns["verdict"][decided[-1]]]
    return f"  last {short(rtt_ns / 1e9)} ms" if rtt_ns == rtt_ns else f"  last {verdict}"


def recent(columns: Any) -> PingReport:
    """Return the report of the last kept probes."""
    sent_at_ns = columns["sent_at_ns"]
    if len(sent_at_ns) == 0:
        return PingReport()
    first = sent_at_ns.searchsorted(sent_at_ns[-1] - LAST_SECONDS * 1_000_000_000)
    count = min(max(len(sent_at_ns) - int(first), LAST[0]), LAST[1])
    names = ("seq", "flow", "verdict", "sent_at_ns", "rtt_ns")
    rows = zip(*(columns[name][-count:].tolist() for name in names), strict=True)
    return PingReport.from_probes(
        Probe(
            seq=seq,
            flow=flow,
            verdict=VERDICTS[verdict],
            sent_at=sent_at_ns / 1e9,
            rtt=rtt_ns / 1e9 if rtt_ns == rtt_ns else None,
        )
        for seq, flow, verdict, sent_at_ns, rtt_ns in rows
    )


def figures(report: PingReport, last: PingReport, width: int) -> list["Text"]:
    """Return the table of the last probes and of all."""
    wide = width >= WIDE
    label = f"{'':10}" if wide else f"{'':4}"
    times = ("min", "median", "p99", "max") if wide else ("median", "p99")
    header = f"{label}{'loss':>7}{'95 % conf':>13}" + "".join(f"{name:>8}" for name in times)
    lines = [line((header, "dim"), (" ms" if wide else "", "dim"))]
    for name, of in (("last", last), ("all", report)):
        if wide:
            name += f" {of.sent - of.pending}"
        values = [getattr(of.rtt, time) for time in times]
        cells = "".join(f"{'-' if value is None else short(value):>8}" for value in values)
        lines.append(line(f"{name:{len(label)}}{loss(of):>7}{interval(of):>13}{cells}"))
    return lines


def directions(report: PingReport) -> list[str]:
    """Return a line about each direction, if the server tells them apart."""
    lines = []
    for name, one in (("forward", report.forward), ("reverse", report.reverse)):
        if one.duplicates is not None:
            lost = "-" if one.lost is None else str(one.lost)
            delay = "-" if one.delay is None else "-".join(short(time) for time in one.delay)
            lines.append(f"{name:8} {lost} lost, {one.reordered} reordered, delay {delay} ms")
    return lines


def loss(report: PingReport) -> str:
    """Return the loss; a dash before any probe is decided."""
    return "-" if report.loss is None else percent(report.loss)


def interval(report: PingReport) -> str:
    """Return the confidence interval of the loss."""
    if report.loss_interval is None:
        return "-"
    low, high = (percent(round(share, 3)) for share in report.loss_interval)
    return f"{low.removesuffix('%')}-{high}"


def own_troubles(report: PingReport) -> list[str]:
    """Return the faults of this host."""
    counts = [
        (report.missed, "missed slot"),
        (report.receive_drops, "receive drop"),
        (report.paused, "pause"),
    ]
    texts = [counted(number, noun) for number, noun in counts if number]
    return [f"this host: {', '.join(texts)}"] if texts else []


def bar(share: float, text: str, width: int, glyphs: Glyphs) -> "Text":
    """Return a bar of progress with a text behind it."""
    length = max(width - len(text), 0)
    done = min(int(share * length), length)
    return line((glyphs.done * done, "green"), (glyphs.rest * (length - done), "dim"), text)


def target_name(report: PingReport) -> str:
    """Return a report's target as people write it, without control characters."""
    return printable(joined(report.target)) if report.target else "-"


@dataclass
class ManyTargets:
    """The screen about many targets, those in trouble first."""

    #: Returns the reports of all targets.
    reports: Callable[[], Sequence[PingReport]]
    #: Probes to a target in the whole run; None without a limit.
    probes: int | None
    #: Returns why a target does not answer.
    reason: Callable[[PingReport], str]
    glyphs: Glyphs = UNICODE

    def render(self, width: int, height: int) -> "Group":
        """Draw the screen."""
        reports = self.reports()
        below = [line((totals(reports), "bold")), *self.progress(reports, width)]
        table = self.table(reports, width, height - len(below))
        return group([*table, *below], width, self.glyphs)

    def final(self, width: int, height: int) -> "Group":
        """Draw the lines that stay on the terminal."""
        table = self.table(self.reports(), width, height - 1)
        return group(table, width, self.glyphs)

    def table(self, reports: Sequence[PingReport], width: int, height: int) -> list["Text"]:
        """Return a header, the lines about the targets in most trouble and one on the rest."""
        room = max(height - 1, 2)
        rows = nsmallest(room, reports, key=trouble)
        if len(reports) <= room:
            return self.rows(rows, width)
        rows.pop()
        rest = counted(len(reports) - len(rows), "target")
        return [*self.rows(rows, width), line((f"and {rest} in less trouble", "dim"))]

    def rows(self, rows: Sequence[PingReport], width: int) -> list["Text"]:
        """Return a header and the lines about targets."""
        wide = width >= WIDE
        names = [line(target_name(report)) for report in rows]
        longest = max((name.cell_len for name in names), default=0)
        room = max(min(longest, width - (47 if wide else 25)), 8)
        times = ("min", "median", "max") if wide else ("median",)
        header = f"{'':{room}}{'loss':>7}{'answered':>10}" + "".join(f"{t:>8}" for t in times)
        lines = [line((header, "dim"), (" ms" if wide else "", "dim"))]
        for name, report in zip(names, rows, strict=True):
            values = [getattr(report.rtt, time) for time in times]
            cells = "".join(f"{'-' if value is None else short(value):>8}" for value in values)
            answered = f"{report.answered}/{report.sent}"
            cut(name, room, self.glyphs).pad_right(room - name.cell_len)
            row = line(name, f"{loss(report):>7}{answered:>10}{cells}")
            row.stylize("red" if report.loss == 1 else "yellow" if report.loss else "")
            lines.append(line(row, f"  {printable(self.reason(report))}"))
        return lines

    def progress(self, reports: Sequence[PingReport], width: int) -> list["Text"]:
        """Return a bar if there is an end."""
        sent = sum(report.sent for report in reports)
        if self.probes is None:
            return [line(counted(sent, "probe"))]
        total = self.probes * len(reports)
        return [bar(sent / total, f" {sent} of {total}", width, self.glyphs)]


def totals(reports: Sequence[PingReport]) -> str:
    """Return how many targets answer."""
    alive = sum(map(answers, reports))
    waiting = sum(report.loss is None and not report.unresolved for report in reports)
    parts = [f"{alive} alive", f"{len(reports) - alive - waiting} dead"]
    if waiting:
        parts.append(f"{waiting} not decided")
    return f"{counted(len(reports), 'target')}: {', '.join(parts)}"


def answers(report: PingReport) -> bool:
    """Return whether a target answers."""
    return report.answered + report.late > 0


def trouble(report: PingReport) -> tuple[float, float]:
    """Return a key that sorts the targets in most trouble first."""
    share = report.loss
    if share is None:
        return 1, 0
    return -share, -(report.rtt.max or 0) if share < 1 else 0
