"""Pings many targets together and prints a table, the worst first.

python examples/many_targets.py HOST:PORT HOST:PORT ...
"""

import sys

from udpulse import PingReport, ping_many


def milliseconds(seconds: float | None) -> str:
    """A time for the table; a dash if there is none."""
    return "-" if seconds is None else f"{seconds * 1000:.2f}"


targets = []
for argument in sys.argv[1:]:
    host, _, port = argument.rpartition(":")
    targets.append((host.strip("[]"), int(port)))

reports = ping_many(targets, count=20, rate=2000, timeout=0.5)


def worst_first(row: tuple[str, PingReport]) -> float:
    """The key to sort by: the loss."""
    return -(row[1].loss or 0.0)


print(f"{'target':32}{'loss':>8}{'median ms':>12}{'max ms':>10}")
for target, report in sorted(zip(sys.argv[1:], reports, strict=True), key=worst_first):
    rtt = report.rtt
    median, most = milliseconds(rtt.median), milliseconds(rtt.max)
    print(f"{target:32}{report.loss or 0:>8.1%}{median:>12}{most:>10}")
