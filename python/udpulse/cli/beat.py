"""`udpulse beat`: send heartbeats, alone, for a command or from cron."""

from typing import Any

import click

from udpulse import HeartbeatClient
from udpulse.cli import _parameters as types
from udpulse.cli._beats import Beats
from udpulse.cli._child import run_command
from udpulse.cli._follow import follow
from udpulse.cli._options import options_of
from udpulse.cli._record import json_option, record
from udpulse.cli._run import BROKEN, Command, Program, Screen

EPILOG = """\b
Examples:
  udpulse beat 192.0.2.7 --name api     one beat a second until Ctrl-C
  udpulse beat 192.0.2.7 --name backup -- rsync -a /home /mnt
  udpulse beat 192.0.2.7 --name backup --once --every 1d --grace 1h
"""


class BeatCommand(Command):
    """A command whose words after -- are those of another command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before --."""
        at = args.index("--") if "--" in args else len(args)
        if at == len(args) - 1:
            raise click.UsageError("there is no command after --", ctx)
        rest = super().parse_args(ctx, args[:at])
        ctx.params["words"] = args[at + 1 :]
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the pieces of the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND ...]"]


@click.command("beat", cls=BeatCommand, epilog=EPILOG)
@click.argument("server", type=types.remote_address, default="127.0.0.1")
@click.option("-v", "--verbose", is_flag=True, help="Print each beat.")
@json_option
@click.option("--once", is_flag=True, help="Send one beat without a goodbye, as a job of cron.")
@click.option(
    "--every",
    metavar="TIME",
    type=types.period,
    help="With --once: the time until the next run; the client is missed without it.",
)
@options_of(HeartbeatClient, without=["stall_after"], kinds={"loss": (types.share, "SHARE")})
def command(
    server: tuple[str, int],
    verbose: bool,
    as_json: bool,
    once: bool,
    every: float | None,
    words: list[str],
    **options: Any,
) -> Program:
    """Send heartbeats: tell `udpulse watch` that this host, or a command, is alive.

    SERVER is HOST[:PORT] or [IPV6]:PORT, 127.0.0.1:12000 unless given. Ctrl-C and SIGTERM end it
    with a goodbye.

    With -- COMMAND it runs the command, beats while that lives, reports how it ended, and exits
    with its code: 128 + N after signal N, 127 if there is no such command, 126 if it cannot run.

    With --once it sends one beat. Run again within --every, or the client is down.
    """
    if once:
        options = single(options, every, words)
    elif every is not None:
        raise click.UsageError("--every is for --once; without it, give --interval")
    if words and as_json:
        raise click.UsageError("--json: not with a command, whose output it would mix with")
    client = HeartbeatClient(*server, **options)
    screen = Screen()
    if once:
        return lambda: beat_once(Beats(client, screen), as_json=as_json)
    if words:
        # The command owns stdout.
        put = screen.note if verbose else None
        return lambda: run_command(words, Beats(client, screen, put))
    if as_json:
        return lambda: write_lines(Beats(client, screen))
    return lambda: beat(Beats(client, screen, screen.show if verbose else None))


def single(options: dict[str, Any], every: float | None, words: list[str]) -> dict[str, Any]:
    """Return the options of a client that beats once."""
    if words:
        raise click.UsageError("--once takes no command; to beat after one: COMMAND && ...")
    if wrong := options.keys() & {"count", "interval", "format"}:
        raise click.UsageError(f"--{min(wrong)} is not for --once")
    if every is None or not options.get("name"):
        raise click.UsageError("--once needs --every and --name: the server waits for its next run")
    return {**options, "interval": every, "count": 1, "goodbye": False}


def beat(beats: Beats) -> int:
    """Send heartbeats until Ctrl-C."""
    interrupted = follow(beats.client, beats.show, beats.summary, title=beats.title)
    beats.screen.show(beats.summary())
    return beats.verdict(interrupted=interrupted)


def write_lines(beats: Beats) -> int:
    """Send heartbeats until Ctrl-C, and print lines of JSON."""
    interrupted = record(beats.client, None, beats.summary)
    return beats.verdict(interrupted=interrupted)


def beat_once(beats: Beats, *, as_json: bool) -> int:
    """Send one beat."""
    # The client would wait for an address.
    beats.client._resolve()
    if as_json:
        code = write_lines(beats)
    else:
        code = beats.verdict(interrupted=follow(beats.client, beats.show, beats.summary))
    return code or (BROKEN if beats.client.counters.refused else 0)
