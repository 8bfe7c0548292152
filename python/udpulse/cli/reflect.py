"""`udpulse reflect`: answer the test packets of STAMP and TWAMP-Light."""

from functools import partial
from typing import Any

import click

from udpulse import StampReflector
from udpulse.cli import _parameters as types
from udpulse.cli._options import options_of
from udpulse.cli._paths import MODELS, link_options, output_options, program, timeline_option
from udpulse.cli._run import Command, Program

EPILOG = f"""\b
Examples:
  udpulse reflect                       answer on 127.0.0.1:862
  udpulse reflect 0.0.0.0:8620 --allow 192.0.2.0/24 --allow 198.51.100.7
  udpulse reflect 0.0.0.0 --max-rate 1000 --twamp-light
  udpulse reflect 127.0.0.1:8620 --uplink-loss 1% --downlink-delay 20ms --seed 7
{MODELS}"""


@click.command("reflect", cls=Command, epilog=EPILOG)
@click.argument("address", type=types.reflector_to_bind, default="127.0.0.1")
@output_options
@options_of(StampReflector, without=["uplink", "downlink", "per_client", "timeline"])
@timeline_option
@link_options
def command(
    address: tuple[str, int],
    verbose: bool,
    as_json: bool,
    every: float | None,
    csv: str | None,
    **options: Any,
) -> Program:
    """Answer the test packets of STAMP and TWAMP-Light.

    ADDRESS is HOST[:PORT] or [IPV6]:PORT, 127.0.0.1:862 unless given; 0.0.0.0 is any address of
    this host. A port below 1024 needs a privilege. With links it is a bad path on purpose, whose
    effect on each packet is known.
    """
    make = partial(StampReflector, *address)
    return program(make, options, verbose=verbose, as_json=as_json, every=every, csv=csv)
