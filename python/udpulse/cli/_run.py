"""Runs a command line.

Exit codes: 0 the program did what it is for, 2 it was asked for something impossible (one line on
stderr says what), 130 Ctrl-C ended it before its end.
"""

import io
import os
import sys
from collections.abc import Callable, Sequence

import typer

from udpulse.lab.programs import INTERRUPTED, Screen

USAGE = 2

Program = Callable[[], int]


def run(app: typer.Typer, argv: Sequence[str] | None, name: str) -> int:
    """Run the program that a command line asks for; return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A reply may hold what the terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        program = app(argv, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        return refuse(name, error.format_message())
    except ValueError as error:
        return refuse(name, str(error))
    if not callable(program):
        return int(program or 0)
    try:
        return int(program())
    except BrokenPipeError:
        # Whoever read our lines has had enough; Python's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return refuse(name, error.strerror or str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def refuse(name: str, reason: str) -> int:
    """Say in one line why a program does not run."""
    Screen().note(f"{name}: {' '.join(reason.split())}")
    return USAGE


def new_app() -> typer.Typer:
    """A command line of plain text: what a terminal shows is what a pipe gets."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
