"""Parts of reports: distributions, runs and counters; the truth about an `EchoServer`."""

from udpulse._core import (
    AddressChange,
    Distribution,
    EchoCounters,
    EchoTruth,
    HeaderField,
    HeartbeatClientCounters,
    HeartbeatServerCounters,
    LinkCounters,
    Outage,
    Pause,
    PingCounters,
    Progress,
    Reply,
    Runs,
)

__all__ = [
    "AddressChange",
    "Distribution",
    "EchoCounters",
    "EchoTruth",
    "HeaderField",
    "HeartbeatClientCounters",
    "HeartbeatServerCounters",
    "LinkCounters",
    "Outage",
    "Pause",
    "PingCounters",
    "Progress",
    "Reply",
    "Runs",
]
