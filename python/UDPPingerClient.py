#!/usr/bin/env python3
"""The lab's UDP ping client; --help tells its options."""

import sys

try:
    from udpulse.lab.pinger_client import main
except KeyboardInterrupt:
    sys.exit(130)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
