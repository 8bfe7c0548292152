"""`udpulse mesh`: show which hosts of many have trouble with which."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from udpulse.cli import _parameters as types
from udpulse.cli._follow import Signals
from udpulse.cli._options import Parse, options_of
from udpulse.cli._record import reserve
from udpulse.cli._run import BROKEN, Command, Program, Screen
from udpulse.cli._targets import file_option, lines
from udpulse.cli._thresholds import Limits, RttLimit, limit_options
from udpulse.meshes import Mesh, MeshReport

EPILOG = """\b
Examples:
  udpulse mesh 127.0.0.1 127.0.0.2 127.0.0.3
  udpulse mesh --scheduler tls://scheduler:8786 --svg mesh.svg
  udpulse mesh --file hosts.txt --every 60s --json --max-loss 1% --max-rtt p99=20ms
"""

#: The types of options that have other ones in other commands.
KINDS: dict[str, tuple[Parse, str]] = {
    "rate": (types.quantity, "X"),
    "host_timeout": (types.duration, "TIME"),
    "peers": (types.whole, "N"),
    "port": (types.whole, "N"),
}

SCREEN = Screen()


@click.command("mesh", cls=Command, epilog=EPILOG)
@click.argument("host", nargs=-1)
@file_option(
    "Read hosts from a file, one per line, each with its group if it has one; - for stdin."
)
@click.option("--scheduler", metavar="URL", help="The hosts are those of a Dask cluster's workers.")
@click.option("--every", metavar="TIME", type=types.period, help="Measure again at every TIME.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON, one per cell.")
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a picture of the losses to a file, a new one each time.",
)
@limit_options
@options_of(Mesh, without=["groups", "max_loss", "max_rtt"], kinds=KINDS)
def command(
    host: tuple[str, ...],
    file: Iterable[str] | None,
    scheduler: str | None,
    every: float | None,
    as_json: bool,
    svg: Path | None,
    max_loss: float | None,
    max_rtt: tuple[RttLimit, ...],
    **options: Any,
) -> Program:
    """Show which hosts of many have trouble with which.

    HOST is an address of this host; without any, four loopback addresses measure each other. With
    --scheduler the hosts of a Dask cluster do (pip install 'udpulse[mesh]'). In a file, a group is
    a word after the host.

    TIME is in seconds or has a unit: 250ms, 1.5s, 2m. SHARE is 0.01 or 1%. The word none is
    Python's None.
    """
    words = [[word] for word in host] + [line.split() for line in lines(file or ())]
    if wrong := next((line for line in words if len(line) > 2), None):
        raise click.UsageError(f"--file: {' '.join(wrong)!r} is not a host and a group")
    groups = {line[0]: line[1] for line in words if len(line) == 2}
    if max_loss is not None:
        options["max_loss"] = max_loss
    hosts: Any = [line[0] for line in words] or None
    if scheduler is not None:
        if host:
            raise click.UsageError("--scheduler: not with hosts, only with a file of their groups")
        hosts = None
    mesh = Mesh(hosts, groups=groups or None, **options)
    limits = Limits(max_loss, max_rtt)

    def program() -> int:
        running = mesh
        if scheduler is not None:
            running = Mesh(client(scheduler), groups=groups or None, **options)
        return watch(running, every, limits, as_json, svg)

    return program


def client(scheduler: str) -> Any:
    """Connect to a Dask cluster."""
    try:
        from distributed import Client
    except ImportError:
        text = "--scheduler needs distributed: pip install 'udpulse[mesh]'"
        raise click.ClickException(text) from None
    try:
        return Client(scheduler, timeout=10, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--scheduler {scheduler}: {error}") from None


def watch(mesh: Mesh, every: float | None, limits: Limits, as_json: bool, svg: Path | None) -> int:
    """Show each visit until Ctrl-C; return the exit code, that of the worst one."""
    worst = None
    if svg is not None:
        reserve(str(svg))
    with Signals(), mesh:
        due = time.monotonic()
        try:
            while True:
                report = mesh.visit()
                worst = max(worst or 0, shown(report, limits, as_json, svg))
                if every is None:
                    return worst
                due = max(due + every, time.monotonic())
                time.sleep(max(due - time.monotonic(), 0))
        except KeyboardInterrupt as error:
            part: MeshReport | None = getattr(error, "report", None)
            if part and part.reports:
                worst = max(worst or 0, shown(part, limits, as_json, svg))
            if worst is None:
                raise
            return worst


def shown(report: MeshReport, limits: Limits, as_json: bool, svg: Path | None) -> int:
    """Show a report and each broken threshold; return the exit code."""
    show(report, as_json)
    if svg is not None:
        report.save(svg)
    lines = [*broken(report, limits)]
    for line in lines:
        SCREEN.note(line)
    return BROKEN if lines else 0


def show(report: MeshReport, as_json: bool) -> None:
    """Print a report."""
    if not as_json:
        SCREEN.show(str(report))
        return
    for line in report.lines():
        SCREEN.show(json.dumps(line, allow_nan=False, separators=(",", ":")))


def broken(report: MeshReport, limits: Limits) -> Iterator[str]:
    """Return a line on each cell that breaks a threshold, and if hosts do not take part."""
    for sender, receiver in report.cells():
        one = report.reports.get((sender, receiver))
        if one is not None and not report.busy & {sender, receiver}:
            yield from (f"{sender} to {receiver}: {line}" for line in limits.broken(one))
    for host, why in report.unreachable.items():
        yield f"{host} does not take part: {why}"
    if report.total.sent and not report.total.received:
        yield "nobody answers"
