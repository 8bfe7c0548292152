"""Events of a `HeartbeatServer`: one class per kind, and `Event`, the union of all."""

from typing import TypeAlias

from udpulse._core import (
    Busy,
    ClockStepped,
    Conflict,
    Down,
    Heard,
    Ignored,
    LateBeat,
    Lost,
    MassSilence,
    Moved,
    Paused,
    Recovered,
    Restarted,
    Stalled,
    Stopped,
    Suspect,
    Up,
)

Event: TypeAlias = (
    Busy
    | ClockStepped
    | Conflict
    | Down
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
    "Heard",
    "Ignored",
    "LateBeat",
    "Lost",
    "MassSilence",
    "Moved",
    "Paused",
    "Recovered",
    "Restarted",
    "Stalled",
    "Stopped",
    "Suspect",
    "Up",
]
