"""Follows any number of heartbeat clients and prints a line when something happens to one.

    python examples/follow_fleet.py HOST PORT

Clients run `udpulse.HeartbeatClient(HOST, PORT, name=...)`.
"""

import sys
import time

from udpulse import HeartbeatServer
from udpulse.events import Down, Event, MassSilence, Recovered, Stalled, Stopped, Suspect, Up


def line(event: Event) -> str | None:
    """What to print of an event; None for the rest."""
    match event:
        case Up():
            return "up"
        case Suspect(silence=silence):
            return f"suspect: silent for {silence:.1f} s"
        case Down(cause=cause, silence=silence):
            return f"DOWN ({cause}): silent for {silence:.1f} s"
        case Stalled():
            return "stalled: it beats, but makes no progress"
        case Recovered(state=state, duration=duration):
            return f"back, was {state} for {duration:.1f} s"
        case Stopped():
            return "stopped"
        case MassSilence(silent=silent, alive=alive):
            return f"{silent} of {alive} clients are silent: is this host's network well?"
    return None


with HeartbeatServer(sys.argv[1], int(sys.argv[2])) as server:
    print("listening on", *server.address, flush=True)
    try:
        for event in server:
            if text := line(event):
                clock = time.strftime("%H:%M:%S", time.localtime(event.time))
                name = getattr(event, "name", None) or "{}:{}".format(*event.address)
                print(f"{clock}  {name}  {text}", flush=True)
    except KeyboardInterrupt:
        pass
