"""Events, one class per kind.

`Event` is the union of those of a `HeartbeatServer`, `PingEvent` of those of a `PingClient`,
`ClientEvent` of a `HeartbeatClient`, `RelayEvent` of a `Relay` and `ReflectorEvent` of a
`StampReflector`.
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
    Reflected,
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
ReflectorEvent: TypeAlias = Reflected | Fate

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
    "ReflectorEvent",
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
