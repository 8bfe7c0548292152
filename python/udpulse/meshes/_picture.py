"""The losses of a mesh as a picture: of characters, or in SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from udpulse._printable import printable
from udpulse._summary import duration, moment, percent

if TYPE_CHECKING:
    from udpulse.meshes._report import MeshReport

#: Up to this many hosts a cell has a number, beyond that one character.
NUMBERS = 16

#: The character of a cell without a number, and its meaning.
MARKS = {
    "lost": ("#", "nothing gets through"),
    "unreachable": ("!", "the engine does not reach a host"),
    "unmeasured": ("?", "not measured"),
    "busy": ("~", "a host was busy: it tells of itself"),
}

#: Characters of loss by tenths, from none.
TENTHS = "·123456789"

#: The colours of loss: none, little, much; and of the marks.
COLORS = ("#FFFFFF", "#E69F00", "#D55E00")
FILLS = {"lost": "#000000", "unreachable": "#CC79A7", "unmeasured": "#FFFFFF", "busy": "#BBBBBB"}

CELL = 26


def mark(report: MeshReport, sender: str, receiver: str) -> str | None:
    """Return the mark of a cell that shows no loss."""
    state = report.state(sender, receiver)
    if state in ("unreachable", "unmeasured"):
        return state
    if {sender, receiver} & report.busy:
        return "busy"
    return state if state == "lost" else None


def loss_at(report: MeshReport, row: int, column: int) -> float:
    """Return the loss of a cell, 0 if there is none."""
    loss = float(report.loss[row, column])
    return 0.0 if math.isnan(loss) else loss


def whole_percent(loss: float) -> str:
    """Return a loss in percent, never 0 for some loss."""
    value = 100 * loss
    return "·" if value == 0 else "<1" if value < 1 else f"{min(value, 99):.0f}"


def text(report: MeshReport) -> str:
    """Return the losses as characters, and the diagnosis."""
    return "\n".join(lines(report))


def lines(report: MeshReport) -> Iterator[str]:
    """Yield the lines of the text."""
    number = len(report.hosts)
    total = report.total
    yield (
        f"{number} hosts, {len(report.reports):,} of {number * (number - 1):,} paths, "
        f"{total.sent:,} probes, {moment(report.started_at)}"
    )
    names = [printable(host) for host in report.hosts]
    width = max(map(len, names), default=0)
    small = number <= NUMBERS
    cell = 4 if small else 1
    yield (
        "loss in %: a row is a sender, a column a receiver"
        if small
        else ("loss in tenths: a row is a sender, a column a receiver")
    )
    digits = len(str(number))
    if small:
        heads = "".join(f"{column + 1:>{cell}}" for column in range(number))
        yield " " * (digits + 1 + width) + heads
    seen = set()
    for row, sender in enumerate(report.hosts):
        cells = []
        for column, receiver in enumerate(report.hosts):
            if row == column:
                cells.append(" ")
                continue
            kind = mark(report, sender, receiver)
            if kind:
                seen.add(kind)
                cells.append(MARKS[kind][0])
            elif small:
                cells.append(whole_percent(loss_at(report, row, column)))
            else:
                loss = loss_at(report, row, column)
                cells.append(TENTHS[0 if loss == 0 else max(1, min(int(loss * 10), 9))])
        shown = "".join(f"{each:>{cell}}" for each in cells)
        gap = "" if small else " "
        yield f"{row + 1:>{digits}} {names[row]:<{width}}{gap}{shown}"
    for kind, (sign, meaning) in MARKS.items():
        if kind in seen:
            yield f"{sign} {meaning}"
    if total.rtt.median is not None:
        times = ", ".join(
            f"{name} {duration(value)}"
            for name, value in (("median", total.rtt.median), ("p99", total.rtt.p99))
            if value is not None
        )
        yield f"loss {percent(total.loss)}; round trip: {times}"
    yield from diagnosis(report)


def diagnosis(report: MeshReport) -> Iterator[str]:
    """Yield a line about each trouble."""
    for cause in report.causes:
        yield printable(str(cause))
    for host in sorted(report.busy):
        yield printable(f"host {host} was busy: its cells are not judged")
    for host, why in sorted(report.unreachable.items()):
        yield printable(f"host {host} cannot be reached by the engine: {why}")
    if not (report.causes or report.busy or report.unreachable):
        yield "no troubles"


def svg(report: MeshReport) -> str:
    """Return the losses as an SVG element; each cell has a number or a mark, and a title."""
    names = [printable(host) for host in report.hosts]
    left = 12 + 7 * max(map(len, names), default=0)
    number = len(names)
    legend = [*diagnosis(report)]
    width = left + number * CELL + 12
    height = left + number * CELL + 18 * (len(legend) + 2)
    width = max(width, 12 + 7 * max(map(len, legend)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape("; ".join(legend))}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
    ]
    for index, name in enumerate(names):
        middle = left + index * CELL + CELL // 2
        shown = escape(name)
        parts.append(f'<text x="{left - 6}" y="{middle + 4}" text-anchor="end">{shown}</text>')
        turned = f"rotate(-90 {middle + 4} {left - 6})"
        parts.append(f'<text x="{middle + 4}" y="{left - 6}" transform="{turned}">{shown}</text>')
    for row, sender in enumerate(report.hosts):
        for column, receiver in enumerate(report.hosts):
            if row != column:
                parts += box(report, (row, column), (sender, receiver), left)
    below = left + number * CELL + 20
    parts.append(
        f'<text x="6" y="{below}">loss in %: a row is a sender, a column a receiver</text>'
    )
    for line, words in enumerate(legend, 1):
        parts.append(f'<text x="6" y="{below + 18 * line}">{escape(words)}</text>')
    return "\n".join([*parts, "</svg>"])


def box(
    report: MeshReport, place: tuple[int, int], pair: tuple[str, str], left: int
) -> Iterator[str]:
    """Yield the parts of a cell."""
    row, column = place
    kind = mark(report, *pair)
    loss = loss_at(report, row, column)
    if kind:
        fill, sign, meaning = FILLS[kind], *MARKS[kind]
    else:
        fill = COLORS[0 if loss == 0 else 1 if loss < 0.1 else 2]
        sign, meaning = whole_percent(loss), f"loss {percent(loss)}"
    x, y = left + column * CELL, left + row * CELL
    ink = "#FFFFFF" if fill == FILLS["lost"] else "#000000"
    sender, receiver = (printable(name) for name in pair)
    median = report.p50[row, column]
    time = "" if math.isnan(median) else f", median {duration(float(median))}"
    yield (
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{fill}" stroke="#999999">'
        f"<title>{escape(f'{sender} to {receiver}: {meaning}{time}')}</title></rect>"
    )
    yield (
        f'<text x="{x + CELL // 2}" y="{y + CELL // 2 + 4}" text-anchor="middle" fill="{ink}" '
        f'pointer-events="none">{escape(sign)}</text>'
    )
