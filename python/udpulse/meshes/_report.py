"""The results of a mesh, and the causes of its troubles."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpulse._core import PingReport, __version__
from udpulse.meshes._plan import Pair

State: TypeAlias = Literal["measured", "lost", "unreachable", "unmeasured"]
Kind: TypeAlias = Literal["host", "sender", "receiver", "groups", "path", "both ways"]
Floats: TypeAlias = NDArray[np.float64]

#: The share of bad cells from which a row, a column or a block has one cause.
MOST = 0.8

#: A cell is slow if its median is this many times that of all, and at least this much above it.
SLOW = (3.0, 0.005)


@dataclass(frozen=True)
class Cause:
    """A trouble that explains bad cells.

    kind: "host" for a cross (row and column), "sender" for a row, "receiver" for a column, "groups"
        for a block between two groups, "path" for a cell, "both ways" for two opposite cells.
    names: the host or the group, or both.
    trouble: "lost" if nothing arrives, "loss" or "delay".
    cells: the cells that it explains.
    """

    kind: Kind
    names: tuple[str, ...]
    trouble: Literal["lost", "loss", "delay"]
    cells: tuple[Pair, ...]

    def __str__(self) -> str:
        """Return the cause in words."""
        what = {"lost": "nothing gets through", "loss": "loss", "delay": "slow"}[self.trouble]
        where = {
            "host": "host {}, in both directions",
            "sender": "from host {}",
            "receiver": "to host {}",
            "groups": "between the groups {} and {}",
            "path": "path from {} to {}",
            "both ways": "path between {} and {}, both ways",
        }[self.kind].format(*self.names)
        number = len(self.cells)
        return f"{where}: {what} ({number} cell{'' if number == 1 else 's'})"


@dataclass(frozen=True)
class MeshReport:
    """The report of a visit of a mesh. `print(report)` shows the losses and the diagnosis.

    In a matrix a row is a sender and a column a receiver, in order of `hosts`; NaN on the diagonal
    and in each cell that has no value.

    hosts: the hosts.
    reports: the PingReport of each measured (sender, receiver).
    unreachable: why the engine does not reach a host, by host.
    groups: the group of each host that has one.
    protocol: "ping" or "stamp".
    started_at: the start, in seconds since the Unix epoch.
    ended_at: the end.
    max_loss: the highest tolerable loss.
    max_rtt: the highest tolerable median round trip, in seconds, or None.
    """

    hosts: tuple[str, ...]
    reports: Mapping[Pair, PingReport]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "ping"
    started_at: float = 0.0
    ended_at: float = 0.0
    max_loss: float = 0.01
    max_rtt: float | None = None

    @cached_property
    def loss(self) -> Floats:
        """The loss, 0 to 1: with STAMP of the direction, if known, else of the round trip."""
        return self._matrix(lambda report: loss_of(report)[0])

    @cached_property
    def loss_low(self) -> Floats:
        """The lower end of the loss's 95 % confidence interval."""
        return self._matrix(lambda report: loss_of(report)[1])

    @cached_property
    def loss_high(self) -> Floats:
        """The upper end of that interval."""
        return self._matrix(lambda report: loss_of(report)[2])

    @cached_property
    def p50(self) -> Floats:
        """The median round trip, in seconds."""
        return self._matrix(lambda report: report.rtt.median)

    @cached_property
    def p99(self) -> Floats:
        """The 99th percentile of the round trip, in seconds."""
        return self._matrix(lambda report: report.rtt.p99)

    @cached_property
    def n(self) -> Floats:
        """The number of decided probes."""
        return self._matrix(lambda report: report.sent - report.pending)

    @cached_property
    def total(self) -> PingReport:
        """The sum of all reports."""
        return sum(self.reports.values(), PingReport())

    @cached_property
    def busy(self) -> frozenset[str]:
        """The hosts that missed slots of the schedule or were paused in most of their measurements.

        Their figures tell of themselves, so that the diagnosis leaves their cells out.
        """
        measurements, disturbed = Counter[str](), Counter[str]()
        for (sender, _), report in self.reports.items():
            measurements[sender] += 1
            disturbed[sender] += bool(report.missed or report.paused)
        return frozenset(host for host in disturbed if 2 * disturbed[host] > measurements[host])

    def state(self, sender: str, receiver: str) -> State:
        """Return the state of a cell.

        "measured" has values, "lost" means that nothing arrived, "unreachable" that the engine did
        not reach one of the hosts, "unmeasured" that nobody asked.
        """
        report = self.reports.get((sender, receiver))
        if report is not None and report.sent > report.pending:
            return "measured" if report.answered + report.late else "lost"
        if sender in self.unreachable or receiver in self.unreachable:
            return "unreachable"
        return "unmeasured"

    def cells(self) -> Iterator[Pair]:
        """Yield the pairs of different hosts, row by row."""
        return ((a, b) for a in self.hosts for b in self.hosts if a != b)

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """The diagnosis: the fewest troubles that explain the bad cells, the largest first."""
        judged = [
            pair
            for pair in self.reports
            if not self.busy & {*pair} and self.state(*pair) != "unmeasured"
        ]
        lost = {pair for pair in judged if self.state(*pair) == "lost"}
        lossy = {pair for pair in judged if loss_of(self.reports[pair])[1] > self.max_loss}
        found = [*self._explain(lost, judged, "lost")]
        explained = {pair for cause in found for pair in cause.cells}
        found += self._explain(lossy - lost - explained, judged, "loss")
        found += self._explain(self._slow(judged) - lost, judged, "delay")
        return tuple(found)

    def _slow(self, judged: Iterable[Pair]) -> set[Pair]:
        """Return the cells whose median round trip is too long."""
        medians = {pair: self.reports[pair].rtt.median for pair in judged}
        known = {pair: median for pair, median in medians.items() if median is not None}
        if not known:
            return set()
        limit = self.max_rtt
        if limit is None:
            usual = statistics.median(known.values())
            limit = max(usual * SLOW[0], usual + SLOW[1])
        return {pair for pair, median in known.items() if median > limit}

    def _explain(
        self, bad: set[Pair], judged: list[Pair], trouble: Literal["lost", "loss", "delay"]
    ) -> Iterator[Cause]:
        """Yield causes, the one that explains the most cells first, until all are explained."""
        if not bad:
            return
        candidates = [*self._candidates(judged)]
        while bad:
            best: tuple[int, Kind, tuple[str, ...], set[Pair]] | None = None
            for kind, names, cells, parts in candidates:
                explained = cells & bad
                # Two cells of a small mesh may be one path.
                if len(explained) < 2 or any(len(p & bad) < MOST * len(p) for p in parts):
                    continue
                if best is None or len(explained) > best[0]:
                    best = len(explained), kind, names, explained
            if best is None:
                break
            yield Cause(best[1], best[2], trouble, tuple(sorted(best[3])))
            bad = bad - best[3]
        for one, other in sorted(bad):
            if (other, one) in bad:
                if one < other:
                    both = ((one, other), (other, one))
                    yield Cause("both ways", (one, other), trouble, both)
            else:
                yield Cause("path", (one, other), trouble, ((one, other),))

    def _candidates(
        self, judged: list[Pair]
    ) -> Iterator[tuple[Kind, tuple[str, ...], set[Pair], list[set[Pair]]]]:
        """Yield possible causes: kind, names, cells, and the parts that must be bad for it."""
        rows: defaultdict[str, set[Pair]] = defaultdict(set)
        columns: defaultdict[str, set[Pair]] = defaultdict(set)
        blocks: defaultdict[tuple[str, ...], set[Pair]] = defaultdict(set)
        for pair in judged:
            rows[pair[0]].add(pair)
            columns[pair[1]].add(pair)
            if all(host in self.groups for host in pair):
                blocks[tuple(sorted({self.groups[host] for host in pair}))].add(pair)
        for host in self.hosts:
            row, column = rows[host], columns[host]
            if row and column:
                yield "host", (host,), row | column, [row, column]
            yield "sender", (host,), row, [row]
            yield "receiver", (host,), column, [column]
        for names in sorted(blocks):
            if len(names) == 2:
                yield "groups", names, blocks[names], [blocks[names]]

    def _matrix(self, value: Callable[[PingReport], float | None]) -> Floats:
        """Return a matrix of a value of each report."""
        index = {host: number for number, host in enumerate(self.hosts)}
        matrix = np.full((len(self.hosts), len(self.hosts)), np.nan)
        for (sender, receiver), report in self.reports.items():
            number = value(report)
            if number is not None:
                matrix[index[sender], index[receiver]] = number
        return matrix

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dict that JSON can have."""
        first, *others = self.lines()
        first.pop("event")
        parts: dict[str, list[dict[str, Any]]] = {"cell": [], "cause": []}
        for line in others:
            parts[line.pop("event")].append(line)
        return {**first, "cells": parts["cell"], "causes": parts["cause"]}

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the report as dicts that JSON can have: `mesh`, each `cell`, and each `cause`."""
        yield {
            "event": "mesh",
            "version": __version__,
            "protocol": self.protocol,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "hosts": list(self.hosts),
            "groups": dict(self.groups),
            "unreachable": dict(self.unreachable),
            "busy": sorted(self.busy),
        }
        for pair in self.cells():
            yield {"event": "cell", **self.cell(*pair)}
        for cause in self.causes:
            yield {
                "event": "cause",
                "kind": cause.kind,
                "names": list(cause.names),
                "trouble": cause.trouble,
                "cells": [list(pair) for pair in cause.cells],
            }

    def cell(self, sender: str, receiver: str) -> dict[str, Any]:
        """Return a cell as a dict that JSON can have; undefined values are None."""
        report = self.reports.get((sender, receiver), PingReport())
        loss, low, high = (None if math.isnan(share) else share for share in loss_of(report))
        rtt = report.rtt
        return {
            "sender": sender,
            "receiver": receiver,
            "state": self.state(sender, receiver),
            "busy": sender in self.busy or receiver in self.busy,
            "n": report.sent - report.pending,
            "loss": loss,
            "loss_low": low,
            "loss_high": high,
            "rtt_p50_ns": None if rtt.median is None else round(rtt.median * 1e9),
            "rtt_p99_ns": None if rtt.p99 is None else round(rtt.p99 * 1e9),
        }

    def __str__(self) -> str:
        """Return the losses as a picture of characters, and the diagnosis."""
        from udpulse.meshes._picture import text

        return text(self)

    def svg(self) -> str:
        """Return the losses as a picture in SVG that can be read without colour."""
        from udpulse.meshes._picture import svg

        return svg(self)

    def _repr_svg_(self) -> str:
        """Return the picture for a notebook."""
        return self.svg()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the picture in SVG to a file. Raises OSError if it cannot be written."""
        Path(path).write_text(self.svg(), "utf-8")


def loss_of(report: PingReport) -> tuple[float, float, float]:
    """Return the loss with its 95 % confidence interval; NaN if nothing was decided.

    It is that of the forward direction if that is known of all lost probes (STAMP), else that of
    the round trip.
    """
    decided, forward = report.sent - report.pending, report.forward.lost
    if decided == 0 or report.loss is None or report.loss_interval is None:
        return (math.nan, math.nan, math.nan)
    if forward is None or report.unattributed or forward == report.lost:
        return (report.loss, *report.loss_interval)
    return (forward / decided, *wilson(forward, decided))


def wilson(lost: int, sent: int) -> tuple[float, float]:
    """Return Wilson's 95 % confidence interval (1927) of a share."""
    z, share = 1.959964, lost / sent
    middle = (share + z * z / (2 * sent)) / (1 + z * z / sent)
    width = z / (1 + z * z / sent) * math.sqrt(share * (1 - share) / sent + (z / (2 * sent)) ** 2)
    return max(middle - width, 0.0), min(middle + width, 1.0)
