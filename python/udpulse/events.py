"""Events of a `HeartbeatServer`, one class per kind, and those of a `PingClient`.

`Event` is the union of the first, `PingEvent` of the second.
"""

from typing import TypeAlias

from udpulse._core import (
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
    Moved,
    OutageEnded,
    OutageStarted,
    Paused,
    Probe,
    Recovered,
    Restarted,
    Stalled,
    Stopped,
    Suspect,
    Up,
)

PingEvent: TypeAlias = Probe | OutageStarted | OutageEnded

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
    | Moved
    | Paused
    | Recovered
    | Restarted
    | Stalled
    | Stopped
    | Suspect
    | Up
)

__all__ = [
    "Busy",
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
    "Moved",
    "OutageEnded",
    "OutageStarted",
    "Paused",
    "PingEvent",
    "Recovered",
    "Restarted",
    "Stalled",
    "Stopped",
    "Suspect",
    "Up",
]
