"""UDPPingerClient.py."""

from collections.abc import Sequence

import click

from udpulse import PingClient
from udpulse.cli._parameters import count, seconds
from udpulse.cli._run import INTERRUPTED, Command, Program, Screen, run
from udpulse.lab import screens
from udpulse.lab.arguments import server_address
from udpulse.lab.trouble import Trouble


@click.command(cls=Command)
@server_address
@click.option(
    "--count",
    metavar="N",
    type=count,
    default=10,
    show_default=True,
    help="How many pings.",
)
@click.option(
    "--timeout",
    metavar="S",
    type=seconds,
    default=1.0,
    show_default=True,
    help="Seconds to wait for each reply.",
)
def command(host: str, port: int, count: int, timeout: float) -> Program:
    """The lab's UDP ping client: sends pings one at a time and reports round trips and loss.

    HOST is the server, 127.0.0.1 unless given, and PORT its port, 12000 unless given.
    """
    client = PingClient(host, port, count=count, timeout=timeout, size=0, wait_out=True, linger=0)
    return lambda: ping(client, Screen())


def ping(client: PingClient, screen: Screen) -> int:
    """Show each ping and the statistics."""
    end, code = screen.show, 0
    trouble = Trouble(client, screen)
    try:
        with client:
            for probe in client:
                for line in screens.probe_lines(probe, client.server[0]):
                    screen.show(line)
                trouble.note(
                    refused=probe.verdict == "refused", send_failed=probe.verdict == "send_failed"
                )
    except KeyboardInterrupt:
        end, code = screen.note, INTERRUPTED
    report = client.report()
    for line in screens.report_lines(report):
        end(line)
    for line in screens.report_notes(report):
        screen.note(line)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run UDPPingerClient.py."""
    return run(command, argv, "UDPPingerClient.py")
