"""Measures how long the picture of a million probes takes to draw and to save."""

import random
import tempfile
import time
from pathlib import Path

from udpulse import PingReport, Probe, plots

COUNT = 1_000_000


def main() -> None:
    """Print the times."""
    chance = random.Random(1)
    probes = [
        Probe(seq=n + 1, verdict="answered", rtt=chance.paretovariate(2) / 1e3, sent_at=n / 1e3)
        if chance.random() > 0.02
        else Probe(seq=n + 1, verdict="lost", sent_at=n / 1e3)
        for n in range(COUNT)
    ]
    report = PingReport.from_probes(probes)
    for ending in ("svg", "png"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"picture.{ending}"
            start = time.perf_counter()
            picture = report.plot()
            drawn = time.perf_counter()
            plots.save(picture, path)
            saved = time.perf_counter()
            size = path.stat().st_size / 1e3
        print(
            f"{COUNT:,} probes: drawn in {drawn - start:.2f} s, "
            f"saved as {ending} in {saved - drawn:.2f} s, {size:.0f} kB"
        )


if __name__ == "__main__":
    main()
