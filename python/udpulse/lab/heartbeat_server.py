"""UDPHeartBeatServer.py."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import click

from udpulse import HeartbeatServer, Peer
from udpulse._printable import joined
from udpulse.cli._parameters import seconds
from udpulse.cli._run import Command, Program, Screen, run
from udpulse.cli._text import counted
from udpulse.events import Down, Event, Failed, Heard, Ignored, Stopped, Up
from udpulse.lab import screens
from udpulse.lab.arguments import address_to_bind
from udpulse.lab.screens import client_name


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
@click.option(
    "--by-host", is_flag=True, help="With --keep-running: tell clients apart by their hosts alone."
)
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
        numbers="first",
        # Without --keep-running one host is followed, whatever port each of its beats comes from.
        by_host=by_host or not keep_running,
        max_peers=65_536 if keep_running else 1,
    )
    return lambda: watch(server, Screen(), keep_running=keep_running, by_host=by_host)


def watch(
    server: HeartbeatServer, screen: Screen, *, keep_running: bool = False, by_host: bool = True
) -> int:
    """Show each beat and what happens to the client until it fails, or to all until Ctrl-C."""

    def label(client: Event | Peer) -> str:
        return f"{client_name(client, by_host=by_host)} " if keep_running else ""

    notes = Notes(keep_running=keep_running)
    try:
        with server:
            screen.note(f"Listening on {joined(server.address)}; Ctrl-C ends it")
            for event in server:
                for line in screens.heartbeat_lines(event):
                    screen.show(label(event) + line)
                for note in notes.of(event):
                    screen.note(note)
                if isinstance(event, (Down, Failed, Stopped)) and not keep_running:
                    break
    except KeyboardInterrupt:
        for peer in server.peers():
            line = screens.received_line(peer.received, peer.expected)
            screen.note(label(peer) + line)
    counters = server.counters
    for number, what in (
        (counters.ignored, "ignored: no heartbeat"),
        (counters.duplicates, "repeated a number"),
        (counters.stale, "had a number too old to judge"),
        (counters.unproven, "did not prove to be of the client"),
        (counters.rejected, "ignored: of another client"),
        (counters.send_failed, "could not be answered"),
    ):
        if number:
            screen.note(f"{counted(number, 'datagram')} {what}")
    if server.events_dropped:
        screen.note(f"The screen was too slow for {counted(server.events_dropped, 'event')}")
    return 0


@dataclass
class Notes:
    """The notes about a server's events, each made once."""

    keep_running: bool
    has_ignored: bool = False
    has_two_clients: bool = False
    port: int = 0
    ports: set[int] = field(default_factory=set)

    def of(self, event: Event) -> Iterator[str]:
        """Return the notes about an event."""
        if isinstance(event, Ignored) and not self.has_ignored:
            self.has_ignored = True
            text = f"{event.payload!r:.80} of {joined(event.address)}"
            yield f"Ignored {text}: it is no heartbeat"
        if self.keep_running:
            return
        host, port = event.address
        if isinstance(event, Up):
            yield f"Following {host}"
        if isinstance(event, Heard) and not self.has_two_clients:
            # A client may open a new socket for every beat, but it hardly returns to an old one.
            self.has_two_clients = port != self.port and port in self.ports
            self.ports.add(port)
            self.port = port
            if self.has_two_clients:
                yield f"Two clients on {host}? --keep-running follows each of them"


def main(argv: Sequence[str] | None = None) -> int:
    """Run UDPHeartBeatServer.py."""
    return run(command, argv, "UDPHeartBeatServer.py", interrupted=0)
