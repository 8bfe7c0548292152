"""Compare udpulse with other programs on the same work: `python benches/compare [TITLE...]`.

Build with `maturin develop --release` first. Without a title it writes docs/comparison.md, in less
than ten minutes; with titles, or their beginnings, it prints these parts. Peers that are not
installed are left out. Servers run on core 0 and clients on core 1; udpulse and its peers take
turns, and each round begins with another. Needs Linux, two cores and a C compiler.
"""

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import loss
from servers import PeerError
from works import WORKS, Work

import udpulse

ROUNDS = 3
FAILURES = (PeerError, OSError, ArithmeticError, subprocess.SubprocessError)
PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
PEERS = {
    "sockperf": ["sockperf", "--version"],
    "irtt": ["irtt", "version"],
    "fping": ["fping", "--version"],
    "iperf3": ["iperf3", "--version"],
    "socat": ["socat", "-V"],
    "stamp-suite": ["stamp-suite", "--version"],
}
INTRODUCTION = f"""Written by `python benches/compare`, which runs each work on your machine;
do not edit it. Ratios are udpulse to the other program in the same round: below 1, udpulse took
less. A cell has the median of {ROUNDS} rounds, then the median of the ratios and their range. A
program has failed if it ended, or served less than nine in ten clients."""


def installed(name: str) -> bool:
    """Return whether the program of a column or row can be run."""
    program = name.split()[0]
    return program not in PEERS or shutil.which(program) is not None


def version_of(program: str) -> str:
    """Return a program with its version."""
    ran = subprocess.run(PEERS[program], capture_output=True, text=True)
    found = re.search(r"\d+\.[\d.]*\d", ran.stdout + ran.stderr)
    return f"{program} {found[0]}" if found else program


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    return found[1] if found else platform.machine()


def figure(value: float) -> str:
    """Return a number with three digits or, if it is larger, without decimals."""
    return f"{value:,.{max(0, 3 - len(str(int(value))))}f}"


def ratio(values: list[float]) -> str:
    """Return the median of ratios and their range."""
    texts = [f"{value:.2f}" for value in (statistics.median(values), min(values), max(values))]
    return texts[0] if len(set(texts)) == 1 else f"{texts[0]} ({texts[1]} to {texts[2]})"


def measured(work: Work) -> dict[tuple[str, str], list[float]]:
    """Return the values of each row and column; a column whose program failed has none."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    failed = set()
    for number in range(ROUNDS):
        for row, measures in work.rows.items():
            present = [column for column in measures if installed(column)]
            first = number % len(present)
            for column in present[first:] + present[:first]:
                try:
                    values[row, column].append(measures[column]())
                except FAILURES as error:
                    print(f"{work.title}, {row}, {column}: {error}", file=sys.stderr)
                    failed.add((row, column))
    for place in failed:
        values[place].clear()
    return values


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table of Markdown."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def section(title: str, text: str, body: str) -> str:
    """Return a section of the page."""
    return f"## {title}\n\n{textwrap.fill(' '.join(text.split()), 100)}\n\n{body}\n"


def section_of(work: Work) -> str:
    """Measure a work; return its section."""
    values = measured(work)
    present = [name for names in work.rows.values() for name in names if installed(name)]
    columns = list(dict.fromkeys(present))

    def cell(row: str, column: str) -> str:
        if column not in work.rows[row]:
            return "-"
        if not values[row, column]:
            return "failed"
        text = figure(statistics.median(values[row, column]))
        if column == "udpulse" or not values[row, "udpulse"]:
            return text
        pairs = zip(values[row, "udpulse"], values[row, column], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        return f"{text}, {ratio(ratios)}" if ratios else text

    rows = [[row, *(cell(row, column) for column in columns)] for row in work.rows]
    return section(work.title, work.text, table([work.unit, *columns], rows))


def section_of_losses() -> str:
    """Measure losses; return their section."""
    counts: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(dict)
    for name, tool in loss.TOOLS.items():
        for path in loss.PATHS if installed(name) else ():
            try:
                losses, truth = loss.losses_and_truth(tool, path)
            except FAILURES as error:
                print(f"{loss.TITLE}, {name}, {path}: {error}", file=sys.stderr)
                continue
            for way, lost in losses.items():
                text = str(lost) if lost < 1e9 else f"{lost:.2g}"
                counts[name, way][path] = [str(truth[way]), text]
    header = ["tool", "way"]
    for path in loss.PATHS:
        header += [f"{path}: truth", "measured"]
    rows = [
        [name, way, *(text for path in loss.PATHS for text in of.get(path, ["-", "failed"]))]
        for (name, way), of in counts.items()
    ]
    body = table(header, rows)
    return section(loss.TITLE, loss.TEXT.format(count=loss.COUNT), body)


def sections(titles: list[str]) -> Iterator[str]:
    """Yield the sections whose titles begin with one of `titles`."""
    runs = {work.title: lambda work=work: section_of(work) for work in WORKS}
    for title, run in {**runs, loss.TITLE: section_of_losses}.items():
        if title.lower().startswith(tuple(word.lower() for word in titles)):
            yield run()


def main() -> None:
    """Run all works, or those that are named."""
    # Threads of udpulse in this process are clients.
    os.sched_setaffinity(0, {1})
    if sys.argv[1:]:
        for text in sections(sys.argv[1:]):
            print(text)
        return
    start, load_before = time.monotonic(), os.getloadavg()[0]
    parts = list(sections([""]))
    minutes, now = (time.monotonic() - start) / 60, datetime.now(timezone.utc)
    here = [name for name in PEERS if installed(name)]
    absent = [name for name in PEERS if not installed(name)]
    facts = [
        f"{now:%Y-%m-%d}; {processor()}, {os.cpu_count()} cores; Linux {platform.release()}",
        f"load average {load_before:.1f} before; {minutes:.1f} minutes",
        f"udpulse {udpulse.__version__}, Python {platform.python_version()}",
        *map(version_of, here),
        "not installed, and so not compared: " + (", ".join(absent) or "none"),
    ]
    introduction = textwrap.fill(" ".join(INTRODUCTION.split()), 100)
    machine = "\n".join(f"- {fact}" for fact in facts)
    PAGE.write_text(
        "\n".join(["# Comparison with other programs\n", introduction, "", machine, "", *parts]),
        "utf-8",
    )


if __name__ == "__main__":
    main()
