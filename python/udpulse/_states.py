"""The states of clients and targets, in the order in which they are shown."""

from typing import Literal, TypeAlias, get_args

State: TypeAlias = Literal[
    "down",
    "failed",
    "missing",
    "stalled",
    "suspect",
    "overdue",
    "busy",
    "learning",
    "unknown",
    "up",
    "stopped",
]

#: The states, those that need attention first. They are those of `Peer.state`, and "missing": a
#: client that was expected or known before a restart, and was not heard in time.
STATES: tuple[State, ...] = get_args(State)

RANKS: dict[State, int] = {state: rank for rank, state in enumerate(STATES)}
