"""The options and the run of a server that impairs packets on purpose."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from udpulse import EchoServer, Relay
from udpulse.cli._fates import TROUBLES, Rates, fate_line, summary
from udpulse.cli._options import options_of
from udpulse.cli._record import json_options, record, reserve
from udpulse.cli._run import Program
from udpulse.cli._serve import serve
from udpulse.cli._text import notes
from udpulse.impair import Link, RateLimit

F = TypeVar("F", bound=Callable[..., Any])

MODELS = """
\b
Models, as in udpulse.impair:
  --uplink-loss GilbertElliott:p=1%,r=30%
  --uplink-delay Uniform:low=5ms,high=20ms
  --uplink-reordering Reordering:p=1%,delay=5ms
"""


def link_options(function: F) -> F:
    """Add the options of Link for each way, such as --uplink-loss."""
    return options_of(Link, prefix="uplink_")(options_of(Link, prefix="downlink_")(function))


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
    make: Callable[..., EchoServer | Relay],
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

    def run() -> int:
        if csv is not None:
            reserve(csv)
        if as_json:
            record(server, every, partial(summary, server))
        else:
            serve(
                server,
                line=fate_line if verbose else None,
                render=Rates(server).render,
                summary=partial(summary, server),
                troubles=lambda: notes(server.truth.to_dict(), TROUBLES, "packet"),
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
