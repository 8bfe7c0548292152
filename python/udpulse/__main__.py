"""The `udpulse` command, run by `python -m udpulse`."""

import sys

from udpulse.cli import main

sys.exit(main())
