#!/usr/bin/env python3
"""The lab's lossy UDP ping server; --help tells its options."""

import sys

try:
    from udpulse.lab.pinger_server import main
except KeyboardInterrupt:
    sys.exit(0)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
