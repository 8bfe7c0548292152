"""Strips of glyphs: each a probe, or several if they come fast."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from udpulse import VERDICTS

#: Highest number of glyphs per second; a glyph covers more probes rather than exceed it.
PACE = 20.0

#: Cells kept for the largest screens.
KEPT = 20_000

#: The number of heights of a bar.
STEPS = 8

#: The style of a probe without an answer in time.
STYLES = {
    "lost": "bold red",
    "refused": "bold magenta",
    "unreachable": "bold magenta",
    "send_failed": "bold blue",
    "late": "bold yellow",
    "pending": "dim",
}


@dataclass(frozen=True)
class Glyphs:
    """The characters of a strip and of a progress bar."""

    #: Round trips, from the lowest.
    bars: str
    #: Probes without an answer in time, in the order of `STYLES`.
    marks: str
    done: str
    rest: str
    #: The end of a line that is cut.
    cut: str

    def mark(self, verdict: str) -> tuple[str, str]:
        """Return the glyph of a probe without an answer in time, and its style."""
        return self.marks[[*STYLES].index(verdict)], STYLES[verdict]

    def of(self, cell: "Cell", scale: "Scale") -> tuple[str, str]:
        """Return the glyph of a cell, and its style.

        If several probes share it and some had no answer in time, it is a digit: the loss in
        tenths.
        """
        if verdict := cell.verdict:
            return self.mark(verdict)
        if cell.tenths:
            return str(min(cell.tenths, 9)), "bold red"
        return self.bars[scale.level(cell.mean_ns or 0)], "green"


UNICODE = Glyphs("▁▂▃▄▅▆▇█", "\N{MULTIPLICATION SIGN}RUSL·", "━", "─", "…")
ASCII = Glyphs("_.-:=+*#", "XRUSL'", "#", "-", "~")


def glyphs(encoding: str | None) -> Glyphs:
    """Return the glyphs that a terminal of this encoding shows."""
    return UNICODE if (encoding or "").lower().replace("-", "") == "utf8" else ASCII


ANSWERED, PENDING = VERDICTS.index("answered"), VERDICTS.index("pending")


@dataclass
class Cell:
    """The probes of one glyph."""

    counts: list[int]
    #: The sum of the round trips in time, in ns.
    rtt_ns: float
    sent_at_ns: int

    @property
    def mean_ns(self) -> float | None:
        """Return the mean round trip of the probes answered in time."""
        answered = self.counts[ANSWERED]
        return self.rtt_ns / answered if answered else None

    @property
    def verdict(self) -> str | None:
        """Return the verdict that most probes have, if none is answered in time."""
        if self.counts[ANSWERED]:
            return None
        decided = [0 if i == PENDING else n for i, n in enumerate(self.counts)]
        return VERDICTS[decided.index(max(decided))] if any(decided) else "pending"

    @property
    def tenths(self) -> int:
        """Return the loss in tenths, rounded up."""
        decided = sum(self.counts) - self.counts[PENDING]
        return math.ceil(10 * (1 - self.counts[ANSWERED] / decided)) if decided else 0

    def __add__(self, other: "Cell") -> "Cell":
        """Return both in one glyph."""
        counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        return Cell(counts, self.rtt_ns + other.rtt_ns, min(self.sent_at_ns, other.sent_at_ns))


@dataclass(frozen=True)
class Scale:
    """Heights of bars: equal steps of the logarithm from `low` to `high`, in ns."""

    low: float
    high: float

    @classmethod
    def of(cls, times_ns: Sequence[float]) -> "Scale":
        """Return the scale from the lowest to, short of outliers, the highest of these times.

        It spans at least a factor of two, so that noise does not look like trouble.
        """
        ordered = sorted(times_ns) or [1.0]
        low = max(ordered[0], 1.0)
        return cls(low, max(2 * low, ordered[math.ceil(0.99 * len(ordered)) - 1]))

    def level(self, rtt_ns: float) -> int:
        """Return the height of a bar, 0 to 7."""
        position = math.log(max(rtt_ns, self.low) / self.low) / math.log(self.high / self.low)
        return min(int(position * STEPS), STEPS - 1)


@dataclass
class Strip:
    """The history of a session, from the kept probes of its reports.

    A report may keep only a part of what came since the one before: a strip shows a sample then.
    """

    per_glyph: int = 1
    cells: dict[int, Cell] = field(default_factory=dict)

    def add(self, columns: Mapping[str, Any], dropped: int) -> None:
        """Add a report's kept probes; `dropped` is the index of the first."""
        import numpy as np

        verdict, sent_at_ns = columns["verdict"], columns["sent_at_ns"]
        if len(verdict) == 0:
            return
        seconds = int(sent_at_ns[-1]) / 1e9
        while (dropped + len(verdict)) / self.per_glyph > PACE * (seconds + 1):
            self.halve()
        index = (dropped + np.arange(len(verdict))) // self.per_glyph
        first = int(index[0])
        index -= first
        kinds = len(VERDICTS)
        size = int(index[-1]) + 1
        counts = np.bincount(index * kinds + verdict, minlength=size * kinds).reshape(size, kinds)
        rtt_ns = np.where(verdict == ANSWERED, columns["rtt_ns"], 0.0)
        sums = np.bincount(index, weights=rtt_ns, minlength=size)
        starts = sent_at_ns[np.searchsorted(index, np.arange(size))]
        for i in range(size):
            cell = Cell(counts[i].tolist(), float(sums[i]), int(starts[i]))
            old = self.cells.get(first + i)
            # The report may have dropped the first probes of its first cell.
            if old is None or sum(old.counts) <= sum(cell.counts):
                self.cells[first + i] = cell
        while len(self.cells) > KEPT:
            self.cells.pop(next(iter(self.cells)))

    def halve(self) -> None:
        """Let each glyph cover twice as many probes."""
        cells, self.cells = self.cells, {}
        self.per_glyph *= 2
        for index, cell in cells.items():
            before = self.cells.get(index // 2)
            self.cells[index // 2] = cell if before is None else before + cell

    def last(self, count: int) -> list[tuple[int, Cell]]:
        """Return the last cells with their indices."""
        return sorted(self.cells.items())[-count:] if count > 0 else []


def rows(cells: Sequence[tuple[int, Cell]], width: int) -> Iterator[list[Cell]]:
    """Return cells in lines of `width`; a cell keeps its place while more come."""
    lines: dict[int, list[Cell]] = {}
    for index, cell in cells:
        lines.setdefault(index // width, []).append(cell)
    yield from lines.values()
