"""Events, one class per kind.

`Event` is the union of those of a `HeartbeatServer`, `PingEvent` of those of a `PingClient`,
`ClientEvent` of a `HeartbeatClient` and `RelayEvent` of a `Relay`.
"""

from typing import TypeAlias

from udpulse._core import (
    Beat,
    Busy,
    ClockStepped,
    Conflict,
    Down,
    Failed,
    Fate,
    Heard,
    Ignored,
    LateBeat,
    Lost,
    MassSilence,
    Missing,
    Moved,
    OutageEnded,
    OutageStarted,
    Paused,
    Probe,
    Recovered,
    Restarted,
    Revised,
    SessionEnded,
    Stalled,
    Stopped,
    Suspect,
    TooOften,
    Unheard,
    Up,
)

PingEvent: TypeAlias = Probe | Revised | OutageStarted | OutageEnded
ClientEvent: TypeAlias = Beat | Unheard
RelayEvent: TypeAlias = Fate | SessionEnded

Event: TypeAlias = (
    Busy
    | ClockStepped
    | Conflict
    | Down
    | Failed
    | Heard
    | Ignored
    | LateBeat
    | Lost
    | MassSilence
    | Missing
    | Moved
    | Paused
    | Recovered
    | Restarted
    | Stalled
    | Stopped
    | Suspect
    | TooOften
    | Up
)

__all__ = [
    "Busy",
    "ClientEvent",
    "ClockStepped",
    "Conflict",
    "Down",
    "Event",
    "Failed",
    "Heard",
    "Ignored",
    "LateBeat",
    "Lost",
    "MassSilence",
    "Missing",
    "Moved",
    "OutageEnded",
    "OutageStarted",
    "Paused",
    "PingEvent",
    "Recovered",
    "RelayEvent",
    "Restarted",
    "Revised",
    "SessionEnded",
    "Stalled",
    "Stopped",
    "Suspect",
    "TooOften",
    "Unheard",
    "Up",
]
