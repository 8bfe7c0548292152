#!/usr/bin/env python3
"""The lab's UDP heartbeat client; --help tells its options."""

import sys

try:
    from udpulse.lab.heartbeat_client import main
except KeyboardInterrupt:
    sys.exit(130)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
