"""Hosts for tests: two network namespaces joined by a virtual cable."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest


class Host(NamedTuple):
    """A network namespace."""

    name: str
    address: str
    hardware: str


def host(label: str, number: int) -> Host:
    """Return the host with this number, 1 to 9, in 198.18.0.0/16."""
    name = f"udpulse-{os.getpid()}-{label}"
    return Host(name, f"198.18.0.{number}", f"02:00:00:00:00:0{number}")


def ip(*args: str) -> None:
    """Run `ip`; raise `CalledProcessError` if it fails."""
    subprocess.run(["ip", *args], check=True, capture_output=True, timeout=10)


@contextmanager
def joined(one: Host, other: Host) -> Iterator[None]:
    """Create both hosts and their cable, delete them at the end; skip the test if not permitted."""
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip`")
    with ExitStack() as gone_at_the_end:
        try:
            for each in (one, other):
                ip("netns", "add", each.name)
                # This deletes its end of the cable, and with it the cable.
                gone_at_the_end.callback(ip, "netns", "delete", each.name)
            first, second = (
                ["cable", "address", each.hardware, "netns", each.name] for each in (one, other)
            )
            ip("link", "add", *first, "type", "veth", "peer", *second)
            for each in (one, other):
                ip("-n", each.name, "address", "add", f"{each.address}/16", "dev", "cable")
                for device in ("lo", "cable"):
                    ip("-n", each.name, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no right to make network namespaces: {error.stderr.decode()}")
        yield


@contextmanager
def within(host: Host, script: str, *args: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a Python script on a host; kill it at the end."""
    command = ["ip", "netns", "exec", host.name, sys.executable, "-c", script, *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
