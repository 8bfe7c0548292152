"""Watches a path and prints each burst of losses when it is over.

    python examples/loss_bursts.py HOST PORT [SECONDS]

The far end needs an echo service, such as `python -m UDPPingerServer "" 7000 --loss 0`.
"""

import sys
import time
from collections.abc import Iterable, Iterator

from udpulse import PingClient, Probe


def in_order(probes: Iterable[Probe]) -> Iterator[Probe]:
    """Yield probes as they were sent: a client yields an answer before an earlier loss."""
    decided: dict[int, Probe] = {}
    seq = 1
    for probe in probes:
        decided[probe.seq] = probe
        while seq in decided:
            yield decided.pop(seq)
            seq += 1


host, port = sys.argv[1], int(sys.argv[2])
duration = float(sys.argv[3]) if len(sys.argv) > 3 else None
burst: list[Probe] = []
with PingClient(host, port, count=None, duration=duration, interval=0.02, timeout=0.3) as client:
    try:
        for probe in in_order(client):
            if probe.verdict != "answered":
                burst.append(probe)
            elif burst:
                clock = time.strftime("%H:%M:%S", time.localtime(burst[0].sent_at))
                print(f"{clock}  {len(burst)} lost in a row", flush=True)
                burst.clear()
    except KeyboardInterrupt:
        pass
print(client.report())
