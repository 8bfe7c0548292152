"""The command lines of the four programs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import click

from udpulse._core import EchoServer, HeartbeatClient, HeartbeatServer, PingClient
from udpulse.cli import _parameters as parameters
from udpulse.cli._run import Command, Program, run
from udpulse.lab import programs
from udpulse.lab.programs import Screen

# How many lines the screen of a server may be behind.
BEHIND = 10_000

F = TypeVar("F", bound=Callable[..., Any])


def address_to_bind(function: F) -> F:
    """Add the arguments [HOST] [PORT] of a server."""
    port = click.argument("port", type=parameters.local_port, default=12000)
    return click.argument("host", default="")(port(function))


def server_address(function: F) -> F:
    """Add the arguments [HOST] [PORT] of a client."""
    port = click.argument("port", type=parameters.port, default=12000)
    return click.argument("host", default="127.0.0.1")(port(function))


seed_option = click.option(
    "--seed", metavar="N", type=parameters.seed, help="Make the random choices repeatable."
)


@click.command(cls=Command)
@address_to_bind
@click.option(
    "--loss",
    metavar="P",
    type=parameters.probability,
    help="Lose each packet with this probability instead.",
)
@seed_option
def ping_server(host: str, port: int, loss: float | None, seed: int | None) -> Program:
    """The lab's UDP ping server: answers in upper case and loses packets on purpose.

    HOST is the address to bind, all interfaces unless given, and PORT the port, 12000 unless given;
    0 is any free port.

    For each packet it draws a number from 0 to 10, both included, as the lab's server does. If the
    number is less than 4, it does not answer: that is 4 of 11, or 36.36%, and not the 30% of the
    lab's text. --loss 0.3 gives a true 30%.
    """
    model: float | Literal["lab"] = "lab" if loss is None else loss
    server = EchoServer(host, port, loss=model, seed=seed, max_size=1024, log=BEHIND)
    return lambda: programs.ping_server(server, Screen())


@click.command(cls=Command)
@server_address
@click.option(
    "--count",
    metavar="N",
    type=parameters.count,
    default=10,
    show_default=True,
    help="How many pings.",
)
@click.option(
    "--timeout",
    metavar="S",
    type=parameters.seconds,
    default=1.0,
    show_default=True,
    help="Seconds to wait for each reply.",
)
def ping_client(host: str, port: int, count: int, timeout: float) -> Program:
    """The lab's UDP ping client: sends pings one at a time and reports round trips and loss.

    HOST is the server, 127.0.0.1 unless given, and PORT its port, 12000 unless given.
    """
    client = PingClient(host, port, count=count, timeout=timeout)
    return lambda: programs.ping_client(client, Screen())


@click.command(cls=Command)
@server_address
@click.option(
    "--interval",
    metavar="S",
    type=parameters.seconds,
    default=1.0,
    show_default=True,
    help="Seconds from beat to beat.",
)
@click.option(
    "--count", metavar="N", type=parameters.count, help="How many beats; no limit if not given."
)
@click.option("--fail-at", metavar="N", type=parameters.count, help="Fail at this beat.")
@click.option(
    "--fail-chance",
    metavar="P",
    type=parameters.probability,
    help="Fail at each beat with this probability; 0 is never. Without --fail-at it is 1/44.",
)
@click.option(
    "--loss",
    metavar="P",
    type=parameters.probability,
    default=0.0,
    show_default=True,
    help="Leave out each beat on purpose with this probability.",
)
@seed_option
@click.option(
    "--format",
    metavar="TEMPLATE",
    default="Heartbeat {seq} {time}",
    show_default=True,
    help="The message, with places for {seq} and {time}.",
)
def heartbeat_client(
    host: str,
    port: int,
    interval: float,
    count: int | None,
    fail_at: int | None,
    fail_chance: float | None,
    loss: float,
    seed: int | None,
    format: str,  # noqa: A002
) -> Program:
    """The lab's UDP heartbeat client: tells the server that it is alive, until it fails.

    HOST is the server, 127.0.0.1 unless given, and PORT its port, 12000 unless given.
    """
    if fail_chance is None:
        fail_chance = 1 / 44 if fail_at is None else 0.0
    client = HeartbeatClient(
        host,
        port,
        interval=interval,
        count=count,
        fail_at=fail_at,
        fail_chance=fail_chance,
        loss=loss,
        seed=seed,
        format=format,
    )
    return lambda: programs.heartbeat_client(client, Screen())


@click.command(cls=Command)
@address_to_bind
@click.option(
    "--timeout",
    metavar="S",
    type=parameters.seconds,
    default=5.0,
    show_default=True,
    help="Seconds of silence that mean the client has stopped.",
)
@click.option("--keep-running", is_flag=True, help="Follow any number of clients, without end.")
@click.option("--by-host", is_flag=True, help="Tell clients apart by their hosts alone.")
@click.option("--reply", is_flag=True, help="Answer each beat with its text in upper case.")
def heartbeat_server(
    host: str, port: int, timeout: float, keep_running: bool, by_host: bool, reply: bool
) -> Program:
    """The lab's UDP heartbeat server: reports lost beats, and when the client has failed.

    HOST is the address to bind, all interfaces unless given, and PORT the port, 12000 unless given;
    0 is any free port. It follows the first host that it hears and ends when that one has failed.
    """
    if keep_running:
        server = HeartbeatServer(
            host, port, timeout=timeout, reply=reply, every_beat=True, by_host=by_host
        )
    else:
        # One host, whatever port each of its beats comes from.
        server = HeartbeatServer(
            host, port, timeout=timeout, reply=reply, every_beat=True, by_host=True, max_peers=1
        )
    return lambda: programs.heartbeat_server(
        server, Screen(), keep_running=keep_running, by_host=by_host
    )


def pinger_server_main(argv: Sequence[str] | None = None) -> int:
    """Run UDPPingerServer.py."""
    return run(ping_server, argv, "UDPPingerServer.py")


def pinger_client_main(argv: Sequence[str] | None = None) -> int:
    """Run UDPPingerClient.py."""
    return run(ping_client, argv, "UDPPingerClient.py")


def heartbeat_client_main(argv: Sequence[str] | None = None) -> int:
    """Run UDPHeartBeatClient.py."""
    return run(heartbeat_client, argv, "UDPHeartBeatClient.py")


def heartbeat_server_main(argv: Sequence[str] | None = None) -> int:
    """Run UDPHeartBeatServer.py."""
    return run(heartbeat_server, argv, "UDPHeartBeatServer.py")
