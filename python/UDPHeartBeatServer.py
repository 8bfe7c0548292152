#!/usr/bin/env python3
"""The lab's UDP heartbeat server; --help shows its options.

Where to look:
  python/udpulse/lab/heartbeat_server.py  options, screen
  src/net/batch_linux.rs                  socket; batch_portable.rs on other systems
  src/driver/event_loop.rs                receive, wait, send
  src/wire/text.rs                        number and time in a beat
  src/heartbeat/sequence.rs               lost beats
  src/heartbeat/server/judge.rs           timeout
"""

try:
    import sys

    from udpulse.lab.heartbeat_server import main

    if __name__ == "__main__":
        sys.exit(main())
except KeyboardInterrupt:
    raise SystemExit(0) from None
except ImportError as error:
    if __name__ != "__main__":
        raise
    fix = "run `pip install .` in its folder, the one with pyproject.toml"
    print(f"UDPHeartBeatServer.py: udpulse is not installed ({error}); {fix}", file=sys.stderr)
    raise SystemExit(2) from None

__all__ = ["main"]
