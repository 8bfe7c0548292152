"""Parts of reports: distributions, runs, counters and tables; the truth about an `EchoServer`."""

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
    Table,
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
    "Table",
]
