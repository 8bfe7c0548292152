"""Texts that several programs show."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

from udpulse._printable import joined


class Bound(Protocol):
    """A server with an address of its own."""

    @property
    def address(self) -> tuple[str, int]: ...


def listening(server: Bound) -> str:
    """Return the first line about a server."""
    return f"Listening on {joined(server.address)}; Ctrl-C ends it"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def notes(counts: Mapping[str, int], meanings: Mapping[str, str], noun: str) -> Iterator[str]:
    """Return a line about each of the counts that is not 0."""
    for name, meaning in meanings.items():
        if number := counts.get(name):
            yield f"{counted(number, noun)} {meaning}"


def percent(share: float) -> str:
    """Format a share without a needless decimal; only none is 0%, only all is 100%."""
    value = 100 * share
    for decimals in range(1, 16):
        text = f"{value:.{decimals}f}"
        if value in (0, 100) or float(text) not in (0, 100):
            break
    return text.rstrip("0").rstrip(".") + "%"


def milliseconds(seconds: float) -> str:
    """Format a duration in milliseconds, with a resolution of a microsecond."""
    return f"{1000 * seconds:.3f}"


def short_milliseconds(seconds: float) -> str:
    """Format a duration in milliseconds, in at most six characters up to a day."""
    value = 1000 * seconds
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1 if value < 1000 else 0}f}"


def duration(seconds: float) -> str:
    """Format a duration for people, with the unit that fits."""
    if seconds < 0:
        return "-" + duration(-seconds)
    for least, unit, size in ((172_800, "d", 86_400), (7200, "h", 3600), (120, "min", 60)):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def clock(time: float) -> str:
    """Format a time since the epoch as the local date and time, to the millisecond."""
    local = datetime.fromtimestamp(time)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}"
