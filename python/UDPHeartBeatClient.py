#!/usr/bin/env python3
"""The lab's UDP heartbeat client; --help shows its options.

Where to look:
  python/udpulse/lab/heartbeat_client.py  options, screen
  src/net/socket.rs                       socket
  src/driver/event_loop.rs                receive, wait, send
  src/wire/template.rs                    message
  src/heartbeat/client/mod.rs             interval, random failure
"""

try:
    import sys

    from udpulse.lab.heartbeat_client import main

    if __name__ == "__main__":
        sys.exit(main())
except KeyboardInterrupt:
    raise SystemExit(130) from None
except ImportError as error:
    if __name__ != "__main__":
        raise
    fix = "run `pip install .` in its folder, the one with pyproject.toml"
    print(f"UDPHeartBeatClient.py: udpulse is not installed ({error}); {fix}", file=sys.stderr)
    raise SystemExit(2) from None

__all__ = ["main"]
