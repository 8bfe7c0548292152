"""`udpulse stamp`: measure round trips and each direction to STAMP and TWAMP-Light reflectors."""

from functools import partial
from typing import Any

import click

from udpulse import StampSender
from udpulse.cli import _parameters as types
from udpulse.cli._options import option, options_of
from udpulse.cli._run import Command, Program
from udpulse.cli._thresholds import Limits, RttLimit
from udpulse.cli.ping import DEFAULTS, Style, ping_one, program, session_options

EPILOG = """\b
Examples:
  udpulse stamp 192.0.2.7               one packet a second until Ctrl-C
  udpulse stamp 192.0.2.7:8620 -c 1000 -i 10ms --dscp 46 --max-loss 1%
  udpulse stamp [2001:db8::7] --size 128 --ssid 7 --json
"""


@click.command("stamp", cls=Command, epilog=EPILOG)
@click.argument("target", type=types.reflector_address)
@session_options
@option("count", None, "The number of packets: until Ctrl-C unless given.")
@options_of(StampSender, without=["family", "count", "revisions"], interval=1.0)
def command(
    target: tuple[str, int],
    family: int | None,
    quiet: bool,
    max_loss: float | None,
    max_rtt: tuple[RttLimit, ...],
    as_json: bool,
    every: float | None,
    csv: str | None,
    **options: Any,
) -> Program:
    """Measure round trips and each direction to STAMP and TWAMP-Light reflectors.

    TARGET is HOST[:PORT] or [IPV6]:PORT; the port is 862 unless given. A Session-Reflector must
    listen there, and many answer only senders that they were told of; `udpulse reflect` is one.

    TIME is in seconds or has a unit: 250ms, 1.5s, 2m. SHARE is 0.01 or 1%. The word none is
    Python's None.
    """
    if family is not None:
        options["family"] = family
    sender = StampSender(*target, **{**DEFAULTS, **options})
    run = partial(ping_one, sender, Style(quiet, None, as_json, every), "reflect")
    return partial(program, run, Limits(max_loss, max_rtt), csv)
