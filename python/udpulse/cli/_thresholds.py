"""Thresholds for a report; a broken one makes the exit code 1."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from udpulse import PingReport
from udpulse.cli._parameters import period, share
from udpulse.cli._text import milliseconds, percent

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("min", "mean", "median", "max")


@dataclass(frozen=True)
class RttLimit:
    """The highest value of a statistic of the round trips, such as p99=20ms."""

    statistic: str
    seconds: float

    def of(self, report: PingReport) -> float | None:
        """Return the statistic of a report."""
        if self.statistic in NAMES:
            value: float | None = getattr(report.rtt, self.statistic)
            return value
        return report.rtt.percentile(float(self.statistic[1:]))


def rtt_limit(text: str) -> RttLimit:
    """Parse a threshold; without a name it is the maximum."""
    statistic, equals, time = text.rpartition("=")
    if not equals:
        statistic = "max"
    if statistic not in NAMES and not is_percentile(statistic):
        allowed = f"{', '.join(NAMES)} or a percentile such as p99"
        raise click.BadParameter(f"{statistic!r} is not a statistic; give {allowed}")
    return RttLimit(statistic, period(time))


def is_percentile(statistic: str) -> bool:
    """Return whether a word is a percentile such as p99.9."""
    try:
        return statistic[:1] == "p" and 1 <= float(statistic[1:]) < 100
    except ValueError:
        return False


def loss_limit(text: str) -> float:
    """Parse the highest loss."""
    value = share(text)
    if not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is not a share from 0 to 1 or 0% to 100%")
    return value


@dataclass(frozen=True)
class Limits:
    """The thresholds of a run."""

    loss: float | None
    rtt: tuple[RttLimit, ...]

    def broken(self, report: PingReport) -> Iterator[str]:
        """Return a line on each that a report breaks, or has too few replies to judge."""
        if self.loss is not None and report.loss is not None and report.loss > self.loss:
            yield f"loss {percent(report.loss)} is above {percent(self.loss)}"
        for limit in self.rtt:
            value = limit.of(report)
            if value is None:
                yield f"too few replies for {limit.statistic}"
            elif value > limit.seconds:
                times = milliseconds(value), milliseconds(limit.seconds)
                yield f"{limit.statistic} {times[0]} ms is above {times[1]} ms"


def limit_options(function: F) -> F:
    """Add the options `--max-loss` and `--max-rtt`."""
    rtt = click.option(
        "--max-rtt",
        metavar="[STATISTIC=]TIME",
        type=rtt_limit,
        multiple=True,
        help="Exit with 1 above this round trip; STATISTIC is min, mean, median, max or, say, p99.",
    )
    loss = click.option(
        "--max-loss", metavar="SHARE", type=loss_limit, help="Exit with 1 above this loss."
    )
    return loss(rtt(function))
