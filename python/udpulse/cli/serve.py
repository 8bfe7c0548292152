"""`udpulse serve`: run the sessions and servers of a configuration as a service."""

import json
import signal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from udpulse._printable import joined, printable
from udpulse.cli._follow import Signals
from udpulse.cli._run import BROKEN, USAGE, Command, Program, Screen, refuse
from udpulse.cli._text import clock, counted

if TYPE_CHECKING:
    from udpulse.monitor import Config, Monitor

EPILOG = """\b
Examples:
  udpulse serve --example > udpulse.toml    a configuration to start from
  udpulse serve --check udpulse.toml
  udpulse serve udpulse.toml
"""

#: How long a signal may wait, in seconds.
TICK = 0.2


@click.command("serve", cls=Command, epilog=EPILOG)
@click.argument("file", metavar="CONFIG", type=click.Path(), required=False)
@click.option("--example", is_flag=True, help="Print a configuration that runs as it is.")
@click.option("--check", is_flag=True, help="Only check the configuration.")
def command(file: str | None, example: bool, check: bool) -> Program:
    """Run the sessions and servers of a configuration as a service.

    CONFIG is a TOML file. SIGHUP reads it again, and unchanged parts go on. Ctrl-C and SIGTERM
    end it in order. The log is on stderr.
    """
    if example:
        return print_example
    if file is None:
        raise click.UsageError("there is no CONFIG")
    # `udpulse --help` does without it.
    from udpulse import monitor

    try:
        config = monitor.load(file)
    except monitor.ConfigError as error:
        text = str(error)
        return lambda: refuse_all(text)
    except OSError as error:
        raise click.UsageError(f"cannot read {file!r}: {error.strerror}") from None
    return (
        (lambda: describe(config)) if check else (lambda: run(monitor.Monitor(config, notify=True)))
    )


def print_example() -> int:
    """Print the example."""
    text = files("udpulse.monitor").joinpath("example.toml").read_text("utf-8")
    Screen().show(text.rstrip("\n"))
    return 0


def refuse_all(text: str) -> int:
    """Print each error of a configuration."""
    for line in text.splitlines():
        Screen().note(line)
    return USAGE


def describe(config: "Config") -> int:
    """Print that a configuration is right."""
    rows = sum(len(part.targets) if part.kind == "ping_many" else 1 for part in config.parts)
    parts = f"{counted(len(config.parts), 'part')}, {counted(rows, 'row')}"
    Screen().show(f"{printable(config.path)}: {parts}, {counted(len(config.alerts), 'alert')}")
    return 0


def run(monitor: "Monitor") -> int:
    """Run a monitor until a signal ends it."""
    screen = Screen()
    with Service() as signals:
        try:
            monitor.start()
        except ValueError as error:
            return refuse("udpulse", str(error))
        last = 0
        try:
            signals.orderly = True
            last = log(monitor, last, screen)
            if monitor.config.log == "lines":
                screen.note(ready(monitor))
            while monitor.running and not signals.ended:
                monitor.wait(last, TICK)
                last = log(monitor, last, screen)
                if signals.reload:
                    signals.reload = False
                    reload(monitor, screen)
        finally:
            monitor.stop()
            log(monitor, last, screen)
    return 0 if signals.ended else BROKEN


def ready(monitor: "Monitor") -> str:
    """Return the line about a monitor that runs."""
    page = monitor.http_address
    return "Serving; Ctrl-C ends it" + (f", http://{joined(page)}/ shows it" if page else "")


def reload(monitor: "Monitor", screen: Screen) -> None:
    """Read the configuration again; a wrong one changes nothing."""
    try:
        monitor.reload()
    except (OSError, ValueError) as error:
        for line in str(error).splitlines():
            screen.note(as_line(monitor, {"event": "not reloaded", "text": printable(line)}))


def log(monitor: "Monitor", last: int, screen: Screen) -> int:
    """Print the events after the last one; return the id of the new last one."""
    for event in monitor.events(last):
        if last and event["id"] > last + 1:
            missed = f"{counted(event['id'] - last - 1, 'event')} not shown: they came too fast"
            screen.note(as_line(monitor, {"event": "missed", "text": missed}))
        screen.note(as_line(monitor, event))
        last = event["id"]
    return last


def as_line(monitor: "Monitor", event: dict[str, Any]) -> str:
    """Return the line about an event."""
    if monitor.config.log == "json":
        return json.dumps(event)
    return line_of(event)


def line_of(event: dict[str, Any]) -> str:
    """Return an event as people read it."""
    word = event["event"].replace("_", " ")
    if word == "state":
        word = event["state"] + (f", {event['cause']}" if "cause" in event else "")
        word += f" (was {event['was']})"
    elif word in ("alert", "clear"):
        word = f"{word} {event['alert']}"
    text = event.get("text") or ("" if event["event"] == "state" else event.get("cause"))
    row = f"{event['kind']} {event['name']}: " if "name" in event else ""
    time = f"{clock(event['time'])} " if "time" in event else ""
    return f"{time}{row}{word}{f': {text}' if text else ''}"


class Service(Signals):
    """The signals of a service: SIGHUP asks for a reload."""

    def __init__(self) -> None:
        """Create it; it handles nothing yet."""
        super().__init__()
        self.reload: bool = False

    def ask_reload(self, *_: object) -> None:
        """Handle SIGHUP."""
        self.reload = True

    def __enter__(self) -> "Service":
        """Install the handlers."""
        super().__enter__()
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
            self._before[hangup] = signal.signal(hangup, self.ask_reload)
        return self
