"""`udpulse plot`: draw a recorded run."""

from pathlib import Path
from typing import IO

import click

from udpulse.cli._run import Command, Program
from udpulse.cli.read import recorded

EPILOG = """\b
Examples:
  udpulse ping 192.0.2.7 -c 1000 -i 10ms --json > run.jsonl
  udpulse plot run.jsonl -o run.svg
"""


@click.command("plot", cls=Command, epilog=EPILOG)
@click.argument("file", type=click.File("rb"))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The picture to write; its name ends in .svg, .png or .html.",
)
def command(file: IO[bytes], output: Path) -> Program:
    """Draw a run that was recorded with --json.

    FILE is the recorded run; - is stdin. Pings give round trips over time with losses, outages and
    pauses, and their distribution; heartbeats the states of each client; an echo server what it did
    to each packet. Needs matplotlib: pip install 'udpulse[plot]'.
    """
    run = recorded(file)
    if run.command in ("beat", "reflect"):
        raise click.ClickException(f"{file.name}: a run of `udpulse {run.command}` has no picture")
    try:
        from udpulse.plots import of, save
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    if output.suffix.lower() not in (".svg", ".png", ".html"):
        raise click.ClickException(f"--output must end in .svg, .png or .html, not {output.name!r}")

    def plot() -> int:
        save(of(run), output)
        return 0

    return plot
