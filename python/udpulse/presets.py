"""Paths of well-known kinds of access: `EchoServer(**presets.CABLE.links)`.

Each number of a `Preset` is in its source. Sources state the round-trip time or the one-way delay;
half the round-trip time is the delay of each way. None of these sources states losses: measure them
and `udpulse.fit` them.
"""

from dataclasses import dataclass
from typing import TypedDict

from udpulse._core import Link, RateLimit

__all__ = [
    "CABLE",
    "DIAL_UP",
    "DSL",
    "EDGE",
    "FIBER",
    "GEOSTATIONARY",
    "GPRS",
    "MOBILE_3G",
    "MOBILE_3G_FAST",
    "MOBILE_3G_SLOW",
    "Links",
    "Preset",
]

WEBPAGETEST = (
    "WebPageTest, www/settings/connectivity.ini.sample, section [{}]: bwOut, bwIn (bit/s) and "
    "latency (RTT in ms)"
)


class Links(TypedDict):
    """Both links of a path, as arguments of an EchoServer."""

    uplink: Link
    downlink: Link


@dataclass(frozen=True)
class Preset:
    """A path with a source for each of its numbers.

    uplink: the link from the client to the server.
    downlink: the link back.
    one_way: the delay of each link without its queue, in seconds.
    round_trip: their sum, in seconds.
    source: the publication that states the numbers.
    """

    uplink: Link
    downlink: Link
    one_way: float
    round_trip: float
    source: str

    @property
    def links(self) -> Links:
        """Both links, as arguments of an EchoServer."""
        return {"uplink": self.uplink, "downlink": self.downlink}


def _webpagetest(section: str, up: int, down: int, rtt_ms: int) -> Preset:
    """Return the path of a section of WebPageTest's settings."""
    one_way = rtt_ms / 2000
    return Preset(
        uplink=Link(rate=RateLimit(up), delay=one_way, keep_order=True),
        downlink=Link(rate=RateLimit(down), delay=one_way, keep_order=True),
        one_way=one_way,
        round_trip=rtt_ms / 1000,
        source=WEBPAGETEST.format(section),
    )


FIBER = _webpagetest("FIOS", 5_000_000, 20_000_000, 4)
CABLE = _webpagetest("Cable", 1_000_000, 5_000_000, 28)
DSL = _webpagetest("DSL", 384_000, 1_500_000, 50)
DIAL_UP = _webpagetest("Dial", 30_000, 49_000, 120)
MOBILE_3G_FAST = _webpagetest("3GFast", 768_000, 1_600_000, 150)
MOBILE_3G = _webpagetest("3G", 768_000, 1_600_000, 300)
MOBILE_3G_SLOW = _webpagetest("3GSlow", 330_000, 780_000, 200)
EDGE = _webpagetest("Edge", 200_000, 240_000, 840)
GPRS = _webpagetest("2G", 32_000, 35_000, 1300)

_GSO = Link(delay=0.279, keep_order=True)

GEOSTATIONARY = Preset(
    uplink=_GSO,
    downlink=_GSO,
    one_way=0.279,
    round_trip=0.558,
    source="RFC 2488, section 2: propagation for ground stations at the edge of the view area",
)
