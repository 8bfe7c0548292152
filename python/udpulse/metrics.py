"""Metrics of running objects for Prometheus and other monitoring systems.

docs/metrics.md has the name of each metric, its labels and its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from udpulse._core import PingReport, _exposition
from udpulse.jsonlines import Running

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = [
    "CONTENT_TYPE",
    "MAX_SERIES",
    "OPENMETRICS_CONTENT_TYPE",
    "Collector",
    "Source",
    "render",
]

#: A name, an object, and optionally counts from before the object's start, by the names of its
#: counters, and labels for its series.
Source: TypeAlias = (
    tuple[str, Running | PingReport]
    | tuple[str, Running | PingReport, Mapping[str, int]]
    | tuple[str, Running | PingReport, Mapping[str, int], Mapping[str, str]]
)

#: The Content-Type of the text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: The Content-Type of OpenMetrics.
OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: The most series of targets and clients in one answer, unless told otherwise.
MAX_SERIES = 250_000

#: The most labels of a source, and the most characters of a name and of a value.
MAX_LABELS = 16
MAX_NAME = 64
MAX_VALUE = 256

#: The labels of these metrics.
LABELS = frozenset(
    [
        "address",
        "impairment",
        "kind",
        "le",
        "link",
        "name",
        "outcome",
        "peer",
        "state",
        "target",
        "version",
        "way",
    ]
)


def render(
    sources: Collection[Source], *, openmetrics: bool = False, max_series: int = MAX_SERIES
) -> bytes:
    """Return the metrics of running objects as text.

    sources: (name, object) pairs: a PingClient, StampSender, PingSweep, EchoServer, Relay,
        StampReflector, HeartbeatServer or HeartbeatClient each, running or not; or a PingReport,
        such as a sum of reports. The name is the label `name`, another one for each object of a
        class. A third item is a dict of counts from before the object's start, by the names of its
        counters, which are added. A fourth one is a dict of labels for all series of the object: at
        most 16, with names of letters, digits and _ that these metrics do not use.
    openmetrics: whether the format is OpenMetrics 1.0, or else the text format 0.0.4 of Prometheus.
    max_series: the most series of targets and clients, 0 or more. Those that do not fit, the last
        ones by their labels, are left out and counted in `udpulse_series_left_out`.

    Counters only grow until the object starts again, whatever it keeps. Those of probes count
    settled ones, 30 s after their timeout, because a late reply makes others fall.

    Raises TypeError for another object, and ValueError if a name is given twice, max_series is
    negative, or for other labels.
    """
    if max_series < 0:
        raise ValueError(f"max_series must be 0 or more, not {max_series!r}")
    given = []
    names = set()
    for name, source, *more in sources:
        if (type(source), name) in names:
            class_ = type(source).__name__
            raise ValueError(f"sources must have different names, not {name!r} for two of {class_}")
        names.add((type(source), name))
        base: Mapping[str, Any] = more[0] if more else {}
        labels: Mapping[str, Any] = more[1] if len(more) > 1 else {}
        check_labels(labels)
        given.append((name, source, dict(base), dict(labels)))
    return _exposition(given, openmetrics, max_series)


def check_labels(labels: Mapping[str, str]) -> None:
    """Check the labels of a source: their names, values and number.

    Raises TypeError or ValueError for wrong ones.
    """
    if not isinstance(labels, Mapping):
        raise TypeError(f"labels must be texts by their names, not {labels!r}")
    if len(labels) > MAX_LABELS:
        raise ValueError(f"labels must be at most {MAX_LABELS}, not {len(labels)}")
    for name, value in labels.items():
        if not isinstance(name, str) or not re.fullmatch(
            rf"(?!__)[a-zA-Z_][a-zA-Z0-9_]{{0,{MAX_NAME - 1}}}", name
        ):
            allowed = f"up to {MAX_NAME} letters, digits and _, not a digit or __ first"
            raise ValueError(f"labels must have names of {allowed}, not {name!r}")
        if name in LABELS:
            raise ValueError(f"labels must have other names than {', '.join(sorted(LABELS))}")
        if not isinstance(value, str):
            raise TypeError(f"labels must be texts, not {value!r} for {name}")
        if not 0 < len(value) <= MAX_VALUE:
            allowed = f"texts of 1 to {MAX_VALUE} characters"
            raise ValueError(f"labels must be {allowed}, not {value!r} for {name}")


class Collector:
    """A collector of the metrics of running objects for a registry of prometheus_client.

    sources: as for `render`; read at each collection, so that a list may change.
    max_series: as for `render`.

    `prometheus_client.REGISTRY.register(Collector(sources))` adds them to the metrics that a
    program already exports. The extra `metrics` installs prometheus_client, which takes seconds for
    1,000 targets; `render` takes milliseconds.
    """

    def __init__(self, sources: Collection[Source], *, max_series: int = MAX_SERIES) -> None:
        """Create a collector that has collected nothing."""
        self._sources = sources
        self._max_series = max_series

    def collect(self) -> Iterator[Metric]:
        """Yield the families of metrics.

        Raises ImportError without prometheus_client, and the errors of `render`.
        """
        from prometheus_client.parser import text_string_to_metric_families

        text = render(self._sources, max_series=self._max_series).decode()
        yield from text_string_to_metric_families(text)
