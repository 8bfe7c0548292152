"""The command lines of the four programs."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol

import typer

from udpulse._core import EchoServer, HeartbeatClient, HeartbeatServer, PingClient
from udpulse.cli._run import Program, new_app, run
from udpulse.lab import programs
from udpulse.lab.programs import Screen

# How many lines the screen of a server may be behind.
BEHIND = 10_000

Option = typer.Option
ServerHost = Annotated[str, typer.Argument(help="The server to talk to.")]
ServerPort = Annotated[int, typer.Argument(help="The server's port.")]
BindHost = Annotated[str, typer.Argument(help="The address to bind; all interfaces without.")]
BindPort = Annotated[int, typer.Argument(help="The port to bind; 0 is any free one.")]
Seed = Annotated[int | None, Option(help="Make the random choices repeatable.")]
Probability = Annotated[float, Option(metavar="P", help="The probability, 0 to 1, of a loss.")]


class Main(Protocol):
    """Runs a program with the arguments given, or those of this process; gives its exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run."""


def one_command(command: Callable[..., Program]) -> Main:
    """The main function of a program with a single command."""

    def main(argv: Sequence[str] | None = None) -> int:
        app = new_app()
        app.command()(command)
        return run(app, argv, Path(sys.argv[0]).name)

    main.__doc__ = command.__doc__
    return main


@one_command
def pinger_server(
    host: BindHost = "",
    port: BindPort = 12000,
    *,
    loss: Annotated[
        float | None, Option(metavar="P", help="Lose each packet with this probability instead.")
    ] = None,
    seed: Seed = None,
) -> Program:
    """The lab's UDP ping server: answers in upper case and loses packets on purpose.

    Like the lab's it draws a number from 0 to 10, both included, for each packet and does not
    answer where it is less than 4: 4 of 11, which is 36.36 % and not the 30 % of the lab's text.
    --loss 0.3 gives a true 30 %.
    """
    model: float | Literal["lab"] = "lab" if loss is None else loss
    server = EchoServer(host, port, loss=model, seed=seed, max_size=1024, log=BEHIND)
    return lambda: programs.ping_server(server, Screen())


@one_command
def pinger_client(
    host: ServerHost = "127.0.0.1",
    port: ServerPort = 12000,
    *,
    count: Annotated[int, Option(metavar="N", help="How many pings.")] = 10,
    timeout: Annotated[float, Option(metavar="S", help="Seconds to wait for each reply.")] = 1.0,
) -> Program:
    """The lab's UDP ping client: sends pings one at a time and reports round trips and loss."""
    client = PingClient(host, port, count=count, timeout=timeout)
    return lambda: programs.ping_client(client, Screen())


@one_command
def heartbeat_client(
    host: ServerHost = "127.0.0.1",
    port: ServerPort = 12000,
    *,
    interval: Annotated[float, Option(metavar="S", help="Seconds from beat to beat.")] = 1.0,
    count: Annotated[int | None, Option(metavar="N", help="How many beats; no limit without.")] = (
        None
    ),
    fail_at: Annotated[int | None, Option(metavar="N", help="Fail at this beat.")] = None,
    fail_chance: Annotated[
        float | None,
        Option(
            metavar="P",
            help="Fail at each beat with this probability; 0 never. 1/44 without --fail-at.",
        ),
    ] = None,
    loss: Probability = 0.0,
    seed: Seed = None,
    format: Annotated[  # noqa: A002
        str, Option(metavar="TEMPLATE", help="The message, with places for {seq} and {time}.")
    ] = "Heartbeat {seq} {time}",
) -> Program:
    """The lab's UDP heartbeat client: tells the server that it is alive, until it fails."""
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


@one_command
def heartbeat_server(
    host: BindHost = "",
    port: BindPort = 12000,
    *,
    timeout: Annotated[
        float, Option(metavar="S", help="Seconds of silence that mean the client has stopped.")
    ] = 5.0,
    keep_running: Annotated[
        bool, Option("--keep-running", help="Follow any number of clients, for ever.")
    ] = False,
    by_host: Annotated[
        bool, Option("--by-host", help="Tell clients apart by their hosts alone.")
    ] = False,
    reply: Annotated[
        bool, Option("--reply", help="Answer each beat with its text in upper case.")
    ] = False,
) -> Program:
    """The lab's UDP heartbeat server: reports lost beats, and when the client has failed.

    It follows the first host that it hears and ends when that one has failed.
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
