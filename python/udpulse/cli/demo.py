"""`udpulse demo`: show the lab's four programs at work."""

import click

import udpulse.lab.demo
from udpulse.cli._run import Command, Program


@click.command("demo", cls=Command)
def command() -> Program:
    """Show the lab's four programs at work, all in this process, on free ports of loopback."""
    return udpulse.lab.demo.demo
