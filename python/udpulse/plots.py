"""Pictures of reports, echo servers and fleets, by matplotlib: `pip install 'udpulse[plot]'`.

`of` draws anything that can be drawn; the other functions draw one kind each. All return a
`Picture`, made without pyplot: it has no window and shares no state. `save` writes it.
"""

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from udpulse import _summary
from udpulse._core import VERDICTS, EchoServer, Fate, PingReport
from udpulse._printable import escaped, joined
from udpulse._summary import duration, moment, percent, unit
from udpulse.events import (
    Busy,
    ClockStepped,
    Conflict,
    Down,
    Event,
    Failed,
    Heard,
    Ignored,
    Lost,
    MassSilence,
    Missing,
    Moved,
    Paused,
    Recovered,
    RelayEvent,
    Restarted,
    Stalled,
    Stopped,
    Suspect,
    TooOften,
    Up,
)
from udpulse.fits import Fit, Point
from udpulse.jsonlines import Run

try:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
except ImportError as _error:
    raise ImportError("pictures need matplotlib: pip install 'udpulse[plot]'") from _error

__all__ = ["Picture", "fates", "fit", "of", "report", "reports", "save", "timeline"]

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

# Okabe and Ito's colours, which differ for all kinds of colour vision.
BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, RED, PURPLE, GREY, BLACK = "#E69F00", "#D55E00", "#CC79A7", "#999999", "#000000"

# Above this number of packets a picture shows the spread of columns of packets, not each one.
DOTS = 20_000
COLUMNS = 400
# Above this number dots are an image inside an SVG.
VECTORS = 1500
# At most this many points make a line.
POINTS = 2000
# At most this many clients, targets or flows have a row.
ROWS = 40
# At most this many targets have a strip of their own over time.
STRIPS = 8
# Longer names, and lines of a title, are cut.
NAME = 32
TITLE = 130


class Picture(Figure):
    """A matplotlib Figure, with the table of its numbers as HTML in `table`."""

    table = ""

    def _repr_svg_(self) -> str:
        """Return the picture for a notebook."""
        return _svg(self)


class Look(NamedTuple):
    """How a kind of packet looks: it differs in colour and in shape."""

    color: str
    marker: str


LOOKS = {
    "late": Look(ORANGE, "D"),
    "lost": Look(RED, "x"),
    "refused": Look(PURPLE, "s"),
    "unreachable": Look(BLACK, "^"),
    "send_failed": Look(GREEN, "v"),
    "pending": Look(GREY, "o"),
}


class State(NamedTuple):
    """How a state of a client looks: troubles are tall and dark or hatched."""

    color: str
    height: float
    hatch: str = ""
    trouble: bool = False


STATES = {
    "up": State(SKY, 0.3),
    "busy": State(BLUE, 0.3, "...."),
    "stopped": State("#FFFFFF", 0.12),
    "suspect": State(YELLOW, 0.8, "////", True),
    "stalled": State(PURPLE, 0.8, "xxxx", True),
    "down": State(RED, 0.8, "", True),
    "failed": State(BLACK, 0.8, "", True),
    "missing": State("#FFFFFF", 0.8, "\\\\\\\\", True),
}

ENTERED: dict[type, str] = {
    Up: "up",
    Restarted: "up",
    Recovered: "up",
    Busy: "busy",
    Stopped: "stopped",
    Suspect: "suspect",
    Stalled: "stalled",
    Down: "down",
    Failed: "failed",
    Missing: "missing",
}

MARKS: dict[type, tuple[str, str]] = {
    Lost: ("lost beats", "|"),
    Restarted: ("restarted", "^"),
    Moved: ("moved", "D"),
    Conflict: ("conflict", "X"),
    ClockStepped: ("clock stepped", "*"),
    TooOften: ("too often", "s"),
}


#: The commands whose runs have no picture, and their classes.
UNDRAWN = {"beat": "HeartbeatClient", "reflect": "StampReflector"}


def of(thing: object) -> Picture:
    """Return the picture of anything that has one.

    thing: a PingReport, an EchoServer, a Fit, a recorded `jsonlines.Run`, or an iterable of
        PingReports, Fates or events of a HeartbeatServer.

    Raises ValueError for a run of a HeartbeatClient or StampReflector, and TypeError for anything
    else.
    """
    if isinstance(thing, Run):
        if thing.command in UNDRAWN:
            raise ValueError(f"a run of a {UNDRAWN[thing.command]} has no picture")
        if thing.command == "watch":
            return timeline(cast(list[Event], thing.result), until=thing.ended_at)
        if thing.command == "relay":
            events = cast(list[RelayEvent], thing.result)
            return fates([event for event in events if isinstance(event, Fate)])
        return of(thing.result)
    if isinstance(thing, PingReport):
        return report(thing)
    if isinstance(thing, EchoServer):
        return fates(thing)
    if isinstance(thing, Fit):
        return fit(thing)
    if isinstance(thing, Iterable):
        items = list(thing)
        for kind, draw in ((PingReport, reports), (Fate, fates), (get_args(Event), timeline)):
            if all(isinstance(item, cast(Any, kind)) for item in items):
                return draw(items)
    raise TypeError(
        "thing must be a PingReport, an EchoServer, a Fit, a Run or an iterable of PingReports, "
        f"Fates or events of a HeartbeatServer, not {type(thing).__name__}"
    )


def save(figure: Figure, path: str | PathLike[str]) -> None:
    """Write a picture to a file, deterministically: equal pictures make equal files.

    figure: a Picture, or another Figure.
    path: the file; its name ends in .svg, .png, or .html for a page with the picture and its table,
        which needs no other file.

    Raises ValueError for another ending and OSError if the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".png":
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        path.write_bytes(buffer.getvalue())
    elif ending == ".svg":
        path.write_text(_svg(figure), "utf-8")
    elif ending == ".html":
        path.write_text(_page(figure), "utf-8")
    else:
        raise ValueError(f"path must end in .svg, .png or .html, not {path.name!r}")


def report(report: PingReport) -> Picture:
    """Return the picture of a report.

    It shows round-trip times, losses, outages and pauses over time; the distributions of round-trip
    times, delay variation and schedule error; and a row per flow. Up to 20,000 probes, each is a
    dot; beyond that, 400 columns show their spread. Without kept rows (`keep=0`) there are only
    distributions, outages and pauses.
    """
    if report.sent == 0:
        return _nothing("no probes", _summary.html(report))
    rows, panels, flows = _Rows(report), _panels(report), report.flows[:ROWS]
    lanes = [verdict for verdict in LOOKS if rows.select(verdict).any()]
    has_time = len(rows.x) > 0 or len(report.outages) + len(report.pauses) > 0
    heights = [3.2 if len(rows.x) else 0.6] * has_time
    heights += [0.32 * len(lanes)] * bool(lanes)
    heights += [2.2] * bool(panels)
    heights += [0.2 * len(flows) + 0.5] * bool(flows)
    figure = _figure(sum(heights) + 1.6)
    figure.table = _summary.html(report)
    times = _named((("median", report.rtt.median), ("p99", report.rtt.p99)))
    loss = f"loss {_summary.loss(report)}" + (f"; round-trip time: {times}" if times else "")
    _title(figure, f"{_summary.caption(report)}\n{loss}")
    places = iter(figure.add_gridspec(len(heights), 1, height_ratios=heights))

    if has_time:
        over_time = figure.add_subplot(next(places))
        shared = [over_time]
        rows.draw(over_time)
        if lanes:
            shared.append(figure.add_subplot(next(places), sharex=over_time))
            over_time.tick_params(labelbottom=False)
            _lanes(
                shared[1], rows, {v.replace("_", " "): (rows.select(v), LOOKS[v]) for v in lanes}
            )
        rows.spans(*shared)
        rows.label(shared[-1])
        _legend(over_time)
    if panels:
        part = next(places).subgridspec(1, len(panels))
        for number, panel in enumerate(panels):
            _ecdf(figure.add_subplot(part[number]), panel)
    if flows:
        labels = [f"flow {number}" for number in range(len(flows))]
        part = next(places).subgridspec(1, 2, width_ratios=(2, 1))
        _compare(figure.add_subplot(part[0]), figure.add_subplot(part[1]), flows, labels)
    return figure


def reports(reports: Iterable[PingReport]) -> Picture:
    """Return the picture of several reports, such as those of `ping_many`.

    Each has a row with its round-trip times and loss: those with the most loss first, then the
    slowest. Up to 8 reports also have their round-trip times over time. Of more than 40, the
    first 40 that were answered have a row, and the distributions over all are shown.
    """
    listed = list(reports)
    if len(listed) == 1:
        return report(listed[0])
    named = [(_name(one, number), one) for number, one in enumerate(listed)]
    table = _summary.table(
        "targets", ("", *_summary.COMPARED), [_summary.compared(*n) for n in named]
    )
    if not any(one.sent for one in listed):
        return _nothing("no probes", table)

    def trouble(item: tuple[str, PingReport]) -> tuple[float, float, float]:
        rtt = item[1].rtt
        return (-(item[1].loss or 0.0), -(rtt.p99 or rtt.max or 0.0), -(rtt.median or 0.0))

    named.sort(key=trouble)
    shown, some = named, ""
    if len(named) > ROWS:
        # Dead targets look all the same.
        heard = [item for item in named if item[1].rtt.count]
        shown = heard[:ROWS] or named[:ROWS]
        dead = f"{len(named) - len(heard):,} without an answer"
        some = f", {dead}; of the others the {len(shown)} with the most loss, then the slowest"
    strips = shown if len(named) <= STRIPS else []
    heights = [0.22 * len(shown) + 0.7]
    heights += [2.2] if len(named) > len(shown) else []
    heights += [1.1] * len(strips)
    figure = _figure(sum(heights) + 1.4)
    figure.table = table
    _title(figure, f"{_summary.caption(sum(listed, PingReport()))}\n{len(listed):,} targets{some}")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    part = grid[0].subgridspec(1, 2, width_ratios=(2, 1))
    ranges, losses = figure.add_subplot(part[0]), figure.add_subplot(part[1])
    _compare(ranges, losses, [one for _, one in shown], [name for name, _ in shown])
    if len(named) > len(shown):
        part = grid[1].subgridspec(1, 2)
        _over_targets(figure.add_subplot(part[0]), figure.add_subplot(part[1]), listed)
    _strips(figure, [grid[1 + number] for number in range(len(strips))], strips)
    return figure


def timeline(events: Iterable[Event], *, until: float | None = None) -> Picture:
    """Return the picture of the events of a HeartbeatServer: the states of each client over time.

    events: the events in order. Clients without a name are known by their addresses.
    until: the end of the picture, in seconds since the Unix epoch; None for the last event.

    Clients that were in trouble for the longest come first; at most 40 have a row.
    """
    fleet = _Fleet(events, until)
    clients = sorted(fleet.clients.items(), key=lambda item: (-item[1].trouble(), item[0]))
    head = ("", "state", "since", "in trouble", "downs", *(name for name, _ in MARKS.values()))
    figure_table = _summary.table("clients", head, [one.row(name) for name, one in clients])
    if not clients:
        return _nothing("no clients", figure_table)
    shown = clients[:ROWS]
    figure = _figure(0.24 * len(shown) + 1.9)
    figure.table = figure_table
    some = f"; the {ROWS} that were in trouble for the longest" if len(clients) > ROWS else ""
    number = f"{len(clients):,} client{'' if len(clients) == 1 else 's'}"
    _title(figure, f"{number}{some}")
    axes = figure.add_subplot()
    _style(axes)
    handles = []
    for state, look in STATES.items():
        boxes = [
            (start, end, row, look.height)
            for row, (_, client) in enumerate(shown)
            for start, end, entered in client.segments
            if entered == state
        ]
        if boxes:
            kwargs: dict[str, Any] = {"facecolor": look.color, "hatch": look.hatch or None}
            # An edge keeps spans shorter than a pixel visible.
            kwargs |= {
                "edgecolor": BLACK if look.hatch or look.color == "#FFFFFF" else look.color,
                "linewidth": 0.6,
            }
            bars = _boxes(boxes, gid=f"state {state}", **kwargs)
            axes.add_collection(bars, autolim=False)
            handles.append(Patch(label=state, **kwargs))
    for kind, (name, marker) in MARKS.items():
        at = [(t, row) for row, (_, client) in enumerate(shown) for t in client.marks.get(kind, [])]
        if at:
            x, y = np.array(at).T
            style = {"markerfacecolor": "white", "markeredgecolor": BLACK, "markersize": 6}
            more = _dots(axes, _days(x), y, marker, label=name, gid=f"mark {name}", **style)
            handles.append(cast(Any, more))
    if fleet.pauses:
        handles.append(_spans(axes, _days(np.array(fleet.pauses)), "server paused", GREY, "\\\\"))
    for silence in fleet.mass_silences:
        (line,) = axes.plot(
            [_days(silence)] * 2,
            [0, 1],
            ":",
            color=BLACK,
            lw=1.2,
            label="mass silence",
            zorder=3,
            transform=axes.get_xaxis_transform(),
        )
        if silence == fleet.mass_silences[-1]:
            handles.append(cast(Any, line))
    axes.set_xlim(_days(fleet.start), _days(fleet.end))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    labels = [_fit(name, NAME) for name, _ in shown]
    axes.set_yticks(range(len(shown)), labels=labels, parse_math=False, fontsize=8)
    axes.grid(visible=False, axis="y")
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    dates = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates)
    axes.set_xlabel("time (UTC)", size=9)
    _legend(axes, handles)
    return figure


def fates(fates: EchoServer | Iterable[Fate]) -> Picture:
    """Return the picture of the fates of packets at an EchoServer.

    Each thing that happened to them has a lane over time; below is the time that each spent in the
    server. A packet is in several lanes if several things happened to it, such as a loss of one of
    its two copies.
    """
    log = _Log.of(fates)
    lanes = log.lanes()
    rows = [
        (name, f"{mask.sum():,}", percent(float(mask.mean()))) for name, (mask, _) in lanes.items()
    ]
    table = _summary.table(log.caption, ("", "packets", "share"), rows)
    if len(log.x) == 0:
        return _nothing(log.caption, table)
    heights = [0.36 * len(lanes)] + [2.4] * bool(log.has_replies)
    figure = _figure(sum(heights) + 1.4)
    figure.table = table
    _title(figure, log.caption)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    strip = figure.add_subplot(grid[0])
    _lanes(strip, log, lanes)
    log.label(strip)
    if log.has_replies:
        axes = figure.add_subplot(grid[1], sharex=strip)
        log.draw(axes)
        strip.tick_params(labelbottom=False)
        strip.set_xlabel("")
        log.label(axes)
    return figure


class _Series:
    """Packets over time: `x` in units of `length` seconds, `y` in `unit`, NaN without a reply."""

    what = ""

    def __init__(self, x: Floats, y: Floats, since: str, note: str, end: float = 0.0) -> None:
        """Choose units; `x` and `y` are in seconds, `end` is the least length of the time."""
        span = max(float(x.max() - min(x.min(), 0.0)), end) if len(x) else end
        self.length, self.x_unit = unit(span)
        self.x = x / self.length
        finite = y[np.isfinite(y)]
        # The greatest decides, unless it is far from the rest.
        self.log = _heavy(finite)
        typical = float(np.median(finite) if self.log else finite.max()) if len(finite) else 0.0
        self.y_length, self.unit = unit(typical)
        self.y = y / self.y_length
        self.since, self.note = since, note
        self.edges: Floats | None = None
        if len(x) > DOTS:
            low, high = float(self.x.min()), float(self.x.max())
            self.edges = np.linspace(low, high if high > low else low + 1, COLUMNS + 1)
            self.bins = np.clip(np.searchsorted(self.edges, self.x, "right") - 1, 0, COLUMNS - 1)

    def label(self, axes: Axes) -> None:
        """Label the axis of time."""
        since = f" since {self.since}" if self.since else ""
        note = f" ({self.note})" if self.note else ""
        axes.set_xlabel(f"time{since} in {self.x_unit}{note}", size=9)

    def draw_values(self, axes: Axes, chosen: Bools, label: str) -> None:
        """Draw the values of some packets: each, or the spread of columns of packets."""
        if not chosen.any():
            return
        if self.edges is None:
            x, y = self.x[chosen], self.y[chosen]
            _dots(axes, x, y, ".", color=BLUE, label=label, gid="values", markersize=_size(len(x)))
            return
        low, least, middle, most, high = _quantiles(self.bins[chosen], self.y[chosen])
        style: dict[str, Any] = {"fill": True, "linewidth": 0}
        axes.stairs(
            high, self.edges, baseline=low, color=SKY, alpha=0.4, label="min to max", **style
        )
        axes.stairs(
            most, self.edges, baseline=least, color=BLUE, alpha=0.5, label="p10 to p90", **style
        )
        axes.stairs(middle, self.edges, baseline=None, color=BLACK, lw=1.0, label="median")

    def scale(self, axes: Axes) -> None:
        """Choose the scale of the values and few ticks."""
        _style(axes)
        shown = self.y[np.isfinite(self.y)]
        if not len(shown):
            axes.set_yticks([])
            text = "no replies" if len(self.y) else "no rows kept"
            axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes, size=10)
            return
        axes.set_ylabel(f"{self.what} in {self.unit}", size=9)
        if self.log:
            _log(axes, "y")
        elif shown.min() < shown.max() / 2:
            axes.set_ylim(bottom=0)


class _Rows(_Series):
    """The kept probes of a report."""

    what = "round-trip time"

    def __init__(self, report: PingReport, start: float | None = None) -> None:
        """Read the columns; `start` is the origin of time, in seconds since the Unix epoch."""
        columns = report.columns()
        began = report.started_at or 0.0
        self.report, self.start = report, began if start is None else start
        self.verdict = columns["verdict"]
        x = columns["sent_at_ns"] / 1e9 + (began - self.start)
        dropped = report.rows_dropped
        note = f"the last {len(x):,} of {report.sent:,} probes" if dropped else ""
        ends = [(o.end or o.start) - self.start for o in report.outages]
        ends += [pause.end - self.start for pause in report.pauses]
        since = moment(self.start) if report.started_at is not None else ""
        in_time = self.select("answered")
        super().__init__(
            x,
            np.where(in_time, columns["rtt_ns"] / 1e9, np.nan),
            since,
            note,
            max(ends, default=0.0),
        )

    def select(self, verdict: str) -> Bools:
        """Return which probes have a verdict."""
        return cast(Bools, self.verdict == VERDICTS.index(verdict))

    def draw(self, axes: Axes) -> None:
        """Draw round-trip times over time."""
        self.draw_values(axes, self.select("answered"), "answered")
        self.scale(axes)

    def spans(self, *shared: Axes) -> None:
        """Mark outages and pauses on axes that share their time."""
        last = float(self.x.max()) if len(self.x) else 0.0
        at = [
            ((o.start - self.start) / self.length, o.end and (o.end - self.start) / self.length)
            for o in self.report.outages
        ]
        outages = np.array([(start, max(last, start) if end is None else end) for start, end in at])
        pauses = np.array([(p.start - self.start, p.end - self.start) for p in self.report.pauses])
        for axes in shared:
            if len(outages):
                _spans(axes, outages, "outage", RED, "//")
            if len(pauses):
                _spans(axes, pauses / self.length, "pause of this program", BLACK, "\\\\")


class _Log(_Series):
    """The fates of packets at an EchoServer."""

    what = "time in the server\n(to the first reply)"

    def __init__(
        self, columns: dict[str, NDArray[Any]], caption: str, since: str, note: str
    ) -> None:
        """Read the columns of a server."""
        self.columns, self.caption = columns, caption
        received = columns["received_at_ns"]
        self.has_replies = bool((columns["replies"] > 0).any())
        super().__init__(received / 1e9, (columns["sent_at_ns"] - received) / 1e9, since, note)

    @classmethod
    def of(cls, fates: EchoServer | Iterable[Fate]) -> "_Log":
        """Read a server or a list of fates."""
        if isinstance(fates, EchoServer):
            columns = fates.columns()
            count = len(columns["outcome"])
            dropped = fates.rows_dropped
            note = f"the last {count:,} of {count + dropped:,} packets" if dropped else ""
            return cls(columns, f"{count:,} packets", moment(fates.started_at), note)
        listed = list(fates)
        began = min((fate.received_at for fate in listed), default=0.0)

        def bits(names: tuple[str, ...]) -> int:
            return sum(1 << BITS.index(name) for name in names)

        rows = {
            "received_at_ns": [(fate.received_at - began) * 1e9 for fate in listed],
            "sent_at_ns": [
                np.nan if fate.sent_at is None else (fate.sent_at - began) * 1e9 for fate in listed
            ],
            "uplink": [bits(fate.uplink) for fate in listed],
            "downlink": [bits(fate.downlink) for fate in listed],
            "replies": [fate.replies for fate in listed],
            "outcome": [fate.outcome for fate in listed],
        }
        columns = {name: np.array(values) for name, values in rows.items()}
        for name in ("uplink", "downlink"):
            columns[name] = columns[name].astype(np.uint8)
        return cls(columns, f"{len(listed):,} packets", moment(began), "")

    def lanes(self) -> dict[str, tuple[Bools, Look]]:
        """Return the things that happened, each with its packets."""
        up, down = self.columns["uplink"], self.columns["downlink"]
        outcome, replies = self.columns["outcome"], self.columns["replies"]
        both = up | down
        lanes: dict[str, tuple[Any, Look]] = {
            "passed": ((replies > 0) & (both == 0), Look(BLUE, "|")),
            "duplicated": (both & 2 > 0, Look(SKY, "d")),
            "corrupted": (both & 4 > 0, Look(PURPLE, "s")),
            "held back": (both & 8 > 0, Look(GREEN, ">")),
            "lost on the uplink": (up & 1 > 0, Look(RED, "x")),
            "lost on the downlink": (down & 1 > 0, Look(ORANGE, "+")),
            "uplink queue full": (up & 16 > 0, Look(BLACK, "^")),
            "downlink queue full": (down & 16 > 0, Look(GREY, "v")),
            "outage": (both & 32 > 0, Look(RED, "1")),
            "too big": (both & 64 > 0, Look(ORANGE, "2")),
            "limited": (outcome == "limited", Look(BLACK, "*")),
            "unanswerable": (outcome == "unanswerable", Look(GREY, "P")),
            "no right tag": (np.isin(outcome, REFUSED), Look(RED, "2")),
            "delay line full": (outcome == "delay_line_full", Look(BLACK, "1")),
            "not sent": ((outcome == "replied") & (replies == 0), Look(GREY, "2")),
        }
        return {name: (mask, look) for name, (mask, look) in lanes.items() if mask.any()}

    def draw(self, axes: Axes) -> None:
        """Draw the time in the server."""
        self.draw_values(axes, cast(Bools, np.isfinite(self.y)), "first reply")
        self.scale(axes)


# The outcomes of packets that a server with keys refuses.
REFUSED = ("unauthenticated", "unknown_key", "bad_tag", "replayed")

# The impairments of a fate, by their bits.
BITS = ("lost", "duplicated", "corrupted", "held", "queue_full", "outage", "too_big")


class _Client:
    """A client of a HeartbeatServer: its states and marks."""

    def __init__(self) -> None:
        """Begin without a state."""
        self.segments: list[tuple[float, float, str]] = []
        self.marks: dict[type, list[float]] = {}
        self.state: str | None = None
        self.since = 0.0

    def enter(self, state: str, time: float) -> None:
        """Enter a state."""
        if state != self.state:
            self.leave(time)
            self.state, self.since = state, time

    def leave(self, time: float) -> None:
        """End the current state."""
        if self.state is not None:
            self.segments.append((self.since, max(time, self.since), self.state))

    def trouble(self) -> float:
        """Return the time in trouble, in seconds."""
        return sum(end - start for start, end, state in self.segments if STATES[state].trouble)

    def row(self, name: str) -> tuple[object, ...]:
        """Return its row of the table."""
        downs = sum(state == "down" for _, _, state in self.segments)
        marks = (len(self.marks.get(kind, ())) for kind in MARKS)
        return (name, self.state, moment(self.since), duration(self.trouble()), downs, *marks)


class _Fleet:
    """The clients of a HeartbeatServer by their events."""

    def __init__(self, events: Iterable[Event], until: float | None) -> None:
        """Follow the events."""
        self.clients: dict[str, _Client] = {}
        self.pauses: list[tuple[float, float]] = []
        self.mass_silences: list[float] = []
        times = []
        for event in events:
            times.append(event.time)
            self.follow(event)
        self.start = min(times, default=0.0)
        starts = [one.segments[0][0] for one in self.clients.values() if one.segments]
        self.start = min([self.start, *starts, *(start for start, _ in self.pauses)])
        last = max(times, default=0.0)
        # Some room shows the states that last.
        self.end = until if until is not None else last + max((last - self.start) * 0.03, 0.001)
        for client in self.clients.values():
            client.leave(self.end)

    def follow(self, event: Event) -> None:
        """Follow one event."""
        time, kind = event.time, type(event)
        if isinstance(event, Paused):
            self.pauses.append((time - event.duration, time))
        elif isinstance(event, MassSilence):
            self.mass_silences.append(time)
        elif isinstance(event, Ignored) or (kind is ClockStepped and event.address[0] == "0.0.0.0"):
            return
        else:
            name = event.name or joined(event.address)
            if isinstance(event, Moved) and event.name is None:
                # Known by its boot id: its row goes on under the new address.
                old = self.clients.pop(joined(event.old), None)
                if old is not None:
                    self.clients[name] = old
            client = self.clients.setdefault(name, _Client())
            if isinstance(event, Recovered) and client.state is None:
                client.enter(event.state, time - event.duration)
            if kind in ENTERED:
                client.enter(ENTERED[kind], time)
            elif client.state is None or (kind is Heard and client.state == "missing"):
                client.enter("up", time)
            if kind in MARKS:
                client.marks.setdefault(kind, []).append(time)


class _Panel(NamedTuple):
    """One or two distributions, each as values in seconds and counts."""

    title: str
    label: str
    lines: list[tuple[Floats, Floats]]


def _panels(report: PingReport) -> list[_Panel]:
    """Return the distributions of a report that have values."""
    panels = []
    lines = []
    for times in (report.rtt, report.kernel_rtt):
        if times.count:
            columns = times.columns()
            lines.append((columns["value_ns"] / 1e9, columns["count"].astype(float)))
    if lines:
        text = ("median", report.rtt.median), ("p99", report.rtt.p99), ("max", report.rtt.max)
        title = "round-trip time" + " (dashed: to the kernel)" * (len(lines) > 1)
        panels.append(_Panel(f"{title}\n{_named(text)}", "round-trip time", lines))
    steps = _variation(report)
    if len(steps):
        values, repeats = np.unique(steps, return_counts=True)
        counts = repeats.astype(np.float64)
        text = (
            ("mean", report.ipdv_abs_mean),
            ("RFC 3550 jitter", report.rfc3550_jitter),
            ("", None),
        )
        title = "delay variation (RFC 3393)\n" + _named(text)
        label = "|difference| of two probes in a row"
        panels.append(_Panel(title, label, [(values, counts)]))
    error = report.schedule_error
    if error.count:
        columns = error.columns()
        title = "schedule error\n" + _named((("median", error.median), ("max", error.max)))
        title += f", {report.missed:,} missed" if report.missed else ""
        values, counts = columns["value_ns"] / 1e9, columns["count"].astype(float)
        panels.append(_Panel(title, "sent after its time by", [(values, counts)]))
    return panels


def _named(values: Iterable[tuple[str, float | None]]) -> str:
    """Return durations with their names."""
    return ", ".join(f"{name} {duration(value)}" for name, value in values if value is not None)


def _variation(report: PingReport) -> Floats:
    """Return the absolute differences of the round-trip times of consecutive probes in seconds."""
    columns = report.columns()
    order = np.argsort(columns["flow"], kind="stable")
    seq, flow = columns["seq"][order].astype(np.int64), columns["flow"][order]
    rtt = np.where(columns["verdict"] == VERDICTS.index("answered"), columns["rtt_ns"], np.nan)
    steps = np.abs(np.diff(rtt[order]))
    pairs = (np.diff(seq) == 1) & (flow[1:] == flow[:-1]) & np.isfinite(steps)
    return cast(Floats, steps[pairs] / 1e9)


def _ecdf(axes: Axes, panel: _Panel) -> None:
    """Draw the shares of values up to each."""
    _style(axes)
    values = np.concatenate([values for values, _ in panel.lines])
    weights = np.concatenate([counts for _, counts in panel.lines])
    heavy = _heavy(values, weights)
    typical = _weighted_median(values, weights) if heavy else values.max()
    length, name = unit(float(typical))
    if heavy:
        _log(axes, "x")
    for (x, counts), style, color in zip(panel.lines, ("-", "--"), (BLUE, RED), strict=False):
        share = np.cumsum(counts) / counts.sum() * 100
        if len(x) > POINTS:
            some = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int))
            x, share = x[some], share[some]
        x, share = np.r_[x[0], x] / length, np.r_[0.0, share]
        axes.plot(x, share, style, color=color, lw=1.4, drawstyle="steps-post")
    if heavy:
        # A few values far below the rest must not take half of the scale.
        axes.set_xlim(left=max(float(values.min()), float(typical) / 1000) / length / 1.3)
    axes.set_ylim(0, 103)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_title(panel.title, size=8, loc="left")
    axes.set_xlabel(f"{panel.label} in {name}", size=9)
    axes.set_ylabel("share at most that, in %", size=9)


def _compare(ranges: Axes, losses: Axes, reports: Sequence[PingReport], labels: list[str]) -> None:
    """Draw round-trip times and losses of reports, one row each."""
    rows = np.arange(len(reports))
    times = [(one.rtt.min, one.rtt.median, one.rtt.p99, one.rtt.max) for one in reports]
    low, middle, p99, high = np.array(times, dtype=float).T
    heavy = _heavy(np.concatenate([values[np.isfinite(values)] for values in (low, middle, high)]))
    heavy = heavy and bool(np.nanmin(low) > 0)
    most = np.nanmax(high) if np.isfinite(high).any() else 0.0
    length, name = unit(float(np.nanmedian(middle) if heavy else most))
    for axes in (ranges, losses):
        _style(axes)
        axes.set_ylim(len(reports) - 0.4, -0.6)
    if heavy:
        _log(ranges, "x")
    ranges.hlines(
        rows, low / length, high / length, color=SKY, lw=3, label="min to max", gid="range"
    )
    style: dict[str, Any] = {"linestyle": "none", "color": BLACK}
    ranges.plot(middle / length, rows, "o", markersize=4, label="median", gid="median", **style)
    if np.isfinite(p99).any():
        ranges.plot(p99 / length, rows, "|", markersize=9, mew=1.6, label="p99", **style)
    shown = [_fit(label, NAME) for label in labels]
    ranges.set_yticks(rows, labels=shown, parse_math=False, fontsize=8)
    ranges.set_xlabel(f"round-trip time in {name}", size=9)
    _legend(ranges)
    loss = np.array([one.loss for one in reports], dtype=float) * 100
    interval = np.array([one.loss_interval or (np.nan, np.nan) for one in reports]) * 100
    around = np.abs(interval.T - loss)
    losses.errorbar(
        loss,
        rows,
        xerr=np.nan_to_num(around),
        fmt="s",
        color=RED,
        markersize=4,
        lw=1.2,
        capsize=2,
    )
    right = max(1.0, float(np.nanmax(interval)) * 1.05) if np.isfinite(interval).any() else 100.0
    losses.set_xlim(-right * 0.03, min(right, 103.0))
    losses.set_yticks(rows, labels=[])
    losses.set_xlabel("loss in % (95 % confidence)", size=9)


def fit(fit: Fit) -> Picture:
    """Return the picture of a fit: how well its models explain the record.

    The lengths of bursts of losses and of the gaps between them, and the variance of losses in
    windows, each with the range of 95 % of simulations of the model; and the quantiles of delays.
    """
    check, delay = fit.loss.check, fit.delay
    curves = (
        ("bursts of losses", "length in packets", "share that is longer", check and check.bursts),
        ("gaps between losses", "length in packets", "share that is longer", check and check.gaps),
        (
            "losses in windows",
            "window in packets",
            "variance / independent",
            check and check.variance,
        ),
    )
    shown = [curve for curve in curves if curve[3]]
    table = _summary.table("fit", ("", ""), _fit_rows(fit))
    if not shown and delay is None:
        return _nothing("nothing to compare", table)
    figure = _figure(3.6)
    figure.table = table
    p_value = check.p_value if check else None
    known = "" if p_value is None else f", goodness of fit p = {p_value:.2g}"
    warned = f"\n{'; '.join(fit.warnings)}" if fit.warnings else ""
    _title(figure, f"loss: {fit.loss.model}, {percent(fit.loss.loss.value)}{known}{warned}")
    places = iter(figure.add_gridspec(1, len(shown) + (delay is not None)))
    for number, (title, x, y, points) in enumerate(shown):
        assert points
        axes = figure.add_subplot(next(places))
        _curve(axes, points)
        if number == 0:
            axes.legend(loc="upper right", frameon=False, fontsize=7)
        axes.set_title(title, size=8.5, loc="left")
        axes.set_xlabel(x, size=9)
        axes.set_ylabel(y, size=9)
    if delay is not None:
        axes = figure.add_subplot(next(places))
        values = np.array(delay.table)
        _ecdf(axes, _Panel("delays", "delay", [(values, np.ones(len(values)))]))
    return figure


def _fit_rows(fit: Fit) -> list[tuple[str, str]]:
    """Return the summary of a fit, line by line."""
    rows = [line.partition(": ") for line in str(fit).split("\n")]
    return [(name.strip(), text) for name, _, text in rows]


def _curve(axes: Axes, points: Sequence[Point]) -> None:
    """Draw a curve of a record over that of its model."""
    _style(axes)
    at = [point.at for point in points]
    low, high = np.array([point.interval for point in points], dtype=float).T
    style: dict[str, Any] = {"color": SKY, "alpha": 0.4, "linewidth": 0}
    axes.fill_between(at, low, high, label="95 % of the model", **style)
    axes.plot(at, [point.expected for point in points], color=BLUE, lw=1.2, label="model")
    measured = [point.measured for point in points]
    axes.plot(at, measured, ".", color=RED, markersize=4, label="measured")
    if len(at) > 1:
        _log(axes, "x")


def _over_targets(times: Axes, losses: Axes, reports: Sequence[PingReport]) -> None:
    """Draw the distributions of medians, maxima and losses over reports."""
    lines = []
    for listed in ([one.rtt.median for one in reports], [one.rtt.max for one in reports]):
        values = np.sort(np.array([value for value in listed if value is not None]))
        if len(values):
            lines.append((values, np.ones(len(values))))
    if lines:
        _ecdf(
            times,
            _Panel("median of all targets that answered (dashed: max)", "round-trip time", lines),
        )
        times.set_ylabel("share of targets in %", size=9)
    else:
        times.set_axis_off()
    shares = np.sort(np.array([one.loss for one in reports if one.loss is not None])) * 100
    _style(losses)
    if len(shares):
        share = np.arange(1, len(shares) + 1) / len(shares) * 100
        style: dict[str, Any] = {"color": RED, "lw": 1.4, "drawstyle": "steps-post"}
        losses.plot(np.r_[shares[0], shares], np.r_[0.0, share], **style)
    losses.set_ylim(0, 103)
    losses.set_yticks([0, 25, 50, 75, 100])
    losses.set_title("all targets", size=8.5, loc="left")
    losses.set_xlabel("loss in %", size=9)
    losses.set_ylabel("share of targets in %", size=9)


def _strips(
    figure: Picture, places: Sequence[Any], named: Sequence[tuple[str, PingReport]]
) -> None:
    """Draw the round-trip times of several reports over the same time."""
    start = min((one.started_at for _, one in named if one.started_at is not None), default=0.0)
    first = None
    marks: dict[str, Look] = {}
    strips = [(name, _Rows(one, start)) for name, one in named]
    length = max((rows.length for _, rows in strips), default=1.0)
    for place, (name, rows) in zip(places, strips, strict=True):
        axes = figure.add_subplot(place, sharex=first)
        first = first or axes
        # All strips have the unit of the longest.
        rows.x, factor = rows.x * rows.length / length, rows.length / length
        rows.edges = None if rows.edges is None else rows.edges * factor
        rows.length, rows.x_unit = length, unit_name(length)
        rows.draw(axes)
        for verdict, look in LOOKS.items():
            chosen = rows.select(verdict)
            if chosen.any():
                x = rows.x[chosen]
                style = {"color": look.color, "markersize": 4, "clip_on": False, "gid": verdict}
                _dots(
                    axes,
                    x,
                    np.zeros(len(x)),
                    look.marker,
                    transform=axes.get_xaxis_transform(),
                    **style,
                )
                marks[verdict.replace("_", " ")] = look
        rows.spans(axes)
        axes.set_title(_fit(name, NAME), size=8.5, loc="left", parse_math=False)
        axes.set_ylabel(f"RTT in {rows.unit}" if np.isfinite(rows.y).any() else "", size=8)
        last = place is places[-1]
        axes.tick_params(labelbottom=last)
        if last:
            rows.label(axes)
    if first and marks:
        handles = [
            Line2D([], [], color=look.color, marker=look.marker, linestyle="none", label=name)
            for name, look in marks.items()
        ]
        corner: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
        first.legend(handles=handles, ncols=6, frameon=False, fontsize=8, **corner)


def unit_name(length: float) -> str:
    """Return the name of the unit of this length in seconds."""
    return next((name for _, one, name in _summary.UNITS if one == length), "d")


def _lanes(axes: Axes, series: _Series, lanes: dict[str, tuple[Bools, Look]]) -> None:
    """Draw a lane per kind of packet: a mark for each, or bars for the shares of columns."""
    _style(axes)
    labels = []
    for row, (name, (mask, look)) in enumerate(lanes.items()):
        label = f"{name} {int(mask.sum()):,}"
        if series.edges is None:
            x = series.x[mask]
            style = {"color": look.color, "markersize": 5.0, "gid": f"lane {name}"}
            _dots(axes, x, np.full(len(x), row), look.marker, **style)
        else:
            all_of = np.bincount(series.bins, minlength=COLUMNS)
            share = np.bincount(series.bins[mask], minlength=COLUMNS) / np.maximum(all_of, 1)
            bottom = row + 0.4
            bars = bottom - 0.8 * share / share.max()
            axes.stairs(bars, series.edges, baseline=bottom, fill=True, color=look.color)
            label += f"\nup to {percent(float(share.max()))}"
        labels.append(label)
    axes.set_yticks(range(len(lanes)), labels=labels, fontsize=8)
    axes.set_ylim(max(len(lanes), 1) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _dots(axes: Axes, x: Floats, y: Floats, marker: str, **style: Any) -> Any:
    """Draw a mark for each packet."""
    (line,) = axes.plot(x, y, marker, linestyle="none", rasterized=len(x) > VECTORS, **style)
    return line


def _size(count: int) -> float:
    """Return a size of dots that leaves the density of many visible."""
    return 6.0 if count <= 100 else 4.0 if count <= 2000 else 2.0


def _boxes(boxes: Sequence[tuple[float, float, float, float]], **style: Any) -> PolyCollection:
    """Return boxes of (start, end, middle, height) over days."""
    start, end, middle, height = np.array(boxes, dtype=float).T
    start, end = _days(start), _days(end)
    low, high = middle - height / 2, middle + height / 2
    corners = [(start, low), (start, high), (end, high), (end, low)]
    return PolyCollection(list(np.stack([np.stack(c, axis=-1) for c in corners], axis=1)), **style)


def _spans(axes: Axes, spans: Floats, label: str, color: str, hatch: str) -> Patch:
    """Mark spans of time over the whole height; returns the handle for a legend."""
    start, end = spans.T
    zero, one = np.zeros(len(start)), np.ones(len(start))
    corners = [(start, zero), (start, one), (end, one), (end, zero)]
    style: dict[str, Any] = {"facecolor": (color, 0.12), "edgecolor": (color, 0.6), "hatch": hatch}
    style |= {"linewidth": 0.5, "label": label}
    verts = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
    transform = axes.get_xaxis_transform()
    marks = PolyCollection(list(verts), transform=transform, zorder=0.5, gid=label, **style)
    axes.add_collection(marks, autolim=False)
    return Patch(**style)


def _days(seconds: Any) -> Any:
    """Return times since the Unix epoch as matplotlib counts them."""
    return seconds / 86400.0


def _heavy(values: Floats, weights: Floats | None = None) -> bool:
    """Return whether a few values are so much greater than the rest that a log scale helps."""
    if len(values) < 2:
        return False
    middle = np.median(values) if weights is None else _weighted_median(values, weights)
    return bool(middle > 0 and values.max() > 20 * middle)


def _weighted_median(values: Floats, weights: Floats) -> float:
    """Return the median of values that occur several times each."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _quantiles(bins: NDArray[np.int64], values: Floats) -> list[Floats]:
    """Return minimum, p10, median, p90 and maximum of the values in each bin; NaN in empty ones."""
    order = np.lexsort((values, bins))
    values = values[order]
    counts = np.bincount(bins, minlength=COLUMNS)
    starts = np.cumsum(counts) - counts
    full = counts > 0
    result = []
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        rank = np.maximum(np.ceil(share * counts).astype(int) - 1, 0)
        found = np.full(COLUMNS, np.nan)
        found[full] = values[(starts + rank)[full]]
        result.append(found)
    return result


def _name(report: PingReport, number: int) -> str:
    """Return the name of a report among several."""
    where = report.target or report.address
    return f"report {number + 1}" if where is None else joined(where)


def _figure(height: float) -> Picture:
    """Return an empty picture, `height` inches high."""
    return Picture(figsize=(10, height), dpi=120, layout="constrained")


def _title(figure: Picture, text: str) -> None:
    """Give a picture its title, of a main line and more."""
    shown = "\n".join(_fit(line, TITLE) for line in text.split("\n"))
    figure.suptitle(shown, x=0.01, ha="left", size=10.5, parse_math=False)


def _fit(text: str, longest: int) -> str:
    """Return a text, cut, in characters that the font has; the rest as escapes."""
    font = get_font(findfont(FontProperties()))

    def has(char: str) -> bool:
        marks = unicodedata.category(char).startswith("M")
        return char.isprintable() and not marks and font.get_char_index(ord(char)) > 0

    shown = "".join(c if has(c) else escaped(c) for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _nothing(text: str, table: str) -> Picture:
    """Return a picture that says that there is nothing to see."""
    figure = _figure(1.5)
    figure.table = table
    figure.text(0.5, 0.5, text, ha="center", va="center", size=12, parse_math=False)
    return figure


def _legend(axes: Axes, handles: Sequence[Any] | None = None) -> None:
    """Explain the marks above their axes, by these handles or those of the axes."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    if handles:
        axes.legend(handles=handles, ncols=6, frameon=False, fontsize=8, **place)


def _style(axes: Axes) -> None:
    """Set the style that all axes share."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _log(axes: Axes, which: str) -> None:
    """Give an axis a log scale with few plain labels."""
    getattr(axes, f"set_{which}scale")("log", nonpositive="clip")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _svg(figure: Figure) -> str:
    """Return a picture as an SVG element whose ids occur in no other picture of the page."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue()
    text = re.sub(r"<!--.*?-->\n?", "", text[text.index("<svg") :], flags=re.DOTALL)
    # matplotlib draws ids at random, unless a global setting says otherwise.
    ids = {name: f"-{n}" for n, name in enumerate(re.findall(r'\bid="([^"]+)"', text))}
    uses = re.compile(r'(\bid="|\burl\(#|href="#)([^")]+)')
    anonymous = uses.sub(lambda match: match[1] + ids[match[2]], text)
    prefix = "p" + hashlib.sha256(anonymous.encode()).hexdigest()[:8]
    text = uses.sub(lambda match: match[1] + prefix + ids[match[2]], text)
    # The texts are outlines; a screen reader says this.
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(_heading(figure))}" ', 1)


def _heading(figure: Figure) -> str:
    """Return the title of a picture, or its only text."""
    return (figure.get_suptitle() or " ".join(t.get_text() for t in figure.texts)).replace(
        "\n", "; "
    )


def _page(figure: Figure) -> str:
    """Return a page with a picture and its table."""
    title = escape(_heading(figure).partition("; ")[0])
    table = figure.table if isinstance(figure, Picture) else ""
    return PAGE.format(title=title, svg=_svg(figure), table=table)


# No browser loads anything for this page, whatever a name in it says.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: sans-serif }}
svg {{ width: 100%; height: auto; max-width: 75em; background: white }}
table {{ border-collapse: collapse; margin: 1em 0 }}
caption {{ text-align: left; font-weight: bold }}
th, td {{ text-align: left; padding: 0.1em 1em 0.1em 0; font-weight: normal }}
</style>
</head>
<body>
{svg}
{table}
</body>
</html>
"""
