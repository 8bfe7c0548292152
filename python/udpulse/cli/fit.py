"""`udpulse fit`: fit models of loss and delay to a recorded run."""

import json
from pathlib import Path
from typing import IO, get_args

import click

from udpulse.cli._run import Command, Program, Screen
from udpulse.cli.read import recorded
from udpulse.fits import Way, fit

EPILOG = """\b
Examples:
  udpulse ping 192.0.2.7 -c 10000 -i 10ms --keep all --json > run.jsonl
  udpulse fit run.jsonl -o fit.svg
  udpulse fit relay.jsonl --way uplink
"""


@click.command("fit", cls=Command, epilog=EPILOG)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--way",
    type=click.Choice(get_args(Way)),
    default="both",
    help="The link to fit of an echo server or a relay. [default: both]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one object of JSON instead.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A picture of the goodness of fit; its name ends in .svg, .png or .html.",
)
def command(file: IO[bytes], way: Way, as_json: bool, output: Path | None) -> Program:
    """Fit a link to a run that was recorded with --json.

    FILE is the recorded run of a ping, an echo server or a relay; - is stdin. Shows the model of
    loss, the delays, what the record cannot tell, the link as Python has it and the nearest command
    of netem.
    """
    run = recorded(file)
    if output is not None and output.suffix.lower() not in (".svg", ".png", ".html"):
        raise click.ClickException(f"--output must end in .svg, .png or .html, not {output.name!r}")

    def show() -> int:
        try:
            fitted = fit(run, way=way)
        except (TypeError, ValueError) as error:
            raise click.ClickException(f"{file.name}: {error}") from None
        if output is not None:
            try:
                from udpulse.plots import save
            except ImportError as error:
                raise click.ClickException(str(error)) from None
            save(fitted.plot(), output)
        screen = Screen()
        if as_json:
            members = {**fitted.to_dict(), "link": fitted.link.to_dict(), "netem": fitted.netem}
            screen.show(json.dumps(members))
        else:
            screen.show(str(fitted))
            screen.show(f"link: {fitted.link!r}")
            screen.show(f"netem: {fitted.netem}")
        return 0

    return show
