"""`udpulse watch`: follow programs by their heartbeats."""

from functools import partial
from typing import Any

import click

from udpulse import HeartbeatServer
from udpulse._printable import printable
from udpulse.cli import _parameters as types
from udpulse.cli._fleet import TROUBLES, Fleet, event_line, summary
from udpulse.cli._follow import follow
from udpulse.cli._live import live, on_terminal
from udpulse.cli._options import options_of
from udpulse.cli._record import json_options, record
from udpulse.cli._run import BROKEN, Command, Program, Screen
from udpulse.cli._text import counted, listening, notes
from udpulse.events import Event

EPILOG = """\b
Examples:
  udpulse watch 0.0.0.0                 follow all that beat to port 12000
  udpulse watch --expect api --expect db --grace 30s
  timeout --preserve-status 60 udpulse watch --expect api && echo "api is alive"
  udpulse watch --json | jq 'select(.kind == "down")'
"""


@click.command("watch", cls=Command, epilog=EPILOG)
@click.argument("address", type=types.address_to_bind, default="127.0.0.1")
@click.option("-q", "--quiet", is_flag=True, help="Print only the summary.")
@json_options
@options_of(HeartbeatServer)
def command(
    address: tuple[str, int], quiet: bool, as_json: bool, every: float | None, **options: Any
) -> Program:
    """Follow programs by their heartbeats: who is alive, who stopped, and why.

    ADDRESS is HOST[:PORT] or [IPV6]:PORT, 127.0.0.1:12000 unless given; 0.0.0.0 is any address of
    this host. `udpulse beat` sends heartbeats.

    Ctrl-C ends it. The exit code is 1 if a client of --expect was never heard, or is down or failed
    at the end.
    """
    server = HeartbeatServer(*address, **options)
    screen = Screen()
    if as_json:
        return lambda: write_lines(server, screen, every)
    return lambda: watch(server, screen, quiet=quiet)


def write_lines(server: HeartbeatServer, screen: Screen, every: float | None) -> int:
    """Print changes of clients as lines of JSON until Ctrl-C."""
    record(server, every, partial(summary, server))
    return verdict(server, screen)


def watch(server: HeartbeatServer, screen: Screen, *, quiet: bool) -> int:
    """Show changes of clients until Ctrl-C: a table on a terminal, else lines."""
    fleet = Fleet(server)
    has_table = on_terminal() and not quiet
    with live(fleet.render) as draw:

        def show(events: list[Event]) -> None:
            if has_table:
                fleet.add(events)
                draw()
            elif events and not quiet:
                screen.show("\n".join(map(event_line, events)))

        follow(server, show, partial(summary, server), title=partial(listening, server))
    screen.show(summary(server))
    for note in notes(server.counters.to_dict(), TROUBLES, "datagram"):
        screen.note(note)
    if server.events_dropped:
        screen.note(f"{counted(server.events_dropped, 'change')} not shown: they came too fast")
    return verdict(server, screen)


def verdict(server: HeartbeatServer, screen: Screen) -> int:
    """Return the exit code; note each expected client that is not alive."""
    missing = server.missing
    code = 0
    for name in server.expect:
        peer = server.peer(name)
        state = "missing" if name in missing or peer is None else peer.state
        if state in ("missing", "down", "failed"):
            screen.note(f"expected, but {state}: {printable(name)}")
            code = BROKEN
    return code
