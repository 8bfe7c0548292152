"""Measure any UDP path: who answers, how fast, how much is lost, and who is still alive."""

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

# A script run from the checkout finds this directory before site-packages; the compiled module may
# be in either.
__path__ = extend_path(__path__, __name__)

from udpulse import events, impair, reports
from udpulse._core import (
    VERDICTS,
    Beat,
    EchoServer,
    Fate,
    HeartbeatClient,
    HeartbeatServer,
    Keys,
    Peer,
    PingClient,
    PingReport,
    PingSweep,
    Probe,
    Relay,
    StampReflector,
    StampSender,
    __version__,
    async_ping,
    async_ping_many,
    async_stamp,
    ping,
    ping_many,
    stamp,
)
from udpulse._errors import NotStartedError, UdpulseError

if TYPE_CHECKING:
    from udpulse.fits import fit
    from udpulse.meshes import mesh

__all__ = [
    "VERDICTS",
    "Beat",
    "EchoServer",
    "Fate",
    "HeartbeatClient",
    "HeartbeatServer",
    "Keys",
    "NotStartedError",
    "Peer",
    "PingClient",
    "PingReport",
    "PingSweep",
    "Probe",
    "Relay",
    "StampReflector",
    "StampSender",
    "UdpulseError",
    "__version__",
    "async_ping",
    "async_ping_many",
    "async_stamp",
    "events",
    "fit",
    "impair",
    "mesh",
    "ping",
    "ping_many",
    "reports",
    "stamp",
]


def __getattr__(name: str) -> Any:
    """Import what few programs need when it is used."""
    if name == "fit":
        from udpulse.fits import fit

        return fit
    if name == "mesh":
        from udpulse.meshes import mesh

        return mesh
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
