"""`udpulse ping`."""

import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from udpulse import PingClient, PingReport, PingSweep, Probe
from udpulse.cli import _parameters as types
from udpulse.cli._follow import follow
from udpulse.cli._live import live, on_terminal
from udpulse.cli._options import option, options_of
from udpulse.cli._ping_screens import (
    ManyTargets,
    OneTarget,
    answers,
    loss,
    target_name,
    totals,
)
from udpulse.cli._run import BROKEN, INTERRUPTED, USAGE, Command, Program, Screen
from udpulse.cli._strip import glyphs
from udpulse.cli._targets import Target, targets
from udpulse.cli._text import counted, joined, milliseconds
from udpulse.cli._thresholds import Limits, RttLimit, rtt_limit
from udpulse.events import OutageEnded, OutageStarted, PingEvent, Revised

EPILOG = """\b
Examples:
  udpulse ping 192.0.2.7                one probe a second until Ctrl-C
  udpulse ping 192.0.2.7:7 -c 100 -i 10ms --max-loss 1% --max-rtt p99=20ms
  udpulse ping --file hosts.txt --dead  print the hosts that do not answer
"""


@click.command("ping", cls=Command, epilog=EPILOG)
@click.argument("target", nargs=-1)
@click.option(
    "--file",
    metavar="FILE",
    # Windows writes a byte order mark.
    type=click.File(encoding="utf-8-sig", errors="backslashreplace"),
    help="Read targets from a file, one per line; - for stdin.",
)
@click.option("-4", "family", flag_value=4, type=int, help="Use IPv4 only.")
@click.option("-6", "family", flag_value=6, type=int, help="Use IPv6 only.")
@click.option("--alive", "show_only", flag_value="alive", help="Print only targets that answer.")
@click.option("--dead", "show_only", flag_value="dead", help="Print only those that do not.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the summary.")
@click.option("--max-loss", metavar="SHARE", type=types.share, help="Exit with 1 above this loss.")
@click.option(
    "--max-rtt",
    metavar="[STATISTIC=]TIME",
    type=rtt_limit,
    multiple=True,
    help="Exit with 1 above this round trip; STATISTIC is min, mean, median, max or, say, p99.",
)
@option(
    "count", None, "The number of probes: until Ctrl-C unless given, for many targets 3 per round."
)
@options_of(PingClient, without=["family", "count", "revisions"], interval=1.0)
@options_of(PingSweep, only=["rounds", "rate"])
def command(
    target: tuple[str, ...],
    file: Iterable[str] | None,
    family: int | None,
    show_only: str | None,
    quiet: bool,
    max_loss: float | None,
    max_rtt: tuple[RttLimit, ...],
    **options: Any,
) -> Program:
    """Measure round trips, loss and delay to UDP echo servers.

    TARGET is HOST[:PORT], [IPV6]:PORT or a block such as 192.0.2.0/24; the port is 12000 unless
    given. A UDP echo service must listen there; `udpulse echo 0.0.0.0:PORT` is one.

    One target gets one probe a second until Ctrl-C. Many get three probes each in every round, at
    --rate probes a second in all.

    TIME is in seconds or has a unit: 250ms, 1.5s, 2m. SHARE is 0.01 or 1%. The word none is
    Python's None.
    """
    found = targets(target, file or ())
    if not found:
        raise click.UsageError("there is no target")
    if family is not None:
        options["family"] = family
    limits = Limits(max_loss, max_rtt)
    if len(found) == 1 and show_only is None and not options.keys() & {"rounds", "rate"}:
        client = PingClient(*found[0], **{"count": None, "interval": 1.0, **options})
        return lambda: ping_one(client, Screen(), limits, quiet=quiet)
    if wrong := options.keys() - inspect.signature(PingSweep).parameters:
        names = ", ".join(f"--{name}".replace("_", "-") for name in sorted(wrong))
        raise click.UsageError(f"{names}: only for one target")
    sweep = PingSweep(found, **options)
    return lambda: ping_many(sweep, Screen(), limits, quiet=quiet, show_only=show_only)


def ping_one(client: PingClient[PingEvent], screen: Screen, limits: Limits, *, quiet: bool) -> int:
    """Show the probes of one target, and the summary."""

    def show(events: list[PingEvent]) -> None:
        for event in events:
            screen.show(event_line(event))

    def interim() -> None:
        screen.note(str(client.report()))

    if quiet:
        interrupted = follow(client, unseen, interim, events=False)
    elif on_terminal():
        view = OneTarget(client, silence, glyphs(sys.stdout.encoding))
        with live(view.render, view.final) as draw:
            interrupted = follow(client, lambda _: draw(), interim, events=False)
    else:
        interrupted = follow(client, show, interim)
    report = client.report()
    screen.show(str(report))
    for line in silence(report):
        screen.note(line)
    return verdict([report], limits, screen, interrupted=interrupted)


def ping_many(
    sweep: PingSweep, screen: Screen, limits: Limits, *, quiet: bool, show_only: str | None
) -> int:
    """Show a line about each target when it has finished its round, and the totals."""
    rounds = Rounds(sweep)
    width = max(len(joined(target)) for target in sweep.targets)

    def show(reports: list[PingReport]) -> None:
        for report in reports:
            rounds.add(report)
            if show_only is None:
                if not quiet:
                    screen.show(row(report, width))
            elif (show_only == "alive") == answers(report):
                screen.show(target_name(report))

    def interim() -> None:
        screen.note(totals(rounds.reports()))

    if on_terminal() and not quiet and show_only is None:
        probes = None if sweep.rounds is None else sweep.rounds * sweep.count
        view = ManyTargets(rounds.reports, probes, reason, glyphs(sys.stdout.encoding))
        with live(view.render, view.final) as draw:

            def note(reports: list[PingReport]) -> None:
                for report in reports:
                    rounds.add(report)
                draw()

            interrupted = follow(sweep, note, interim)
    else:
        interrupted = follow(sweep, show, interim)
    reports = rounds.reports()
    if show_only is None:
        screen.show(totals(reports))
    for report in reports:
        if report.unresolved:
            screen.note(f"{target_name(report)}: {report.unresolved}")
    return verdict(reports, limits, screen, interrupted=interrupted)


@dataclass
class Rounds:
    """The reports of a sweep's targets over all rounds."""

    sweep: PingSweep
    #: The sum of the finished rounds, and when the last of them started.
    finished: dict[Target, PingReport] = field(default_factory=dict)
    last: dict[Target, float | None] = field(default_factory=dict)

    def add(self, report: PingReport) -> None:
        """Add the report of a target that has finished a round."""
        if self.sweep.rounds == 1 or report.target is None:
            return
        before = self.finished.get(report.target)
        self.finished[report.target] = report if before is None else before + report
        self.last[report.target] = report.started_at

    def reports(self) -> list[PingReport]:
        """Return the report of each target, the round in progress included."""
        return [*map(self.whole, self.sweep.reports())]

    def whole(self, current: PingReport) -> PingReport:
        """Return the report of all rounds of a target."""
        target = current.target
        if target is None or target not in self.finished:
            return current
        finished = self.finished[target]
        return finished if self.last[target] == current.started_at else finished + current


def verdict(reports: list[PingReport], limits: Limits, screen: Screen, *, interrupted: bool) -> int:
    """Return the exit code; note each broken threshold."""
    if all(report.unresolved for report in reports):
        return USAGE
    if interrupted and not any(report.sent > report.pending for report in reports):
        return INTERRUPTED
    lines = [
        line if len(reports) == 1 else f"{target_name(report)}: {line}"
        for report in reports
        for line in limits.broken(report)
    ]
    for line in lines:
        screen.note(line)
    silent = not any(map(answers, reports))
    return BROKEN if lines or silent or any(report.unresolved for report in reports) else 0


def event_line(event: PingEvent) -> str:
    """Return the line about a decided probe or an outage."""
    match event:
        case Probe(seq=seq, verdict=verdict, rtt=rtt, flow=flow, guessed=guessed):
            where = f"flow {flow} seq {seq}" if flow else f"seq {seq}"
            result = verdict if rtt is None else f"{milliseconds(rtt)} ms"
            return f"{where}: {result}{' (guessed)' if guessed else ''}"
        case Revised(probe=probe):
            return f"{event_line(probe)} ({probe.verdict})"
        case OutageStarted(flow=flow):
            return f"outage of flow {flow}" if flow else "outage"
        case OutageEnded(start=start, end=end, lost=lost):
            return f"end of an outage of {end - start:.3f} s, {counted(lost, 'probe')} lost"


def row(report: PingReport, width: int) -> str:
    """Return the line about a target of many."""
    times = [report.rtt.min, report.rtt.median, report.rtt.max]
    least, median, most = ("-" if time is None else milliseconds(time) for time in times)
    line = f"{target_name(report):<{width}}  {report.answered}/{report.sent}"
    line += f"  loss {loss(report):<6}  min/median/max {least}/{median}/{most} ms"
    why = reason(report)
    return f"{line}  {why}" if why else line


def reason(report: PingReport) -> str:
    """Return why a target does not answer, if that is known."""
    if report.unresolved:
        return report.unresolved
    if report.refused:
        return "nothing listens there"
    return next(iter(report.send_errors), "")


def silence(report: PingReport) -> Iterator[str]:
    """Yield what must listen at the far end if nothing answers."""
    if report.hint:
        yield report.hint
    elif report.target and report.sent > report.pending and not answers(report):
        yield f"Nothing answers at {target_name(report)}. To start an echo server there:"
        yield f"  udpulse echo 0.0.0.0:{report.target[1]}"


def unseen(_: object) -> None:
    """Show nothing."""
