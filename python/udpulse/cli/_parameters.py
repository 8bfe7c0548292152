"""Parameter types: their errors show the value given and the values allowed."""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

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


# The values of the API's options. The API itself checks their ranges.

TIMES = {"ns": 1e9, "us": 1e6, "ms": 1e3, "": 1, "s": 1, "m": 1 / 60, "h": 1 / 3600, "d": 1 / 86400}
SHARES = {"": 1, "%": 100}
RATES = {"": 1, "bit": 1, "kbit": 1e-3, "Mbit": 1e-6, "Gbit": 1e-9}

NUMBER = re.compile(r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)([A-Za-z%]*)")


def with_unit(kind: str, examples: str, units: Mapping[str, float]) -> Callable[[str], float]:
    """Make a type of numbers with a unit; `units` maps each to its size."""

    def parse(text: str) -> float:
        match = NUMBER.fullmatch(text)
        if match is None or match[2] not in units:
            raise click.BadParameter(f"{text!r} is not {kind}; give {examples}")
        return float(match[1]) / units[match[2]]

    return parse


duration = with_unit("a time", "seconds or a number with a unit: 250ms, 1.5s, 2m, 1h, 1d", TIMES)
share = with_unit("a share", "a number from 0 to 1 or a percentage: 0.3 or 30%", SHARES)


def period(text: str) -> float:
    """Parse a time above 0."""
    value = duration(text)
    if not 0 < value < math.inf:
        raise click.BadParameter(f"{text!r} is not a time above 0")
    return value


number_with_unit = with_unit(
    "a number",
    "a number or one with a unit: 0.3, 30%, 20ms, 10Mbit",
    {**SHARES, **TIMES, **RATES},
)
bits_per_second = with_unit("a rate", "bits per second or a number with a unit: 10Mbit", RATES)


def quantity(text: str) -> int | float:
    """Parse a number."""
    return int(text) if text.isdecimal() else number_with_unit(text)


def whole(text: str) -> int | str:
    """Parse a whole number, or "all"."""
    try:
        return text if text == "all" else int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a whole number") from None


def or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make a type that also takes the word "none", Python's None."""
    return lambda text: None if text == "none" else parse(text)


def timeline(path: str) -> list[Any]:
    """Read the steps of a file: a JSON list, or a JSON object per line."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if text.lstrip().startswith("["):
        steps: list[Any] = parsed(text, path)
        return steps
    lines = enumerate(text.splitlines(), 1)
    return [parsed(line, f"{path}, line {number}") for number, line in lines if line.strip()]


def parsed(text: str, place: str) -> Any:
    """Parse JSON; an error names the place."""
    try:
        return json.loads(text)
    except (RecursionError, ValueError) as error:
        raise click.BadParameter(f"{place}: {error}") from None


def fill(text: str) -> bytes | str:
    """Parse the padding of probes: text, or "random"."""
    return text if text == "random" else os.fsencode(text)


def model(text: str) -> Any:
    """Parse a model of `udpulse.impair`, such as GilbertElliott:p=1%,r=30%."""
    # Such a model is rarely needed, and `udpulse --help` never.
    from udpulse import impair

    name, _, values = text.partition(":")
    models: dict[str, Any] = {
        each.lower(): kind
        for each in impair.__all__
        if isinstance(kind := getattr(impair, each), type)
    }
    if name.lower() not in models or name.lower() in ("link", "rule"):
        raise click.BadParameter(f"{text!r} is not a model; such as {', '.join(MODELS)}")
    kind = models[name.lower()]
    positional: list[Any] = []
    named: dict[str, float] = {}
    if kind is impair.TraceRate:
        # The path of a file.
        positional, values = [values], ""
    for value in filter(None, values.split(",")):
        key, equals, number = value.rpartition("=")
        if equals:
            named[key] = quantity(number)
        else:
            positional.append(quantity(number))
    if kind is impair.LossPattern:
        positional = [[value != 0 for value in positional]]
    if kind is impair.Quantiles:
        positional = [positional]
    try:
        return kind(*positional, **named)
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).removeprefix(f"{kind.__name__}.__new__() ")
        raise click.BadParameter(f"{text!r}: {reason}") from None


MODELS = ["GilbertElliott:p=1%,r=30%", "Uniform:low=5ms,high=20ms", "Reordering:p=1%,delay=5ms"]


def or_model(parse: Callable[[str], Any], *words: str) -> Callable[[str], Any]:
    """Make a type that also takes these words, and models."""

    def read(text: str) -> Any:
        if text in words:
            return text
        return model(text) if text[:1].isalpha() else parse(text)

    return read


loss = or_model(share, "lab")
delay = or_model(duration)


def rule(text: str) -> Any:
    """Parse a rule about single packets, such as drop:offset=13,value=02,nth=2."""
    from udpulse.impair import Rule

    action, _, fields = text.partition(":")
    named: dict[str, Any] = {}
    try:
        for field in filter(None, fields.split(",")):
            name, _, value = field.partition("=")
            named[name] = RULE_FIELDS.get(name, int)(value)
        return Rule(action, **named)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        reason = str(error).removeprefix("Rule.__new__() ")
        raise click.BadParameter(f"{text!r}: {reason}") from None


def numbers(text: str) -> int | range:
    """Parse a number, or a range of them with both of its ends."""
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else int(first)


RULE_FIELDS: dict[str, Callable[[str], Any]] = {
    "value": bytes.fromhex,
    "mask": bytes.fromhex,
    "nth": numbers,
    "delay": duration,
}


def rate(text: str) -> Any:
    """Parse the rate of a link or, as a plain number, of a sweep."""
    return model(text) if text[:1].isalpha() else bits_per_second(text)


# Addresses: HOST[:PORT], with an IPv6 address in brackets if a port follows.

PORT = 12000

#: The port of a Session-Reflector (RFC 8762 section 4.1).
STAMP_PORT = 862


def address(text: str, port: int | None, least: int) -> tuple[str, int]:
    """Parse HOST[:PORT]; without a default port the port must be given."""
    bracketed = re.fullmatch(r"\[([^]]*)\](?::(.*))?", text)
    if bracketed:
        host, given = bracketed[1], bracketed[2]
    elif text.count(":") == 1:
        host, given = text.split(":")
    else:
        host, given = text, None
    if given is None and port is not None:
        return host, port
    if given is None or not given.isdecimal() or not least <= int(given) <= 65535:
        allowed = f"HOST:PORT with a port from {least} to 65535, or [IPV6]:PORT"
        raise click.BadParameter(f"{text!r} is not an address; give {allowed}")
    return host, int(given)


def remote_address(text: str) -> tuple[str, int]:
    """Parse the address of a server."""
    return address(text, PORT, 1)


def address_to_bind(text: str) -> tuple[str, int]:
    """Parse the address that a server binds."""
    return address(text, PORT, 0)


def reflector_to_bind(text: str) -> tuple[str, int]:
    """Parse the address that a reflector binds."""
    return address(text, STAMP_PORT, 0)


def reflector_address(text: str) -> tuple[str, int]:
    """Parse the address of a reflector."""
    return address(text, STAMP_PORT, 1)


def local_address(text: str) -> tuple[str, int]:
    """Parse the address that a client sends from; any port unless given."""
    return address(text, 0, 0)
