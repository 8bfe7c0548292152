"""Options made of a class's signature and docstring, so that a command line reads as Python.

An option has the name, the default and the help of the class's argument. Only an option that is
given reaches the command's function, so that defaults stay in the class.
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
    **dict.fromkeys(["grace", "max_grace"], (types.duration, "TIME")),
    **dict.fromkeys(["spread", "fail_chance", "duplication", "corruption"], (types.share, "SHARE")),
    **dict.fromkeys(
        ["count", "size", "keep", "flows", "ttl", "dscp", "seed", "rounds", "outage_after"],
        (types.whole, "N"),
    ),
    **dict.fromkeys(
        ["max_size", "threads", "max_peers", "unheard_after", "fail_at"], (types.whole, "N")
    ),
    **dict.fromkeys(
        ["max_rate", "multiplier", "max_multiplier", "suspect", "down"], (types.quantity, "X")
    ),
    "loss": (types.loss, "LOSS"),
    "delay": (types.delay, "DELAY"),
    "rate": (types.rate, "RATE"),
    "reordering": (types.model, "MODEL"),
    "fill": (types.fill, "TEXT"),
    "source": (types.local_address, "ADDRESS"),
    "also": (types.remote_address, "HOST[:PORT]"),
}

#: Options that may be given several times.
LISTS = ("also", "expect")

SHORT = {"count": "-c", "interval": "-i", "timeout": "-t", "size": "-s", "name": "-n"}


class ApiOption(click.Option):
    """An option that reaches the command's function only if it is given."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Parse the option; drop its default."""
        value, args = super().handle_parse_result(ctx, opts, args)
        if self.name and ctx.get_parameter_source(self.name) is not ParameterSource.COMMANDLINE:
            ctx.params.pop(self.name, None)
        return value, args


def options_of(
    api: type,
    *,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
    prefix: str = "",
    **defaults: object,
) -> Callable[[F], F]:
    """Add the keyword arguments of a class as options.

    `defaults` are the defaults that differ from the class's; the command's function applies them.
    """

    def add(function: F) -> F:
        helps = arguments(api)
        for parameter in reversed([*inspect.signature(api).parameters.values()]):
            name = parameter.name
            wanted = only is None or name in only
            if parameter.kind is parameter.KEYWORD_ONLY and wanted and name not in without:
                default = defaults.get(name, parameter.default)
                function = option(name, default, helps[name], prefix)(function)
        return function

    return add


def arguments(api: type) -> dict[str, str]:
    """Return the text on each argument in a class's docstring."""
    text = inspect.getdoc(api) or ""
    found = re.findall(r"^(\w+): (.*(?:\n    .*)*)", text, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def option(name: str, default: object, text: str, prefix: str = "") -> Callable[[F], F]:
    """Make the option of an argument of this name, default and text."""
    full = prefix + name
    dashed = full.replace("_", "-")
    spellings = [f"--{dashed}", full]
    if isinstance(default, bool):
        if default:
            spellings[0] = f"--no-{dashed}"
        return click.option(
            *spellings, cls=ApiOption, is_flag=True, flag_value=not default, help=text
        )
    parse, placeholder = TYPES.get(name, (str, "TEXT"))
    if full in SHORT:
        spellings.insert(0, SHORT[full])
    shown = shown_default(default)
    return click.option(
        *spellings,
        cls=ApiOption,
        type=types.or_none(parse),
        metavar=placeholder,
        multiple=name in LISTS,
        help=text + (f" [default: {shown}]" if shown else ""),
    )


def shown_default(default: object) -> str:
    """Return a default as the command line spells it; nothing if there is none."""
    if default in (None, ()):
        return ""
    if isinstance(default, bytes):
        default = default.decode()
    return f"{default:g}" if isinstance(default, float) else str(default)
