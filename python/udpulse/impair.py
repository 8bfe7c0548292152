"""Impairments: a `Link` and its models of loss, delay, rate and reordering; `presets` of paths."""

from typing import Literal, TypeAlias

from udpulse import presets
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
    TimedGilbertElliott,
    TraceRate,
    Uniform,
)

Loss: TypeAlias = float | Literal["lab"] | GilbertElliott | TimedGilbertElliott | LossPattern
Delay: TypeAlias = float | Uniform | Normal | Exponential | Pareto | Quantiles
Rate: TypeAlias = RateLimit | TraceRate

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
    "TimedGilbertElliott",
    "TraceRate",
    "Uniform",
    "presets",
]
