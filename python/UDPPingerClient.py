#!/usr/bin/env python3
"""The lab's UDP ping client; --help shows its options.

Where to look:
  python/udpulse/lab/pinger_client.py  options, screen
  src/net/probe_linux.rs               socket; probe_portable.rs on other systems
  src/driver/event_loop.rs             receive, wait, send
  src/wire/template.rs                 message
  src/ping/session/mod.rs              timeout, RTT, loss
  src/stats/distribution.rs            minimum, maximum, average
"""

try:
    import sys

    from udpulse.lab.pinger_client import main

    if __name__ == "__main__":
        sys.exit(main())
except KeyboardInterrupt:
    raise SystemExit(130) from None
except ImportError as error:
    if __name__ != "__main__":
        raise
    fix = "run `pip install .` in its folder, the one with pyproject.toml"
    print(f"UDPPingerClient.py: udpulse is not installed ({error}); {fix}", file=sys.stderr)
    raise SystemExit(2) from None

__all__ = ["main"]
