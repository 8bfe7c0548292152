"""`udpulse echo`: answer UDP packets, and be a bad path on purpose."""

from functools import partial
from typing import Any

import click

from udpulse import EchoServer
from udpulse.cli import _parameters as types
from udpulse.cli._options import options_of
from udpulse.cli._paths import MODELS, link_options, output_options, program, timeline_option
from udpulse.cli._run import Command, Program

EPILOG = f"""\b
Examples:
  udpulse echo                          answer on 127.0.0.1:12000
  udpulse echo 0.0.0.0:7 --loss 30% --seed 7
  udpulse echo --downlink-delay Normal:20ms,5ms --uplink-rate 10Mbit
{MODELS}"""


@click.command("echo", cls=Command, epilog=EPILOG)
@click.argument("address", type=types.address_to_bind, default="127.0.0.1")
@output_options
@options_of(EchoServer, without=["uplink", "downlink", "timeline"])
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
    """Answer UDP packets, and be a bad path on purpose.

    ADDRESS is HOST[:PORT] or [IPV6]:PORT, 127.0.0.1:12000 unless given; 0.0.0.0 is any address of
    this host.
    """
    if any(name.startswith("uplink_") for name in options):
        for name in options.keys() & {"loss", "delay"}:
            if f"uplink_{name}" in options:
                raise click.UsageError(f"--{name} is short for --uplink-{name}; give one of them")
            options[f"uplink_{name}"] = options.pop(name)
    make = partial(EchoServer, *address)
    return program(make, options, verbose=verbose, as_json=as_json, every=every, csv=csv)
