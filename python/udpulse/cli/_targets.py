"""The targets of a sweep."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from udpulse.cli._parameters import remote_address

MAX_HOSTS = 65_536

F = TypeVar("F", bound=Callable[..., Any])

Target = tuple[str, int]


def targets(words: Iterable[str], file: Iterable[str]) -> list[Target]:
    """Return each target of a command line and of the lines of a file once."""
    return [*dict.fromkeys(target for word in [*words, *lines(file)] for target in expand(word))]


def file_option(text: str) -> Callable[[F], F]:
    """Add --file, whose help is `text`."""
    # Windows writes a byte order mark.
    kind = click.File(encoding="utf-8-sig", errors="backslashreplace")
    return click.option("--file", metavar="FILE", type=kind, help=text)


def lines(file: Iterable[str]) -> Iterator[str]:
    """Return the targets in a file, one per line; `#` starts a comment."""
    for line in file:
        if word := line.partition("#")[0].strip():
            yield word


def expand(word: str) -> Iterator[Target]:
    """Return a target, or all hosts of a CIDR block."""
    before, slash, after = word.partition("/")
    if not slash:
        yield remote_address(word)
        return
    length, colon, port = after.partition(":")
    block = f"{before.strip('[]')}/{length.strip(']')}"
    try:
        network = ipaddress.ip_network(block, strict=False)
    except ValueError as error:
        raise click.BadParameter(f"{word!r} is not a CIDR block: {error}") from None
    if network.num_addresses > MAX_HOSTS:
        raise click.BadParameter(f"{word!r} has {network.num_addresses} hosts; at most {MAX_HOSTS}")
    _, number = remote_address(f"host{colon}{port}")
    for host in network.hosts():
        yield str(host), number
