"""Measure any UDP path: who answers, how fast, how much is lost, and who is still alive."""

from pkgutil import extend_path

# A script run from the checkout finds this directory before site-packages; the compiled half may
# be in either.
__path__ = extend_path(__path__, __name__)

from udpulse._core import (
    VERDICTS,
    Beat,
    Distribution,
    Down,
    EchoCounters,
    EchoServer,
    Fate,
    Heard,
    HeartbeatClient,
    HeartbeatClientCounters,
    HeartbeatServer,
    HeartbeatServerCounters,
    Ignored,
    Late,
    Lost,
    Peer,
    PingClient,
    PingReport,
    Probe,
    Recovered,
    Restarted,
    Runs,
    Up,
    __version__,
    ping,
    ping_many,
)
from udpulse._errors import NotStartedError, UdpulseError

__all__ = [
    "VERDICTS",
    "Beat",
    "Distribution",
    "Down",
    "EchoCounters",
    "EchoServer",
    "Fate",
    "Heard",
    "HeartbeatClient",
    "HeartbeatClientCounters",
    "HeartbeatServer",
    "HeartbeatServerCounters",
    "Ignored",
    "Late",
    "Lost",
    "NotStartedError",
    "Peer",
    "PingClient",
    "PingReport",
    "Probe",
    "Recovered",
    "Restarted",
    "Runs",
    "UdpulseError",
    "Up",
    "__version__",
    "ping",
    "ping_many",
]
