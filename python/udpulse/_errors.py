"""The exceptions of udpulse; where Python has the right one, that is raised instead.

UdpulseError
└── NotStartedError (also a RuntimeError)
"""


class UdpulseError(Exception):
    """The base of udpulse's own exceptions."""

    __module__ = "udpulse"


class NotStartedError(UdpulseError, RuntimeError):
    """An object was asked for what it has only once it was started."""

    __module__ = "udpulse"
