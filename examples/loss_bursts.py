"""Watches a path and prints each burst of losses when it is over.

    python examples/loss_bursts.py HOST PORT [SECONDS]

The far end needs an echo service, such as `python -m UDPPingerServer "" 7000 --loss 0`.
"""

import sys
import time

from udpulse import PingClient
from udpulse.events import OutageEnded

host, port = sys.argv[1], int(sys.argv[2])
duration = float(sys.argv[3]) if len(sys.argv) > 3 else None
client = PingClient(host, port, count=None, duration=duration, interval=0.02, outage_after=1)
with client:
    try:
        for event in client:
            if isinstance(event, OutageEnded):
                clock = time.strftime("%H:%M:%S", time.localtime(event.start))
                print(f"{clock}  {event.lost} lost in a row", flush=True)
    except KeyboardInterrupt:
        pass
print(client.report())
