"""Runs as lines of JSON: `write` records a running object, `read` reads it back.

docs/json.md has the keys of each line, and `schema.json` beside this module is their JSON Schema.
"""

import binascii
import inspect
import io
import json
import math
import os
import select
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fractions import Fraction
from functools import partial
from typing import IO, Any, NoReturn, Protocol, TypeAlias

from udpulse import events
from udpulse._core import (
    Beat,
    EchoServer,
    Fate,
    HeartbeatClient,
    HeartbeatServer,
    Peer,
    PingClient,
    PingReport,
    PingSweep,
    Reflected,
    Relay,
    Reply,
    StampReflector,
    StampSender,
    StepDone,
    Unheard,
    __version__,
    _Lines,
)
from udpulse._printable import joined

__all__ = ["Result", "Run", "Running", "load", "read", "write"]

Server: TypeAlias = EchoServer | Relay | StampReflector | HeartbeatServer
Running: TypeAlias = PingClient[Any] | StampSender[Any] | PingSweep | Server | HeartbeatClient
Result: TypeAlias = (
    PingReport
    | list[PingReport]
    | list[Fate]
    | list[events.RelayEvent]
    | list[events.ReflectorEvent]
    | list[events.Event]
    | list[events.ClientEvent]
)

SCHEMA = 1

# The format of a report's state.
STATE = 1

COMMANDS: dict[type, str] = {
    PingClient: "ping",
    StampSender: "stamp",
    PingSweep: "sweep",
    EchoServer: "echo",
    Relay: "relay",
    StampReflector: "reflect",
    HeartbeatServer: "watch",
    HeartbeatClient: "beat",
}

# Lines that are written together, and the time between two writes, in seconds: a line waits no
# longer, and a system call does not cost more than the lines.
TOGETHER = 16384
REST = 0.01

# The time after which a wrong step is reported, in seconds.
CONTROL_REST = 0.1

NS = 1_000_000_000

# The clock of all durations, as src/net/clock.rs reads it.
CLOCK = (
    "CLOCK_BOOTTIME" if sys.platform == "linux" else time.get_clock_info("monotonic").implementation
)


def write(running: Running, file: IO[str] | IO[bytes], *, every: float | None = None) -> None:
    """Start a running object, write its output as lines of JSON until it ends, and stop it.

    running: a PingClient, StampSender, PingSweep, EchoServer, Relay, StampReflector,
        HeartbeatServer or HeartbeatClient that does not run.
    file: a text or binary file. If it has a descriptor, lines go to that.
    every: the time between `interval` lines, in seconds; None for none.

    `stop`, from any thread or signal handler, and Ctrl-C end it: the lines that remain and the
    summary are still written, and KeyboardInterrupt is raised after that. Another one ends it
    immediately.

    Raises ValueError if an argument is out of range, BrokenPipeError if the reader of the file has
    left, and the errors of `start`.
    """
    write_controlled(running, file, every=every, control=None)


class Control(Protocol):
    """A control of a server while it runs."""

    def start(self) -> None:
        """Begin to take steps."""

    def errors(self) -> Iterable[dict[str, Any]]:
        """Return the members of a line for each step that was none, since the last call."""


def write_controlled(
    running: Running, file: IO[str] | IO[bytes], *, every: float | None, control: Control | None
) -> None:
    """Write as `write` does, and let `control` take steps meanwhile."""
    if running.running:
        raise ValueError("running must not run yet: write() starts it")
    if every is not None and not 0 < every < math.inf:
        raise ValueError(f"every must be a number of seconds above 0, not {every!r}")
    lines = _Lines(*writer(file))
    running._record_all()
    recording = Recording(running, lines, every, control)
    interrupt = None
    # Nothing comes between the start and `try`, so that Ctrl-C finds a way to the summary.
    with running:
        try:
            recording.begin()
            recording.follow()
        except KeyboardInterrupt as error:
            interrupt = error
        running.stop()
        recording.end()
    if interrupt:
        raise interrupt


class Recording:
    """A running object and its lines."""

    def __init__(
        self, running: Running, lines: _Lines, every: float | None, control: Control | None
    ) -> None:
        """Begin without lines."""
        self.running = running
        self.control = control
        self.lines = lines
        self.every_ns: int | None = None if every is None else max(round(every * NS), 1)
        self.interval: int = 0
        self.from_ns: int = 0
        self.before: dict[str, int] = {}

    def begin(self) -> None:
        """Write the first line, unless that is done."""
        self.lines.begin(encoded("start", first(self.running)))
        self.lines.flush()

    def follow(self) -> None:
        """Write lines until the object ends."""
        if self.control:
            self.control.start()
        more = True
        while more:
            more = self.running._record(self.lines, TOGETHER, self.patience())
            self.put_errors()
            if self.every_ns and self.running._elapsed_ns >= (self.interval + 1) * self.every_ns:
                self.interval = self.running._elapsed_ns // self.every_ns
                self.put_interval()
            self.lines.flush()
            if more:
                time.sleep(REST)

    def patience(self) -> float:
        """Return the time until the next interval ends or errors are due, in seconds."""
        patience = CONTROL_REST if self.control else math.inf
        if self.every_ns is None:
            return patience
        due_ns = (self.interval + 1) * self.every_ns
        return min(max(due_ns - self.running._elapsed_ns, 0) / NS, patience)

    def end(self) -> None:
        """Write the lines that remain, and the last ones."""
        # Ctrl-C may have come first.
        self.begin()
        while self.running._record(self.lines, TOGETHER, 0):
            self.lines.flush()
        self.put_errors()
        self.running._record_rest(self.lines)
        if self.every_ns:
            self.put_interval()
        self.put_summary()
        self.lines.flush()

    def put(self, event: str, members: dict[str, Any]) -> None:
        """Add a line."""
        self.lines.put(encoded(event, members))

    def put_errors(self) -> None:
        """Add a line for each step that was none."""
        for error in self.control.errors() if self.control else ():
            self.put("error", error)

    def counters(self) -> dict[str, int]:
        """Return the counters of a server or of a heartbeat client."""
        if isinstance(self.running, PingClient | StampSender | PingSweep):
            return {}
        return self.running.counters.to_dict()

    def put_interval(self) -> None:
        """Add the line of an interval that ends now."""
        from_ns, self.from_ns = self.from_ns, self.running._elapsed_ns
        if isinstance(self.running, PingClient | StampSender | PingSweep):
            self.lines.put_interval(from_ns, self.from_ns)
            return
        before, self.before = self.before, self.counters()
        counters = {name: count - before.get(name, 0) for name, count in self.before.items()}
        self.put("interval", {"from_ns": from_ns, "until_ns": self.from_ns, **counters})

    def put_summary(self) -> None:
        """Add the last line, or that of each target."""
        running = self.running
        start_ns, dropped = running._start_ns, running.events_dropped
        if isinstance(running, PingClient | StampSender):
            report = running.report()
            # Each probe has a line, so that the kept ones can be read from there.
            complete = self.lines.probes == report.sent and dropped == 0
            self.lines.put_summary(0, report, start_ns, dropped, state(report, not complete))
        elif isinstance(running, PingSweep):
            for index, report in enumerate(running.reports()):
                self.lines.put_summary(index, report, start_ns, dropped, state(report, True))
        else:
            until_ns = running._elapsed_ns
            members = {"until_ns": until_ns, **last(running, start_ns)}
            self.put("summary", {**members, "events_dropped": dropped})


def encoded(event: str, members: dict[str, Any]) -> bytes:
    """Return a line without its end."""
    line = {"event": event, **members}
    return json.dumps(line, allow_nan=False, separators=(",", ":")).encode()


def writer(file: IO[str] | IO[bytes]) -> tuple[Callable[[bytes], int], Callable[[], object]]:
    """Return a function that writes bytes to `file`, and one that waits until it can."""
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError):
        is_text = isinstance(file, io.TextIOBase) or "b" not in getattr(file, "mode", "b")

        def write_all(data: bytes) -> int:
            file.write(data.decode("ascii") if is_text else data)  # type: ignore[arg-type]
            return len(data)

        return write_all, lambda: None
    file.flush()
    # No Python code runs after the write, so that no signal handler can raise before it is noted.
    return partial(os.write, descriptor), partial(select.select, (), (descriptor,), (), 1.0)


def first(running: Running) -> dict[str, Any]:
    """Return the members of the first line: all that is needed to repeat the run."""
    names = list(inspect.signature(type(running)).parameters)
    if isinstance(running, PingSweep) and running.interval is not None:
        # It gives the rate.
        names.remove("rate")
    return {
        "schema": SCHEMA,
        "command": COMMANDS[type(running)],
        "version": __version__,
        "host": socket.gethostname(),
        "clock": CLOCK,
        "started": iso(running._start_ns),
        "address": joined(running.address),
        "arguments": {name: argument(name, getattr(running, name)) for name in names},
    }


def argument(name: str, value: Any) -> Any:
    """Return the value of an option as JSON has it."""
    if name == "seed":
        return None if value is None else str(value)
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if isinstance(value, tuple | list):
        return [argument("", item) for item in value]
    if hasattr(value, "to_dict"):
        fields = {name: argument(name, getattr(value, name)) for name in value.__match_args__}
        return {"type": type(value).__name__, **fields}
    return value


def last(running: Server | HeartbeatClient, start_ns: int) -> dict[str, Any]:
    """Return the members of the summary of a server or of a heartbeat client."""
    members: dict[str, Any] = running.counters.to_dict()
    if isinstance(running, EchoServer | Relay | StampReflector):
        members["truth"] = running.truth.to_dict()
    elif isinstance(running, HeartbeatServer):
        members["missing"] = running.missing
        members["peers"] = [peer_members(peer, start_ns) for peer in running.peers()]
    return members


def peer_members(peer: Peer, start_ns: int) -> dict[str, Any]:
    """Return the members of a client in a summary."""
    members: dict[str, Any] = {}
    for name, value in peer.to_dict().items():
        if name == "address":
            members[name] = joined(value)
        elif name == "boot":
            members[name] = None if value is None else str(value)
        elif name == "last_received_at":
            members["last_received_at_ns"] = round(Fraction(value) * NS) - start_ns
        elif name in PEER_DURATIONS:
            members[f"{name}_ns"] = None if value is None else round(value * 1e9)
        else:
            members[name] = value
    return members


PEER_DURATIONS = ("interval", "timeout", "delay", "difference", "progress_age")


def state(report: PingReport, rows: bool) -> str:
    """Return the state that `read` needs besides the probes, or with them, as JSON."""
    parts = report.flows or (report,)
    kept = None if rows else [part.sent - part.rows_dropped for part in parts]
    data = binascii.b2a_base64(report._state(rows), newline=False).decode()
    return json.dumps({"version": STATE, "kept": kept, "data": data}, separators=(",", ":"))


def iso(ns: int) -> str:
    """Return a time as ISO 8601 in UTC, with nine decimals."""
    second = datetime.fromtimestamp(ns // NS, timezone.utc)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{ns % NS:09d}+00:00"


@dataclass(frozen=True)
class Run:
    """A recorded run.

    command: "ping", "stamp", "sweep", "echo", "relay", "reflect", "watch" or "beat".
    arguments: the options of the object that ran, as the `start` line has them.
    result: what `read` returns.
    ended_at: of a server or HeartbeatClient the end, in seconds since the Unix epoch; else None.
    counters: of a server or HeartbeatClient the counters at the end; else empty.
    truth: of an EchoServer, Relay or StampReflector its truth at the end, as `to_dict` has it; else
        empty.
    peers: of a HeartbeatServer its clients at the end.
    missing: of a HeartbeatServer the clients of `expect` that it never heard.
    steps: of an EchoServer, Relay or StampReflector the steps that it took.
    """

    command: str
    arguments: dict[str, Any]
    result: Result
    ended_at: float | None = None
    counters: dict[str, int] = field(default_factory=dict)
    truth: dict[str, Any] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    steps: list[StepDone] = field(default_factory=list)


def read(file: IO[str] | IO[bytes]) -> Result:
    """Read the lines that `write` wrote.

    file: a text or binary file.

    Returns the PingReport of a PingClient or StampSender or the list of those of a PingSweep, equal
    to the ones that it returned after the run; of an EchoServer the list of Fates, and
    of a Relay, StampReflector, HeartbeatServer or HeartbeatClient the list of events, as iterating
    yields them.

    Raises ValueError with the number of a line if that is not such a line, or if the file ends
    without a summary because the run was cut off.
    """
    return load(file).result


def load(file: IO[str] | IO[bytes]) -> Run:
    """Read the lines that `write` wrote, with what is known besides the result.

    file: a text or binary file.

    Raises ValueError as `read` does.
    """
    reader = Reader()
    number = 0
    lines: Iterable[str | bytes] = file
    for number, line in enumerate(lines, 1):
        try:
            reader.add(json.loads(line, parse_constant=refuse))
        except KeyError as error:
            raise ValueError(f"line {number} has no {error}") from None
        except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} is not a line of a run: {error}") from None
    if number == 0:
        raise ValueError("it is empty")
    try:
        return reader.run()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"line {number} is not the end of a run: {error}") from None


def refuse(constant: str) -> NoReturn:
    """Refuse a number that JSON does not have."""
    raise ValueError(f"{constant} is not JSON")


class Reader:
    """The lines of a run, one by one."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self.command: str = ""
        self.arguments: dict[str, Any] = {}
        self.start_ns: int = 0
        # How many of the last probes of a flow matter.
        self.keep: float = math.inf
        self.rows: defaultdict[int, dict[int, tuple[Any, ...]]] = defaultdict(dict)
        self.events: list[Any] = []
        self.steps: list[StepDone] = []
        self.summaries: list[dict[str, Any]] = []

    def add(self, line: Any) -> None:
        """Add a line."""
        if not isinstance(line, dict):
            raise TypeError("it is not an object")
        event = line["event"]
        if (event == "start") == bool(self.command):
            raise ValueError(f"it is a {event!r} line")
        if self.summaries and event != "summary":
            raise ValueError("it follows the summary")
        if event == "start":
            self.begin(line)
        elif event == "summary":
            self.summaries.append(line)
        elif event in ("probe", "revised"):
            if self.command in ("ping", "stamp"):
                self.add_row(line)
        elif event == "step":
            self.steps.append(self.step(line))
        elif event not in ("interval", "outage", "error"):
            self.events.append(self.restored(event, line))

    def begin(self, line: dict[str, Any]) -> None:
        """Read the first line."""
        if line["schema"] != SCHEMA:
            raise ValueError(f"its schema is {line['schema']}, and this version reads {SCHEMA}")
        if line["command"] not in COMMANDS.values():
            raise ValueError(f"{line['command']!r} is not a command")
        self.start_ns = nanoseconds(line["started"])
        self.command = line["command"]
        self.arguments = line["arguments"]
        if self.command in ("ping", "stamp") and line["arguments"]["keep"] != "all":
            self.keep = line["arguments"]["keep"]

    def add_row(self, line: dict[str, Any]) -> None:
        """Read a probe."""
        rows, seq = self.rows[line["flow"]], line["seq"]
        rows[seq] = (
            seq,
            line["sent_at_ns"],
            line["rtt_ns"],
            line["kernel_rtt_ns"],
            line["verdict"],
            line["size"],
        )
        if len(rows) > 2 * self.keep + TOGETHER:
            newest = max(rows)
            for old in [seq for seq in rows if seq <= newest - self.keep]:
                del rows[old]

    def step(self, line: dict[str, Any]) -> StepDone:
        """Return the step that a line describes."""
        same = ("number", "index", "round", "action", "received", "clients")
        fields = {name: line[name] for name in same}
        return StepDone(time=self.moment(line["at_ns"]), **fields)

    def restored(self, event: str, line: dict[str, Any]) -> Any:
        """Return the value that a line describes."""
        if event == "fate":
            copies = [
                Reply(
                    number=copy["number"],
                    sent_at=self.moment(copy["sent_at_ns"]),
                    uplink_bit=copy["uplink_bit"],
                    downlink_bit=copy["downlink_bit"],
                    corrupted=copy["corrupted"],
                )
                for copy in line["copies"]
            ]
            return Fate(
                received_at=self.moment(line["received_at_ns"]),
                client=pair(line["client"]),
                number=line["number"],
                outcome=line["outcome"],
                way=line["way"],
                answer=data(line, "answer"),
                size=line["size"],
                uplink=line["uplink"],
                downlink=line["downlink"],
                uplink_rule=line["uplink_rule"],
                downlink_rule=line["downlink_rule"],
                copies=copies,
            )
        if event == "session_ended":
            return events.SessionEnded(
                client=pair(line["client"]),
                time=self.moment(line["at_ns"]),
                reason=line["reason"],
                uplink=line["uplink"],
                downlink=line["downlink"],
            )
        if event == "reflected":
            sent_ns = line["sent_at_ns"]
            same = ("outcome", "size", "ssid", "seq", "reflector_seq", "ttl", "tos")
            return Reflected(
                received_at=self.moment(line["received_at_ns"]),
                client=pair(line["client"]),
                sent_at=None if sent_ns is None else self.moment(sent_ns),
                **{name: line[name] for name in same},
            )
        if event == "beat":
            time = self.moment(line["at_ns"])
            return Beat(seq=line["seq"], outcome=line["outcome"], time=time)
        if event == "unheard":
            server, time = pair(line["server"]), self.moment(line["at_ns"])
            return Unheard(server=server, time=time, silence=line["silence_ns"] / NS)
        if event == "peer":
            name = line["kind"].title().replace("_", "")
            if name not in KINDS:
                raise ValueError(f"{line['kind']!r} is not a kind of event")
            kind = getattr(events, name)
            return kind(**{name: self.event_field(name, line) for name in kind.__match_args__})
        raise ValueError(f"{event!r} is not an event")

    def event_field(self, name: str, line: dict[str, Any]) -> Any:
        """Return the value of a field of a HeartbeatServer's event."""
        if name == "time":
            return self.moment(line["at_ns"])
        if name == "payload":
            return data(line, name)
        if name in line:
            value = line[name]
            if name == "address":
                return ("0.0.0.0", 0) if value is None else pair(value)
            if name == "old":
                return pair(value)
            if name in ("addresses", "listed"):
                return [pair(address) for address in value]
            return [int(boot) for boot in value] if name == "boots" else value
        value = line[f"{name}_ns"]
        return None if value is None else float(value) / 1e9

    def moment(self, since_ns: int) -> float:
        """Return a time in seconds since the Unix epoch, rounded as the core rounds it."""
        return float(self.start_ns + since_ns) / 1e9

    def run(self) -> Run:
        """Return the whole."""
        if not self.summaries:
            raise ValueError("the run was cut off before its summary")
        of_run = partial(Run, self.command, self.arguments)
        if self.command in ("ping", "stamp"):
            return of_run(self.report(self.summaries[0]))
        if self.command == "sweep":
            return of_run([self.report(summary) for summary in self.summaries])
        summary = self.summaries[0]
        other = ("event", "until_ns", "events_dropped", "truth", "missing", "peers")
        return of_run(
            self.events,
            ended_at=self.moment(summary["until_ns"]),
            counters={name: count for name, count in summary.items() if name not in other},
            truth=summary.get("truth", {}),
            peers=[self.peer(members) for members in summary.get("peers", ())],
            missing=summary.get("missing", []),
            steps=self.steps,
        )

    def peer(self, members: dict[str, Any]) -> Peer:
        """Return a client of a summary."""
        fields = {name: self.peer_field(name, members) for name in Peer.__match_args__}
        return Peer(**fields)

    def peer_field(self, name: str, members: dict[str, Any]) -> Any:
        """Return the value of a field of a client."""
        if name == "last_received_at":
            return (self.start_ns + members["last_received_at_ns"]) / NS
        if name in PEER_DURATIONS:
            value = members[f"{name}_ns"]
            return None if value is None else value / 1e9
        value = members[name]
        if name == "address":
            return pair(value)
        return int(value) if name == "boot" and value is not None else value

    def report(self, summary: dict[str, Any]) -> PingReport:
        """Return a report."""
        state = summary["state"]
        if state["version"] != STATE:
            raise ValueError(f"its state is of version {state['version']}, not {STATE}")
        packed = binascii.a2b_base64(state["data"], strict_mode=True)
        kept = state["kept"]
        if kept is None:
            return PingReport._load(packed)
        rows = []
        for flow, count in enumerate(kept):
            of_flow = sorted(self.rows[flow].values())
            if len(of_flow) < count:
                raise ValueError(f"{count - len(of_flow)} probes of flow {flow} are missing")
            rows.append(of_flow[len(of_flow) - count :])
        return PingReport._restored(packed, rows)


OTHERS = {"ClientEvent", "Event", "PingEvent", "OutageStarted", "ReflectorEvent", "RelayEvent"}
KINDS = set(events.__all__) - OTHERS - {"SessionEnded"}


def data(line: dict[str, Any], name: str) -> bytes:
    """Return bytes."""
    digits = line[f"{name}_hex"]
    return bytes.fromhex(digits) if digits is not None else line[name].encode()


def pair(address: str) -> tuple[str, int]:
    """Return an address as a host and a port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def nanoseconds(iso: str) -> int:
    """Return a time in nanoseconds since the Unix epoch."""
    second, _, rest = iso.partition(".")
    if len(rest) != 15 or not rest.endswith("+00:00"):
        raise ValueError(f"{iso!r} is not a time")
    return round(datetime.fromisoformat(f"{second}+00:00").timestamp()) * NS + int(rest[:9])
