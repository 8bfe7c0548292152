"""Impairments: a `Link`, its models and `Rule`s, a timeline's `Step`s, `presets` of paths."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from udpulse._core import (
    Exponential,
    GilbertElliott,
    Link,
    LinkOutage,
    LossPattern,
    Normal,
    Pareto,
    Quantiles,
    RateLimit,
    Reordering,
    Rule,
    Step,
    TimedGilbertElliott,
    TraceRate,
    Uniform,
)

Loss: TypeAlias = float | Literal["lab"] | GilbertElliott | TimedGilbertElliott | LossPattern
Delay: TypeAlias = float | Uniform | Normal | Exponential | Pareto | Quantiles
Rate: TypeAlias = RateLimit | TraceRate

if TYPE_CHECKING:
    from udpulse import presets

__all__ = [
    "Delay",
    "Exponential",
    "GilbertElliott",
    "Link",
    "LinkOutage",
    "Loss",
    "LossPattern",
    "Normal",
    "Pareto",
    "Quantiles",
    "Rate",
    "RateLimit",
    "Reordering",
    "Rule",
    "Step",
    "TimedGilbertElliott",
    "TraceRate",
    "Uniform",
    "presets",
]


def __getattr__(name: str) -> Any:
    """Import what few programs need when it is used."""
    if name != "presets":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from udpulse import presets

    return presets
