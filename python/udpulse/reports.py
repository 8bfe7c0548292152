"""Parts of reports: distributions, runs and counters; the truth about an `EchoServer`."""

from udpulse._core import (
    Distribution,
    EchoCounters,
    EchoTruth,
    HeartbeatClientCounters,
    HeartbeatServerCounters,
    LinkCounters,
    Progress,
    Reply,
    Runs,
)

__all__ = [
    "Distribution",
    "EchoCounters",
    "EchoTruth",
    "HeartbeatClientCounters",
    "HeartbeatServerCounters",
    "LinkCounters",
    "Progress",
    "Reply",
    "Runs",
]
