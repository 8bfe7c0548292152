"""Draws the pictures of docs/plots.md.

`python docs/pictures.py` writes them; `--check` compares them with the saved ones, whatever the
coordinates are.
"""

import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from udpulse import Fate, PingReport, Probe, plots
from udpulse.events import Down, Event, Failed, Lost, Paused, Recovered, Stalled, Suspect, Up

IMAGES = Path(__file__).parent / "images"
START = 1_764_000_000.0


def session(chance: random.Random, base: float, loss: float, flow: int = 0) -> list[Probe]:
    """Return ten seconds of probes with queueing and losses, and an outage from 6 s to 7 s."""
    probes = []
    for seq in range(1, 201):
        at = (seq - 1) / 20
        lost = 6 <= at < 7 or chance.random() < loss
        rtt = base * (1 + chance.expovariate(8)) + (0.02 if chance.random() < 0.02 else 0)
        verdict: Literal["lost", "answered"] = "lost" if lost else "answered"
        time = None if lost else rtt
        probes.append(Probe(seq=seq, flow=flow, verdict=verdict, rtt=time, sent_at=START + at))
    return probes


def fleet() -> list[Event]:
    """Return an hour of a small fleet."""

    def at(name: str) -> dict[str, Any]:
        return {"address": ("192.0.2.1", 12000), "name": name}

    silent: dict[str, Any] = {"silence": 5.0, "timeout": 5.0}
    names = ("api-1", "api-2", "backup", "db", "worker-1", "worker-2")
    events: list[Event] = [Up(time=START + n, **at(name)) for n, name in enumerate(names)]
    events += [
        Suspect(time=START + 600, **silent, **at("api-1")),
        Down(time=START + 640, cause="silence", **silent, **at("api-1")),
        Lost(time=START + 900, first=7, last=9, **at("api-2")),
        Recovered(time=START + 1500, state="down", duration=860, timeout=5, **at("api-1")),
        Stalled(time=START + 1800, **at("worker-2")),
        Recovered(time=START + 2300, state="stalled", duration=500, timeout=5, **at("worker-2")),
        Failed(time=START + 2500, error="OSError", **at("backup")),
        Paused(time=START + 2900, duration=120, address=("0.0.0.0", 0)),
        Up(time=START + 3590, **at("worker-3")),
    ]
    return events


def fates(chance: random.Random) -> list[Fate]:
    """Return the fates of packets on an impaired path."""
    listed = []
    for number in range(1, 301):
        kind = chance.random()
        lost = "lost" if kind < 0.1 else None
        marks = ("duplicated",) if kind > 0.95 else ("corrupted",) if kind > 0.9 else ()
        at = START + number / 50
        fate = Fate(
            received_at=at,
            client=("192.0.2.7", 4711),
            number=number,
            outcome="lost" if lost else "replied",
            answer=b"",
            uplink=(lost,) if lost else (),
            downlink=() if lost else marks,
            replies=0 if lost else 1,
            sent_at=None if lost else at + chance.expovariate(200),
        )
        listed.append(fate)
    return listed


def pictures() -> Iterator[tuple[str, Any]]:
    """Yield the name and the data of each picture."""
    chance = random.Random(7)
    report = PingReport.from_probes(session(chance, 0.012, 0.02))
    targets = [PingReport.from_probes(session(chance, *of)) for of in ((0.01, 0.0), (0.03, 0.2))]
    targets.append(report)
    yield "report.svg", report
    yield "reports.svg", targets
    yield "timeline.svg", fleet()
    yield "fates.svg", fates(chance)


def shape(path: Path) -> str:
    """Return a picture without its numbers and ids; its texts are outlines."""
    return re.sub(r"p[0-9a-f]{8}-\d+|-?\d+(\.\d+)?", "", path.read_text()) if path.exists() else ""


def stale(folder: Path) -> list[str]:
    """Return the names of the saved pictures whose shapes are not those of the ones in `folder`."""
    return [path.name for path in folder.iterdir() if shape(path) != shape(IMAGES / path.name)]


def draw(folder: Path) -> None:
    """Draw all pictures."""
    for name, data in pictures():
        plots.save(plots.of(data), folder / name)


def main(arguments: list[str]) -> int:
    """Write or check the pictures."""
    if "--check" not in arguments:
        draw(IMAGES)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        names = stale(Path(folder))
    if names:
        print(f"stale: {' '.join(names)}; run docs/pictures.py", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
