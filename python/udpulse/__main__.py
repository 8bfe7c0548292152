"""`python -m udpulse` is the `udpulse` command."""

import sys

from udpulse.cli import main

sys.exit(main())
