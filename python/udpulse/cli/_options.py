"""Options made of a class's signature and docstring, so that a command line reads as Python.

An option has the name and the default of the class's argument, and the first sentence of its text
as help. Only an option that is given reaches the command's function, so that defaults stay in the
class.
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from udpulse.cli import _parameters as types

F = TypeVar("F", bound=Callable[..., Any])
Parse = Callable[[str], Any]

#: The type of each option and the placeholder of its value; others are flags or text.
TYPES: dict[str, tuple[Parse, str]] = {
    **dict.fromkeys(
        ["timeout", "interval", "duration", "resolve_every", "linger", "stall_after"],
        (types.duration, "TIME"),
    ),
    **dict.fromkeys(["grace", "max_grace", "clock_error", "idle"], (types.duration, "TIME")),
    **dict.fromkeys(["spread", "fail_chance", "duplication", "corruption"], (types.share, "SHARE")),
    **dict.fromkeys(
        ["count", "size", "keep", "flows", "ttl", "dscp", "seed", "rounds", "outage_after", "ssid"],
        (types.whole, "N"),
    ),
    **dict.fromkeys(
        [
            "max_size",
            "threads",
            "max_peers",
            "max_sessions",
            "max_clients",
            "mtu",
            "max_burst",
            "unheard_after",
            "fail_at",
            "capture_snaplen",
            "capture_limit",
        ],
        (types.whole, "N"),
    ),
    **dict.fromkeys(
        ["max_rate", "multiplier", "max_multiplier", "suspect", "down"], (types.quantity, "X")
    ),
    "loss": (types.loss, "LOSS"),
    "delay": (types.delay, "DELAY"),
    "rate": (types.rate, "RATE"),
    "reordering": (types.model, "MODEL"),
    "rules": (types.rule, "RULE"),
    "fill": (types.fill, "TEXT"),
    "source": (types.local_address, "ADDRESS"),
    "also": (types.remote_address, "HOST[:PORT]"),
    "allow": (str, "PREFIX"),
    "capture": (str, "FILE"),
    "keys": (str, "FILE"),
}

#: The values of options that are one of a few words.
WORDS = {
    "schedule": ["periodic", "poisson"],
    "timestamps": ["user", "receive", "kernel"],
    "timestamp_format": ["ntp", "ptp"],
    "transform": ["echo", "upper"],
    "detector": ["multiple", "chen", "two_window", "bertier", "phi", "phi_exp", "fixed"],
    "numbers": ["counting", "first"],
    "old_beats": ["ignore", "accept"],
    "unauthenticated": ["refuse", "accept"],
}

#: The environment variables of options that are not given.
ENVIRONMENT = {"keys": "UDPULSE_KEYS"}

#: Options that may be given several times.
LISTS = ("allow", "also", "expect", "rules")

SHORT = {"count": "-c", "interval": "-i", "timeout": "-t", "size": "-s", "name": "-n"}


#: Where the value of an option comes from that is given.
GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


class ApiOption(click.Option):
    """An option that reaches the command's function only if it is given."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Parse the option; drop its default."""
        value, args = super().handle_parse_result(ctx, opts, args)
        if self.name and ctx.get_parameter_source(self.name) not in GIVEN:
            ctx.params.pop(self.name, None)
        return value, args


def options_of(
    api: type,
    *,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
    prefix: str = "",
    kinds: Mapping[str, tuple[Parse, str]] | None = None,
    **defaults: object,
) -> Callable[[F], F]:
    """Add the keyword arguments of a class as options.

    `kinds` are the types and placeholders that differ from the usual ones of these names.
    `defaults` are the defaults that differ from the class's; the command's function applies them.
    """

    def add(function: F) -> F:
        helps = arguments(api)
        parameters = inspect.signature(api).parameters
        for parameter in reversed([*parameters.values()]):
            name = parameter.name
            wanted = only is None or name in only
            if parameter.kind is parameter.KEYWORD_ONLY and wanted and name not in without:
                default = defaults.get(name, parameter.default)
                text = sentence(helps[name], parameters, negative=default is True)
                kind = (kinds or {}).get(name)
                function = option(name, default, text, prefix, kind)(function)
        return function

    return add


def arguments(api: type) -> dict[str, str]:
    """Return the text on each argument in a class's docstring."""
    text = inspect.getdoc(api) or ""
    found = re.findall(r"^(\w+): (.*(?:\n    .*)*)", text, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def sentence(text: str, options: Collection[str], *, negative: bool = False) -> str:
    """Return the first sentence on an argument, in words for the command line.

    Backquoted names of `options` become theirs; a flag says what it does, a `negative` one what
    False does.
    """
    text = re.split(r'(?<=\.) (?=[A-Z"`])', text)[0]
    # The value of an option has a unit.
    text = re.sub(", in seconds,?", "", text).replace("None", "none")
    text = re.sub(r"`(\w+)`", lambda match: spelled(match[1], options), text)
    text = text.removeprefix("False " if negative else "whether to ")
    return text[:1].upper() + text[1:]


def spelled(name: str, options: Collection[str]) -> str:
    """Return an option as it is typed, any other name as it is."""
    return f"--{name}".replace("_", "-") if name in options else name


def option(
    name: str,
    default: object,
    text: str,
    prefix: str = "",
    kind: tuple[Parse, str] | None = None,
) -> Callable[[F], F]:
    """Make the option of an argument of this name, default and help."""
    full = prefix + name
    dashed = full.replace("_", "-")
    spellings = [f"--{dashed}", full]
    if full in SHORT:
        spellings.insert(0, SHORT[full])
    if isinstance(default, bool):
        if default:
            spellings[0] = f"--no-{dashed}"
        return click.option(
            *spellings, cls=ApiOption, is_flag=True, flag_value=not default, help=text
        )
    shown = shown_default(name, default)
    text += f" [default: {shown}]" if shown and "(default:" not in text else ""
    if name in WORDS:
        return click.option(*spellings, cls=ApiOption, type=click.Choice(WORDS[name]), help=text)
    parse, placeholder = kind or TYPES.get(name, (str, "TEXT"))
    return click.option(
        *spellings,
        cls=ApiOption,
        type=types.or_none(parse),
        metavar=placeholder,
        multiple=name in LISTS,
        envvar=ENVIRONMENT.get(name),
        show_envvar=name in ENVIRONMENT,
        help=text,
    )


def shown_default(name: str, default: object) -> str:
    """Return a default as the command line spells it; nothing if there is none."""
    if default in (None, ()):
        return ""
    if isinstance(default, bytes):
        default = default.decode()
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return text + "s" if TYPES.get(name, (None, ""))[1] == "TIME" else text
