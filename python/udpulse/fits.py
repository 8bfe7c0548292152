"""Models of loss and delay, fitted to a record: `udpulse.fit(report)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast, get_args

from udpulse._core import (
    VERDICTS,
    EchoServer,
    Fate,
    GilbertElliott,
    Link,
    PingReport,
    Quantiles,
    Relay,
    TimedGilbertElliott,
    _fit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udpulse.jsonlines import Run
    from udpulse.plots import Picture

__all__ = [
    "Check",
    "DelayFit",
    "Estimate",
    "Fit",
    "LossFit",
    "PacketLoss",
    "Point",
    "Record",
    "TimedLoss",
    "fit",
]

Model: TypeAlias = Literal["none", "bernoulli", "gilbert", "gilbert3", "gilbert4"]
Way: TypeAlias = Literal["both", "uplink", "downlink"]


class Columns(Protocol):
    """An object with rows, such as a PingReport, an EchoServer or a Relay."""

    def columns(self) -> Mapping[str, Any]:
        """Return the rows as arrays."""


File: TypeAlias = str | PathLike[str] | IO[str] | IO[bytes]
Record: TypeAlias = "Columns | Run | Mapping[str, Any] | Iterable[Fate] | File"

# Below these numbers an estimate says little.
BURSTS = 10
DELAYS = 100

# A right model has a p-value this small in one of a hundred records.
DOUBT = 0.01

LOST = VERDICTS.index("lost")
ARRIVED = (VERDICTS.index("answered"), VERDICTS.index("late"))

# The numbers of a Relay's ways in columns; another one for packets that take both.
WAYS = {"uplink": 0, "downlink": 1}
BOTH = 2

# Flags of a link that lose a packet: lost, queue_full, outage and too_big.
DROPS = 1 | 16 | 32 | 64


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % confidence interval.

    value: the number.
    interval: its (low, high) pair; both are the value if the model fixes it.
    """

    value: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        """Return the number and its interval."""
        low, high = self.interval
        return f"{self.value:.4g} ({low:.4g} to {high:.4g})"


@dataclass(frozen=True)
class PacketLoss:
    """The parameters of a GilbertElliott: they hold at the packet rate of the record only.

    p: the probability that the good state turns bad after a packet.
    r: the probability that the bad state turns good after a packet.
    good_loss: the probability of loss in the good state.
    bad_loss: the probability of loss in the bad state.
    """

    p: Estimate
    r: Estimate
    good_loss: Estimate
    bad_loss: Estimate

    @property
    def model(self) -> GilbertElliott:
        """The model with these values."""
        p, r = self.p.value, self.r.value
        losses = {"bad_loss": self.bad_loss.value, "good_loss": self.good_loss.value}
        return GilbertElliott(p, r, **losses)


@dataclass(frozen=True)
class TimedLoss:
    """The parameters of a TimedGilbertElliott: they hold at every packet rate.

    good: the mean duration of the good state, in seconds.
    bad: the mean duration of the bad state, in seconds.
    good_loss: the probability of loss in the good state.
    bad_loss: the probability of loss in the bad state.
    bad_delay: how much longer a packet takes that passes in the bad state, in seconds; None if none
        passes or delays are not known.
    """

    good: Estimate
    bad: Estimate
    good_loss: Estimate
    bad_loss: Estimate
    bad_delay: Estimate | None = None

    @property
    def model(self) -> TimedGilbertElliott:
        """The model with these values; without a `bad_delay` that chance explains."""
        losses = {"bad_loss": self.bad_loss.value, "good_loss": self.good_loss.value}
        more = self.bad_delay
        bad_delay = 0.0 if more is None or more.interval[0] <= 0 else more.value
        return TimedGilbertElliott(
            good=self.good.value, bad=self.bad.value, bad_delay=bad_delay, **losses
        )


@dataclass(frozen=True)
class Point:
    """A point of a curve: the record compared with simulations of its model.

    at: a length or a window, in packets.
    measured: the value of the record.
    expected: the mean of the simulations.
    interval: the range of 95 % of them.
    """

    at: int
    measured: float
    expected: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Check:
    """How well the model of loss explains the record, by a parametric bootstrap.

    p_value: the share of records of the model whose lengths of bursts or gaps are at least as far
        from the expected ones (greatest distance of the distributions, doubled for two tests);
        below 0.01 the model is wrong. None without losses.
    stationary: the same for the differences between four parts of the record (G statistic of their
        transitions); below 0.01 the link changed. None without losses.
    bursts: the share of bursts of losses that are longer than each length.
    gaps: the share of gaps between losses that are longer.
    variance: the variance of the losses in windows, divided by that of independent losses.
    """

    p_value: float | None
    stationary: float | None
    bursts: tuple[Point, ...]
    gaps: tuple[Point, ...]
    variance: tuple[Point, ...]


@dataclass(frozen=True)
class LossFit:
    """A model of loss.

    model: the one with the least BIC (Schwarz 1978): "none" (nothing was lost), "bernoulli"
        (independent losses), "gilbert" (a bad state that loses everything), "gilbert3" (a bad state
        that loses a part) or "gilbert4" (two states that each lose a part).
    loss: the mean loss.
    per_packet: the parameters at the packet rate of the record, as of netem's `gemodel`; None for
        "none". For "bernoulli" r is 1 - p.
    timed: the parameters in seconds; None for "none" and "bernoulli".
    packets: the number of packets.
    lost: how many of them were lost.
    bursts: the number of runs of losses.
    spacing: the typical time between packets, in seconds; a shorter bad state is not seen.
    bic: the criterion of each model that was considered.
    check: the goodness of fit; None without simulations.
    """

    model: Model
    loss: Estimate
    per_packet: PacketLoss | None
    timed: TimedLoss | None
    packets: int
    lost: int
    bursts: int
    spacing: float
    bic: dict[str, float]
    check: Check | None


@dataclass(frozen=True)
class DelayFit:
    """The distribution of delays, without the `bad_delay` of packets that took it.

    table: up to 1024 quantiles in seconds, at equally spaced probabilities from the minimum to the
        maximum.
    median: the median, in seconds.
    correlation: the rank correlation (Spearman's) of neighbours; None if there are too few.
    spacing: the time between neighbours, in seconds.
    count: the number of delays.
    reordered: whether a packet overtook another.
    """

    table: tuple[float, ...]
    median: Estimate
    correlation: Estimate | None
    spacing: float
    count: int
    reordered: bool

    @property
    def model(self) -> Quantiles:
        """The model with these values; without a correlation that chance explains."""
        found = self.correlation
        if found is None or found.interval[0] <= 0 or self.spacing <= 0:
            return Quantiles(self.table)
        return Quantiles(self.table, correlation=found.value, spacing=self.spacing)


@dataclass(frozen=True)
class Fit:
    """A link fitted to a record.

    loss: the model of loss.
    delay: the distribution of delays; None if no delay is known.
    warnings: what the record cannot tell, one sentence each.
    """

    loss: LossFit
    delay: DelayFit | None
    warnings: tuple[str, ...]

    @property
    def link(self) -> Link:
        """The fitted link, which is the same at every packet rate: `EchoServer(uplink=fit.link)`.

        It keeps the order of packets if the record did. A round trip shows only the sum of both
        ways: this link has all of its loss and delay, so that the other way needs none.
        """
        loss = self.loss.timed.model if self.loss.timed else self.loss.loss.value
        if self.delay is None:
            return Link(loss=loss)
        return Link(loss=loss, delay=self.delay.model, keep_order=not self.delay.reordered)

    @property
    def netem(self) -> str:
        """The nearest command of Linux's netem, for packets as far apart as those of the record.

        netem has no distribution as measured: it has the mean, the standard deviation and the
        correlation of delays. DEV is the network device.
        """
        parts = ["tc qdisc add dev DEV root netem"]
        if (of := self.loss.per_packet) is not None:
            if self.loss.model == "bernoulli":
                parts.append(f"loss {of.p.value:.4%}")
            else:
                shares = (of.p, of.r, of.bad_loss, of.good_loss)
                parts.append(f"loss gemodel {' '.join(f'{share.value:.4%}' for share in shares)}")
        if self.delay is not None:
            table = self.delay.table
            mean = sum(table) / len(table)
            deviation = (sum((one - mean) ** 2 for one in table) / len(table)) ** 0.5
            parts.append(f"delay {mean * 1000:.4f}ms {deviation * 1000:.4f}ms")
            if correlation := self.delay.model.correlation:
                parts.append(f"{correlation:.2%}")
        return " ".join(parts)

    def plot(self) -> Picture:
        """Return a picture of the goodness of fit, a matplotlib Figure.

        Raises ImportError without matplotlib, which the extra `plot` installs.
        """
        from udpulse import plots

        return plots.fit(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict; values among them become dicts, too."""
        return asdict(self)

    def __str__(self) -> str:
        """Return a readable summary."""
        return "\n".join(lines(self))


def fit(record: Record, *, way: Way = "both", simulations: int = 99, seed: int = 0) -> Fit:
    """Fit models of loss and delay to a record of packets.

    record: a PingReport, an EchoServer or a Relay, with their kept rows; a dict of arrays as their
        `columns()`; Fates; or the path, the file or the Run of a run recorded with
        `udpulse.jsonlines`, of one target. A dict needs `sent_at_ns` and `verdict` or `lost` (true
        for a lost packet), and may have `rtt_ns`, `kernel_rtt_ns`, `seq` and `flow`.
    way: the link to fit, "uplink" or "downlink", if the record is of an EchoServer or a Relay;
        "both" for both in series, or for the only one that a Relay's packets took.
    simulations: how often the model is simulated for its goodness of fit, 0 to 10,000.
    seed: the seed of the simulations, 0 to 2**64 - 1.

    Lost probes are lost packets and late ones are slow packets. Probes that met an error are left
    out. Flows and clients are records of their own, and a hole ends a record. Delays are those of
    the kernel if all have one. Fates give the time that packets spent inside, which an EchoServer
    knows only of both links together.

    The likelihood of each model is maximized, and BIC chooses. The state follows time, so that the
    result is the same at every packet rate. Few losses prove nothing: `warnings` says so.

    Raises ValueError if there is no packet to fit, the record does not tell the ways apart or has
    both ways of a Relay and `way` is "both", a column is missing, packets are not in order of
    sending or an argument is out of range, and OSError if a file cannot be read.
    """
    if isinstance(simulations, bool) or not isinstance(simulations, int):
        raise TypeError(f"simulations must be 0 to 10000, not {simulations!r}")
    if not 0 <= simulations <= 10_000:
        raise ValueError(f"simulations must be 0 to 10000, not {simulations}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be 0 to 2**64 - 1, not {seed!r}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be 0 to 2**64 - 1, not {seed}")
    if way not in get_args(Way):
        raise ValueError(f"way must be 'both', 'uplink' or 'downlink', not {way!r}")
    found, warnings = rows_of(record)
    parts, left_out, gaps = records(found, way)
    if not parts:
        raise ValueError("record must have a packet that arrived or was lost; it has none")
    return described(_fit(parts, simulations, seed), warnings, left_out, gaps)


def rows_of(record: Record) -> tuple[Mapping[str, Any], list[str]]:
    """Return the columns of a record, and what is missing in it."""
    from udpulse import jsonlines

    thing: Any = record
    if isinstance(thing, str | PathLike):
        with open(thing, "rb") as file:
            thing = jsonlines.load(file)
    elif hasattr(thing, "read"):
        thing = jsonlines.load(thing)
    if isinstance(thing, jsonlines.Run):
        if thing.command not in ("ping", "stamp", "echo", "relay"):
            raise ValueError(
                f"record must be a run of a ping, an EchoServer or a Relay, not {thing.command}"
            )
        thing = thing.result
    warnings = []
    if isinstance(thing, PingReport) and thing.rows_dropped:
        kept = thing.sent - thing.rows_dropped
        warnings.append(f"only the last {kept:,} of {thing.sent:,} probes were kept")
    if isinstance(thing, EchoServer | Relay) and thing.rows_dropped:
        warnings.append(f"{thing.rows_dropped:,} older packets were not kept")
    if isinstance(thing, Mapping):
        return thing, warnings
    # A table of pandas has an attribute of that name.
    if callable(columns := getattr(thing, "columns", None)):
        return cast(Mapping[str, Any], columns()), warnings
    if isinstance(thing, Iterable):
        fates = list(thing)
        if all(isinstance(fate, Fate) for fate in fates):
            return fate_columns(fates), warnings
    raise TypeError(
        "record must be a PingReport, an EchoServer, a Relay, a dict of columns, Fates or a "
        f"recorded run of one target, not {type(thing).__name__}"
    )


def fate_columns(fates: list[Fate]) -> dict[str, Any]:
    """Return the columns of fates."""
    import numpy as np

    clients = {client: index for index, client in enumerate({fate.client: 0 for fate in fates})}
    start = min((fate.received_at for fate in fates), default=0.0)
    flags = ["lost", "duplicated", "corrupted", "held", "queue_full", "outage", "too_big"]

    def bits(names: Iterable[str]) -> int:
        return sum(1 << flags.index(name) for name in names)

    sent = [fate.received_at if fate.sent_at is None else fate.sent_at for fate in fates]
    return {
        "client": np.array([clients[fate.client] for fate in fates]),
        "number": np.array([fate.number for fate in fates]),
        "way": np.array([WAYS.get(fate.way, BOTH) for fate in fates]),
        "received_at_ns": np.array([round((fate.received_at - start) * 1e9) for fate in fates]),
        "sent_at_ns": np.array([(at - start) * 1e9 for at in sent], dtype=float),
        "uplink": np.array([bits(fate.uplink) for fate in fates]),
        "downlink": np.array([bits(fate.downlink) for fate in fates]),
        "replies": np.array([fate.replies for fate in fates]),
    }


def column(columns: Mapping[str, Any], name: str, kind: type) -> NDArray[Any]:
    """Return a column as an array."""
    import numpy as np

    if name not in columns:
        raise ValueError(f"record must have a column {name!r}; it has {', '.join(columns)}")
    try:
        array: NDArray[Any] = np.asarray(columns[name], dtype=kind)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} must be an array of numbers: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"column {name!r} must have one dimension, not {array.ndim}")
    return array


def records(columns: Mapping[str, Any], way: Way = "both") -> tuple[list[Any], int, int]:
    """Return the arrays of each record without holes, and how many packets are left out or missing.

    Packets missing in a row count once.
    """
    import numpy as np

    if "received_at_ns" in columns:
        sent, lost, delay, group, number, kept = packets_of_fates(columns, way)
    elif way != "both":
        raise ValueError(f"way must be 'both' for probes, which take both ways, not {way!r}")
    else:
        sent, lost, delay, group, number, kept = packets_of_probes(columns)
    check_lengths(sent, lost, delay, group, number, kept)
    order = (
        np.lexsort((number, group)) if "received_at_ns" in columns else group.argsort(kind="stable")
    )
    numbered = order[kept[order] | (number[order] > 0)]
    gaps = (np.diff(group[numbered]) == 0) & (np.diff(number[numbered]) != 1)
    order = order[kept[order]]
    sent, lost, delay = sent[order], lost[order], delay[order]
    group, number = group[order], number[order]
    same = np.diff(group) == 0
    if (np.diff(sent)[same] < 0).any():
        raise ValueError("record must be in order of sending: its times must not fall")
    if (delay[~lost] < 0).any():
        raise ValueError("record must not have delays below 0")
    delay = np.minimum(delay, 3.6e12)
    holes = np.flatnonzero(~same | (np.diff(number) != 1)) + 1
    ends = zip([0, *holes], [*holes, len(sent)], strict=True)
    parts = [(sent[a:b], lost[a:b], delay[a:b]) for a, b in ends if b > a]
    return parts, int((~kept).sum()), int(gaps.sum())


def check_lengths(*arrays: NDArray[Any]) -> None:
    """Raise ValueError unless all arrays have one length."""
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(f"columns must have one length, not {sorted(lengths)}")


def packets_of_probes(columns: Mapping[str, Any]) -> tuple[NDArray[Any], ...]:
    """Return send times, losses, delays, flows, numbers and which count."""
    import numpy as np

    sent = column(columns, "sent_at_ns", np.int64)
    if "lost" in columns:
        lost = column(columns, "lost", np.bool_)
        kept = np.ones(len(lost), np.bool_)
    elif "verdict" in columns:
        verdict = column(columns, "verdict", np.int64)
        lost = verdict == LOST
        kept = lost | np.isin(verdict, ARRIVED)
    else:
        raise ValueError(
            f"record must have a column 'verdict' or 'lost'; it has {', '.join(columns)}"
        )
    delay = np.full(len(sent), np.nan)
    for name in ("rtt_ns", "kernel_rtt_ns"):
        if name in columns:
            times = column(columns, name, np.float64)
            if len(times) == len(lost) and not np.isnan(times[kept & ~lost]).any():
                delay = times
    seq = column(columns, "seq", np.int64) if "seq" in columns else np.arange(len(sent))
    flow = column(columns, "flow", np.int64) if "flow" in columns else np.zeros(len(sent), np.int64)
    return sent, lost, delay, flow, seq, kept


def packets_of_fates(columns: Mapping[str, Any], way: Way) -> tuple[NDArray[Any], ...]:
    """Return receive times, losses, delays, clients, numbers and which count."""
    import numpy as np

    received = column(columns, "received_at_ns", np.int64)
    number = column(columns, "number", np.int64)
    client = column(columns, "client", np.int64)
    passed = column(columns, "replies", np.int64) > 0
    dropped = {name: column(columns, name, np.int64) & DROPS > 0 for name in WAYS}
    sent = column(columns, "sent_at_ns", np.float64)
    took = column(columns, "way", np.int64) if "way" in columns else np.full(len(number), BOTH)
    check_lengths(received, number, client, passed, *dropped.values(), sent, took)
    # The clock may be read after a packet has left.
    delay = np.maximum(sent - received, 0.0)
    asked = (way == "both") | (took == BOTH) | (took == WAYS.get(way))
    if len(np.unique(took[asked])) > 1:
        raise ValueError(
            "way must be 'uplink' or 'downlink' for the packets of a Relay, not 'both'"
        )
    # A full delay line, a limit or the end of a session is not the link's.
    kept = (number > 0) & (passed | dropped["uplink"] | dropped["downlink"])
    lost = ~passed
    if way != "both" and (took[asked] == BOTH).any():
        # Two links in series, whose delays are not told apart.
        delay = np.full(len(number), np.nan)
        arrived = passed | dropped["downlink"]
        if way == "uplink":
            lost = ~arrived
        else:
            asked = asked & (arrived | ~dropped["uplink"])
            # Packets that the uplink lost make no holes.
            order = np.lexsort((number, client))
            number = number.copy()
            number[order[asked[order]]] = np.arange(asked.sum()) + 1
    arrays = (received, lost, np.where(lost, np.nan, delay), client, number, kept)
    return tuple(array[asked] for array in arrays)


def described(found: dict[str, Any], warnings: list[str], left_out: int, gaps: int) -> Fit:
    """Return the fit of numbers."""

    def estimate(triple: tuple[float, float, float] | None) -> Estimate:
        assert triple is not None
        value, low, high = triple
        return Estimate(value, (low, high))

    def seconds(triple: tuple[float, float, float]) -> Estimate:
        value, low, high = (ns / 1e9 for ns in triple)
        return Estimate(value, (low, high))

    model = found["model"]
    bad_loss, good_loss = map(estimate, found["losses"])
    per_packet = timed = check = delay = None
    if model != "none":
        p, r = map(estimate, found["changes"])
        per_packet = PacketLoss(p=p, r=r, good_loss=good_loss, bad_loss=bad_loss)
    if found["durations"] is not None:
        good, bad = map(estimate, found["durations"])
        more = None if found["bad_delay"] is None else seconds(found["bad_delay"])
        timed = TimedLoss(good, bad, good_loss, bad_loss, more)
    if found["check"] is not None:
        p_value, stationary, curves = found["check"]
        check = Check(p_value, stationary, *map(curve, curves))
    if found["delay"] is not None:
        table, count, correlation, median, reordered = found["delay"]
        delay = DelayFit(
            table=tuple(ns / 1e9 for ns in table),
            median=seconds(median),
            correlation=None if correlation is None else estimate(correlation),
            spacing=found["spacing"],
            count=count,
            reordered=reordered,
        )
    loss = LossFit(
        model=model,
        loss=estimate(found["loss"]),
        per_packet=per_packet,
        timed=timed,
        packets=found["packets"],
        lost=found["lost"],
        bursts=found["bursts"],
        spacing=found["spacing"],
        bic=found["bic"],
        check=check,
    )
    holes, regular = gaps + found["holes"], found["regular"]
    return Fit(loss, delay, (*warnings, *doubts(loss, delay, holes, left_out, regular)))


def curve(points: Iterable[tuple[int, float, float, float, float]]) -> tuple[Point, ...]:
    """Return the points of a curve."""
    return tuple(Point(at, y, mean, (low, high)) for at, y, mean, low, high in points)


def doubts(
    loss: LossFit, delay: DelayFit | None, holes: int, left_out: int, regular: bool
) -> Iterable[str]:
    """Yield what a record cannot tell."""
    most = f"{loss.loss.interval[1]:.2g}"
    if left_out:
        yield f"{left_out:,} packets that neither arrived nor were lost on the way are left out"
    if holes:
        yield f"the record has {holes:,} holes, across which no state is followed"
    if loss.packets > 1 and not regular:
        yield (
            f"packets are irregular: the probabilities per packet hold for {loss.spacing:.3g} s "
            "between two"
        )
    if loss.lost == 0:
        yield f"nothing was lost: the loss may be anything up to {most}"
    elif loss.lost == loss.packets:
        yield "everything was lost: there is no good state and no delay to fit"
    elif loss.bursts < BURSTS:
        yield f"too few losses: {loss.bursts} bursts say little about their lengths"
    if loss.check is not None:
        doubt = loss.check.stationary
        if doubt is not None and doubt <= DOUBT:
            yield "not stationary: the four quarters of the record differ in their losses"
        doubt = loss.check.p_value
        if doubt is not None and doubt <= DOUBT:
            yield "no model explains the lengths of bursts and gaps"
    if delay is None:
        yield "no delay is known"
    elif delay.count < DELAYS:
        yield f"too few delays: {delay.count} say nothing about rare ones"


def lines(fit: Fit) -> Iterable[str]:
    """Yield the lines of a summary."""
    loss, delay = fit.loss, fit.delay
    share = Estimate(
        loss.loss.value * 100, (loss.loss.interval[0] * 100, loss.loss.interval[1] * 100)
    )
    yield f"{loss.packets:,} packets, {loss.lost:,} lost in {loss.bursts:,} bursts"
    yield f"loss: {loss.model}, {share} %"
    if loss.timed:
        yield f"  good for {loss.timed.good} s, loses {loss.timed.good_loss}"
        more = loss.timed.bad_delay
        longer = f", takes {more} s longer" if more is not None and more.interval[0] > 0 else ""
        yield f"  bad for {loss.timed.bad} s, loses {loss.timed.bad_loss}{longer}"
    if loss.per_packet and loss.timed:
        p, r = loss.per_packet.p, loss.per_packet.r
        yield f"  per packet, each {loss.spacing:.4g} s: p {p}, r {r}"
    if loss.check and loss.check.p_value is not None:
        yield f"  goodness of fit: p = {loss.check.p_value:.2g}"
    if delay:
        table = delay.table
        yield f"delay: {table[0]:.4g} to {table[-1]:.4g} s, median {delay.median} s"
        if delay.correlation:
            yield f"  rank correlation {delay.correlation} of packets {delay.spacing:.4g} s apart"
    yield from (f"warning: {text}" for text in fit.warnings)
