#!/usr/bin/env python3
"""The lab's UDP heartbeat server; --help tells its options."""

import sys

try:
    from udpulse.lab.heartbeat_server import main
except KeyboardInterrupt:
    sys.exit(0)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
