"""The options and the run of a server that impairs packets on purpose."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import click

from udpulse.cli import _parameters as types
from udpulse.cli._control import Control
from udpulse.cli._fates import Rates, path_line, summary, troubles
from udpulse.cli._fates import Server as Impairing
from udpulse.cli._options import ApiOption, options_of
from udpulse.cli._record import json_options, record, reserve
from udpulse.cli._run import Program, Screen
from udpulse.cli._serve import Server, serve
from udpulse.impair import Link, RateLimit

F = TypeVar("F", bound=Callable[..., Any])

MODELS = """
\b
Each line of stdin is a step of the timeline, too, unless stdin is a terminal:
  {"action": "set", "uplink": {"loss": 0.3}}
  {"action": "outage", "duration": 2, "mode": "hold"}

\b
Models, as in udpulse.impair:
  --uplink-loss GilbertElliott:p=1%,r=30%
  --uplink-delay Uniform:low=5ms,high=20ms
  --uplink-reordering Reordering:p=1%,delay=5ms
  --uplink-rules drop:offset=13,value=02,nth=2 --uplink-rules delay:min_size=1200,delay=50ms
"""


def link_options(function: F) -> F:
    """Add the options of Link for each way, such as --uplink-loss."""
    return options_of(Link, prefix="uplink_")(options_of(Link, prefix="downlink_")(function))


def timeline_option(function: F) -> F:
    """Add --timeline."""
    text = "Take the steps in a file: a JSON list, or a JSON object per line."
    return click.option(
        "--timeline", cls=ApiOption, metavar="FILE", type=types.timeline, help=text
    )(function)


def output_options(function: F) -> F:
    """Add the options of output."""
    csv = click.option(
        "--csv",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="Write the last --keep packets to a file at the end.",
    )
    text = "Print the fate of each packet."
    return click.option("-v", "--verbose", is_flag=True, help=text)(json_options(csv(function)))


def program(
    make: Callable[..., Impairing],
    options: dict[str, Any],
    *,
    verbose: bool,
    as_json: bool,
    every: float | None,
    csv: str | None,
) -> Program:
    """Make a server; return the program that runs it until Ctrl-C."""
    rest = dict(options)
    for way in ("uplink", "downlink"):
        if fields := {name: rest.pop(name) for name in options if name.startswith(f"{way}_")}:
            rest[way] = link(way, fields)
    if not (verbose or as_json or csv):
        rest.setdefault("keep", 0)
    server = make(**rest)
    control = Control(server)

    def lines() -> Iterator[str]:
        for note in control.notes():
            Screen().note(note)
        # With `verbose` they are among the events.
        if not verbose:
            yield from map(path_line, control.steps())

    def run() -> int:
        if csv is not None:
            reserve(csv)
        if as_json:
            record(server, every, partial(summary, server), control)
        else:
            if verbose:
                server._record_all()
            # Of any kind of events.
            running: Server[Any] = server
            serve(
                running,
                line=path_line if verbose else None,
                render=Rates(server).render,
                summary=partial(summary, server),
                troubles=partial(troubles, server),
                begun=control.start,
                lines=lines,
            )
        if csv is not None:
            server.table().write_csv(csv)
        return 0

    return run


def link(way: str, options: dict[str, Any]) -> Link:
    """Make the link of one way from its options, such as `uplink_loss`."""
    fields = {name.removeprefix(f"{way}_"): value for name, value in options.items()}
    try:
        if isinstance(rate := fields.get("rate"), float):
            if rate <= 0:
                raise ValueError(f"rate must be above 0, not {rate:g}")
            fields["rate"] = RateLimit(rate)
        return Link(**fields)
    except (TypeError, ValueError) as error:
        # The name of the option comes first.
        raise ValueError(f"{way}_{error}") from None
