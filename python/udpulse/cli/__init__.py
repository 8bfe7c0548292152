"""The `udpulse` command: one file per subcommand."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from udpulse._core import __version__
from udpulse.cli._run import new_app, run
from udpulse.cli.demo import demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `udpulse` command."""
    app = new_app()
    app.callback()(udpulse)
    app.command()(demo)
    argv = sys.argv[1:] if argv is None else argv
    return run(app, argv or ["--help"], "udpulse")


def show_version(wanted: bool) -> None:
    """Show the version and end, where that is wanted."""
    if wanted:
        print(f"udpulse {__version__}")
        raise typer.Exit


def udpulse(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Measure any UDP path: who answers, how fast, how much is lost, and who is still alive."""
