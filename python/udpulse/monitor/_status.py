"""The state of a monitor as values: what its page, its metrics and its alerts are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from udpulse._states import State

#: "heartbeat" is a client; "watch" is its server, in events and alerts only.
Kind: TypeAlias = Literal["ping", "stamp", "ping_many", "heartbeat", "echo", "reflect", "watch"]

#: The number of minutes in a row's history.
HISTORY = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that a monitor runs or follows.

    Each target of `ping`, `stamp` and `ping_many` has a row; so has each client of the heartbeat
    server (kind "heartbeat"), and each server ("echo", "reflect"), which is up or failed.
    """

    kind: Kind
    #: Unique among the rows of its kind. Of a client it may come from the network: escape it.
    name: str
    #: HOST:PORT, escaped; of a server its own. Empty for a client that has not been heard.
    address: str
    state: State
    #: The start of the state, in seconds since the Unix epoch.
    since: float
    #: The cause of the state in a few words, escaped; empty if the state says it all.
    cause: str = ""
    #: The last reply or beat, in seconds since the Unix epoch; None before the first.
    last_received_at: float | None = None
    #: Counts since the thing is known, over restarts. Of a target: sent, answered, late, lost,
    #: refused, unreachable, send_failed; all are decided, but a late reply revises lost. With
    #: `stamp` also forward_lost, reverse_lost and unattributed. Of a client since it started:
    #: expected, received, duplicates, reordered. Of a server: its counters.
    counts: Mapping[str, int] = field(default_factory=dict)
    #: The loss among the last probes of a target, or of all beats of a client, 0 to 1, and its 95 %
    #: confidence interval; None if there is none.
    loss: float | None = None
    loss_interval: tuple[float, float] | None = None
    #: Percentiles of the round trips of those probes, in seconds; None with too few.
    p50: float | None = None
    p99: float | None = None
    #: Of a client: its interval and effective timeout, in seconds.
    interval: float | None = None
    timeout: float | None = None
    #: The share of the last 24 hours in which it was up, of the time in which that is known; None
    #: if it never is.
    uptime: float | None = None
    #: The worst state of each of the last `HISTORY` minutes, oldest first; the last is this minute.
    history: tuple[State, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert that is raised."""

    #: The name of its rule in the configuration.
    name: str
    #: The row that it is about.
    kind: Kind
    row: str
    #: When it was raised, in seconds since the Unix epoch.
    since: float
    #: What is wrong, such as "state is down" or "loss 12% is above 5%", escaped.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """The monitor's own health; the counts only grow while it runs."""

    #: Pauses of this process that its servers and clients noticed, and their sum in seconds.
    pauses: int = 0
    paused_total: float = 0.0
    #: Datagrams that this host dropped because they were not read in time.
    receive_drops: int = 0
    #: Events of the running objects that were dropped unread.
    events_dropped: int = 0
    #: Writes to the store that failed, and events that were never written.
    store_errors: int = 0
    store_dropped: int = 0
    #: Alerts whose command was not run because too many waited, and commands that failed.
    alerts_dropped: int = 0
    alert_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A consistent state of a monitor at one time."""

    #: Seconds since the Unix epoch.
    time: float
    started_at: float
    #: All rows, those that need attention first; at most `rows` of the clients.
    rows: tuple[Row, ...]
    #: The number of clients in each state, those without a row included.
    clients: Mapping[State, int]
    alerts: tuple[Alert, ...]
    observer: Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The origin of counters and distributions of one row, for metrics.

    `object` is the running PingClient, StampSender, HeartbeatServer, EchoServer or StampReflector.
    Of a target of `ping_many` it is the PingReport of all its probes since the start, because a
    PingSweep only keeps the last round. `base` has the counts from before the start of `object`,
    under the names of its report's or its own counters: object + base only grows, over restarts.
    """

    kind: Kind
    name: str
    #: HOST:PORT as in `Row.address`.
    address: str
    object: Any
    base: Mapping[str, int] = field(default_factory=dict)
    #: The labels that the configuration gives to its series.
    labels: Mapping[str, str] = field(default_factory=dict)


#: An event of `Monitor.events`, ready for JSON: "id" (int, rising, over restarts, too), "time"
#: (seconds since the Unix epoch), "event", and depending on that "kind", "name", "state", "was",
#: "cause", "alert", "text". The words of "event": "state" (a row is in another state), "alert" and
#: "clear", "started", "reloaded", "stopped", and from heartbeats "restarted", "moved", "conflict",
#: "too_often", "clock_stepped", "paused", "mass_silence". Names and causes are escaped.
EventDict: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The table `[http]` of a configuration."""

    host: str = "127.0.0.1"
    #: 0 for any free port.
    port: int = 9469
    #: Names, besides its address and localhost, by which browsers may ask (the Host header).
    names: tuple[str, ...] = ()
    #: The most viewers with a live page.
    max_viewers: int = 200
    #: The most series of `/metrics`.
    max_series: int = 100_000
    #: Whether `/probe` may send probes to the targets of its requests.
    probe: bool = False


# `udpulse.monitor._http` has `serve_http(monitor, config) -> HttpServer`: a running server with
# `address: tuple[str, int]` and `stop()`, which ends it and its viewers within a second. It raises
# OSError if the address is in use. The monitor has, for any thread:
#
#   snapshot() -> Snapshot               made at most once per second, shared by all callers
#   row(kind, name) -> Row | None        fresh, also of a client beyond the snapshot's rows
#   events(after=0) -> list[EventDict]   those with a greater id, of the last 1000
#   wait(after, timeout) -> bool         until there is an event with a greater id
#   sources() -> list[Source]
#   outages(kind, name) -> list[dict]    the last ones: "start", "end" (None if it lasts), "cause"
#   strip(kind, name) -> list[tuple[float, str, float | None]]   the last probes, oldest first:
#                                        send time, verdict, round trip in seconds
