"""The `udpulse` command.

Each module of this package without an underscore in front is a subcommand: its `command`, and the
first line of its docstring is the short help. `udpulse --help` imports none of them.
"""

import importlib
import os
from collections.abc import Sequence

import click

from udpulse._core import __version__
from udpulse.cli._run import LOCAL_FAILURE, SETTINGS, run


class Subcommands(click.Group):
    """The subcommands; a module is imported when its command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return sorted(files())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in files():
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write their names and short helps."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help(path)) for name, path in sorted(files().items())])


def files() -> dict[str, str]:
    """Return the path of each subcommand's module."""
    names = ((name, folder) for folder in __path__ for name in os.listdir(folder))
    return {
        name.removesuffix(".py"): os.path.join(folder, name)
        for name, folder in names
        if name.endswith(".py") and not name.startswith("_")
    }


def short_help(path: str) -> str:
    """Return the first line of a module's docstring, without the name in front."""
    with open(path, encoding="utf-8") as file:
        line = file.readline().strip().strip('"')
    text = line.rpartition("`: ")[2]
    return text[:1].upper() + text[1:]


@click.group(cls=Subcommands)
@click.version_option(__version__, message="udpulse %(version)s")
def udpulse() -> None:
    """Measure any UDP path: who answers, how fast, how much is lost, and who is still alive."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `udpulse` command, or complete it for a shell."""
    if instruction := os.environ.get("_UDPULSE_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(udpulse, dict(SETTINGS), "udpulse", "_UDPULSE_COMPLETE", instruction)
    return run(udpulse, argv, "udpulse", local_failure=LOCAL_FAILURE)
