"""Arguments that several of the lab's programs take."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from udpulse.cli import _parameters as parameters

F = TypeVar("F", bound=Callable[..., Any])


def address_to_bind(function: F) -> F:
    """Add the arguments [HOST] [PORT] of a server."""
    port = click.argument("port", type=parameters.local_port, default=12000)
    return click.argument("host", type=parameters.local_host, default="")(port(function))


def server_address(function: F) -> F:
    """Add the arguments [HOST] [PORT] of a client."""
    port = click.argument("port", type=parameters.port, default=12000)
    return click.argument("host", type=parameters.remote_host, default="127.0.0.1")(port(function))


seed_option: Callable[[F], F] = click.option(
    "--seed", metavar="N", type=parameters.seed, help="Make the random choices repeatable."
)
