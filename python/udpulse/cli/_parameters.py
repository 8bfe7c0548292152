"""Parameter types: their errors show the value given and the values allowed."""

from collections.abc import Callable
from typing import TypeVar

import click

T = TypeVar("T", int, float)


def number(
    kind: str, allowed: str, read: Callable[[str], T], is_allowed: Callable[[T], bool]
) -> Callable[[str], T]:
    """Make a type of numbers, such as "a count", with its values in words and as a predicate."""

    def parse(text: str) -> T:
        try:
            value = read(text)
        except ValueError:
            pass
        else:
            if is_allowed(value):
                return value
        raise click.BadParameter(f"{text!r} is not {kind}; give {allowed}")

    return parse


seconds = number("a number of seconds", "a number above 0, such as 1.5", float, lambda s: s > 0)
probability = number(
    "a probability", "a number from 0 to 1, such as 0.3 for 30%", float, lambda p: 0 <= p <= 1
)
count = number("a count", "a whole number, 1 or more", int, lambda n: n >= 1)
seed = number("a seed", "a whole number, 0 or more", int, lambda n: n >= 0)
port = number("a port", "a whole number from 1 to 65535", int, lambda n: 1 <= n <= 65535)
local_port = number("a port", "a whole number from 0 to 65535", int, lambda n: 0 <= n <= 65535)


def host(example: str) -> Callable[[str], str]:
    """Make a type of hosts, such as `example`, that refuses a port given in place of one."""

    def parse(text: str) -> str:
        name, _, port = text.rpartition(":")
        if not port.isdecimal() or ":" in name:
            return text
        if not name and int(port) > 65535:
            port = "12000"
        hint = f"the host comes first, then the port: {name or example} {port}"
        raise click.BadParameter(f"{text!r} is not a host; {hint}")

    return parse


remote_host = host("127.0.0.1")
local_host = host("0.0.0.0")
