"""Time of `udpulse --help` to that of `import click` alone, in turns: `python benches/help.py`."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 20
HELP = [str(Path(sys.executable).parent / "udpulse"), "--help"]
IMPORT = [sys.executable, "-c", "import click"]


def seconds(command: list[str]) -> float:
    """Return how long a command runs."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print both medians and that of the ratios."""
    pairs = [(seconds(HELP), seconds(IMPORT)) for _ in range(ROUNDS)]
    for name, times in zip(
        ("udpulse --help", "import click"), zip(*pairs, strict=True), strict=True
    ):
        print(f"{name:<16}{1000 * statistics.median(times):8.1f} ms")
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"{'ratio':<16}{ratio:8.2f}")


if __name__ == "__main__":
    main()
