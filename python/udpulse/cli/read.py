"""`udpulse read`: show the result of a recorded run."""

from typing import IO

import click

from udpulse import Beat, Fate, PingReport, jsonlines
from udpulse._address import joined
from udpulse.cli._beats import spaced
from udpulse.cli._fates import fate_line
from udpulse.cli._fleet import event_line
from udpulse.cli._ping_screens import own_troubles, target_name, totals
from udpulse.cli._run import Command, Program, Screen
from udpulse.cli._text import clock, duration
from udpulse.cli._thresholds import Limits, RttLimit, limit_options
from udpulse.cli.ping import Outcome, finish, row
from udpulse.events import ClientEvent, Event, Unheard

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
    result = recorded(file)
    limits = Limits(max_loss, max_rtt)
    return lambda: show(result, Screen(), limits)


def recorded(file: IO[bytes]) -> jsonlines.Result:
    """Read a recorded run."""
    try:
        return jsonlines.read(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name}: {error}") from None


def show(result: jsonlines.Result, screen: Screen, limits: Limits) -> int:
    """Show the result of a run; return the exit code."""
    if isinstance(result, PingReport):
        screen.show(str(result))
        for text in own_troubles(result):
            screen.note(text)
        return finish(Outcome([result], interrupted=False), limits, None)
    reports = [item for item in result if isinstance(item, PingReport)]
    if reports:
        width = max(len(target_name(report)) for report in reports)
        for report in reports:
            screen.show(row(report, width))
        screen.show(totals(reports))
        return finish(Outcome(reports, interrupted=False), limits, None)
    for item in result:
        if not isinstance(item, PingReport):
            screen.show(line(item))
    return 0


def line(item: Fate | Event | ClientEvent) -> str:
    """Return the line about a packet, a client or a beat."""
    match item:
        case Fate():
            return fate_line(item)
        case Beat(seq=seq, outcome=outcome, time=time):
            return f"{clock(time)} beat {seq} {spaced(outcome)}"
        case Unheard(server=server, time=time, silence=silence):
            return f"{clock(time)} {joined(server)} has not replied for {duration(silence)}"
        case _:
            return event_line(item)
