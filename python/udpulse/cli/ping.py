"""`udpulse ping`: measure round trips, loss and delay to UDP echo servers."""

import csv as csv_module
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import click

from udpulse import PingClient, PingReport, PingSweep, Probe, StampSender
from udpulse._printable import joined, printable
from udpulse.cli._follow import follow
from udpulse.cli._live import live, on_terminal
from udpulse.cli._options import option, options_of
from udpulse.cli._ping_screens import (
    ManyTargets,
    OneTarget,
    answers,
    loss,
    own_troubles,
    target_name,
    totals,
)
from udpulse.cli._record import json_options, record, reserve
from udpulse.cli._run import BROKEN, INTERRUPTED, USAGE, Command, Program, Screen
from udpulse.cli._strip import glyphs
from udpulse.cli._targets import Target, file_option, targets
from udpulse.cli._text import counted, milliseconds
from udpulse.cli._thresholds import Limits, RttLimit, limit_options
from udpulse.events import OutageEnded, OutageStarted, PingEvent, Revised

EPILOG = """\b
Examples:
  udpulse ping 192.0.2.7                one probe a second until Ctrl-C
  udpulse ping 192.0.2.7:7 -c 100 -i 10ms --max-loss 1% --max-rtt p99=20ms
  udpulse ping --file hosts.txt --dead  print the hosts that do not answer
"""


F = TypeVar("F", bound=Callable[..., Any])


def session_options(function: F) -> F:
    """Add the options of the output of a session, and of its limits."""
    for add in (
        click.option(
            "--csv",
            metavar="FILE",
            type=click.Path(dir_okay=False),
            help="Write the kept probes, or a line per target of many, to a file at the end.",
        ),
        json_options,
        limit_options,
        click.option("-q", "--quiet", is_flag=True, help="Print only the summary."),
        click.option("-6", "family", flag_value=6, type=int, help="Use IPv6 only."),
        click.option("-4", "family", flag_value=4, type=int, help="Use IPv4 only."),
    ):
        function = add(function)
    return function


@click.command("ping", cls=Command, epilog=EPILOG)
@click.argument("target", nargs=-1)
@file_option("Read targets from a file, one per line; - for stdin.")
@click.option("--alive", "show_only", flag_value="alive", help="Print only targets that answer.")
@click.option("--dead", "show_only", flag_value="dead", help="Print only those that do not.")
@session_options
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
    as_json: bool,
    every: float | None,
    csv: str | None,
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
    if as_json and show_only:
        raise click.UsageError(f"--{show_only}: not with --json, which prints all")
    limits = Limits(max_loss, max_rtt)
    if as_json and options.get("rounds", 1) != 1 and (max_loss is not None or max_rtt):
        raise click.UsageError("--rounds: with --json and thresholds only 1")
    style = Style(quiet, show_only, as_json, every)
    run: Callable[[], Outcome]
    if len(found) == 1 and show_only is None and not options.keys() & {"rounds", "rate"}:
        run = partial(ping_one, PingClient(*found[0], **{**DEFAULTS, **options}), style)
    elif wrong := options.keys() - inspect.signature(PingSweep).parameters:
        names = ", ".join(f"--{name}".replace("_", "-") for name in sorted(wrong))
        raise click.UsageError(f"{names}: only for one target")
    else:
        if not as_json:
            # The sums over rounds would keep all probes.
            options.setdefault("keep", 0)
        run = partial(ping_many, PingSweep(found, **options), style)

    return partial(program, run, limits, csv)


#: The options of a session that differ from the API's defaults.
DEFAULTS: dict[str, Any] = {"count": None, "interval": 1.0, "revisions": True}


@dataclass(frozen=True)
class Style:
    """The kind of output."""

    quiet: bool
    show_only: str | None
    as_json: bool
    every: float | None


@dataclass(frozen=True)
class Outcome:
    """The reports of a run, and whether a signal ended it."""

    reports: Sequence[PingReport]
    interrupted: bool


SCREEN = Screen()


def program(run: Callable[[], Outcome], limits: Limits, csv: str | None) -> int:
    """Measure; write the file; return the exit code."""
    if csv is not None:
        reserve(csv)
    return finish(run(), limits, csv)


def ping_one(
    client: PingClient[PingEvent] | StampSender[PingEvent], style: Style, server: str = "echo"
) -> Outcome:
    """Show the probes of one target, and the summary.

    `server` is the subcommand that answers them.
    """

    def show(events: list[PingEvent]) -> None:
        for event in events:
            SCREEN.show(event_line(event))

    def summary() -> str:
        return str(client.report())

    if style.as_json:
        interrupted = record(client, style.every, summary)
    elif style.quiet:
        interrupted = follow(client, unseen, summary, events=False)
    elif on_terminal():
        view = OneTarget(client, partial(advice, server=server), glyphs(sys.stdout.encoding))
        with live(view.render, view.final) as draw:
            interrupted = follow(client, lambda _: draw(), summary, events=False)
    else:
        interrupted = follow(client, show, summary)
    report = client.report()
    if not style.as_json:
        SCREEN.show(str(report))
        for line in own_troubles(report):
            SCREEN.note(line)
    # The summary has the hint.
    for line in (advice if style.as_json else silence)(report, server):
        SCREEN.note(line)
    return Outcome([report], interrupted)


def ping_many(sweep: PingSweep, style: Style) -> Outcome:
    """Show a line about each target when it has finished its round, and the totals."""
    rounds = Rounds(sweep)
    width = max(len(printable(joined(target))) for target in sweep.targets)

    def show(reports: list[PingReport]) -> None:
        for report in reports:
            rounds.add(report)
            if style.show_only is not None:
                if (style.show_only == "alive") == answers(report):
                    SCREEN.show(target_name(report))
            elif not (drawing or style.quiet):
                SCREEN.show(row(report, width))

    def summary() -> str:
        return totals(rounds.reports())

    drawing = on_terminal() and not (style.quiet or style.show_only)
    if style.as_json:
        interrupted = record(sweep, style.every, summary)
    elif drawing:
        probes = None if sweep.rounds is None else sweep.rounds * sweep.count
        view = ManyTargets(rounds.reports, probes, reason, glyphs(sys.stdout.encoding))

        def show_and_draw(reports: list[PingReport]) -> None:
            show(reports)
            draw()

        with live(view.render, view.final) as draw:
            interrupted = follow(sweep, show_and_draw, summary)
    else:
        interrupted = follow(sweep, show, summary)
    reports = rounds.reports()
    if not (style.as_json or style.show_only):
        SCREEN.show(totals(reports))
    for report in reports:
        if report.unresolved:
            SCREEN.note(f"{target_name(report)}: {report.unresolved}")
    return Outcome(reports, interrupted)


@dataclass
class Rounds:
    """The reports of a sweep's targets over all rounds."""

    sweep: PingSweep
    #: The sum of the finished rounds, and when the latest of them started: a round may finish after
    #: the next one.
    finished: dict[Target, PingReport] = field(default_factory=dict)
    latest: dict[Target, float] = field(default_factory=dict)

    def add(self, report: PingReport) -> None:
        """Add the report of a target that has finished a round."""
        if self.sweep.rounds == 1 or report.target is None:
            return
        before = self.finished.get(report.target)
        self.finished[report.target] = report if before is None else before + report
        self.latest[report.target] = max(
            self.latest.get(report.target, 0.0), report.started_at or 0.0
        )

    def reports(self) -> list[PingReport]:
        """Return the report of each target, the round in progress included."""
        return [*map(self.whole, self.sweep.reports())]

    def whole(self, current: PingReport) -> PingReport:
        """Return the report of all rounds of a target."""
        target = current.target
        if target is None or target not in self.finished:
            return current
        finished = self.finished[target]
        return (
            finished if self.latest[target] == (current.started_at or 0.0) else finished + current
        )


def finish(outcome: Outcome, limits: Limits, csv: str | None) -> int:
    """Write the file; note each broken threshold; return the exit code."""
    reports = outcome.reports
    if csv is not None:
        write_csv(reports, csv)
    if all(report.unresolved for report in reports):
        return USAGE
    if outcome.interrupted and not any(report.sent > report.pending for report in reports):
        return INTERRUPTED
    lines = [
        line if len(reports) == 1 else f"{target_name(report)}: {line}"
        for report in reports
        for line in limits.broken(report)
    ]
    for line in lines:
        SCREEN.note(line)
    silent = not any(map(answers, reports))
    return BROKEN if lines or silent or any(report.unresolved for report in reports) else 0


def write_csv(reports: Sequence[PingReport], path: str) -> None:
    """Write the probes of one target, or the counters and round trips of each of many."""
    if len(reports) == 1:
        reports[0].table().write_csv(path)
        return
    counters = ("sent", "answered", "late", "lost", "refused", "unreachable", "send_failed")
    times = ("min", "median", "p99", "max")
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv_module.writer(file)
        names = [f"rtt_{time}_ns" for time in times]
        table.writerow(["target", "address", "unresolved", *counters, "loss", *names])
        for report in reports:
            address = joined(report.address) if report.address else None
            values = [getattr(report.rtt, time) for time in times]
            ns = [None if value is None else round(value * 1e9) for value in values]
            counts = [getattr(report, name) for name in counters]
            target = joined(report.target) if report.target else None
            table.writerow([target, address, report.unresolved, *counts, report.loss, *ns])


def event_line(event: PingEvent) -> str:
    """Return the line about a decided probe or an outage."""
    match event:
        case Revised(probe=probe):
            return f"{event_line(probe)}, after its verdict"
        case Probe(seq=seq, verdict=verdict, rtt=rtt, flow=flow, guessed=guessed):
            where = f"flow {flow} seq {seq}" if flow else f"seq {seq}"
            result = verdict if rtt is None else f"{milliseconds(rtt)} ms"
            if verdict == "late":
                result += " late"
            return f"{where}: {result}{' (guessed)' if guessed else ''}"
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


def advice(report: PingReport, server: str = "echo") -> Iterator[str]:
    """Yield advice about a known cause of trouble, or else for the far end."""
    if report.hint:
        yield report.hint
    yield from silence(report, server)


#: What to do if nothing answers, by the subcommand that would.
ADVICE = {
    "echo": "To start an echo server there:",
    "reflect": "Many reflectors answer only addresses and ports that they were told of (--source). "
    "To start one there:",
}


def silence(report: PingReport, server: str = "echo") -> Iterator[str]:
    """Yield advice for the far end if nothing answers, for no known cause."""
    if report.hint:
        return
    if report.target and report.sent > report.pending and not answers(report):
        yield f"Nothing answers at {target_name(report)}. {ADVICE[server]}"
        host = "[::]" if ":" in (report.address or report.target)[0] else "0.0.0.0"
        yield f"  udpulse {server} {host}:{report.target[1]}"


def unseen(_: object) -> None:
    """Show nothing."""
