"""UDPPingerServer.py."""

from collections.abc import Sequence
from typing import Literal

import click

from udpulse import EchoServer
from udpulse._printable import joined
from udpulse.cli._parameters import probability
from udpulse.cli._run import Command, Program, Screen, run
from udpulse.cli._text import counted
from udpulse.lab import screens
from udpulse.lab.arguments import address_to_bind, seed_option


@click.command(cls=Command)
@address_to_bind
@click.option(
    "--loss",
    metavar="P",
    type=probability,
    help="Lose each packet with this probability instead.",
)
@seed_option
def command(host: str, port: int, loss: float | None, seed: int | None) -> Program:
    """The lab's UDP ping server: answers in upper case and loses packets on purpose.

    HOST is the address to bind, all interfaces unless given, and PORT the port, 12000 unless given;
    0 is any free port.

    For each packet it draws a number from 0 to 10, both included, as the lab's server does. If the
    number is less than 4, it does not answer: that is 4 of 11, or 36.36%, and not the 30% of the
    lab's text. --loss 0.3 gives a true 30%.
    """
    model: float | Literal["lab"] = "lab" if loss is None else loss
    server = EchoServer(host, port, transform="upper", loss=model, seed=seed, max_size=1024)
    return lambda: serve(server, Screen())


def serve(server: EchoServer, screen: Screen) -> int:
    """Show each packet and its fate until Ctrl-C."""
    try:
        with server:
            screen.note(f"Listening on {joined(server.address)}; Ctrl-C ends it")
            for fate in server:
                for line in screens.fate_lines(fate):
                    screen.show(line)
    except KeyboardInterrupt:
        counters = server.counters
        received = counted(counters.received, "packet")
        screen.note(f"Received {received}, dropped {counters.dropped}")
        if server.events_dropped:
            screen.note(f"The screen was too slow for {counted(server.events_dropped, 'packet')}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run UDPPingerServer.py."""
    return run(command, argv, "UDPPingerServer.py", interrupted=0)
