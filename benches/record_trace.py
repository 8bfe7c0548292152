"""Record the beats of one client as a trace file that `--bench detectors` replays.

python benches/record_trace.py PORT INTERVAL_SECONDS FILE, until Ctrl-C.
"""

import sys
from pathlib import Path

import udpulse


def main() -> None:
    """Write one line per beat: its number, time of sending and time of arrival."""
    port, interval, file = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    with udpulse.HeartbeatServer("", port, max_peers=1, every_beat=True) as server:
        lines = [f"# udpulse heartbeat trace, interval_ns={interval * 1e9:.0f}\n"]
        try:
            for event in server:
                if isinstance(event, udpulse.events.Heard) and None not in (
                    event.seq,
                    event.difference,
                ):
                    arrived = round(event.time * 1e9)
                    sent = arrived - round((event.difference or 0.0) * 1e9)
                    lines.append(f"{event.seq} {sent} {arrived}\n")
        finally:
            file.write_text("".join(lines))


if __name__ == "__main__":
    main()
