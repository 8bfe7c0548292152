"""`udpulse reflect`: answer the test packets of STAMP and TWAMP-Light."""

from functools import partial
from typing import Any

import click

from udpulse import StampReflector
from udpulse.cli import _parameters as types
from udpulse.cli._options import options_of
from udpulse.cli._record import json_options, record
from udpulse.cli._reflected import TROUBLES, Rates, reflected_line, summary
from udpulse.cli._run import Command, Program
from udpulse.cli._serve import serve
from udpulse.cli._text import notes

EPILOG = """\b
Examples:
  udpulse reflect                       answer on 127.0.0.1:862
  udpulse reflect 0.0.0.0:8620 --allow 192.0.2.0/24 --allow 198.51.100.7
  udpulse reflect 0.0.0.0 --max-rate 1000 --twamp-light
"""


@click.command("reflect", cls=Command, epilog=EPILOG)
@click.argument("address", type=types.reflector_to_bind, default="127.0.0.1")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for each packet.")
@json_options
@options_of(StampReflector)
def command(
    address: tuple[str, int],
    verbose: bool,
    as_json: bool,
    every: float | None,
    **options: Any,
) -> Program:
    """Answer the test packets of STAMP and TWAMP-Light.

    ADDRESS is HOST[:PORT] or [IPV6]:PORT, 127.0.0.1:862 unless given; 0.0.0.0 is any address of
    this host. A port below 1024 needs a privilege.
    """
    host, port = address
    if not (verbose or as_json):
        options.setdefault("keep", 0)
    reflector = StampReflector(host, port, **options)

    def run() -> int:
        if as_json:
            record(reflector, every, partial(summary, reflector))
        else:
            serve(
                reflector,
                line=reflected_line if verbose else None,
                render=Rates(reflector).render,
                summary=partial(summary, reflector),
                troubles=lambda: notes(reflector.counters.to_dict(), TROUBLES, "packet"),
            )
        return 0

    return run
