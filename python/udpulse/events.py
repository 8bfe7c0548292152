"""What a `HeartbeatServer` reports: one class per kind of event, and `Event`, any of them."""

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
