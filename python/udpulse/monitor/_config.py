"""The configuration of a monitor: TOML, checked whole, each error with its line."""

import contextlib
import difflib
import inspect
import math
import os
import re
import shutil
import sys
import types
import typing
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from udpulse import (
    EchoServer,
    HeartbeatServer,
    PingClient,
    PingSweep,
    StampReflector,
    StampSender,
    UdpulseError,
)
from udpulse._printable import joined, printable
from udpulse._states import STATES
from udpulse.metrics import check_labels
from udpulse.monitor._status import HttpConfig, Kind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """How a table of the configuration becomes an object."""

    api: Any
    #: Options that a monitor sets itself.
    fixed: Mapping[str, Any]
    #: Options that make no sense in a monitor or have no form in TOML.
    without: tuple[str, ...] = ()
    #: Defaults that differ from the class's.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    #: Options of the monitor itself.
    own: tuple[str, ...] = ("name", "labels")


ENDLESS = {"count": None, "keep": 0}
FINITE = ("duration", "revisions", "linger")
SESSION = Form(PingClient, ENDLESS, FINITE, {"interval": 1.0}, ("name", "labels", "outage_after"))

FORMS: dict[Kind, Form] = {
    "ping": SESSION,
    "stamp": Form(StampSender, SESSION.fixed, SESSION.without, SESSION.defaults, SESSION.own),
    # A round is one probe: each changes the state of its target.
    "ping_many": Form(
        PingSweep,
        {"count": 1, "rounds": None, "keep": 0},
        ("flows",),
        {"interval": 60.0},
        ("name", "labels", "outage_after"),
    ),
    "heartbeat": Form(HeartbeatServer, {}, ("every_beat",), own=("labels", "expect", "grace")),
    "echo": Form(EchoServer, {"keep": 0}, ("uplink", "downlink")),
    "reflect": Form(StampReflector, {"keep": 0}, ("uplink", "downlink", "per_client")),
}

#: The kinds whose rows are targets, with probes.
TARGETS: tuple[Kind, ...] = ("ping", "stamp", "ping_many")

#: Values in the place of wrong ones that a class needs, so that it looks at the others.
STAND_INS: dict[str, Any] = {"host": "127.0.0.1", "targets": (("127.0.0.1", 1),)}

#: The most targets of a group.
MAX_TARGETS = 1 << 20

#: Paths are relative to the folder of the configuration.
PATHS = ("keys", "capture", "path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A session or a server of the configuration."""

    kind: Kind
    name: str
    #: The arguments of its class.
    options: Mapping[str, Any]
    #: The file of keys that the options name, by its time of change and size.
    keys: tuple[int, int] | None = None
    #: The labels of its series in `/metrics`.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: The number of probes without an answer in a row after which a target is down.
    outage_after: int = 3
    #: The clients that a heartbeat server must hear, and the time for that in seconds.
    expect: tuple[str, ...] = ()
    grace: float = 60.0

    def make(self) -> Any:
        """Create the object, which is not started."""
        return FORMS[self.kind].api(**self.options)

    def is_same(self, other: "Part") -> bool:
        """Return whether an object of the other part serves for this one."""
        return (self.options, self.keys) == (other.options, other.keys)

    @property
    def targets(self) -> list[tuple[str, tuple[str, int]]]:
        """The name and the address of each target."""
        if self.kind == "ping_many":
            return [(joined(target), target) for target in self.options["targets"]]
        api = FORMS[self.kind].api
        port = self.options.get("port", parameters_of(api)["port"].default)
        return [(self.name, (self.options["host"], port))]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """The table `[store]`."""

    path: str
    #: How long events and hours are kept, in seconds.
    retention: float = 90 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """A table `[[alert]]`."""

    name: str
    #: The kinds of rows to watch; all if empty.
    kinds: tuple[str, ...] = ()
    #: Patterns of their names, as a shell has them.
    rows: tuple[str, ...] = ("*",)
    #: The condition: one of these states, or a value above this.
    state: tuple[str, ...] = ()
    loss: float | None = None
    p50: float | None = None
    p99: float | None = None
    #: How long it must hold to raise the alert, and not hold to clear it, in seconds.
    for_: float = 0.0
    #: The program to run then, with its arguments.
    command: tuple[str, ...] = ()
    #: The time after which the program is killed, in seconds.
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration without errors."""

    path: str
    log: Literal["lines", "json"] = "lines"
    parts: tuple[Part, ...] = ()
    http: HttpConfig | None = None
    store: StoreConfig | None = None
    alerts: tuple[AlertRule, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """An error in a configuration."""

    line: int
    text: str


class ConfigError(UdpulseError, ValueError):
    """A configuration with errors: `problems` lists each with its line."""

    def __init__(self, path: str, problems: Collection[Problem]) -> None:
        self.path = path
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        lines = (f"{printable(path)}:{each.line}: {each.text}" for each in self.problems)
        super().__init__("\n".join(lines))


def load(path: str | os.PathLike[str]) -> Config:
    """Read a configuration.

    Raises ConfigError with all of its errors, and OSError if the file cannot be read.
    """
    return parse(Path(path).read_bytes(), os.fspath(path))


def parse(data: bytes, path: str) -> Config:
    """Check a configuration; `path` is its file, from which other paths count."""
    try:
        text = data.decode()
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, [Problem(line, "this is not UTF-8")]) from None
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        found = re.search(r"line (\d+)", place)
        line = int(found[1]) if found else data.count(b"\n") + 1
        reason = printable(reason[:1].lower() + reason[1:])
        raise ConfigError(path, [Problem(line, f"this is not TOML: {reason}")]) from None
    except ValueError:
        # Python reads no integer of thousands of digits.
        raise ConfigError(path, [Problem(1, "this has a number with too many digits")]) from None
    except RecursionError:
        raise ConfigError(path, [Problem(1, "this is nested too deeply")]) from None
    checker = Checker(path, lines_of(text))
    config = checker.config(tables)
    if checker.problems:
        raise ConfigError(path, set(checker.problems))
    return config


# Where keys are: tomllib does not tell.

#: A header is (table, index), a key (table, index, key) or, above all tables, (key,).
Place = tuple[str | int, ...]

TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[][{}=\n]"
    r"|[^][{}=\s\"'#]+",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Place, int]:
    """Return the line of each header and key of a document that is valid TOML."""
    lines: dict[Place, int] = {}
    indices: Counter[str] = Counter()
    table: Place = ()
    for line, words in statements(text):
        if words[0] != "[":
            lines.setdefault((*table, parts(words[0])[0]), line)
            continue
        first, *rest = parts("".join(word for word in words if word not in "[]"))
        if words[1] == "[" and not rest:
            indices[first] += 1
        table = (first, max(indices[first] - 1, 0), *rest[:1])
        lines.setdefault(table, line)
    return lines


def statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Return the tokens of each header or key with its value, and the line of the first."""
    words: list[str] = []
    line, first, before, depth = 1, 1, 0, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", before, match.start())
        before = match.start()
        word = match[0]
        if word == "\n":
            if words and depth == 0:
                yield first, words
                words = []
        elif word[0] != "#":
            first = first if words else line
            words.append(word)
            depth += (word in "[{") - (word in "]}")
    if words:
        yield first, words


def parts(key: str) -> list[str]:
    """Return the parts of a dotted key."""
    return [word.strip("\"'") for word in re.findall(r'"[^"]*"|\'[^\']*\'|[^.\s]+', key)] or [key]


@dataclass
class Checker:
    """Checks the tables of a configuration and notes each error."""

    path: str
    lines: Mapping[Place, int]
    problems: list[Problem] = field(default_factory=list)

    def line(self, *place: str | int) -> int:
        """Return the line of a key or, if it has none of its own, of its table."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def wrong(self, text: str, *place: str | int) -> None:
        """Note an error."""
        self.problems.append(Problem(self.line(*place), text))

    def config(self, tables: Table) -> Config:
        """Return the configuration, which is right if there are no errors."""
        known = ["log", *FORMS, "http", "store", "alert"]
        for name in tables.keys() - set(known):
            self.unknown(name, known, "", (name, 0))
        log = tables.get("log", "lines")
        if log not in ("lines", "json"):
            self.wrong(f"log must be 'lines' or 'json', not {log!r}", "log")
        found: list[Part] = []
        for kind in FORMS:
            each = [self.part(kind, *entry) for entry in self.entries(kind, tables)]
            found += [part for part in each if part is not None]
        if not any(kind in tables for kind in FORMS):
            self.wrong(f"there is nothing to run; add a table of {', '.join(FORMS)}")
        self.unique(found)
        rules = [self.alert(*entry) for entry in self.entries("alert", tables)]
        alerts = tuple(rule for rule in rules if rule is not None)
        for index, rule in enumerate(alerts):
            if rule.name in [other.name for other in alerts[:index]]:
                self.wrong(f"two alerts have the name {rule.name!r}", "alert", index)
        return Config(
            path=self.path,
            log=log,
            parts=tuple(found),
            http=self.single("http", HttpConfig, tables),
            store=self.single("store", StoreConfig, tables),
            alerts=alerts,
        )

    def entries(self, name: str, tables: Table) -> Iterator[tuple[Table, int]]:
        """Return the tables of a name, each with its index."""
        value = tables.get(name, [])
        is_single = name in SINGLE
        if is_single and isinstance(value, dict):
            yield value, 0
        elif not is_single and isinstance(value, list) and all(isinstance(t, dict) for t in value):
            yield from zip(value, range(len(value)), strict=True)
        elif name in tables:
            allowed = f"[{name}], one table" if is_single else f"[[{name}]], with two brackets"
            self.wrong(f"{name} must be {allowed}", name, 0)

    def unknown(self, name: str, known: Collection[str], of: str, place: Place) -> None:
        """Note an unknown key, with the nearest that exists."""
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(sorted(known))}"
        self.wrong(f"there is no {printable(name)!r}{of}; {advice}", *place)

    def part(self, kind: Kind, table: Table, index: int) -> Part | None:
        """Return a session or a server."""
        form = FORMS[kind]
        parameters = parameters_of(form.api)
        known = [name for name in parameters if name not in {*form.fixed, *form.without}]
        known += [name for name in form.own if name not in known]
        errors = len(self.problems)
        for name in table.keys() - set(known):
            if name in parameters:
                self.wrong(f"{name} cannot be set: {reason(kind, name, form)}", kind, index, name)
            else:
                self.unknown(name, known, f" in {brackets(kind)}", (kind, index, name))
        needed = [
            name
            for name, parameter in parameters.items()
            if parameter.default is parameter.empty and name not in table
        ]
        if needed:
            self.wrong(f"{brackets(kind)} needs {' and '.join(needed)}", kind, index)
        own = {name: self.own(name, table[name], kind, index) for name in form.own if name in table}
        given = {name: table[name] for name in table if name in known and name not in form.own}
        options = self.options(kind, index, given)
        defaults = {
            name: value
            for name, value in form.defaults.items()
            if not (name == "interval" and "rate" in options)
        }
        options = {**defaults, **options, **form.fixed}
        if needed:
            return None
        self.construct(kind, index, options, {name: table[name] for name in given})
        if len(self.problems) > errors:
            return None
        name = printable(own.pop("name", None) or default_name(kind, options))
        status = os.stat(options["keys"]) if "keys" in options else None
        keys = None if status is None else (status.st_mtime_ns, status.st_size)
        return Part(kind=kind, name=name, options=options, keys=keys, **own)

    def own(self, name: str, value: Any, kind: Kind, index: int) -> Any:
        """Return an option of the monitor itself."""
        if name == "name":
            return self.checked(value, str, bool, "a text that is not empty", kind, index, name)
        if name == "labels":
            try:
                check_labels(value)
            except (TypeError, ValueError) as error:
                self.wrong(printable(str(error)), kind, index, name)
            return value
        if name == "outage_after":
            allowed = "a whole number, 1 or more"
            return self.checked(value, int, lambda n: n >= 1, allowed, kind, index, name)
        if name == "grace":
            allowed = "a number of seconds, 0 or more"
            return self.checked(value, float, is_time, allowed, kind, index, name)
        expect = self.checked(
            value, tuple[str, ...], lambda _: True, "a list of names", kind, index, name
        )
        try:
            HeartbeatServer(expect=expect or ())
        except (TypeError, ValueError) as error:
            self.wrong(printable(str(error)), kind, index, name)
        return expect

    def options(self, kind: Kind, index: int, given: Table) -> Table:
        """Return options as the class wants them."""
        options = {}
        for name, value in given.items():
            if isinstance(value, list):
                value = tuple(value)
            if name == "fill" and isinstance(value, str) and value != "random":
                value = value.encode()
            if name in PATHS and isinstance(value, str):
                value = self.absolute(value)
            if name == "targets":
                value = self.targets(value, kind, index)
            options[name] = value
        return options

    def absolute(self, path: str) -> str:
        """Return a path that counts from the folder of the configuration."""
        return os.path.join(os.path.dirname(os.path.abspath(self.path)), path)

    def targets(self, value: Any, kind: Kind, index: int) -> tuple[tuple[str, int], ...]:
        """Return the targets of a group."""
        # Their words are those of the command line.
        import click

        from udpulse.cli._targets import expand

        place = (kind, index, "targets")
        words = self.checked(
            value, tuple[str, ...], bool, "a list of HOST[:PORT] or blocks", *place
        )
        found: dict[tuple[str, int], None] = {}
        for word in words or ():
            if len(found) > MAX_TARGETS:
                # The class refuses them.
                break
            try:
                found.update(dict.fromkeys(expand(word)))
            except click.BadParameter as error:
                self.wrong(printable(error.message), *place)
        return tuple(found) or STAND_INS["targets"]

    def construct(self, kind: Kind, index: int, options: Table, given: Table) -> None:
        """Note the options that the class refuses."""
        options = dict(options)
        while True:
            try:
                FORMS[kind].api(**options)
            except (TypeError, ValueError, OSError) as error:
                text = printable(str(error))
                name = re.split(r"\W", text, maxsplit=1)[0]
                if isinstance(error, OSError):
                    name = "keys"
                    text = f"keys: {printable(os.fspath(error.filename or ''))}: {error.strerror}"
                if name not in given or name not in options:
                    # The last error depends on several options.
                    self.wrong(text, kind, index)
                    return
                self.wrong(text, kind, index, name)
                del options[name]
                if name in STAND_INS:
                    options[name] = STAND_INS[name]
                    given = {each: given[each] for each in given if each != name}
            else:
                return

    def unique(self, found: list[Part]) -> None:
        """Note names that several rows have."""
        seen: dict[tuple[str, str], Part] = {}
        indices: Counter[str] = Counter()
        for part in found:
            index = indices[part.kind]
            indices[part.kind] += 1
            rows = (
                [part.name, *(name for name, _ in part.targets)] if is_group(part) else [part.name]
            )
            for name in dict.fromkeys(rows):
                key = (part.kind, name)
                if key not in seen:
                    seen[key] = part
                    continue
                if is_group(part) and name != part.name:
                    text = f"the target {name} is in two groups"
                else:
                    text = f"two of {brackets(part.kind)} have the name {name!r}; set name"
                self.wrong(text, part.kind, index)
                # Groups may share thousands.
                break

    def alert(self, table: Table, index: int) -> AlertRule | None:
        """Return a rule."""
        place = ("alert", index)
        errors = len(self.problems)
        table = {f"{name}_" if name == "for" else name: value for name, value in table.items()}
        if isinstance(table.get("state"), str):
            table["state"] = [table["state"]]
        rule = self.filled(AlertRule, table, "alert", index)
        if rule is None:
            return None
        self.among(rule.kinds, get_args(Kind), *place, "kinds")
        self.among(rule.state, STATES, *place, "state")
        conditions = [name for name in ("state", "loss", "p50", "p99") if name in table]
        if len(conditions) != 1:
            given = " and ".join(conditions) or "none"
            self.wrong(f"an alert needs one of state, loss, p50 and p99, not {given}", *place)
        elif "state" not in conditions and set(rule.kinds) - set(TARGETS):
            allowed = ", ".join(TARGETS)
            self.wrong(f"{conditions[0]} is known of kinds {allowed} only", *place, "kinds")
        if rule.command and shutil.which(rule.command[0]) is None:
            text = f"command: {printable(rule.command[0])!r} is not a program that can be run"
            self.wrong(text, *place, "command")
        return rule if len(self.problems) == errors else None

    def among(self, values: Collection[str], allowed: Collection[str], *place: str | int) -> None:
        """Note values that are not allowed."""
        for value in values:
            if value not in allowed:
                self.unknown(value, allowed, f" among {place[-1]}", place)

    def single(self, name: str, cls: type[T], tables: Table) -> T | None:
        """Return a table that occurs once."""
        for table, index in self.entries(name, tables):
            return self.filled(cls, table, name, index)
        return None

    def filled(self, cls: type[T], table: Table, name: str, index: int) -> T | None:
        """Return a dataclass filled with a table, each of whose values has its type and range."""
        errors = len(self.problems)
        hints = typing.get_type_hints(cls)
        needed = []
        values = {}
        for each in fields(cls):  # type: ignore[arg-type]
            if each.name not in table:
                is_needed = each.default is each.default_factory
                needed += [each.name] * is_needed
                continue
            of_type = hints[each.name]
            if isinstance(of_type, types.UnionType):
                of_type = get_args(of_type)[0]
            is_allowed, allowed = ALLOWED[name, each.name]
            key = each.name.rstrip("_")
            values[each.name] = self.checked(
                table[each.name], of_type, is_allowed, allowed, name, index, key
            )
            if key in PATHS and values[each.name]:
                values[each.name] = self.absolute(values[each.name])
        known = [each.name.rstrip("_") for each in fields(cls)]  # type: ignore[arg-type]
        for key in table.keys() - hints.keys():
            self.unknown(key, known, f" in {brackets(name)}", (name, index, key))
        if needed:
            self.wrong(f"{brackets(name)} needs {' and '.join(needed)}", name, index)
        return cls(**values) if len(self.problems) == errors else None

    def checked(
        self,
        value: Any,
        of_type: Any,
        is_allowed: Callable[[Any], object],
        allowed: str,
        *place: str | int,
    ) -> Any:
        """Return a value of a type and a range; None after an error."""
        if of_type is float and type(value) is int:
            with contextlib.suppress(OverflowError):
                value = float(value)
        if of_type == tuple[str, ...]:
            of_type, value = tuple, tuple(value) if isinstance(value, list) else value
            has_type = isinstance(value, tuple) and all(isinstance(each, str) for each in value)
        else:
            has_type = type(value) is of_type
        if has_type and is_allowed(value):
            return value
        shown = list(value) if isinstance(value, tuple) else value
        self.wrong(f"{place[-1]} must be {allowed}, not {printable(repr(shown))}", *place)
        return None


@cache
def parameters_of(api: Any) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of a class."""
    return inspect.signature(api).parameters


def reason(kind: Kind, name: str, form: Form) -> str:
    """Return why an option of the class is not one of the configuration."""
    if name in form.fixed:
        return "a monitor runs without end and sets it itself"
    return f"{brackets(kind)} has no use for it, or TOML no form"


def brackets(name: str) -> str:
    """Return a table's name as a configuration has it."""
    return f"[{name}]" if name in SINGLE else f"[[{name}]]"


def default_name(kind: Kind, options: Mapping[str, Any]) -> str:
    """Return the name of a table without one."""
    if kind in ("ping", "stamp"):
        port = options.get("port", parameters_of(FORMS[kind].api)["port"].default)
        return joined((options["host"], port))
    return kind


def is_group(part: Part) -> bool:
    """Return whether each target of a part has a row of its own."""
    return part.kind == "ping_many"


def is_time(value: float) -> bool:
    """Return whether a number is a duration."""
    return 0 <= value < math.inf


#: Tables that occur once.
SINGLE = ("heartbeat", "http", "store")

ANY_TIME = (is_time, "a number of seconds, 0 or more")
SHARE = (lambda x: 0 <= x <= 1, "a share from 0 to 1")
ABOVE_0 = (lambda x: 0 < x < math.inf, "a number of seconds above 0")

#: The values of each option: the predicate, and the words.
ALLOWED: dict[tuple[str, str], tuple[Callable[[Any], object], str]] = {
    ("http", "host"): (bool, "an address, such as '127.0.0.1'"),
    ("http", "port"): (lambda n: 0 <= n <= 65535, "a whole number from 0 to 65535"),
    ("http", "names"): (lambda _: True, "a list of host names"),
    ("http", "max_viewers"): (lambda n: 1 <= n <= 10_000, "a whole number from 1 to 10000"),
    ("http", "max_series"): (lambda n: n >= 1, "a whole number, 1 or more"),
    ("http", "probe"): (lambda _: True, "true or false"),
    ("store", "path"): (lambda path: path and "\0" not in path, "the path of a file"),
    ("store", "retention"): (lambda s: 3600 <= s < math.inf, "a number of seconds, 3600 or more"),
    ("alert", "name"): (bool, "a text that is not empty"),
    ("alert", "kinds"): (bool, f"a list of kinds: {', '.join(get_args(Kind))}"),
    ("alert", "rows"): (bool, "a list of patterns of names, such as 'db*'"),
    ("alert", "state"): (bool, f"a list of states: {', '.join(STATES)}"),
    ("alert", "loss"): SHARE,
    ("alert", "p50"): ABOVE_0,
    ("alert", "p99"): ABOVE_0,
    ("alert", "for_"): ANY_TIME,
    ("alert", "command"): (bool, "a list of a program and its arguments"),
    ("alert", "timeout"): ABOVE_0,
}
