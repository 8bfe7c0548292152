"""Events of a `HeartbeatServer`, one class per kind, of a `PingClient` and a `HeartbeatClient`.

`Event` is the union of the first, `PingEvent` of the second, `ClientEvent` of the third.
"""

from typing import TypeAlias

from udpulse._core import (
    Beat,
    Busy,
    ClockStepped,
    Conflict,
    Down,
    Failed,
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
    Stalled,
    Stopped,
    Suspect,
    TooOften,
    Unheard,
    Up,
)

PingEvent: TypeAlias = Probe | Revised | OutageStarted | OutageEnded
ClientEvent: TypeAlias = Beat | Unheard

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
    "Restarted",
    "Revised",
    "Stalled",
    "Stopped",
    "Suspect",
    "TooOften",
    "Unheard",
    "Up",
]
