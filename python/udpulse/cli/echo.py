"""`udpulse echo`: answer UDP packets, and be a bad path on purpose."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from udpulse import EchoServer, Fate
from udpulse.cli import _parameters as types
from udpulse.cli._fates import TROUBLES, Rates, fate_line, summary
from udpulse.cli._follow import follow
from udpulse.cli._live import live
from udpulse.cli._options import options_of
from udpulse.cli._record import json_options, record, reserve
from udpulse.cli._run import Command, Program, Screen
from udpulse.cli._text import counted, listening, notes
from udpulse.impair import Link, RateLimit

EPILOG = """\b
Examples:
  udpulse echo                          answer on 127.0.0.1:12000
  udpulse echo 0.0.0.0:7 --loss 30% --seed 7
  udpulse echo --downlink-delay Normal:20ms,5ms --uplink-rate 10Mbit

\b
Models, as in udpulse.impair:
  --loss GilbertElliott:p=1%,r=30%      --delay Uniform:low=5ms,high=20ms
  --uplink-reordering Reordering:p=1%,delay=5ms
"""


@click.command("echo", cls=Command, epilog=EPILOG)
@click.argument("address", type=types.address_to_bind, default="127.0.0.1")
@click.option("-v", "--verbose", is_flag=True, help="Print the fate of each packet.")
@json_options
@click.option(
    "--csv",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the last --keep packets to a file at the end.",
)
@options_of(EchoServer, without=["uplink", "downlink"])
@options_of(Link, prefix="uplink_")
@options_of(Link, prefix="downlink_")
def command(
    address: tuple[str, int],
    verbose: bool,
    as_json: bool,
    every: float | None,
    csv: str | None,
    **options: Any,
) -> Program:
    """Answer UDP packets, and be a bad path on purpose.

    ADDRESS is HOST[:PORT] or [IPV6]:PORT, 127.0.0.1:12000 unless given; 0.0.0.0 is any address of
    this host.
    """
    if any(name.startswith("uplink_") for name in options):
        for name in options.keys() & {"loss", "delay"}:
            if f"uplink_{name}" in options:
                raise click.UsageError(f"--{name} is short for --uplink-{name}; give one of them")
            options[f"uplink_{name}"] = options.pop(name)
    for way in ("uplink", "downlink"):
        if fields := {name: options.pop(name) for name in [*options] if name.startswith(f"{way}_")}:
            options[way] = link(way, fields)
    host, port = address
    if not (verbose or as_json or csv):
        options.setdefault("keep", 0)
    server = EchoServer(host, port, **options)
    screen = Screen()

    def run() -> None:
        if as_json:
            record(server, every, partial(summary, server))
        else:
            echo(server, screen, verbose=verbose)

    return lambda: finish(run, server, csv)


def finish(run: Callable[[], None], server: EchoServer, csv: str | None) -> int:
    """Serve until Ctrl-C; write the packets to a file if one is named."""
    if csv is not None:
        reserve(csv)
    run()
    if csv is not None:
        server.table().write_csv(csv)
    return 0


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


def echo(server: EchoServer, screen: Screen, *, verbose: bool) -> None:
    """Serve until Ctrl-C: on a terminal with counters, if verbose with a line per packet."""

    def show(fates: list[Fate]) -> None:
        if fates:
            screen.show("\n".join(map(fate_line, fates)))

    so_far, title = partial(summary, server), partial(listening, server)
    if verbose:
        follow(server, show, so_far, title=title)
    else:
        with live(Rates(server).render) as draw:
            follow(server, lambda _: draw(), so_far, title=title, events=False)
    screen.show(summary(server))
    for note in notes(server.truth.to_dict(), TROUBLES, "packet"):
        screen.note(note)
    if server.events_dropped:
        screen.note(f"{counted(server.events_dropped, 'packet')} not shown: they came too fast")
