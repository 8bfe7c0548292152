"""`udpulse demo`."""

import udpulse.lab.demo
from udpulse.cli._run import Program


def demo() -> Program:
    """Show the lab's four programs at work, all in this process, on free ports of loopback."""
    return udpulse.lab.demo.demo
