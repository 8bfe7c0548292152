"""`python -m udpulse` is the `udpulse` command."""

import sys

from udpulse._cli import main

sys.exit(main())
