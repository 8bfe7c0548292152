"""`udpulse relay`: be a bad path between UDP clients and their server."""

from functools import partial
from typing import Any

import click

from udpulse import Relay
from udpulse.cli import _parameters as types
from udpulse.cli._options import options_of
from udpulse.cli._paths import MODELS, link_options, output_options, program, timeline_option
from udpulse.cli._run import Command, Program

EPILOG = f"""\b
Examples:
  udpulse relay 127.0.0.1:5353 192.0.2.7:53 --uplink-loss 30% --seed 7
  udpulse relay 0.0.0.0:4433 127.0.0.1:443 --downlink-delay Normal:20ms,5ms
{MODELS}"""


@click.command("relay", cls=Command, epilog=EPILOG)
@click.argument("listen", type=types.address_to_bind)
@click.argument("upstream", type=types.remote_address)
@output_options
@options_of(Relay, without=["uplink", "downlink", "listen", "per_client", "timeline"])
@timeline_option
@link_options
def command(
    listen: tuple[str, int],
    upstream: tuple[str, int],
    verbose: bool,
    as_json: bool,
    every: float | None,
    csv: str | None,
    **options: Any,
) -> Program:
    """Be a bad path between UDP clients and their server.

    Clients send to LISTEN in place of UPSTREAM, the server. Each is HOST[:PORT] or [IPV6]:PORT,
    with port 12000 unless given; 0.0.0.0 is any address of this host. Each client has a port of its
    own towards the server.
    """
    make = partial(Relay, *upstream, listen=listen)
    return program(make, options, verbose=verbose, as_json=as_json, every=every, csv=csv)
