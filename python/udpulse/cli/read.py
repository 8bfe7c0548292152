"""`udpulse read`: show the result of a recorded run."""

from collections.abc import Iterator
from typing import IO

import click

from udpulse import Beat, Fate, PingReport
from udpulse._printable import joined
from udpulse.cli import _fates, _fleet
from udpulse.cli._beats import spaced
from udpulse.cli._fates import path_line
from udpulse.cli._fleet import event_line
from udpulse.cli._ping_screens import own_troubles, target_name, totals
from udpulse.cli._run import Command, Program, Screen
from udpulse.cli._text import clock, duration
from udpulse.cli._thresholds import Limits, RttLimit, limit_options
from udpulse.cli.ping import Outcome, finish, row
from udpulse.events import ClientEvent, Event, SessionEnded, Unheard
from udpulse.jsonlines import Run, load
from udpulse.reports import Reflected, StepDone

EPILOG = """\b
Examples:
  udpulse ping 192.0.2.7 -c 100 --json > run.jsonl
  udpulse read run.jsonl --max-loss 1%
"""


@click.command("read", cls=Command, epilog=EPILOG)
@click.argument("file", type=click.File("rb"))
@limit_options
def command(file: IO[bytes], max_loss: float | None, max_rtt: tuple[RttLimit, ...]) -> Program:
    """Show the result of a run that was recorded with --json.

    FILE is the recorded run; - is stdin. For pings the exit code is 1 if nobody answered or a
    threshold is broken.
    """
    run = recorded(file)
    limits = Limits(max_loss, max_rtt)
    if run.command not in ("ping", "stamp", "sweep") and (max_loss is not None or max_rtt):
        raise click.UsageError("--max-loss and --max-rtt are for pings")
    return lambda: show(run, Screen(), limits)


def recorded(file: IO[bytes]) -> Run:
    """Read a recorded run."""
    try:
        return load(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name}: {error}") from None


def show(run: Run, screen: Screen, limits: Limits) -> int:
    """Show a run; return the exit code."""
    if isinstance(run.result, PingReport):
        screen.show(str(run.result))
        for text in own_troubles(run.result):
            screen.note(text)
        return finish(Outcome([run.result], interrupted=False), limits, None)
    if reports := [item for item in run.result if isinstance(item, PingReport)]:
        if run.arguments["rounds"] != 1:
            screen.note("The figures are those of the last round; the probe lines have all rounds.")
        width = max(len(target_name(report)) for report in reports)
        for report in reports:
            screen.show(row(report, width))
        screen.show(totals(reports))
        return finish(Outcome(reports, interrupted=False), limits, None)
    events = [item for item in run.result if isinstance(item, Fate | Reflected | SessionEnded)]
    for item in _fates.in_order(events, run.steps) if run.steps else run.result:
        if not isinstance(item, PingReport):
            screen.show(line(item))
    for text in summary(run):
        screen.show(text)
    return 0


def summary(run: Run) -> Iterator[str]:
    """Return the lines about the whole run of a server."""
    if run.command in ("echo", "relay", "reflect"):
        yield from _fates.summary_lines(run.counters, run.truth)
    elif run.command == "watch":
        yield from _fleet.summary_lines(run.peers, run.missing)


def line(item: Fate | SessionEnded | StepDone | Reflected | Event | ClientEvent) -> str:
    """Return the line about a packet, a client or a beat."""
    match item:
        case Fate() | SessionEnded() | StepDone() | Reflected():
            return path_line(item)
        case Beat(seq=seq, outcome=outcome, time=time):
            return f"{clock(time)} beat {seq} {spaced(outcome)}"
        case Unheard(server=server, time=time, silence=silence):
            return f"{clock(time)} {joined(server)} has not replied for {duration(silence)}"
        case _:
            return event_line(item)
