"""`udpulse keygen`: make a file of keys."""

import secrets

import click

from udpulse import Keys
from udpulse.cli._run import Command, Program, Screen

EPILOG = """\b
Examples:
  udpulse keygen server.keys
  udpulse keygen api.keys --client api --from server.keys
"""


# The parameters are named as those of the API, so that its errors become those of the options.
@click.command("keygen", cls=Command, epilog=EPILOG)
@click.argument("file", type=click.Path())
@click.option("--client", "name", metavar="NAME", help="Make the keys of this client only.")
@click.option(
    "--from", "path", metavar="FILE", help="With --client: the server's keys, which make its own."
)
def command(file: str, name: str | None, path: str | None) -> Program:
    """Make a file of keys, for the --keys of the other commands.

    FILE must not exist, and only its owner will be able to open it. The server needs the key that
    this makes, and clients can use it, too. With --client it makes a client's own key, with which
    one can beat in that name only.
    """
    if name is not None and path is not None:
        keys = Keys.read(path).client(name)
    elif name is None and path is None:
        keys = Keys({secrets.token_hex(4): secrets.token_bytes(32)})
    else:
        raise click.UsageError("--client and --from go together")

    def run() -> int:
        keys.write(file)
        Screen().show(f"{file}: {', '.join(keys.ids)}")
        return 0

    return run
