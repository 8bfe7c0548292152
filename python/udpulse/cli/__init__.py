"""The `udpulse` command.

Each module of this package without an underscore in front is a subcommand: its `command`.
"""

import importlib
import os
import pkgutil
from collections.abc import Sequence

import click

from udpulse._core import __version__
from udpulse.cli._run import LOCAL_FAILURE, run


class Subcommands(click.Group):
    """The subcommands; a module is imported when its command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        names = sorted(module.name for module in pkgutil.iter_modules(__path__))
        return [name for name in names if not name.startswith("_")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group(cls=Subcommands)
@click.version_option(__version__, message="udpulse %(version)s")
def udpulse() -> None:
    """Measure any UDP path: who answers, how fast, how much is lost, and who is still alive."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `udpulse` command, or complete it for a shell."""
    if instruction := os.environ.get("_UDPULSE_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(udpulse, {}, "udpulse", "_UDPULSE_COMPLETE", instruction)
    return run(udpulse, argv, "udpulse", local_failure=LOCAL_FAILURE)
