"""Watches several paths in one event loop, while the program beats to a heartbeat server.

    python examples/watch_paths.py BEAT_HOST:PORT HOST:PORT HOST:PORT ...

The beats go on if the loop blocks, and then say for how long: the server reports `Stalled`.
"""

import asyncio
import sys

from udpulse import HeartbeatClient, PingClient


async def watch(host: str, port: int) -> None:
    """Print each probe without an answer, and the loss at the end."""
    client = PingClient(host, port, count=100, interval=0.01)
    async for probe in client:
        if probe.verdict != "answered":
            print(f"{host}:{port} probe {probe.seq} {probe.verdict}", flush=True)
    report = client.report()
    print(f"{host}:{port} {report.answered} of {report.sent} answered")


async def main(beats: tuple[str, int], paths: list[tuple[str, int]]) -> None:
    """Watch all paths."""
    async with HeartbeatClient(*beats, interval=0.2, name="watcher", stall_after=1.0):
        await asyncio.gather(*(watch(*path) for path in paths))


def address(text: str) -> tuple[str, int]:
    """A (host, port)."""
    host, _, port = text.rpartition(":")
    return host, int(port)


beats, *paths = map(address, sys.argv[1:])
asyncio.run(main(beats, paths))
