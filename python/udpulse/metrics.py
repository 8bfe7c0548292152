"""Metrics of running objects for Prometheus and other monitoring systems.

docs/metrics.md has the name of each metric, its labels and its meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

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
#: counters.
Source: TypeAlias = (
    tuple[str, Running | PingReport] | tuple[str, Running | PingReport, Mapping[str, int]]
)

#: The Content-Type of the text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: The Content-Type of OpenMetrics.
OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: The most series of targets and clients in one answer, unless told otherwise.
MAX_SERIES = 250_000


def render(
    sources: Collection[Source], *, openmetrics: bool = False, max_series: int = MAX_SERIES
) -> bytes:
    """Return the metrics of running objects as text.

    sources: (name, object) pairs: a PingClient, StampSender, PingSweep, EchoServer, Relay,
        StampReflector, HeartbeatServer or HeartbeatClient each, running or not; or a PingReport,
        such as a sum of reports. The name is the label `name`, another one for each object of a
        class. A third item is a dict of counts from before the object's start, by the names of its
        counters, which are added.
    openmetrics: whether the format is OpenMetrics 1.0, or else the text format 0.0.4 of Prometheus.
    max_series: the most series of targets and clients, 0 or more. Those that do not fit, the last
        ones by their labels, are left out and counted in `udpulse_series_left_out`.

    Counters only grow until the object starts again, whatever it keeps. Those of probes count
    settled ones, 30 s after their timeout, because a late reply makes others fall.

    Raises TypeError for another object, and ValueError if a name is given twice or max_series is
    negative.
    """
    if max_series < 0:
        raise ValueError(f"max_series must be 0 or more, not {max_series!r}")
    given = []
    names = set()
    for name, source, *base in sources:
        if (type(source), name) in names:
            class_ = type(source).__name__
            raise ValueError(f"sources must have different names, not {name!r} for two of {class_}")
        names.add((type(source), name))
        given.append((name, source, dict(base[0]) if base else {}))
    return _exposition(given, openmetrics, max_series)


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
