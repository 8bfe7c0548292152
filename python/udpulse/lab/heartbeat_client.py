"""UDPHeartBeatClient.py."""

from collections.abc import Sequence

import click

from udpulse import Beat, HeartbeatClient
from udpulse.cli._parameters import count, probability, seconds
from udpulse.cli._run import INTERRUPTED, Command, Program, Screen, run
from udpulse.cli._text import counted
from udpulse.lab import screens
from udpulse.lab.arguments import seed_option, server_address
from udpulse.lab.trouble import Trouble


@click.command(cls=Command)
@server_address
@click.option(
    "--interval",
    metavar="S",
    type=seconds,
    default=1.0,
    show_default=True,
    help="Seconds from beat to beat.",
)
@click.option("--count", metavar="N", type=count, help="How many beats; no limit if not given.")
@click.option("--fail-at", metavar="N", type=count, help="Fail at this beat.")
@click.option(
    "--fail-chance",
    metavar="P",
    type=probability,
    help="Fail at each beat with this probability; 0 is never. Without --fail-at it is 1/44.",
)
@click.option(
    "--loss",
    metavar="P",
    type=probability,
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
    help="The message: {seq} is the number; {time}, {ms}, {ctime} and {datetime} are the time.",
)
def command(
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
    return lambda: send_beats(client, Screen())


def send_beats(client: HeartbeatClient, screen: Screen) -> int:
    """Show each beat until the last, or the simulated crash."""
    code = 0
    trouble = Trouble(client, screen)
    try:
        # The library would go on without an address; the lab's client refuses a wrong host.
        client._resolve()
        with client:
            for beat in client:
                if isinstance(beat, Beat):
                    screen.show(screens.beat_line(beat))
                counters = client.counters
                trouble.note(refused=counters.refused, send_failed=counters.send_failed)
    except KeyboardInterrupt:
        counters = client.counters
        screen.note(f"Sent {counted(counters.sent - counters.send_failed, 'heartbeat')}")
        code = INTERRUPTED
    counters = client.counters
    # The fate of the last beat is known only now.
    trouble.note(refused=counters.refused, send_failed=counters.send_failed)
    if counters.send_failed:
        screen.note(f"{counted(counters.send_failed, 'heartbeat')} could not be sent")
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run UDPHeartBeatClient.py."""
    return run(command, argv, "UDPHeartBeatClient.py")
