"""Impairments: a `Link` and its models of loss, delay, rate and reordering."""

from typing import Literal, TypeAlias

from udpulse._core import (
    Exponential,
    GilbertElliott,
    Link,
    LinkOutage,
    LossPattern,
    Normal,
    Pareto,
    RateLimit,
    Reordering,
    Uniform,
)

Loss: TypeAlias = float | Literal["lab"] | GilbertElliott | LossPattern
Delay: TypeAlias = float | Uniform | Normal | Exponential | Pareto

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
    "RateLimit",
    "Reordering",
    "Uniform",
]
