"""A monitor: sessions, a heartbeat server and echo servers that one configuration describes.

`udpulse serve` runs one. From Python, with the path of a configuration (TOML):

    with Monitor("udpulse.toml") as monitor:
        print(monitor.snapshot())
"""

from udpulse.monitor._config import Config, ConfigError, load
from udpulse.monitor._monitor import Monitor
from udpulse.monitor._status import Alert, Observer, Row, Snapshot, Source

__all__ = [
    "Alert",
    "Config",
    "ConfigError",
    "Monitor",
    "Observer",
    "Row",
    "Snapshot",
    "Source",
    "load",
]
