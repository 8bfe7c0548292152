"""UDPHeartBeatServer.py."""

from collections.abc import Sequence

import click

from udpulse import HeartbeatServer
from udpulse.cli._parameters import seconds
from udpulse.cli._run import Command, Program, Screen, run
from udpulse.events import Down, Ignored, Stopped, Up
from udpulse.lab import screens
from udpulse.lab.arguments import address_to_bind
from udpulse.lab.screens import counted, joined


@click.command(cls=Command)
@address_to_bind
@click.option(
    "--timeout",
    metavar="S",
    type=seconds,
    default=5.0,
    show_default=True,
    help="Seconds of silence that mean the client has stopped.",
)
@click.option("--keep-running", is_flag=True, help="Follow any number of clients, without end.")
@click.option("--by-host", is_flag=True, help="Tell clients apart by their hosts alone.")
@click.option("--reply", is_flag=True, help="Answer each beat with its text in upper case.")
def command(
    host: str, port: int, timeout: float, keep_running: bool, by_host: bool, reply: bool
) -> Program:
    """The lab's UDP heartbeat server: reports lost beats, and when the client has failed.

    HOST is the address to bind, all interfaces unless given, and PORT the port, 12000 unless given;
    0 is any free port. It follows the first host that it hears and ends when that one has failed.
    """
    server = HeartbeatServer(
        host,
        port,
        timeout=timeout,
        reply=reply,
        every_beat=True,
        # Every beat is a sign of life, whatever its number and time.
        old_beats="accept",
        # Without --keep-running one host is followed, whatever port each of its beats comes from.
        by_host=by_host or not keep_running,
        max_peers=65_536 if keep_running else 1,
    )
    return lambda: watch(server, Screen(), keep_running=keep_running, by_host=by_host)


def watch(
    server: HeartbeatServer, screen: Screen, *, keep_running: bool = False, by_host: bool = True
) -> int:
    """Show each beat and what happens to the client until it fails, or to all until Ctrl-C."""

    def label(address: tuple[str, int]) -> str:
        if not keep_running:
            return ""
        return f"{address[0] if by_host else joined(address)} "

    ignored = 0
    try:
        with server:
            screen.note(f"Listening on {joined(server.address)}; Ctrl-C ends it")
            for event in server:
                for line in screens.heartbeat_lines(event):
                    screen.show(label(event.address) + line)
                if isinstance(event, Up) and not keep_running:
                    screen.note(f"Following {event.address[0]}")
                if isinstance(event, Ignored):
                    if not ignored:
                        text = f"{event.payload!r:.80} of {joined(event.address)}"
                        screen.note(f"Ignored {text}: it is no heartbeat")
                    ignored += 1
                if isinstance(event, (Down, Stopped)) and not keep_running:
                    break
    except KeyboardInterrupt:
        for peer in server.peers():
            line = screens.received_line(peer.received, peer.expected)
            screen.note(label(peer.address) + line)
    counters = server.counters
    for number, what in (
        (counters.ignored, "ignored: no heartbeat"),
        (counters.duplicates, "had a number that had come before"),
        (counters.stale, "had a number too old to judge"),
        (counters.rejected, "ignored: of another client"),
        (counters.send_failed, "could not be answered"),
    ):
        if number:
            screen.note(f"{counted(number, 'datagram')} {what}")
    if server.overflowed:
        screen.note(f"The screen was too slow for {counted(server.overflowed, 'event')}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run UDPHeartBeatServer.py."""
    return run(command, argv, "UDPHeartBeatServer.py", interrupted=0)
