"""Exceptions of udpulse, used only if Python has no fitting built-in one.

UdpulseError
└── NotStartedError (also a RuntimeError)
"""


class UdpulseError(Exception):
    """The base of udpulse's own exceptions."""

    __module__ = "udpulse"


class NotStartedError(UdpulseError, RuntimeError):
    """An object was used that was never started."""

    __module__ = "udpulse"
