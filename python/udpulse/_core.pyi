"""The compiled half: types, written by hand, and its docstrings, copied by `.ci/stubs.py`."""

from collections.abc import AsyncIterator, Callable, Iterable
from os import PathLike
from types import GenericAlias, TracebackType
from typing import Any, Final, Generic, Literal, TypeAlias, final, overload
from _typeshed import SupportsWrite
from numpy.typing import NDArray
from typing_extensions import Self, TypeVar

__all__ = [
    "VERDICTS",
    "AddressChange",
    "Beat",
    "Busy",
    "ClockStepped",
    "Conflict",
    "Direction",
    "Distribution",
    "Down",
    "EchoCounters",
    "EchoServer",
    "EchoTruth",
    "Exponential",
    "Failed",
    "Fate",
    "GilbertElliott",
    "HeaderField",
    "Heard",
    "HeartbeatClient",
    "HeartbeatClientCounters",
    "HeartbeatServer",
    "HeartbeatServerCounters",
    "Ignored",
    "Keys",
    "LateBeat",
    "Link",
    "LinkCounters",
    "LinkOutage",
    "LossPattern",
    "Lost",
    "MassSilence",
    "Missing",
    "Moved",
    "Normal",
    "Outage",
    "OutageEnded",
    "OutageStarted",
    "Pareto",
    "Pause",
    "Paused",
    "Peer",
    "PingClient",
    "PingCounters",
    "PingReport",
    "PingSweep",
    "Probe",
    "Progress",
    "Quantiles",
    "RateLimit",
    "Recovered",
    "Reflected",
    "ReflectorClock",
    "ReflectorTraits",
    "Relay",
    "RelayCounters",
    "RelayTruth",
    "Reordering",
    "Reply",
    "Restarted",
    "Revised",
    "Rule",
    "Runs",
    "SessionEnded",
    "Stalled",
    "StampReflector",
    "StampReflectorCounters",
    "StampReflectorTruth",
    "StampSender",
    "StampSession",
    "Step",
    "StepDone",
    "Stopped",
    "Suspect",
    "Table",
    "TimedGilbertElliott",
    "TooOften",
    "TraceRate",
    "Unheard",
    "Uniform",
    "Up",
    "_Lines",
    "_Waiter",
    "__version__",
    "_end_clients",
    "_exposition",
    "_fit",
    "_restore",
    "async_ping",
    "async_ping_many",
    "async_stamp",
    "ping",
    "ping_many",
    "stamp",
]
VERDICTS: Final[tuple[str, ...]]
__version__: Final[str]
_PingEvent = TypeVar("_PingEvent", default=Probe)
_Address: TypeAlias = tuple[str, int]
_Quirk: TypeAlias = Literal[
    "t1_t3_swapped",
    "z_mismatch",
    "short_reply",
    "long_reply",
    "ssid_zeroed",
    "t2_equals_t3",
    "impossible_times",
    "invalid_error_estimate",
    "tai",
]
_Columns: TypeAlias = dict[str, NDArray[Any]]
_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

@final
class _Waiter:
    """Wakeup of an event loop for `_asyncio`."""

    @staticmethod
    def pair() -> tuple[_Waiter, int]:
        """Returns a waiter and the descriptor of the socket that it makes readable; the caller closes
        it.
        """

    def another(self) -> _Waiter:
        """Returns another waiter that makes the same socket readable."""

    @property
    def number(self) -> int:
        """The number of the waiter, unique for its socket."""

    def woken(self) -> list[int]:
        """Returns the numbers of the waiters of its socket that were woken since the last call."""

def _restore(class_: type[_T], version: Any, state: Any, /) -> _T:
    """Restores an object from its pickled fields, or from bytes with its class's `_load`."""

@final
class _Lines:
    """Lines of JSON on their way to a file. The next write adds the rest of an interrupted one."""

    def __new__(cls, write: Callable[[bytes], int], wait: Callable[[], object]) -> Self: ...
    @property
    def probes(self) -> int:
        """The number of probes among the lines so far."""

    def begin(self, line: bytes) -> None:
        """Adds the first line, unless there was one."""

    def put(self, line: bytes) -> None:
        """Adds a line."""

    def put_interval(self, from_ns: int, until_ns: int) -> None:
        """Adds the line of an interval of probes."""

    def put_summary(
        self, target_index: int, report: PingReport, start_ns: int, events_dropped: int, state: str
    ) -> None:
        """Adds the last line about a target. `state` is JSON."""

    def flush(self) -> None:
        """Writes all lines."""

@final
class Keys:
    """Keys that authenticate datagrams (HMAC-SHA-256, RFC 2104), in order: the first one signs, all of
    them verify. Nothing shows the secrets.

    keys: a dict of 1 to 64 keys: from ids, 1 to 16 ASCII letters, digits, "-", "_" and ".", to
        secrets, 16 to 64 bytes such as `secrets.token_bytes(32)`.

    The path of a file of keys serves wherever Keys do; `udpulse keygen` makes one.

    Raises ValueError if `keys` is empty or has other ids or secrets.
    """

    def __new__(cls, keys: dict[str, bytes]) -> Self: ...
    @staticmethod
    def read(path: str | PathLike[str]) -> Keys:
        """Returns the keys of a file. A line is a key: the id, the secret in hexadecimal and, if it is
        the key of one client, the client's name. Empty lines and lines that start with "#" are
        skipped.

        path: the path of the file.

        Raises OSError if the file cannot be read, and ValueError if it has other lines or if others
        than its owner can open it (not checked on Windows).
        """

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the keys to a new file that only its owner can open (mode 600).

        path: the path of the file.

        Raises OSError if the file exists or cannot be written.
        """

    def client(self, name: str) -> Keys:
        """Returns the keys of one client: each is HMAC-SHA-256 of "udpulse client" and the name. They
        serve to sign in this name only; a server with these keys derives them.

        name: the client's name, 1 to 255 bytes without blanks, control characters and ";".

        Raises ValueError if `name` is not such a name, or if all keys are bound to other clients.
        """

    @property
    def ids(self) -> list[str]:
        """The ids, in order."""

    @property
    def names(self) -> list[str | None]:
        """The name of the client that each key is bound to, in order; None for a key of all clients."""

@final
class EchoServer:
    """A UDP echo server that impairs packets on purpose, repeatably, in both directions.

    host: the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6). On Linux a reply
        leaves from the address to which the request was sent.
    port: the port, 0 to 65535; 0 for any free one, see `address`.
    loss: the loss on the uplink: a probability from 0 to 1, "lab" (lost if a random integer from
        0 to 10 is less than 4, 36.36 %), a GilbertElliott or a LossPattern. Short for
        uplink=Link(loss=...).
    delay: the delay on the uplink: seconds from 0 to 3600, or a Uniform, Normal, Exponential or
        Pareto. Short for uplink=Link(delay=...).
    uplink: the Link from the clients to the server; None for an unimpaired one. It can be set while
        the server runs.
    downlink: the Link from the server to the clients; None for an unimpaired one. It can be set, too.
    seed: the seed of all random choices (xoshiro256++); drawn at random if None. A client's
        choices depend on the seed, its IP address and the rank of its port at that address, in
        order of first packets; they do not depend on packets of other clients.
    transform: the answer: "echo" for the request itself (RFC 862), "upper" for the request with ASCII
        letters in upper case (the lab).
    max_size: the size to which longer packets are cut, 0 to 65507 bytes.
    max_rate: the average number of packets per second from one source address, 3e-8 to 1e9, in bursts
        of at most one second's worth; the server drops the rest. None for no limit.
    keys: the Keys, or the path of a file of them, for probes with a tag; None for no
        authentication. Keys that are bound to a client are for heartbeats and not used. The
        answer has a tag with the key of the probe.
    unauthenticated: the treatment of packets without a tag if there are keys: "refuse", or "accept" to answer
        them, too.
    threads: the number of threads, 1 to 256, each with its own socket; more than one only on Linux.
    timeline: the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        as JSON has them. `steps` returns those that were taken.
    keep: the number of last fates to keep, or "all". `fates` and `columns` return them; iterating
        reads each once and removes none. With 0 there is nothing to iterate over.
    capture: the path of a pcapng file for the packets at each point of the path, each with its
        verdict as a comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    The two links are in series: a packet enters the downlink when it leaves the uplink, and a
    packet held on one link delays nothing on the other. All random choices are made in order of
    arrival and do not depend on time.

    With keys the server checks a packet when it arrives, before the uplink: bits that a link flips
    show as corrupt replies. A replayed probe is answered as the copy that it is.

    The server never answers source ports that could cause a loop (0, 7, 13, 17, 19, 37) or another
    answering server of this process. On Linux answers leave with a TTL of 200, and one receive in
    64 checks the TTL: a packet with 169 to 200 hops left is assumed to be the answer of another
    process's server and gets no answer, which ends a loop.

    Iterating yields each packet's Fate when its last reply has left.

    Raises ValueError if an argument is out of range.
    """

    def __new__(
        cls,
        host: str = "127.0.0.1",
        port: int = 12000,
        *,
        loss: _Loss = 0.0,
        delay: _Delay = 0.0,
        uplink: Link | None = None,
        downlink: Link | None = None,
        seed: int | None = None,
        transform: Literal["upper", "echo"] = "echo",
        max_size: int = 65507,
        max_rate: float | None = None,
        keys: Keys | str | PathLike[str] | None = None,
        unauthenticated: Literal["refuse", "accept"] = "refuse",
        threads: int = 1,
        timeline: Iterable[Step | dict[str, Any]] = (),
        keep: int | Literal["all"] = 10000,
        capture: str | PathLike[str] | None = None,
        capture_snaplen: int | None = None,
        capture_limit: int = 1073741824,
    ) -> Self: ...
    @property
    def capture(self) -> str | None:
        """the path of a pcapng file for the packets at each point of the path, each with its
        verdict as a comment; None for no capture. A start replaces the file.
        """

    @property
    def capture_snaplen(self) -> int | None:
        """the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
        """

    @property
    def capture_limit(self) -> int:
        """the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.
        """

    @property
    def capture_dropped(self) -> int:
        """The number of packets that are missing in the file of the capture: it is full, or
        could not be written in time.
        """

    @property
    def capture_error(self) -> OSError | None:
        """The OSError that ended the capture; None if it could be written."""

    @property
    def host(self) -> str:
        """the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6). On Linux a reply
        leaves from the address to which the request was sent.
        """

    @property
    def port(self) -> int:
        """the port, 0 to 65535; 0 for any free one, see `address`."""

    @property
    def loss(self) -> _Loss:
        """the loss on the uplink: a probability from 0 to 1, "lab" (lost if a random integer from
        0 to 10 is less than 4, 36.36 %), a GilbertElliott or a LossPattern. Short for
        uplink=Link(loss=...).
        """

    @property
    def delay(self) -> _Delay:
        """the delay on the uplink: seconds from 0 to 3600, or a Uniform, Normal, Exponential or
        Pareto. Short for uplink=Link(delay=...).
        """

    @property
    def uplink(self) -> Link | None:
        """the Link from the clients to the server; None for an unimpaired one. It can be set while
        the server runs.
        """

    @uplink.setter
    def uplink(self, link: Link | None) -> None:
        """the Link from the clients to the server; None for an unimpaired one. It can be set while
        the server runs.
        """

    @property
    def downlink(self) -> Link | None:
        """the Link from the server to the clients; None for an unimpaired one. It can be set, too."""

    @downlink.setter
    def downlink(self, link: Link | None) -> None:
        """the Link from the server to the clients; None for an unimpaired one. It can be set, too."""

    @property
    def seed(self) -> int:
        """the seed of all random choices (xoshiro256++); drawn at random if None. A client's
        choices depend on the seed, its IP address and the rank of its port at that address, in
        order of first packets; they do not depend on packets of other clients.
        """

    @property
    def transform(self) -> Literal["upper", "echo"]:
        """the answer: "echo" for the request itself (RFC 862), "upper" for the request with ASCII
        letters in upper case (the lab).
        """

    @property
    def max_size(self) -> int:
        """the size to which longer packets are cut, 0 to 65507 bytes."""

    @property
    def max_rate(self) -> float | None:
        """the average number of packets per second from one source address, 3e-8 to 1e9, in bursts
        of at most one second's worth; the server drops the rest. None for no limit.
        """

    @property
    def keys(self) -> Keys | None:
        """the Keys, or the path of a file of them, for probes with a tag; None for no
        authentication. Keys that are bound to a client are for heartbeats and not used. The
        answer has a tag with the key of the probe.
        """

    @property
    def unauthenticated(self) -> Literal["refuse", "accept"]:
        """the treatment of packets without a tag if there are keys: "refuse", or "accept" to answer
        them, too.
        """

    @property
    def threads(self) -> int:
        """the number of threads, 1 to 256, each with its own socket; more than one only on Linux."""

    @property
    def keep(self) -> int | Literal["all"]:
        """the number of last fates to keep, or "all". `fates` and `columns` return them; iterating
        reads each once and removes none. With 0 there is nothing to iterate over.
        """

    @property
    def timeline(self) -> tuple[Step, ...]:
        """the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        as JSON has them. `steps` returns those that were taken.
        """

    def add_step(self, step: Step | dict[str, Any]) -> int:
        """Adds a step to those of the timeline. Returns its index, as `steps` has it.

        step: a Step, or a dict with its fields as JSON has them. If its moment has passed or
            it has none, it is taken now. It may not be a "loop".

        Raises ValueError if the step is not one, or if 1000 steps wait, and NotStartedError
        before the first start.
        """

    def steps(self) -> list[StepDone]:
        """Returns the last 1000 steps that were taken, oldest first, each a StepDone."""

    def set_links(
        self, client: tuple[str, int], *, uplink: Link | None = None, downlink: Link | None = None
    ) -> None:
        """Sets the links of one client; also before its first packet, but for a Relay.

        client: its (host, port), the host an IP address.
        uplink, downlink: the Link in each direction; None leaves it as it is.

        Packets inside keep their delay; those in the queue of a RateLimit leave at the new
        rate. A client with a link of its own keeps it if `uplink` or `downlink` is set.

        Raises ValueError for a client without a session (Relay) or beyond the first 16384
        (EchoServer, StampReflector), and NotStartedError before the first start.
        """

    def outage(
        self,
        duration: float | None = None,
        *,
        mode: Literal["drop", "hold", "refuse"] = "drop",
        way: Literal["both", "uplink", "downlink"] = "both",
    ) -> LinkOutage:
        """Starts an outage and returns it, a LinkOutage. It replaces one that has not ended.

        duration: its length in seconds, above 0; None until `end` is called or the block of
            a `with` statement is left.
        mode: "drop" loses packets that enter a link, so that nothing sent during the outage
            arrives later; packets inside the link arrive. "hold" lets nothing leave, and all
            packets leave together at the end. "refuse" closes the socket to clients, whose
            system then reports a refusal (ICMP port unreachable), and loses packets as
            "drop" does.
        way: the broken links: "uplink", "downlink" or "both". "refuse" affects all clients
            and both links.

        Random choices go on as without an outage.

        Raises ValueError if an argument is out of range and NotStartedError before the first
        start.
        """

    @property
    def counters(self) -> EchoCounters:
        """Packet counts since the last start."""

    @property
    def truth(self) -> EchoTruth:
        """Counts of impairments, replies and drops since the last start."""

    @property
    def rows_dropped(self) -> int:
        """The number of older rows that are no longer kept."""

    def fates(self) -> list[Fate]:
        """Returns the kept fates, oldest first."""

    def table(self, table: Literal["fates", "copies"] = "fates") -> Table:
        """Returns the kept rows as a Table, for polars, pandas and others, or for CSV.

        table: one of those of `columns`, with its rows and columns. The `client` of a fate is
            a dictionary of "host:port", an `outcome` one of strings, times are
            timestamp[ns, UTC], and bits are uint32; null stands for NaN.

        The rows of a running object change between calls: stop it before you relate the
        tables to each other.

        Raises ValueError for another table.
        """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns `table()` as an Arrow stream, so that polars and others take the object
        itself.
        """

    def columns(self, table: Literal["fates", "copies"] = "fates") -> _Columns:
        """Returns the kept fates as a dict of read-only NumPy arrays of shape (n,).

        table: "fates" for a row per packet, oldest first:
            client: uint32, its sender, an index into `clients`.
            number: uint64, its number among the packets of its client, from 1; 0 if it was dropped
                before it entered a link.
            size: uint32, the length of its payload as received, in bytes.
            received_at_ns: int64, its receive time, in nanoseconds since `started_at`.
            sent_at_ns: float64, the send time of its first reply, in nanoseconds since
                `started_at`; NaN without replies.
            outcome: object, "replied", "lost", "unanswerable", "limited", "unauthenticated",
                "unknown_key", "bad_tag", "replayed" or "delay_line_full".
            uplink, downlink: uint8, its impairments in each direction, a sum of 1 lost,
                2 duplicated, 4 corrupted, 8 held, 16 queue_full, 32 outage and 64 too_big.
            uplink_rule, downlink_rule: float64, the index of the Rule that acted on it in each
                direction; NaN if none did.
            replies: uint8, the number of replies sent.
            corrupted: uint8, the number of replies that differ from the unimpaired answer.

        "copies" for a row per reply, in order of sending:
            fate: uint32, the row of its packet in "fates".
            number: uint64, its number among all replies of the server, from 1.
            sent_at_ns: int64, its send time, in nanoseconds since `started_at`.
            uplink_bit, downlink_bit: float64, the bit of the payload flipped in each direction,
                counted from the lowest bit of the first byte; NaN if none was.
            corrupted: bool, whether it differs from the unimpaired answer.

        The rows of a running server change between calls: stop it before you relate the tables or
        `clients` to each other.

        Raises ValueError for another table.
        """

    def plot(self) -> Any:
        """Returns a picture of the kept fates, a matplotlib Figure: a lane for each thing that happened to
        packets, and the time that they spent in the server. `udpulse.plots.save` writes it.

        Raises ImportError without matplotlib, which the extra `plot` installs.
        """

    @property
    def clients(self) -> list[_Address]:
        """The list of clients to which the columns of fates refer, each a (host, port), in order
        of their first rows.
        """

    @property
    def started_at(self) -> float | None:
        """The time of the last start, in seconds since the Unix epoch; None before the first."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Fate: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[Fate]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[Fate]: ...
    def _poll(self, waiter: _Waiter) -> Fate | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class Relay:
    """A bad path between any two UDP programs: clients send to its `address` in place of the upstream.

    host: the upstream's address or name, which is looked up at the start.
    port: the upstream's port, 1 to 65535.
    listen: the (host, port) for clients; "" for all interfaces (IPv4), "::" for all (IPv6), and port
        0 for any free one, see `address`. On Linux a reply leaves from the address to which the
        client sent.
    uplink: the Link from the clients to the upstream; None for an unimpaired one. It can be set
        while the relay runs.
    downlink: the Link from the upstream to the clients; None for an unimpaired one. It can be set,
        too.
    per_client: (uplink, downlink) pairs, each a Link or None, at most 65536: links of the first client,
        of the second and so on, in order of their first packets.
    seed: the seed of all random choices (xoshiro256++); drawn at random if None. A client's
        choices depend on the seed, its IP address and the rank of its port at that address, in
        order of first packets, and are separate for each way.
    idle: how long a client's session lasts without a packet of either side, in seconds (RFC 4787
        section 4.3); None for no limit.
    max_clients: the most sessions, 1 to 60000: another client ends the longest idle one.
    ttl: the TTL or hop limit of all packets, 1 to 255; None for one less than they came with
        (Linux; elsewhere the system's).
    timeline: the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        as JSON has them. `steps` returns those that were taken.
    keep: the number of last fates to keep, or "all". `fates` and `columns` return them; iterating
        reads each once and removes none. With 0 there is nothing to iterate over.
    capture: the path of a pcapng file for the packets at each point of the path, each with its
        verdict as a comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    Each client gets a path of its own, and a socket of its own towards the upstream. The type of
    service with its ECN bits is passed on (Linux), and the TTL lowered by one, so that a ring of
    relays ends. If the upstream refuses packets, the relay goes on, and so does the client when the
    upstream is back.

    Iterating yields each packet's Fate when its last copy has left, and SessionEnded when a session
    ends; packets that were delayed then follow as "expired".

    Raises ValueError if an argument is out of range.
    """

    def __new__(
        cls,
        host: str,
        port: int,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        uplink: Link | None = None,
        downlink: Link | None = None,
        per_client: Iterable[tuple[Link | None, Link | None]] = (),
        seed: int | None = None,
        idle: float | None = 120.0,
        max_clients: int = 16384,
        ttl: int | None = None,
        timeline: Iterable[Step | dict[str, Any]] = (),
        keep: int | Literal["all"] = 10000,
        capture: str | PathLike[str] | None = None,
        capture_snaplen: int | None = None,
        capture_limit: int = 1073741824,
    ) -> Self: ...
    @property
    def capture(self) -> str | None:
        """the path of a pcapng file for the packets at each point of the path, each with its
        verdict as a comment; None for no capture. A start replaces the file.
        """

    @property
    def capture_snaplen(self) -> int | None:
        """the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
        """

    @property
    def capture_limit(self) -> int:
        """the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.
        """

    @property
    def capture_dropped(self) -> int:
        """The number of packets that are missing in the file of the capture: it is full, or
        could not be written in time.
        """

    @property
    def capture_error(self) -> OSError | None:
        """The OSError that ended the capture; None if it could be written."""

    @property
    def listen(self) -> tuple[str, int]:
        """the (host, port) for clients; "" for all interfaces (IPv4), "::" for all (IPv6), and port
        0 for any free one, see `address`. On Linux a reply leaves from the address to which the
        client sent.
        """

    @property
    def per_client(self) -> tuple[tuple[Link | None, Link | None], ...]:
        """(uplink, downlink) pairs, each a Link or None, at most 65536: links of the first client,
        of the second and so on, in order of their first packets.
        """

    @property
    def idle(self) -> float | None:
        """how long a client's session lasts without a packet of either side, in seconds (RFC 4787
        section 4.3); None for no limit.
        """

    @property
    def max_clients(self) -> int:
        """the most sessions, 1 to 60000: another client ends the longest idle one."""

    @property
    def ttl(self) -> int | None:
        """the TTL or hop limit of all packets, 1 to 255; None for one less than they came with
        (Linux; elsewhere the system's).
        """

    @property
    def upstream(self) -> tuple[str, int]:
        """The upstream's (host, port), the host an IP address.

        Raises NotStartedError before the first start.
        """

    @property
    def sessions(self) -> list[tuple[str, int]]:
        """The list of clients with a session, each a (host, port), the longest idle first."""

    def rebind(self, client: tuple[str, int] | None = None) -> int:
        """Replaces the port of a client, or of all, towards the upstream, as a NAT does after it forgot
        them.

        client: its (host, port), the host an IP address; None for all.

        What the upstream still sends to the old port is lost. Returns the number of clients.

        Raises NotStartedError before the first start.
        """

    @property
    def host(self) -> str:
        """the upstream's address or name, which is looked up at the start."""

    @property
    def port(self) -> int:
        """the upstream's port, 1 to 65535."""

    @property
    def uplink(self) -> Link | None:
        """the Link from the clients to the upstream; None for an unimpaired one. It can be set
        while the relay runs.
        """

    @uplink.setter
    def uplink(self, link: Link | None) -> None:
        """the Link from the clients to the upstream; None for an unimpaired one. It can be set
        while the relay runs.
        """

    @property
    def downlink(self) -> Link | None:
        """the Link from the upstream to the clients; None for an unimpaired one. It can be set,
        too.
        """

    @downlink.setter
    def downlink(self, link: Link | None) -> None:
        """the Link from the upstream to the clients; None for an unimpaired one. It can be set,
        too.
        """

    @property
    def seed(self) -> int:
        """the seed of all random choices (xoshiro256++); drawn at random if None. A client's
        choices depend on the seed, its IP address and the rank of its port at that address, in
        order of first packets, and are separate for each way.
        """

    @property
    def keep(self) -> int | Literal["all"]:
        """the number of last fates to keep, or "all". `fates` and `columns` return them; iterating
        reads each once and removes none. With 0 there is nothing to iterate over.
        """

    @property
    def timeline(self) -> tuple[Step, ...]:
        """the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        as JSON has them. `steps` returns those that were taken.
        """

    def add_step(self, step: Step | dict[str, Any]) -> int:
        """Adds a step to those of the timeline. Returns its index, as `steps` has it.

        step: a Step, or a dict with its fields as JSON has them. If its moment has passed or
            it has none, it is taken now. It may not be a "loop".

        Raises ValueError if the step is not one, or if 1000 steps wait, and NotStartedError
        before the first start.
        """

    def steps(self) -> list[StepDone]:
        """Returns the last 1000 steps that were taken, oldest first, each a StepDone."""

    def set_links(
        self, client: tuple[str, int], *, uplink: Link | None = None, downlink: Link | None = None
    ) -> None:
        """Sets the links of one client; also before its first packet, but for a Relay.

        client: its (host, port), the host an IP address.
        uplink, downlink: the Link in each direction; None leaves it as it is.

        Packets inside keep their delay; those in the queue of a RateLimit leave at the new
        rate. A client with a link of its own keeps it if `uplink` or `downlink` is set.

        Raises ValueError for a client without a session (Relay) or beyond the first 16384
        (EchoServer, StampReflector), and NotStartedError before the first start.
        """

    def outage(
        self,
        duration: float | None = None,
        *,
        mode: Literal["drop", "hold", "refuse"] = "drop",
        way: Literal["both", "uplink", "downlink"] = "both",
    ) -> LinkOutage:
        """Starts an outage and returns it, a LinkOutage. It replaces one that has not ended.

        duration: its length in seconds, above 0; None until `end` is called or the block of
            a `with` statement is left.
        mode: "drop" loses packets that enter a link, so that nothing sent during the outage
            arrives later; packets inside the link arrive. "hold" lets nothing leave, and all
            packets leave together at the end. "refuse" closes the socket to clients, whose
            system then reports a refusal (ICMP port unreachable), and loses packets as
            "drop" does.
        way: the broken links: "uplink", "downlink" or "both". "refuse" affects all clients
            and both links.

        Random choices go on as without an outage.

        Raises ValueError if an argument is out of range and NotStartedError before the first
        start.
        """

    @property
    def counters(self) -> RelayCounters:
        """Packet counts since the last start."""

    @property
    def truth(self) -> RelayTruth:
        """Counts of impairments, sessions and drops since the last start."""

    @property
    def rows_dropped(self) -> int:
        """The number of older rows that are no longer kept."""

    def fates(self) -> list[Fate]:
        """Returns the kept fates, oldest first."""

    def table(self, table: Literal["fates", "copies"] = "fates") -> Table:
        """Returns the kept rows as a Table, for polars, pandas and others, or for CSV.

        table: one of those of `columns`, with its rows and columns. The `client` of a fate is
            a dictionary of "host:port", an `outcome` one of strings, times are
            timestamp[ns, UTC], and bits are uint32; null stands for NaN.

        The rows of a running object change between calls: stop it before you relate the
        tables to each other.

        Raises ValueError for another table.
        """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns `table()` as an Arrow stream, so that polars and others take the object
        itself.
        """

    def columns(self, table: Literal["fates", "copies"] = "fates") -> _Columns:
        """Returns the kept fates as a dict of read-only NumPy arrays of shape (n,).

        table: "fates" for a row per packet, in order of completion, or "copies" for a row per datagram
            sent, with the columns of `EchoServer.columns`. "fates" has one more:
            way: uint8, 0 for a packet to the upstream and 1 for one to a client.

        The rows of a running relay change between calls: stop it before you relate the tables or
        `clients` to each other.

        Raises ValueError for another table.
        """

    @property
    def clients(self) -> list[_Address]:
        """The list of clients to which the columns of fates refer, each a (host, port), in order
        of their first rows.
        """

    @property
    def started_at(self) -> float | None:
        """The time of the last start, in seconds since the Unix epoch; None before the first."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Fate | SessionEnded: ...
    def next_batch(
        self, limit: int = 4096, timeout: float | None = None
    ) -> list[Fate | SessionEnded]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[Fate | SessionEnded]: ...
    def _poll(self, waiter: _Waiter) -> Fate | SessionEnded | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class SessionEnded:
    """The end of a client's session at a Relay."""

    __match_args__: Final = ("client", "time", "reason", "uplink", "downlink")

    def __new__(
        cls,
        *,
        client: _Address,
        time: float,
        reason: Literal["idle", "evicted"],
        uplink: int,
        downlink: int,
    ) -> Self: ...
    @property
    def client(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time of the end, in seconds since the Unix epoch."""

    @property
    def reason(self) -> Literal["idle", "evicted"]:
        """ "idle" if neither side was active, "evicted" if another client needed its place."""

    @property
    def uplink(self) -> int:
        """The number of packets that came to its uplink."""

    @property
    def downlink(self) -> int:
        """The number of packets that came to its downlink."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class RelayCounters:
    """Packet counts of a Relay, both ways: received = relayed + dropped + send_failed + the pending of
    `truth`.
    """

    __match_args__: Final = ("received", "relayed", "dropped", "send_failed")

    def __new__(
        cls, *, received: int = 0, relayed: int = 0, dropped: int = 0, send_failed: int = 0
    ) -> Self: ...
    @property
    def received(self) -> int:
        """Packets received."""

    @property
    def relayed(self) -> int:
        """Packets passed on; a packet with several copies counts once."""

    @property
    def dropped(self) -> int:
        """Packets not passed on on purpose, or refused by the upstream; `truth` has the reasons."""

    @property
    def send_failed(self) -> int:
        """Packets that this host could not send."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class RelayTruth:
    """Counts of a Relay beyond RelayCounters: impairments, sessions and drops."""

    __match_args__: Final = (
        "uplink",
        "downlink",
        "sent",
        "pending",
        "delayed",
        "refused",
        "hops",
        "delay_line_full",
        "expired",
        "sessions",
        "idle",
        "evicted",
        "receive_drops",
    )

    def __new__(
        cls,
        *,
        uplink: LinkCounters | None = None,
        downlink: LinkCounters | None = None,
        sent: int = 0,
        pending: int = 0,
        delayed: int = 0,
        refused: int = 0,
        hops: int = 0,
        delay_line_full: int = 0,
        expired: int = 0,
        sessions: int = 0,
        idle: int = 0,
        evicted: int = 0,
        receive_drops: int = 0,
    ) -> Self: ...
    @property
    def uplink(self) -> LinkCounters:
        """Impairments from the clients to the upstream."""

    @property
    def downlink(self) -> LinkCounters:
        """Impairments from the upstream to the clients."""

    @property
    def sent(self) -> int:
        """Datagrams sent, copies included."""

    @property
    def pending(self) -> int:
        """Packets that are neither passed on nor dropped yet: they are delayed."""

    @property
    def delayed(self) -> int:
        """Datagrams that are delayed, copies included."""

    @property
    def refused(self) -> int:
        """Datagrams that the upstream refused (ICMP port unreachable)."""

    @property
    def hops(self) -> int:
        """Packets dropped because they had no hops left."""

    @property
    def delay_line_full(self) -> int:
        """Copies dropped because the delay line was full: 32 MiB each way."""

    @property
    def expired(self) -> int:
        """Copies dropped because their client's session ended before they left."""

    @property
    def sessions(self) -> int:
        """Clients with a session now."""

    @property
    def idle(self) -> int:
        """Sessions that ended because neither side was active."""

    @property
    def evicted(self) -> int:
        """Sessions that ended because another client needed their place."""

    @property
    def receive_drops(self) -> int:
        """Datagrams that this host dropped before they were read, those of a session's socket once
        it is closed; 0 if the platform does not report them.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class EchoCounters:
    """Packet counts: received = replied + dropped + send_failed + the pending of `truth`."""

    __match_args__: Final = ("received", "replied", "dropped", "send_failed")

    def __new__(
        cls, *, received: int = 0, replied: int = 0, dropped: int = 0, send_failed: int = 0
    ) -> Self: ...
    @property
    def received(self) -> int:
        """Packets received."""

    @property
    def replied(self) -> int:
        """Packets answered; a packet with several replies counts once."""

    @property
    def dropped(self) -> int:
        """Packets not answered on purpose; `truth` has the reasons."""

    @property
    def send_failed(self) -> int:
        """Packets whose answer this host could not send."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Fate:
    """The fate of a packet at an EchoServer or a Relay.

    uplink and downlink name its impairments on the way in and on the way back, any of "lost",
    "duplicated", "corrupted", "held" (back, so that others overtake it), "queue_full",
    "outage" (it entered during one) and "too_big" (for the MTU). If a Rule of the link did it,
    uplink_rule or downlink_rule is the rule's index.
    """

    __match_args__: Final = (
        "received_at",
        "client",
        "number",
        "outcome",
        "dropped",
        "way",
        "answer",
        "size",
        "uplink",
        "downlink",
        "uplink_rule",
        "downlink_rule",
        "copies",
        "replies",
        "corrupted",
        "sent_at",
    )

    def __new__(
        cls,
        *,
        received_at: float,
        client: _Address,
        number: int,
        outcome: _Outcome,
        dropped: bool | None = None,
        way: _Way = "both",
        answer: bytes,
        size: int | None = None,
        uplink: Iterable[str] = (),
        downlink: Iterable[str] = (),
        uplink_rule: int | None = None,
        downlink_rule: int | None = None,
        copies: Iterable[Reply] = (),
        replies: int | None = None,
        corrupted: int | None = None,
        sent_at: float | None = None,
    ) -> Self: ...
    @property
    def received_at(self) -> float:
        """The receive time, in seconds since the Unix epoch, by the kernel's timestamp if there is
        one.
        """

    @property
    def client(self) -> _Address:
        """The (host, port) of its sender."""

    @property
    def number(self) -> int:
        """Its number among the packets of its client, from 1; 0 if it was dropped before it entered
        a link.
        """

    @property
    def outcome(self) -> _Outcome:
        """ "replied" or, at a Relay, "relayed"; otherwise the reason for its drop: "lost",
        "unanswerable" (an answer could have started a loop), "limited" (max_rate),
        "unauthenticated" (it had no tag), "unknown_key" or "bad_tag" (of a key that the server
        lacks, or wrong), "replayed" (its tag is right, but it came before), "delay_line_full"
        (the delay line had no room), "refused" (by the upstream), "expired" (its client's session
        ended before it left) or "hops" (none left).
        """

    @property
    def dropped(self) -> bool:
        """Whether it was dropped: the outcome is neither "replied" nor "relayed"."""

    @property
    def way(self) -> _Way:
        """The links of its route: "both" at an EchoServer, "uplink" or "downlink" at a Relay."""

    @property
    def answer(self) -> bytes:
        """The unimpaired answer, or at a Relay the payload, cut to 1024 bytes; also if nothing was
        sent.
        """

    @property
    def size(self) -> int:
        """The length of its payload as received, in bytes."""

    @property
    def uplink(self) -> tuple[str, ...]:
        """Its impairments on the way in."""

    @property
    def downlink(self) -> tuple[str, ...]:
        """Its impairments on the way back, of any of its copies."""

    @property
    def uplink_rule(self) -> int | None:
        """The index of the Rule among the uplink's that acted on it; None if none did."""

    @property
    def downlink_rule(self) -> int | None:
        """The index of the Rule among the downlink's."""

    @property
    def copies(self) -> tuple[Reply, ...]:
        """The replies in order of sending."""

    @property
    def replies(self) -> int:
        """The number of replies sent."""

    @property
    def corrupted(self) -> int:
        """The number of replies that differ from the unimpaired answer."""

    @property
    def sent_at(self) -> float | None:
        """The send time of the first reply, in seconds since the Unix epoch; None without replies."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Reply:
    """A reply that an EchoServer sent."""

    __match_args__: Final = ("number", "sent_at", "uplink_bit", "downlink_bit", "corrupted")

    def __new__(
        cls,
        *,
        number: int,
        sent_at: float,
        uplink_bit: int | None = None,
        downlink_bit: int | None = None,
        corrupted: bool | None = None,
    ) -> Self: ...
    @property
    def number(self) -> int:
        """Its number among all replies of the server, from 1, in order of sending."""

    @property
    def sent_at(self) -> float:
        """The send time, in seconds since the Unix epoch."""

    @property
    def uplink_bit(self) -> int | None:
        """The bit of the payload flipped on the way in, counted from the lowest bit of the first
        byte; None if none was.
        """

    @property
    def downlink_bit(self) -> int | None:
        """The bit flipped on the way back."""

    @property
    def corrupted(self) -> bool:
        """Whether it differs from the unimpaired answer."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class LinkCounters:
    """Packet counts by impairment on one link."""

    __match_args__: Final = (
        "lost",
        "duplicated",
        "corrupted",
        "held",
        "queue_full",
        "outage",
        "too_big",
    )

    def __new__(
        cls,
        *,
        lost: int = 0,
        duplicated: int = 0,
        corrupted: int = 0,
        held: int = 0,
        queue_full: int = 0,
        outage: int = 0,
        too_big: int = 0,
    ) -> Self: ...
    @property
    def lost(self) -> int:
        """Packets lost."""

    @property
    def duplicated(self) -> int:
        """Packets duplicated."""

    @property
    def corrupted(self) -> int:
        """Packets with a flipped bit."""

    @property
    def held(self) -> int:
        """Packets held back so that others overtake them."""

    @property
    def outage(self) -> int:
        """Packets dropped because they entered during an outage."""

    @property
    def too_big(self) -> int:
        """Packets dropped because they were longer than the MTU."""

    @property
    def queue_full(self) -> int:
        """Packets dropped because the rate limit's queue had no room."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class EchoTruth:
    """Counts of an EchoServer beyond EchoCounters: impairments, replies and drops."""

    __match_args__: Final = (
        "uplink",
        "downlink",
        "replies",
        "pending",
        "delayed",
        "unanswerable",
        "limited",
        "unauthenticated",
        "unknown_key",
        "bad_tag",
        "replayed",
        "delay_line_full",
        "crowded",
        "receive_drops",
    )

    def __new__(
        cls,
        *,
        uplink: LinkCounters | None = None,
        downlink: LinkCounters | None = None,
        replies: int = 0,
        pending: int = 0,
        delayed: int = 0,
        unanswerable: int = 0,
        limited: int = 0,
        unauthenticated: int = 0,
        unknown_key: int = 0,
        bad_tag: int = 0,
        replayed: int = 0,
        delay_line_full: int = 0,
        crowded: int = 0,
        receive_drops: int = 0,
    ) -> Self: ...
    @property
    def uplink(self) -> LinkCounters:
        """Impairments on the way in."""

    @property
    def downlink(self) -> LinkCounters:
        """Impairments on the way back."""

    @property
    def replies(self) -> int:
        """Replies sent, copies included."""

    @property
    def pending(self) -> int:
        """Packets that are neither answered nor dropped yet: their replies are delayed."""

    @property
    def delayed(self) -> int:
        """Replies that are delayed, copies included."""

    @property
    def unanswerable(self) -> int:
        """Packets dropped because an answer could have started a loop."""

    @property
    def limited(self) -> int:
        """Packets dropped because their source exceeded max_rate."""

    @property
    def unauthenticated(self) -> int:
        """Packets dropped because they had no tag; 0 without keys."""

    @property
    def unknown_key(self) -> int:
        """Packets dropped because their tag was of an unknown key; 0 without keys."""

    @property
    def bad_tag(self) -> int:
        """Packets dropped because their tag was wrong; 0 without keys."""

    @property
    def replayed(self) -> int:
        """Packets with a right tag dropped because they came before, or are too old to tell; 0
        without keys.
        """

    @property
    def delay_line_full(self) -> int:
        """Copies dropped because the delay line was full: 64 MiB, divided equally among threads."""

    @property
    def crowded(self) -> int:
        """Packets of clients beyond the first 16,384, which share one stream of random choices;
        consecutive packets of one such client count once.
        """

    @property
    def receive_drops(self) -> int:
        """Datagrams that this host dropped before they were read; 0 if the platform does not
        report them.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class GilbertElliott:
    """Loss in bursts: the Gilbert-Elliott model (Elliott 1963), as in
    `tc netem loss gemodel p r 1-h 1-k`.

    p: the probability, 0 to 1, that the good state turns bad after a packet.
    r: the probability that the bad state turns good after a packet; 1 - p if None.
    bad_loss: the probability of loss in the bad state (netem's 1-h).
    good_loss: the probability of loss in the good state (netem's 1-k).

    The steady loss is (bad_loss p + good_loss r) / (p + r). With the default bad_loss and
    good_loss it is p / (p + r), in bursts of 1 / r packets on average. Each client starts in
    the good state.

    Raises ValueError if an argument is out of range.
    """

    __match_args__: Final = ("p", "r", "bad_loss", "good_loss")

    def __new__(
        cls, p: float, r: float | None = None, *, bad_loss: float = 1.0, good_loss: float = 0.0
    ) -> Self: ...
    @property
    def p(self) -> float:
        """The probability that the good state turns bad after a packet."""

    @property
    def r(self) -> float:
        """The probability that the bad state turns good after a packet."""

    @property
    def bad_loss(self) -> float:
        """The probability of loss in the bad state."""

    @property
    def good_loss(self) -> float:
        """The probability of loss in the good state."""

    @staticmethod
    def timed(
        *,
        good: float,
        bad: float,
        bad_loss: float = 1.0,
        good_loss: float = 0.0,
        bad_delay: float = 0.0,
    ) -> TimedGilbertElliott:
        """Returns the model in time instead of packets: a TimedGilbertElliott of these arguments. It is
        the same link at every packet rate.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class TimedGilbertElliott:
    """Loss in bursts whose length is a time: the Gilbert-Elliott model with states that last for
    exponentially distributed times.

    good: the mean duration of the good state, in seconds above 0 and below 9.2e9.
    bad: that of the bad state.
    bad_loss: the probability of loss in the bad state, 0 to 1.
    good_loss: the probability of loss in the good state, 0 to 1.
    bad_delay: the additional delay in the bad state, in seconds from 0 to 3600.

    The parameters of a GilbertElliott hold for one packet rate; these are the same link at every
    rate. Packets d seconds apart find p = share (1 - x) and r = (1 - share) (1 - x), with
    share = bad / (good + bad) and x = exp(-(1 / good + 1 / bad) d). The time of a packet is that
    at which it comes to the path. Each client starts in the good state.

    Raises ValueError if an argument is out of range.
    """

    __match_args__: Final = ("good", "bad", "bad_loss", "good_loss", "bad_delay")

    def __new__(
        cls,
        *,
        good: float,
        bad: float,
        bad_loss: float = 1.0,
        good_loss: float = 0.0,
        bad_delay: float = 0.0,
    ) -> Self: ...
    @property
    def good(self) -> float:
        """The mean duration of the good state, in seconds."""

    @property
    def bad(self) -> float:
        """The mean duration of the bad state, in seconds."""

    @property
    def bad_loss(self) -> float:
        """The probability of loss in the bad state."""

    @property
    def good_loss(self) -> float:
        """The probability of loss in the good state."""

    @property
    def bad_delay(self) -> float:
        """The additional delay in the bad state, in seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class LossPattern:
    """Loss from a given or recorded pattern, followed by each client's packets from its start.

    lost: 1 to 16,777,216 values, one per packet: True or 1 if it is lost, False or 0 if not.
        The pattern repeats.

    Raises ValueError if there are none or too many.
    """

    __match_args__: Final = ("lost",)

    def __new__(cls, lost: Iterable[int]) -> Self: ...
    @property
    def lost(self) -> tuple[bool, ...]:
        """The pattern, a tuple of bools: True for a lost packet."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Uniform:
    """A uniformly distributed delay from low to high, in seconds.

    Raises ValueError if a number is not in 0 to 3600 or if high is less than low.
    """

    __match_args__: Final = ("low", "high")

    def __new__(cls, low: float, high: float) -> Self: ...
    @property
    def low(self) -> float:
        """The shortest delay, in seconds."""

    @property
    def high(self) -> float:
        """The longest delay, in seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Normal:
    """A normally distributed delay with this mean and standard deviation, in seconds. A draw below
    0 becomes 0, one above 3600 becomes 3600.

    Raises ValueError if a number is not in 0 to 3600.
    """

    __match_args__: Final = ("mean", "deviation")

    def __new__(cls, mean: float, deviation: float) -> Self: ...
    @property
    def mean(self) -> float:
        """The mean, in seconds."""

    @property
    def deviation(self) -> float:
        """The standard deviation, in seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Exponential:
    """An exponentially distributed delay with this mean, in seconds, cut to 3600.

    Raises ValueError if the mean is not in 0 to 3600.
    """

    __match_args__: Final = ("mean",)

    def __new__(cls, mean: float) -> Self: ...
    @property
    def mean(self) -> float:
        """The mean, in seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Pareto:
    """A Pareto-distributed delay (type I): at least scale, in seconds, and longer than x with
    probability (scale / x) ** shape; cut to 3600.

    Raises ValueError if the scale is not in 0 to 3600 or the shape is not above 0.
    """

    __match_args__: Final = ("scale", "shape")

    def __new__(cls, scale: float, shape: float) -> Self: ...
    @property
    def scale(self) -> float:
        """The shortest delay, in seconds."""

    @property
    def shape(self) -> float:
        """The exponent of the tail; a larger one makes it lighter."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Reordering:
    """Deliberate reordering: with probability p a packet is held back for `delay` more seconds, so
    that packets sent in that time overtake it.

    Raises ValueError if an argument is out of range.
    """

    __match_args__: Final = ("p", "delay")

    def __new__(cls, p: float, delay: float) -> Self: ...
    @property
    def p(self) -> float:
        """The probability that a packet is held back."""

    @property
    def delay(self) -> float:
        """The length of the hold, in seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Quantiles:
    """Delays from a table of quantiles, such as those that were measured; neighbours may be
    correlated.

    table: 1 to 4096 delays in rising order, in seconds from 0 to 3600: the quantiles at equally
        spaced probabilities from 0 (the minimum) to 1 (the maximum), interpolated linearly.
    correlation: the rank correlation (Spearman's), 0 to 1, of consecutive packets that are not
        lost; with `spacing`, of packets that are that far apart.
    spacing: seconds above 0, or None. With it the correlation decays exponentially with the time
        between packets, and so is the same link at every packet rate.

    Ranks follow a first-order autoregressive Gaussian process (a copula): unlike netem's
    correlation, it leaves the distribution as it is.

    Raises ValueError if an argument is out of range.
    """

    __match_args__: Final = ("table", "correlation", "spacing")

    def __new__(
        cls, table: Iterable[float], *, correlation: float = 0.0, spacing: float | None = None
    ) -> Self: ...
    @property
    def table(self) -> tuple[float, ...]:
        """The quantiles, a tuple of seconds."""

    @property
    def correlation(self) -> float:
        """The rank correlation of packets."""

    @property
    def spacing(self) -> float | None:
        """The time between packets with this correlation, in seconds; None for consecutive ones."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class TraceRate:
    """A rate that follows a recorded trace, in the format of mahimahi, with a bounded queue: a
    packet that finds no room in the queue is lost.

    opportunities: 1 to 4,194,304 whole numbers in rising order: the milliseconds, since the
        client's first packet, at which the link can deliver. The same number again is one more
        opportunity. Or the path of a file with one number a line.
    quantum: the bytes that an opportunity carries, 1 to 2**32 - 1: parts of packets or several
        packets. A packet counts as its payload and 28 bytes of IPv4 and UDP headers. What finds
        no packet is lost.
    queue: the capacity of the queue in bytes, 0 to 2**32 - 1, as that of a RateLimit.

    After its last opportunity the trace begins again. A trace of 1 is 12 Mbit/s.

    Raises ValueError if an argument is out of range or a line is not a number; OSError if the
    file cannot be read.
    """

    __match_args__: Final = ("opportunities", "quantum", "queue")

    def __new__(
        cls,
        opportunities: Iterable[int] | str | PathLike[str],
        *,
        quantum: int = 1500,
        queue: int = 65536,
    ) -> Self: ...
    @property
    def opportunities(self) -> tuple[int, ...]:
        """The opportunities, a tuple of milliseconds."""

    @property
    def quantum(self) -> int:
        """The bytes that an opportunity carries."""

    @property
    def queue(self) -> int:
        """The capacity of the queue, in bytes."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class RateLimit:
    """A rate limit with a bounded queue: a packet that finds no room in the queue is lost.

    bits_per_second: a whole number, 1 or more. A packet counts as its payload and 28 bytes of
        IPv4 and UDP headers.
    queue: the capacity of the queue in bytes, 0 to 2**32 - 1, for all unsent bytes: the unsent
        part of the packet in transmission counts too. An idle link accepts any packet.

    Raises ValueError if an argument is out of range.
    """

    __match_args__: Final = ("bits_per_second", "queue")

    def __new__(cls, bits_per_second: float, *, queue: int = 65536) -> Self: ...
    @property
    def bits_per_second(self) -> int:
        """The rate, in bits per second, headers included."""

    @property
    def queue(self) -> int:
        """The capacity of the queue, in bytes."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

_Outcome: TypeAlias = Literal[
    "replied",
    "relayed",
    "lost",
    "unanswerable",
    "limited",
    "unauthenticated",
    "unknown_key",
    "bad_tag",
    "replayed",
    "delay_line_full",
    "refused",
    "expired",
    "hops",
]
_Way: TypeAlias = Literal["both", "uplink", "downlink"]
_Action: TypeAlias = Literal["drop", "delay", "duplicate", "corrupt"]
_Loss: TypeAlias = float | Literal["lab"] | GilbertElliott | TimedGilbertElliott | LossPattern
_Delay: TypeAlias = float | Uniform | Normal | Exponential | Pareto | Quantiles
_Rate: TypeAlias = RateLimit | TraceRate

@final
class Rule:
    """A rule about single packets, such as the second one of a kind.

    action: "drop" loses the packet (`lost` in its Fate); "delay" holds it back (`held`);
        "duplicate" lets it arrive twice (`duplicated`), with the same random choices for both; and
        "corrupt" flips a bit (`corrupted`).
    offset: the place of value in the payload, 0 to 65526.
    value: the bytes that the payload has there; None for any payload.
    mask: as many bytes, whose bits say which bits of the payload are compared; None for all.
    min_size: the length of the shortest payload that matches, 0 to 65527; None for 0.
    max_size: that of the longest, at least min_size; None for 65527.
    nth: the matches on which the rule acts: a number from 1, a range, or at most 65536 numbers;
        None for all. They are counted for each client and link from its start.
    delay: the time for "delay", in seconds from 0 to 3600.
    bit: the bit for "corrupt", counted from the lowest bit of the first byte; a payload without it
        does not match. None for the first.

    On an EchoServer's downlink the payload is the answer.

    Raises ValueError if an argument is out of range, or if no packet can match.
    """

    __match_args__: Final = (
        "action",
        "offset",
        "value",
        "mask",
        "min_size",
        "max_size",
        "nth",
        "delay",
        "bit",
    )

    def __new__(
        cls,
        action: _Action,
        *,
        offset: int = 0,
        value: bytes | None = None,
        mask: bytes | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        nth: int | range | Iterable[int] | None = None,
        delay: float | None = None,
        bit: int | None = None,
    ) -> Self: ...
    @property
    def action(self) -> _Action:
        """The effect: "drop", "delay", "duplicate" or "corrupt"."""

    @property
    def offset(self) -> int:
        """The place of value in the payload."""

    @property
    def value(self) -> bytes | None:
        """The bytes of the payload there; None for any."""

    @property
    def mask(self) -> bytes | None:
        """The bits that are compared; None for all."""

    @property
    def min_size(self) -> int | None:
        """The length of the shortest payload; None for any."""

    @property
    def max_size(self) -> int | None:
        """The length of the longest payload; None for any."""

    @property
    def nth(self) -> int | tuple[int, ...] | range | None:
        """The numbers of the matches on which it acts: a number, a tuple or a range; None for all."""

    @property
    def delay(self) -> float | None:
        """The delay, in seconds; None for other actions."""

    @property
    def bit(self) -> int | None:
        """The bit to flip; None for the first."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Link:
    """One link of a path. Its impairments apply in the order of the list; random choices are drawn
    packet by packet, and rate and order are decided when a packet enters the link.

    rules: at most 64 Rules about single packets. Each counts all packets that match it; the first
        one that is due acts. Other packets meet the random choices that they meet without rules.
    loss: a probability from 0 to 1; "lab" (lost if a random integer from 0 to 10 is less than
        4, 36.36 %); a GilbertElliott; a TimedGilbertElliott; or a LossPattern.
    max_burst: the most losses in a row, 0 to 2**32 - 1: the next packet passes. None for no limit.
    duplication: the probability that a packet arrives twice; the impairments below apply to
        each copy independently.
    corruption: the probability that one random bit of the payload is flipped; an empty payload
        stays unchanged.
    mtu: the longest packet that passes, 28 to 2**32 - 1 bytes with 28 of IPv4 and UDP headers; a
        longer one is lost. None for no limit.
    rate: a RateLimit, a TraceRate, or None.
    delay: seconds from 0 to 3600, or a Uniform, Normal, Exponential, Pareto or Quantiles.
    keep_order: whether a packet waits for earlier ones even if its own delay is over.
    reordering: a Reordering, which applies regardless of keep_order, or None.

    Each client has its own state of the link, queue and random choices.

    Raises ValueError if an argument is out of range.
    """

    __match_args__: Final = (
        "rules",
        "loss",
        "max_burst",
        "duplication",
        "corruption",
        "mtu",
        "rate",
        "delay",
        "keep_order",
        "reordering",
    )

    def __new__(
        cls,
        *,
        rules: Iterable[Rule] = (),
        loss: _Loss = 0.0,
        max_burst: int | None = None,
        duplication: float = 0.0,
        corruption: float = 0.0,
        mtu: int | None = None,
        rate: _Rate | None = None,
        delay: _Delay = 0.0,
        keep_order: bool = False,
        reordering: Reordering | None = None,
    ) -> Self: ...
    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules about single packets."""

    @property
    def loss(self) -> _Loss:
        """The model of loss."""

    @property
    def max_burst(self) -> int | None:
        """The most losses in a row; None for no limit."""

    @property
    def mtu(self) -> int | None:
        """The longest packet that passes, in bytes with headers; None for no limit."""

    @property
    def duplication(self) -> float:
        """The probability that a packet arrives twice."""

    @property
    def corruption(self) -> float:
        """The probability that a bit of the payload is flipped."""

    @property
    def rate(self) -> _Rate | None:
        """The rate limit; None for no limit."""

    @property
    def delay(self) -> _Delay:
        """The delay, in seconds, or its distribution."""

    @property
    def keep_order(self) -> bool:
        """Whether a packet waits for earlier ones even if its own delay is over."""

    @property
    def reordering(self) -> Reordering | None:
        """The deliberate reordering; None for none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Step:
    """A step of a timeline of an EchoServer, a Relay or a StampReflector: a change and its moment.

    action: "set" replaces links; "outage" starts an outage; "rebind" replaces ports at the
        upstream (Relay); "loop", the last step, begins the timeline again.
    at: when, in seconds from 0 to 9.2e9 since the start; of a timeline that began again, since
        then.
    at_packet: before the decision about which packet, counted from 1 over all that come: the same
        packets meet the same changes, however fast they come. Without `at` and `at_packet` the
        step is taken at the start or, added later, now.
    client: the (host, port), the host an IP address, whose links "set" and whose port "rebind"
        replaces; None for all.
    uplink, downlink: the Link that "set" sets in each direction; None leaves it as it is.
    duration: the length of the "outage", in seconds from 0 to 9.2e9; None until another replaces
        it. One of 0 only ends the one before.
    mode: the effect of the "outage", as of the method `outage`: "drop", "hold" or "refuse"; None
        for "drop".
    way: the links of the "outage": "uplink", "downlink" or "both"; None for "both".

    Raises ValueError if an argument is out of range, missing or not for the action.
    """

    __match_args__: Final = (
        "action",
        "at",
        "at_packet",
        "client",
        "uplink",
        "downlink",
        "duration",
        "mode",
        "way",
    )

    def __new__(
        cls,
        action: Literal["set", "outage", "rebind", "loop"],
        *,
        at: float | None = None,
        at_packet: int | None = None,
        client: _Address | None = None,
        uplink: Link | None = None,
        downlink: Link | None = None,
        duration: float | None = None,
        mode: Literal["drop", "hold", "refuse"] | None = None,
        way: Literal["uplink", "downlink", "both"] | None = None,
    ) -> Self: ...
    @property
    def action(self) -> Literal["set", "outage", "rebind", "loop"]:
        """The change: "set", "outage", "rebind" or "loop"."""

    @property
    def at(self) -> float | None:
        """When, in seconds since the start."""

    @property
    def at_packet(self) -> int | None:
        """Before which packet, from 1."""

    @property
    def client(self) -> _Address | None:
        """The (host, port) of the client; None for all."""

    @property
    def uplink(self) -> Link | None:
        """The link to the server; None leaves it as it is."""

    @property
    def downlink(self) -> Link | None:
        """The link back; None leaves it as it is."""

    @property
    def duration(self) -> float | None:
        """The length of the outage, in seconds."""

    @property
    def mode(self) -> Literal["drop", "hold", "refuse"] | None:
        """The effect of the outage; None for "drop"."""

    @property
    def way(self) -> Literal["uplink", "downlink", "both"] | None:
        """The links of the outage; None for "both"."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class StepDone:
    """A step that an EchoServer, a Relay or a StampReflector took."""

    __match_args__: Final = ("number", "index", "round", "action", "time", "received", "clients")

    def __new__(
        cls,
        *,
        number: int,
        index: int,
        round: int = 0,
        action: Literal["set", "outage", "rebind", "loop"],
        time: float,
        received: int,
        clients: int | None = None,
    ) -> Self: ...
    @property
    def number(self) -> int:
        """Its number among all steps taken, from 1."""

    @property
    def index(self) -> int:
        """Its place in the timeline, from 0; steps that were added follow in order of addition."""

    @property
    def round(self) -> int:
        """How often the timeline had begun again."""

    @property
    def action(self) -> Literal["set", "outage", "rebind", "loop"]:
        """The change: "set", "outage", "rebind" or "loop"."""

    @property
    def time(self) -> float:
        """The moment from which the change holds, in seconds since the Unix epoch."""

    @property
    def received(self) -> int:
        """The number of packets that came before."""

    @property
    def clients(self) -> int | None:
        """The number of clients present that it changed; None for an outage and a loop."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class LinkOutage:
    """An outage of the links of an EchoServer, a Relay or a StampReflector, from its method `outage`.

    As a context manager it ends when the block is left.
    """

    def end(self) -> None:
        """Ends the outage, if it has not ended."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...

@final
class Revised:
    """A reply to a probe that was decided as lost, refused or unreachable: its verdict is now
    "late" or, after an ICMP error, "answered".
    """

    __match_args__: Final = ("probe",)

    def __new__(cls, *, probe: Probe) -> Self: ...
    @property
    def probe(self) -> Probe:
        """The Probe with its new verdict and its rtt, also if it is late."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Outage:
    """A run of consecutive probes of a flow without an answer in time, of at least `outage_after`
    probes (3 unless given).
    """

    __match_args__: Final = ("start", "end", "lost")

    def __new__(cls, *, start: float, end: float | None = None, lost: int) -> Self: ...
    @property
    def start(self) -> float:
        """The send time of the first of them, in seconds since the Unix epoch."""

    @property
    def end(self) -> float | None:
        """The send time of the next answered probe, in seconds since the Unix epoch; None if the
        outage lasted until the report.
        """

    @property
    def lost(self) -> int:
        """The number of probes without an answer in time."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Pause:
    """A pause of this process: it was stopped, suspended or starved although it had work."""

    __match_args__: Final = ("start", "end")

    def __new__(cls, *, start: float, end: float) -> Self: ...
    @property
    def start(self) -> float:
        """The time at which the first probe or reply was due that had to wait, in seconds since the
        Unix epoch.
        """

    @property
    def end(self) -> float:
        """The time at which the last one that had to wait was handled, in seconds since the Unix
        epoch.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class OutageStarted:
    """The beginning of an outage: `outage_after` consecutive probes had no answer in time."""

    __match_args__: Final = ("start", "lost", "flow")

    def __new__(cls, *, start: float, lost: int, flow: int = 0) -> Self: ...
    @property
    def start(self) -> float:
        """The send time of the first of them, in seconds since the Unix epoch."""

    @property
    def lost(self) -> int:
        """The number of probes without an answer so far."""

    @property
    def flow(self) -> int:
        """The number of their flow in the session, from 0."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class OutageEnded:
    """The end of an outage: a probe was answered in time."""

    __match_args__: Final = ("start", "end", "lost", "flow")

    def __new__(cls, *, start: float, end: float, lost: int, flow: int = 0) -> Self: ...
    @property
    def start(self) -> float:
        """The send time of the first probe without an answer, in seconds since the Unix epoch."""

    @property
    def end(self) -> float:
        """The send time of the answered probe, in seconds since the Unix epoch."""

    @property
    def lost(self) -> int:
        """The number of probes without an answer."""

    @property
    def flow(self) -> int:
        """The number of their flow in the session, from 0."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class PingCounters:
    """Probes by verdict: sent = answered + late + lost + refused + unreachable + send_failed."""

    __match_args__: Final = (
        "sent",
        "answered",
        "late",
        "lost",
        "refused",
        "unreachable",
        "send_failed",
    )

    def __new__(
        cls,
        *,
        sent: int = 0,
        answered: int = 0,
        late: int = 0,
        lost: int = 0,
        refused: int = 0,
        unreachable: int = 0,
        send_failed: int = 0,
    ) -> Self: ...
    @property
    def sent(self) -> int:
        """Probes handed to the system."""

    @property
    def answered(self) -> int:
        """Probes answered within the timeout."""

    @property
    def late(self) -> int:
        """Probes answered after the timeout."""

    @property
    def lost(self) -> int:
        """Probes not answered, for no known reason."""

    @property
    def refused(self) -> int:
        """Probes not answered after an ICMP port unreachable."""

    @property
    def unreachable(self) -> int:
        """Probes not answered after another ICMP error."""

    @property
    def send_failed(self) -> int:
        """Probes that this host could not send."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class PingClient(Generic[_PingEvent]):
    """A UDP ping client that sends numbered probes to an echo server and matches the replies.

    host: the server's address or name. If a name has addresses of both families, the IPv4 address
        is used, unless `family` is 6.
    port: the server's port, 1 to 65535.
    count: the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
    timeout: the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
    interval: the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
    schedule: the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
    duration: the time during which probes are sent, in seconds; None for no limit.
    seed: the seed of a Poisson schedule's gaps; drawn at random if None.
    size: the length of a probe's payload in bytes, 0 to 65507. From 64 on it carries a token; 0
        is the bare message of the lab, to which a server may reply with other words.
    fill: the padding up to that size, after the token: bytes to repeat, or "random" for
        pseudo-random bytes, others in each probe.
    keys: the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for a server with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
    keep: the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
    timestamps: the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
    precise: whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
    source: the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
    interface: the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
    ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255; None for the system's default.
    dscp: the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
    dont_fragment: whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
    flows: the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
    wait_out: whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
    outage_after: the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
    revisions: whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
    linger: the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
    capture: the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    A probe starts with one line of ASCII, "Ping seq time" (seconds since the Unix epoch). From 64
    bytes on a random token follows, known only to this session. A reply is accepted if it is the
    probe as sent or all in upper case; any other datagram with the token is corrupt, one without
    it foreign. With keys a tag follows the token, and a reply must have the tag that a server with
    the key gives it: one without is corrupt, such as the probe itself.

    Below 64 bytes there is no token, and a server may use words of its own:

    1. A reply of a probe's length belongs to it if it is the probe as sent or all in upper case. If
       it differs from that in at most an eighth of its bytes, it is corrupt.
    2. A longer reply that contains the text "Ping seq time" in any case belongs to that probe.
    3. A number after the word "Ping" or "Pong" is that of the probe. Other numbers are believed if
       the first two that the server sends are those of unanswered probes; otherwise they are
       ignored.
    4. A reply without a number is attributed to the only pending probe and counted as guessed. If
       several are pending, it is foreign.

    Iterating yields each Probe when it is decided, with `revisions` also Revised and with
    `outage_after` OutageStarted and OutageEnded of `udpulse.events`. It ends with the session: when the last probe is decided and
    `linger` is over.

    Raises ValueError if an argument is out of range.
    """

    @overload
    def __new__(
        cls,
        host: str,
        port: int = 12000,
        *,
        count: int | None = 10,
        timeout: float = 1.0,
        interval: float | None = None,
        schedule: Literal["periodic", "poisson"] = "periodic",
        duration: float | None = None,
        seed: int | None = None,
        size: int = 64,
        fill: bytes | Literal["random"] = b".",
        keys: Keys | str | PathLike[str] | None = None,
        keep: int | Literal["all"] = 10000,
        timestamps: Literal["user", "receive", "kernel"] = "receive",
        precise: bool = False,
        source: tuple[str, int] | None = None,
        interface: str | None = None,
        ttl: int | None = None,
        dscp: int | None = None,
        dont_fragment: bool = False,
        flows: int = 1,
        family: Literal[4, 6] | None = None,
        resolve_every: float | None = 60.0,
        wait_out: bool = False,
        outage_after: None = None,
        revisions: Literal[False] = False,
        linger: float | None = None,
        capture: str | PathLike[str] | None = None,
        capture_snaplen: int | None = None,
        capture_limit: int = 1073741824,
    ) -> PingClient[Probe]: ...
    @overload
    def __new__(
        cls,
        host: str,
        port: int = 12000,
        *,
        count: int | None = 10,
        timeout: float = 1.0,
        interval: float | None = None,
        schedule: Literal["periodic", "poisson"] = "periodic",
        duration: float | None = None,
        seed: int | None = None,
        size: int = 64,
        fill: bytes | Literal["random"] = b".",
        keys: Keys | str | PathLike[str] | None = None,
        keep: int | Literal["all"] = 10000,
        timestamps: Literal["user", "receive", "kernel"] = "receive",
        precise: bool = False,
        source: tuple[str, int] | None = None,
        interface: str | None = None,
        ttl: int | None = None,
        dscp: int | None = None,
        dont_fragment: bool = False,
        flows: int = 1,
        family: Literal[4, 6] | None = None,
        resolve_every: float | None = 60.0,
        wait_out: bool = False,
        outage_after: int | None = None,
        revisions: bool = False,
        linger: float | None = None,
        capture: str | PathLike[str] | None = None,
        capture_snaplen: int | None = None,
        capture_limit: int = 1073741824,
    ) -> PingClient[Probe | Revised | OutageStarted | OutageEnded]: ...
    @property
    def capture(self) -> str | None:
        """the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
        """

    @property
    def capture_snaplen(self) -> int | None:
        """the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
        """

    @property
    def capture_limit(self) -> int:
        """the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.
        """

    @property
    def capture_dropped(self) -> int:
        """The number of packets that are missing in the file of the capture: it is full, or
        could not be written in time.
        """

    @property
    def capture_error(self) -> OSError | None:
        """The OSError that ended the capture; None if it could be written."""

    @property
    def host(self) -> str:
        """the server's address or name. If a name has addresses of both families, the IPv4 address
        is used, unless `family` is 6.
        """

    @property
    def port(self) -> int:
        """the server's port, 1 to 65535."""

    @property
    def count(self) -> int | None:
        """the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
        """

    @property
    def keys(self) -> Keys | None:
        """the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for a server with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
        """

    @property
    def timeout(self) -> float:
        """the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
        """

    @property
    def interval(self) -> float | None:
        """the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
        """

    @property
    def schedule(self) -> Literal["periodic", "poisson"]:
        """the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
        """

    @property
    def duration(self) -> float | None:
        """the time during which probes are sent, in seconds; None for no limit."""

    @property
    def seed(self) -> int:
        """the seed of a Poisson schedule's gaps; drawn at random if None."""

    @property
    def size(self) -> int:
        """the length of a probe's payload in bytes, 0 to 65507. From 64 on it carries a token; 0
        is the bare message of the lab, to which a server may reply with other words.
        """

    @property
    def fill(self) -> bytes | Literal["random"]:
        """the padding up to that size, after the token: bytes to repeat, or "random" for
        pseudo-random bytes, others in each probe.
        """

    @property
    def keep(self) -> int | Literal["all"]:
        """the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
        """

    @property
    def timestamps(self) -> Literal["user", "receive", "kernel"]:
        """the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
        """

    @property
    def precise(self) -> bool:
        """whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
        """

    @property
    def source(self) -> _Address | None:
        """the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
        """

    @property
    def interface(self) -> str | None:
        """the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
        """

    @property
    def ttl(self) -> int | None:
        """the IPv4 time to live or IPv6 hop limit, 1 to 255; None for the system's default."""

    @property
    def dscp(self) -> int | None:
        """the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
        """

    @property
    def dont_fragment(self) -> bool:
        """whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
        """

    @property
    def flows(self) -> int:
        """the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
        """

    @property
    def family(self) -> Literal[4, 6] | None:
        """the only address family to use, 4 or 6; None for any."""

    @property
    def resolve_every(self) -> float | None:
        """the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
        """

    @property
    def wait_out(self) -> bool:
        """whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
        """

    @property
    def revisions(self) -> bool:
        """whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
        """

    @property
    def outage_after(self) -> int | None:
        """the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
        """

    @property
    def linger(self) -> float | None:
        """the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
        """

    @property
    def server(self) -> _Address:
        """The (address, port) of the server, the current one if its name has changed its
        address.

        Raises NotStartedError before the first start.
        """

    def report(self) -> PingReport:
        """Returns the PingReport since the last start; consistent even while the client runs."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _PingEvent: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[_PingEvent]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[_PingEvent]: ...
    def __class_getitem__(cls, event: Any) -> GenericAlias:
        """Supports the event in brackets after the class in annotations."""

    def _finish(self) -> PingReport:
        """Waits for the last probe and returns the report."""

    def _poll(self, waiter: _Waiter) -> _PingEvent | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class Probe:
    """A probe that was decided."""

    __match_args__: Final = (
        "seq",
        "verdict",
        "rtt",
        "reply",
        "sent_at",
        "kernel_rtt",
        "flow",
        "guessed",
    )

    def __new__(
        cls,
        *,
        seq: int,
        verdict: Literal[
            "answered", "late", "lost", "pending", "refused", "send_failed", "unreachable"
        ],
        rtt: float | None = None,
        reply: bytes | None = None,
        sent_at: float,
        kernel_rtt: float | None = None,
        flow: int = 0,
        guessed: bool = False,
    ) -> Self: ...
    @property
    def seq(self) -> int:
        """Its number in its flow, from 1."""

    @property
    def verdict(
        self,
    ) -> Literal["answered", "late", "lost", "pending", "refused", "send_failed", "unreachable"]:
        """The verdict: "answered" in time, "lost" (no reply in time), "refused" (an ICMP port
        unreachable), "unreachable" (another ICMP error) or "send_failed" (this host could not
        send it). Only a report's columns also use "pending" (not decided yet) and "late" (a
        reply arrived after the timeout).
        """

    @property
    def rtt(self) -> float | None:
        """The round-trip time, in seconds (RFC 2681), by a clock that never steps; None without a
        reply in time.
        """

    @property
    def reply(self) -> bytes | None:
        """The payload of the reply, cut to 1024 bytes; None without a reply in time."""

    @property
    def sent_at(self) -> float:
        """The send time, in seconds since the Unix epoch."""

    @property
    def kernel_rtt(self) -> float | None:
        """The round-trip time by the kernel's timestamps, in seconds: without this host's delay in
        waking the program. None without such a timestamp.
        """

    @property
    def flow(self) -> int:
        """The number of its flow in the session, from 0."""

    @property
    def guessed(self) -> bool:
        """Whether the reply has no number, so that it was attributed to the only pending probe: it
        may be the late reply to an earlier one.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Runs:
    """Lengths of runs of consecutive probes. An unfinished run counts with its current length."""

    __match_args__: Final = ("count", "mean", "max")

    def __new__(cls, *, count: int, mean: float | None = None, max: int | None = None) -> Self: ...
    @property
    def count(self) -> int:
        """The number of runs."""

    @property
    def mean(self) -> float | None:
        """The mean length, in probes; None without runs."""

    @property
    def max(self) -> int | None:
        """The greatest length, in probes; None without runs."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Distribution:
    """A distribution of durations, in seconds. Count, minimum, mean, standard deviation and maximum
    are exact; percentiles are exact up to 1024 values, then within 0.1 % (an HDR histogram with
    three digits).

    durations: at most 16,777,216 numbers of seconds, 0 to 9.2e9.

    Raises ValueError for a number out of range.
    """

    def __new__(cls, durations: Iterable[float] = ()) -> Self: ...
    @property
    def count(self) -> int:
        """The number of values."""

    @property
    def min(self) -> float | None:
        """The smallest value, in seconds; None if empty."""

    @property
    def mean(self) -> float | None:
        """The arithmetic mean, in seconds; None if empty."""

    @property
    def median(self) -> float | None:
        """The 50th percentile, in seconds; None if empty."""

    @property
    def p99(self) -> float | None:
        """The 99th percentile, in seconds; None for fewer than 100 values."""

    @property
    def max(self) -> float | None:
        """The largest value, in seconds; None if empty."""

    @property
    def stddev(self) -> float | None:
        """The sample standard deviation (n - 1), in seconds; None for fewer than two values."""

    def percentile(self, percent: float) -> float | None:
        """Returns the smallest value that at least `percent` of the values do not exceed (nearest
        rank), in seconds.

        None if fewer than one value is expected beyond it: p99.9 needs 1000 values, the median only
        one. 0 is the minimum, 100 the maximum. A number between 0 and 1 is refused, because it is
        almost always meant as a share: the 99th percentile is percentile(99).

        Raises ValueError unless percent is 0 or in 1 to 100.
        """

    def percentile_interval(self, percent: float) -> tuple[float, float] | None:
        """Returns the 95 % confidence interval of a percentile, a (low, high) pair in seconds: if the
        values are independent, the percentile of all possible values is within it in at least 95 of
        100 samples, whatever their distribution. Its ends are two of the values, by binomial ranks
        (David and Nagaraja, Order Statistics, 2003, section 7.1).

        None if there are too few values: the median needs 6, the 90th percentile 36, the 99th 368;
        minimum and maximum have no interval.

        Raises ValueError unless percent is 0 or in 1 to 100.
        """

    def table(self) -> Table:
        """Returns the values as a Table, for polars, pandas and others, or for CSV: the rows and
        columns of `columns()`; `value` is a duration[ns].
        """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns `table()` as an Arrow stream, so that polars and others take the object
        itself.
        """

    def columns(self) -> _Columns:
        """Returns the values as a dict of NumPy arrays of one length, in rising order.

        value_ns: int64, a duration in nanoseconds; beyond 1024 values the upper end of all that
            differ from it by less than 0.1 %.
        count: uint64, the number of its occurrences.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as a dict."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    @staticmethod
    def _load(state: bytes) -> Distribution: ...

@final
class AddressChange:
    """A change of an address during a ping session."""

    __match_args__: Final = ("time", "end", "before", "after")

    def __new__(
        cls,
        *,
        time: float,
        end: Literal["source", "target"],
        before: str | None = None,
        after: str | None = None,
    ) -> Self: ...
    @property
    def time(self) -> float:
        """When it was noticed, in seconds since the Unix epoch."""

    @property
    def end(self) -> Literal["source", "target"]:
        """Whose address changed: "source" (this host) or "target" (the server's name has another
        address).
        """

    @property
    def before(self) -> str | None:
        """The address before; None if this host had none from which the server can be reached."""

    @property
    def after(self) -> str | None:
        """The address after; None if this host has none left from which the server can be reached."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class HeaderField:
    """The values of a header field of the replies."""

    __match_args__: Final = ("min", "max", "changes")

    def __new__(cls, *, min: int, max: int, changes: int = 0) -> Self: ...
    @property
    def min(self) -> int:
        """The smallest value."""

    @property
    def max(self) -> int:
        """The largest value."""

    @property
    def changes(self) -> int:
        """How often the value differed from that of the reply before."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Direction:
    """One direction between a StampSender and its reflector: to it, or back. Of a PingClient all is
    None, because an echo server does not tell directions apart.
    """

    __match_args__: Final = (
        "lost",
        "lost_seqs",
        "unknown",
        "duplicates",
        "reordered",
        "reorder_ratio",
        "reorder_extent",
        "ipdv_abs_mean",
        "pdv_median",
        "pdv_p95",
        "pdv_max",
        "route_changes",
        "delay",
    )

    def __new__(
        cls,
        *,
        lost: int | None = None,
        lost_seqs: Iterable[int] = (),
        unknown: str | None = None,
        duplicates: int | None = None,
        reordered: int | None = None,
        reorder_ratio: float | None = None,
        reorder_extent: int | None = None,
        ipdv_abs_mean: float | None = None,
        pdv_median: float | None = None,
        pdv_p95: float | None = None,
        pdv_max: float | None = None,
        route_changes: int | None = None,
        delay: tuple[float, float] | None = None,
    ) -> Self: ...
    @property
    def lost(self) -> int | None:
        """Packets lost in this direction, of those that the reflector's numbers can attribute; the
        others are in the report's `unattributed`. None if the numbers cannot tell.
        """

    @property
    def lost_seqs(self) -> tuple[int, ...]:
        """The `seq` of each of the last 65,536 probes that were lost in this direction for certain. Not
        among them are probes lost in a row with losses in the other direction, or next to
        copies. Empty for a sum of reports and of flows.
        """

    @property
    def unknown(self) -> str | None:
        """Why `lost` is None; None if it is not."""

    @property
    def duplicates(self) -> int | None:
        """Copies of packets that were made in this direction, as far as they came back."""

    @property
    def reordered(self) -> int | None:
        """Packets that arrived after a later one (RFC 4737 section 3.3), of those answered."""

    @property
    def reorder_ratio(self) -> float | None:
        """Their share, 0 to 1, of all that were answered (RFC 4737 section 4.1)."""

    @property
    def reorder_extent(self) -> int | None:
        """The largest reordering extent, in packets (RFC 4737 section 4.2); None without reordering."""

    @property
    def ipdv_abs_mean(self) -> float | None:
        """The mean absolute inter-packet delay variation (RFC 3393), in seconds, over pairs of
        consecutive packets that were both answered. The clocks' difference in speed is removed if
        it is known.
        """

    @property
    def pdv_median(self) -> float | None:
        """The median of packet delay variation (RFC 5481 section 4.2), in seconds: each delay minus
        the least. The clocks' difference in speed is removed if it is known.
        """

    @property
    def pdv_p95(self) -> float | None:
        """The 95th percentile of the same; None for fewer than 20."""

    @property
    def pdv_max(self) -> float | None:
        """The maximum of the same."""

    @property
    def route_changes(self) -> int | None:
        """How often the least delay changed for good, as after a change of the route: by more than
        50 us and ten times what it varies by. At least 64 packets before and after are compared.
        """

    @property
    def delay(self) -> tuple[float, float] | None:
        """The bounds of the median one-way delay (RFC 7679), a (low, high) pair of seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class ReflectorClock:
    """The clock of a reflector against this host's, which does not step in it."""

    __match_args__: Final = (
        "offset",
        "offset_assuming_symmetry",
        "skew_ppm",
        "steps",
        "step_total",
        "claim",
    )

    def __new__(
        cls,
        *,
        offset: tuple[float, float] | None = None,
        offset_assuming_symmetry: float | None = None,
        skew_ppm: float | None = None,
        steps: int = 0,
        step_total: float = 0.0,
        claim: Literal["synchronized", "refuted"] | None = None,
    ) -> Self: ...
    @property
    def offset(self) -> tuple[float, float] | None:
        """The bounds of its offset at the last reply, a (low, high) pair of seconds: positive if it
        is ahead. None without replies, and for a sum.
        """

    @property
    def offset_assuming_symmetry(self) -> float | None:
        """The middle of the bounds: the offset if both directions take equally long, which nothing
        shows.
        """

    @property
    def skew_ppm(self) -> float | None:
        """By how many parts per million it runs faster; None if the two directions disagree, as
        after a change of the route, or if the variation of delays hides it.
        """

    @property
    def steps(self) -> int:
        """How often it stepped."""

    @property
    def step_total(self) -> float:
        """The sum of the steps, in seconds."""

    @property
    def claim(self) -> Literal["synchronized", "refuted"] | None:
        """ "synchronized" if both ends claim to be synchronized to UTC and the replies agree with
        the claimed errors, "refuted" if they do not; None without the claim.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class ReflectorTraits:
    """The habits of a reflector, as its replies show them."""

    __match_args__: Final = (
        "mode",
        "timestamp_format",
        "ttl",
        "min_reply_size",
        "max_reply_size",
        "quirks",
    )

    def __new__(
        cls,
        *,
        mode: Literal["stateful", "stateless"] | None = None,
        timestamp_format: Literal["ntp", "ptp"] | None = None,
        ttl: HeaderField | None = None,
        min_reply_size: int | None = None,
        max_reply_size: int | None = None,
        quirks: Iterable[_Quirk] = (),
    ) -> Self: ...
    @property
    def mode(self) -> Literal["stateful", "stateless"] | None:
        """ "stateful" if it numbers its replies, "stateless" if it repeats the packets' numbers; None
        if the replies do not show which.
        """

    @property
    def timestamp_format(self) -> Literal["ntp", "ptp"] | None:
        """The format of its timestamps, "ntp" or "ptp", by their values; None without replies."""

    @property
    def ttl(self) -> HeaderField | None:
        """The TTL or hop limit of packets that arrived there, a HeaderField; None if it does not
        report it.
        """

    @property
    def min_reply_size(self) -> int | None:
        """The shortest reply, in bytes; None without replies."""

    @property
    def max_reply_size(self) -> int | None:
        """The longest reply, in bytes; None without replies."""

    @property
    def quirks(self) -> tuple[_Quirk, ...]:
        """Oddities of its replies, a tuple of "t1_t3_swapped" (the places are exchanged, and were
        put right), "z_mismatch" (the format of timestamps is not the announced one),
        "short_reply" and "long_reply" (of another length than the packet), "ssid_zeroed",
        "t2_equals_t3", "impossible_times" (T3 is before T2 or after the reply; such times are not
        used), "invalid_error_estimate" and "tai" (timestamps are 37 s ahead, as the standard of
        PTP has it).
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Table:
    """The rows of a report or server at one time: for polars, pandas, DuckDB, pyarrow and any other
    library that reads Arrow's PyCapsule interface, or as CSV.

    Columns are named as the attributes of Probe, Fate, Reply and Peer. Times are timestamps in UTC,
    durations are durations, both in nanoseconds; undefined values are null.
    """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns the rows as an Arrow stream, in a PyCapsule as Arrow's PyCapsule interface has it:
        `polars.DataFrame(table)`, `pyarrow.table(table)`.

        requested_schema: ignored, as the interface allows.
        """

    def write_csv(self, file: str | PathLike[str] | SupportsWrite[str]) -> None:
        """Writes the rows as CSV (RFC 4180) in UTF-8, with the names of the columns in the first line.

        file: a text file open for writing, or the path of a file to create or replace.

        Times are ISO 8601 in UTC with nine decimals. Durations are whole nanoseconds; the names of
        their columns end in `_ns`. Undefined values are empty. Characters that control a terminal
        are written as in `\\u001b`.

        Raises OSError if the file cannot be written.
        """

    def __len__(self) -> int: ...

@final
class PingReport:
    """The results of a ping session. At every moment
    sent = answered + late + lost + refused + unreachable + send_failed + pending (probes) and
    received = answered + late + duplicates + corrupt + foreign (datagrams).

    Reports add: `a + b` covers both sessions, `sum(reports)` all of them. `print(report)` shows a
    summary. `PingReport()` is empty; `PingReport.from_probes` builds a report from probes. Times
    are in seconds unless a name says otherwise.
    """

    __match_args__: Final = (
        "sent",
        "answered",
        "late",
        "lost",
        "refused",
        "unreachable",
        "send_failed",
        "pending",
    )

    def __new__(cls) -> Self: ...
    @staticmethod
    def from_probes(probes: Iterable[Probe], *, size: int = 64) -> PingReport:
        """Returns the report of the given probes, for tests of programs that use reports. Each reply
        counts once; attributes that probes do not determine are 0, empty or None.

        probes: at most 16,777,216 Probe objects in any order; a number occurs once per flow.
        size: the length of each probe's payload, 0 to 65507 bytes.

        Raises ValueError if a probe contradicts itself, such as one answered without an rtt, or if
        a number occurs twice in a flow; TypeError for an item that is not a Probe.
        """

    @property
    def flows(self) -> tuple[PingReport, ...]:
        """The report of each flow, a tuple in order of flow numbers; empty for a session of one flow
        and for a sum.
        """

    @property
    def sent(self) -> int:
        """Probes handed to the system."""

    @property
    def answered(self) -> int:
        """Probes answered within the timeout."""

    @property
    def guessed(self) -> int:
        """Those of the answered probes whose reply has no number, so that it was attributed to the only
        pending probe: each may be the late reply to an earlier one.
        """

    @property
    def late(self) -> int:
        """Probes answered after the timeout."""

    @property
    def lost(self) -> int:
        """Probes not answered, for no known reason."""

    @property
    def refused(self) -> int:
        """Probes not answered after an ICMP port unreachable: nothing listens there. On other systems
        than Linux, a probe of a sweep is lost instead.
        """

    @property
    def unreachable(self) -> int:
        """Probes not answered after another ICMP error, such as host unreachable, time exceeded or too
        big; `reasons` has the details. Linux only; 0 elsewhere.
        """

    @property
    def send_failed(self) -> int:
        """Probes that this host could not send."""

    @property
    def pending(self) -> int:
        """Probes that still wait for a reply."""

    @property
    def received(self) -> int:
        """Datagrams received."""

    @property
    def duplicates(self) -> int:
        """Replies to a probe that already had one (RFC 5560)."""

    @property
    def corrupt(self) -> int:
        """Damaged replies: they carry the session's token or resemble a probe, and are not the probe as
        sent or all in upper case.
        """

    @property
    def foreign(self) -> int:
        """All other datagrams: without the token, or replies to forgotten probes."""

    @property
    def loss(self) -> float | None:
        """The share, 0 to 1, of decided probes without an answer in time; None before any is decided.
        This is round-trip loss (RFC 6673); a reply after the timeout counts as lost (RFC 2680
        section 2.6).
        """

    @property
    def loss_interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the loss, a (low, high) pair of shares; None before any
        probe is decided.

        It is Wilson's interval (1927, no continuity correction), unless a G test of the transitions
        between neighbouring probes rejects independent losses at the 5 % level. Then losses are
        modelled as a two-state Markov chain (Gilbert 1960) with correlation L: n probes count as
        n (1 - L) / (1 + L) independent ones, and the quantile is Student's, with a degree of freedom
        for each change between answered and not answered.
        """

    @property
    def loss_bursts(self) -> Runs:
        """Runs of consecutive probes without an answer in time (loss periods, RFC 3357)."""

    @property
    def loss_gaps(self) -> Runs:
        """Runs of consecutive probes answered in time."""

    @property
    def outages(self) -> tuple[Outage, ...]:
        """The outages: each run of at least 3 consecutive probes of a flow without an answer in time,
        or as many as `outage_after` says. A tuple of the last 1000 in order of their starts. A probe
        that may still be answered in time is in none.
        """

    @property
    def outage_count(self) -> int:
        """The number of outages; those no longer in `outages` included."""

    @property
    def outage_total(self) -> float:
        """The sum of the durations of all outages, in seconds: of one that lasts, up to its last probe."""

    @property
    def settled(self) -> PingCounters:
        """The probes that no reply can revise any more: their timeout ended 30 s ago, the session has
        ended, or they are not among the last 16384. These counters only grow during a session, as
        exporters need, whereas a late reply makes `lost` fall. A reply to a settled probe without an
        answer is foreign.
        """

    @property
    def rtt(self) -> Distribution:
        """Round-trip times (RFC 2681) of the probes answered in time, as this program saw them, in
        seconds. If this program was paused (see `paused`) when a reply came, that reply's time is the
        kernel's; so it is in the delay variation, the columns and the Probe.
        """

    @property
    def kernel_rtt(self) -> Distribution:
        """Round-trip times up to the kernel's receive timestamps, with timestamps="kernel" from its
        transmit timestamps: without this host's delay in waking the program. Empty if the platform
        provides no such timestamps.
        """

    @property
    def overhead(self) -> Distribution:
        """The delay added by this host's scheduling: the round-trip time as this program saw it, pauses
        included, minus `kernel_rtt`.
        """

    @property
    def timestamps(self) -> Literal["kernel", "user"]:
        """The source of timestamps: "kernel" if any reply has the kernel's, otherwise "user"."""

    @property
    def schedule_error(self) -> Distribution:
        """The actual minus the intended send time of each probe. Empty for stop-and-wait."""

    @property
    def missed(self) -> int:
        """Slots of the schedule without a probe, because this program woke too late."""

    @property
    def ipdv_abs_mean(self) -> float | None:
        """The mean absolute inter-packet delay variation (RFC 3393), in seconds, over pairs of
        consecutive probes that were both answered in time; None without such a pair.
        """

    @property
    def rfc3550_jitter(self) -> float | None:
        """The interarrival jitter of RFC 3550 section 6.4.1 over round trips, in seconds: absolute
        differences in order of arrival, smoothed with gain 1/16 from 0; None for fewer than two.
        """

    @property
    def pdv_p95(self) -> float | None:
        """The 95th percentile of packet delay variation (RFC 5481 section 4.2), in seconds: each
        round-trip time minus the smallest. None for fewer than 20.
        """

    @property
    def reordered(self) -> int:
        """Replies that arrived after one to a later probe (RFC 4737 section 3.3)."""

    @property
    def reorder_ratio(self) -> float | None:
        """The share, 0 to 1, of reordered replies among all probes that had a reply (RFC 4737 section
        4.1); None without any reply.
        """

    @property
    def reorder_extent(self) -> int | None:
        """The largest reordering extent, in packets (RFC 4737 section 4.2); None without reordering."""

    @property
    def wall_steps(self) -> int:
        """The number of wall-clock steps of 10 ms or more. They change no round-trip time."""

    @property
    def wall_step_total(self) -> float:
        """The sum of the wall-clock steps, in seconds; negative if the clock went back."""

    @property
    def paused(self) -> int:
        """Pauses of this process of more than 250 ms: it was stopped, suspended or starved although a
        probe was due or a reply had come. Replies that came in time meanwhile count as answered if
        the kernel stamped them (Linux). Of a sweep, only replies show a pause.
        """

    @property
    def paused_total(self) -> float:
        """The sum of the pauses, in seconds, each from the first probe or reply that had to wait."""

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """The pauses of this process: a tuple of the last 1000 in order of their starts."""

    @property
    def receive_drops(self) -> int:
        """Datagrams that this host dropped because the socket's receive queue was full; 0 if the
        platform does not report them.
        """

    @property
    def started_at(self) -> float | None:
        """The start of the session, in seconds since the Unix epoch; the earliest for a sum. None
        before the first probe.
        """

    @property
    def target(self) -> _Address | None:
        """The target's (host, port) as given; None for the sum of sessions with different targets."""

    @property
    def address(self) -> _Address | None:
        """The (address, port) that was used, the last one if the target's name has changed its
        address; None for the sum of sessions with different addresses, and if the name has none.
        """

    @property
    def unresolved(self) -> str | None:
        """The resolver's reason if the last lookup of the target's name failed; None otherwise."""

    @property
    def reasons(self) -> dict[tuple[int, int, str | None], int]:
        """The number of ICMP errors for each (type, code, address of the router that sent it); types
        and codes are those of ICMPv6 (RFC 4443) if the address is IPv6, otherwise of ICMP
        (RFC 792). Beyond 64 entries the address is None. On other systems than Linux, only those
        that count as `refused`.
        """

    @property
    def send_errors(self) -> dict[str, int]:
        """The number of failed sends for each reason in the system's words, such as "Network is
        unreachable".
        """

    @property
    def foreign_sources(self) -> dict[_Address, int]:
        """The number of foreign datagrams from each (address, port), for the first 16 of them. On
        other systems than Linux, a session sees only those of its server.
        """

    @property
    def path_mtu(self) -> int | None:
        """The smallest path MTU that this host or a router reported for an unfragmented probe, in
        bytes: a payload has 28 bytes less over IPv4 and 48 over IPv6. None without a report (see
        `dont_fragment`). Linux only.
        """

    @property
    def reply_ttl(self) -> HeaderField | None:
        """The TTL (hop limit) of the replies, a HeaderField; None if the platform does not report it.
        A change hints at a change of path. Linux only.
        """

    @property
    def reply_tos(self) -> HeaderField | None:
        """The ToS octet (traffic class) of the replies, a HeaderField: the DSCP (RFC 2474) times 4
        plus the ECN bits (RFC 3168). None if the platform does not report it. Linux only.
        """

    @property
    def changes(self) -> tuple[AddressChange, ...]:
        """The last 100 changes of address, a tuple of AddressChange: of the target's name, and of this
        host (Linux only) as replies and failed sends show them.
        """

    @property
    def change_count(self) -> int:
        """The number of all changes of address."""

    @property
    def forward(self) -> Direction:
        """The Direction to a StampSender's reflector."""

    @property
    def reverse(self) -> Direction:
        """The Direction back from a StampSender's reflector."""

    @property
    def unattributed(self) -> int | None:
        """The number of lost packets of a StampSender that are in neither direction's `lost`: those
        before the first and after the last reply, around a restart of the reflector, and all if it is
        stateless. None for an echo server. With a stateful reflector the losses of both directions
        and these are all packets that left this host and had no reply.
        """

    @property
    def residence(self) -> Distribution:
        """The time that a StampSender's packets spent in the reflector, T3 - T2, in seconds; empty for
        an echo server. Round-trip times include it.
        """

    @property
    def reflector(self) -> ReflectorTraits:
        """The habits of a StampSender's reflector, as its replies show them."""

    @property
    def clock(self) -> ReflectorClock:
        """The clock of a StampSender's reflector."""

    @property
    def rows_dropped(self) -> int:
        """The number of probes without a row in `columns()` (see `keep`)."""

    def table(self) -> Table:
        """Returns the kept probes as a Table, for polars, pandas and others, or for CSV: the rows and
        columns of `columns()`. `sent_at` is a timestamp[ns, UTC], `rtt` and `kernel_rtt` are
        duration[ns], null without a reply or a timestamp, and `verdict` is a dictionary of strings.
        """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns `table()` as an Arrow stream, so that polars and others take the object
        itself.
        """

    def columns(self) -> _Columns:
        """Returns the kept probes as a dict of read-only NumPy arrays of shape (n,): one row per
        probe, in send order (36 bytes per probe; see `keep`). The first call gathers them and
        passes their memory to NumPy without a copy; later calls return the same arrays.

        seq: uint64, from 1 in each flow.
        flow: uint8, from 0.
        sent_at_ns: int64, nanoseconds since `started_at` on a clock that does not step.
        rtt_ns, kernel_rtt_ns: float64, nanoseconds; NaN without a reply or a timestamp.
        verdict: uint8, an index into `VERDICTS`.
        size: uint16, the length of the probe's payload in bytes.

        A late reply has a round-trip time here, but not in `rtt`. To select the replies in time:
        `columns["rtt_ns"][columns["verdict"] == udpulse.VERDICTS.index("answered")]`.
        """

    def plot(self) -> Any:
        """Returns a picture, a matplotlib Figure: round-trip times, losses, outages and pauses over time,
        the distributions of round-trip times, delay variation and schedule error, and a row per flow.
        `udpulse.plots.save` writes it.

        Raises ImportError without matplotlib, which the extra `plot` installs.
        """

    def _repr_html_(self) -> str: ...
    @property
    def hint(self) -> str | None:
        """Advice if the replies or errors have a known cause, such as a server that answers from
        another address or never returns the token; None otherwise.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as a dict; reports and distributions become dicts, too."""

    def __add__(self, other: PingReport, /) -> PingReport: ...
    def __radd__(self, other: int, /) -> PingReport: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def _state(self, rows: bool) -> bytes:
        """Returns what `_load` reads, without the kept probes unless `rows`."""

    @staticmethod
    def _restored(state: bytes, rows: list[list[tuple[Any, ...]]]) -> PingReport:
        """Returns a report from its `_state` and the kept probes of each flow, in send order: each with
        its number, send time in nanoseconds since the start, round-trip times, verdict and size.
        """

    @staticmethod
    def _load(state: bytes) -> PingReport: ...

async def async_ping(
    host: str,
    port: int = 12000,
    *,
    count: int | None = 10,
    timeout: float = 1.0,
    interval: float | None = None,
    schedule: Literal["periodic", "poisson"] = "periodic",
    duration: float | None = None,
    seed: int | None = None,
    size: int = 64,
    fill: bytes | Literal["random"] = b".",
    keys: Keys | str | PathLike[str] | None = None,
    keep: int | Literal["all"] = 10000,
    timestamps: Literal["user", "receive", "kernel"] = "receive",
    precise: bool = False,
    source: tuple[str, int] | None = None,
    interface: str | None = None,
    ttl: int | None = None,
    dscp: int | None = None,
    dont_fragment: bool = False,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
    resolve_every: float | None = 60.0,
    wait_out: bool = False,
    outage_after: int | None = None,
    revisions: bool = False,
    linger: float | None = None,
    capture: str | PathLike[str] | None = None,
    capture_snaplen: int | None = None,
    capture_limit: int = 1073741824,
) -> PingReport:
    """Pings a UDP echo server through the running event loop and returns the PingReport, like
    `ping`.

    host: the server's address or name. If a name has addresses of both families, the IPv4 address
        is used, unless `family` is 6.
    port: the server's port, 1 to 65535.
    count: the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
    timeout: the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
    interval: the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
    schedule: the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
    duration: the time during which probes are sent, in seconds; None for no limit.
    seed: the seed of a Poisson schedule's gaps; drawn at random if None.
    size: the length of a probe's payload in bytes, 0 to 65507. From 64 on it carries a token; 0
        is the bare message of the lab, to which a server may reply with other words.
    fill: the padding up to that size, after the token: bytes to repeat, or "random" for
        pseudo-random bytes, others in each probe.
    keys: the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for a server with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
    keep: the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
    timestamps: the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
    precise: whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
    source: the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
    interface: the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
    ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255; None for the system's default.
    dscp: the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
    dont_fragment: whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
    flows: the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
    wait_out: whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
    outage_after: the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
    revisions: whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
    linger: the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
    capture: the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    No Python thread waits, except while a name is resolved. Cancelling stops the probes. Raises
    the same errors as `ping`.
    """

async def async_ping_many(
    targets: Iterable[tuple[str, int]],
    *,
    count: int = 3,
    rate: float = 1000.0,
    interval: float | None = None,
    timeout: float = 1.0,
    size: int = 64,
    keys: Keys | str | PathLike[str] | None = None,
    keep: int | Literal["all"] = 10000,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
    resolve_every: float | None = 60.0,
) -> list[PingReport]:
    """Pings many UDP echo servers through the running event loop. Returns a list of one PingReport
    per target, like `ping_many`.

    targets: up to 1,048,576 (host, port) pairs, IPv4 and IPv6 in any order.
    count: the number of probes to each target in a round, 1 or more. The targets take turns.
    rate: the number of probes per second, to all targets together, above 0 (default: 1000, or the
        number of targets divided by `interval`). Probes delayed by more than 10 ms by a pause
        of this host are sent later, not in a burst.
    interval: the time between two probes to the same target, in seconds, instead of `rate`.
    timeout: the time to wait for each reply, in seconds.
    size: the length of a probe's payload in bytes, 64 to 65507.
    keys: the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for servers with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
    keep: the number of last probes that a report keeps as columns, or "all"; 36 bytes each. A
        call keeps all by default. Flows share the number.
    flows: the number of source ports, 1 to 64 and at most `count`: routers choose among equal-cost
        paths by port. The probes to a target take turns over them, and each flow numbers its
        own probes from 1. Flows times targets are at most 1,048,576.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the name of a target is looked up again, in seconds; None for only
        while it does not answer: then after 1 s, 2 s and so on up to 60 s in any case. Lookups
        happen when a probe is due.

    No Python thread waits, except while names are resolved. Cancelling stops the probes. Raises
    the same errors as `ping_many`.
    """

def ping(
    host: str,
    port: int = 12000,
    *,
    count: int | None = 10,
    timeout: float = 1.0,
    interval: float | None = None,
    schedule: Literal["periodic", "poisson"] = "periodic",
    duration: float | None = None,
    seed: int | None = None,
    size: int = 64,
    fill: bytes | Literal["random"] = b".",
    keys: Keys | str | PathLike[str] | None = None,
    keep: int | Literal["all"] = 10000,
    timestamps: Literal["user", "receive", "kernel"] = "receive",
    precise: bool = False,
    source: tuple[str, int] | None = None,
    interface: str | None = None,
    ttl: int | None = None,
    dscp: int | None = None,
    dont_fragment: bool = False,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
    resolve_every: float | None = 60.0,
    wait_out: bool = False,
    outage_after: int | None = None,
    revisions: bool = False,
    linger: float | None = None,
    capture: str | PathLike[str] | None = None,
    capture_snaplen: int | None = None,
    capture_limit: int = 1073741824,
) -> PingReport:
    """Pings a UDP echo server and returns the PingReport.

    Blocks until the last probe is decided and `linger` is over. Ctrl-C ends the call: the `report` attribute of the
    KeyboardInterrupt has the results so far.

    host: the server's address or name. If a name has addresses of both families, the IPv4 address
        is used, unless `family` is 6.
    port: the server's port, 1 to 65535.
    count: the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
    timeout: the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
    interval: the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
    schedule: the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
    duration: the time during which probes are sent, in seconds; None for no limit.
    seed: the seed of a Poisson schedule's gaps; drawn at random if None.
    size: the length of a probe's payload in bytes, 0 to 65507. From 64 on it carries a token; 0
        is the bare message of the lab, to which a server may reply with other words.
    fill: the padding up to that size, after the token: bytes to repeat, or "random" for
        pseudo-random bytes, others in each probe.
    keys: the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for a server with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
    keep: the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
    timestamps: the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
    precise: whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
    source: the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
    interface: the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
    ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255; None for the system's default.
    dscp: the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
    dont_fragment: whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
    flows: the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
    wait_out: whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
    outage_after: the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
    revisions: whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
    linger: the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
    capture: the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    Raises ValueError if an argument is out of range or if neither count nor duration limits the
    session, OSError if the system refuses the address and socket.gaierror if the host has none.
    """

def ping_many(
    targets: Iterable[tuple[str, int]],
    *,
    count: int = 3,
    rate: float = 1000.0,
    interval: float | None = None,
    timeout: float = 1.0,
    size: int = 64,
    keys: Keys | str | PathLike[str] | None = None,
    keep: int | Literal["all"] = 10000,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
    resolve_every: float | None = 60.0,
) -> list[PingReport]:
    """Pings many UDP echo servers, like PingSweep, and returns a list of one PingReport per target,
    in their order.

    targets: up to 1,048,576 (host, port) pairs, IPv4 and IPv6 in any order.
    count: the number of probes to each target in a round, 1 or more. The targets take turns.
    rate: the number of probes per second, to all targets together, above 0 (default: 1000, or the
        number of targets divided by `interval`). Probes delayed by more than 10 ms by a pause
        of this host are sent later, not in a burst.
    interval: the time between two probes to the same target, in seconds, instead of `rate`.
    timeout: the time to wait for each reply, in seconds.
    size: the length of a probe's payload in bytes, 64 to 65507.
    keys: the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for servers with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
    keep: the number of last probes that a report keeps as columns, or "all"; 36 bytes each. A
        call keeps all by default. Flows share the number.
    flows: the number of source ports, 1 to 64 and at most `count`: routers choose among equal-cost
        paths by port. The probes to a target take turns over them, and each flow numbers its
        own probes from 1. Flows times targets are at most 1,048,576.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the name of a target is looked up again, in seconds; None for only
        while it does not answer: then after 1 s, 2 s and so on up to 60 s in any case. Lookups
        happen when a probe is due.

    Blocks until the last probe is decided. Ctrl-C ends the call: the `reports` attribute of the
    KeyboardInterrupt has the results so far.

    Raises TypeError if a target is not a pair, ValueError if an argument is out of range or if
    both rate and interval are given, and OSError if the system refuses the socket. A host
    without an address raises nothing: its probes are "send_failed", and `unresolved` says why.
    """

@final
class PingSweep:
    """Pings many UDP echo servers at one common rate, in rounds, from one socket and one thread.

    targets: up to 1,048,576 (host, port) pairs, IPv4 and IPv6 in any order.
    count: the number of probes to each target in a round, 1 or more. The targets take turns.
    rounds: the number of rounds, 1 or more; None for no limit. The rate is the same within a round
        and between two.
    rate: the number of probes per second, to all targets together, above 0 (default: 1000, or the
        number of targets divided by `interval`). Probes delayed by more than 10 ms by a pause
        of this host are sent later, not in a burst.
    interval: the time between two probes to the same target, in seconds, instead of `rate`.
    timeout: the time to wait for each reply, in seconds.
    size: the length of a probe's payload in bytes, 64 to 65507.
    keys: the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for servers with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
    keep: the number of last probes that a report keeps as columns, or "all"; 36 bytes each. A
        call keeps all by default. Flows share the number.
    flows: the number of source ports, 1 to 64 and at most `count`: routers choose among equal-cost
        paths by port. The probes to a target take turns over them, and each flow numbers its
        own probes from 1. Flows times targets are at most 1,048,576.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the name of a target is looked up again, in seconds; None for only
        while it does not answer: then after 1 s, 2 s and so on up to 60 s in any case. Lookups
        happen when a probe is due.

    Iterating yields a PingReport as each target finishes its round: when all `count` probes are
    decided. It ends with the last. A round covers only its own probes, numbered from 1: a reply
    that comes when the target's next round has started and its own round is decided is foreign in
    the later one. A round may start before the last one of the same target is decided.

    A reply must have the token of its target's round and come from the target's address: with the
    token from another address, or without it from this address, it is foreign. Above 2000 probes
    per second, probes and replies are handled in batches, one per half millisecond: `rtt` includes
    that wait, `kernel_rtt` (Linux) does not.

    A target whose name has no address is looked up again; its probes are "send_failed" until it has
    one, and `unresolved` says why.

    Raises ValueError if an argument is out of range, or if both rate and interval are given.
    """

    def __new__(
        cls,
        targets: Iterable[tuple[str, int]],
        *,
        count: int = 3,
        rounds: int | None = 1,
        rate: float = 1000.0,
        interval: float | None = None,
        timeout: float = 1.0,
        size: int = 64,
        keys: Keys | str | PathLike[str] | None = None,
        keep: int | Literal["all"] = 10000,
        flows: int = 1,
        family: Literal[4, 6] | None = None,
        resolve_every: float | None = 60.0,
    ) -> Self: ...
    @property
    def targets(self) -> tuple[_Address, ...]:
        """up to 1,048,576 (host, port) pairs, IPv4 and IPv6 in any order."""

    @property
    def count(self) -> int:
        """the number of probes to each target in a round, 1 or more. The targets take turns."""

    @property
    def rounds(self) -> int | None:
        """the number of rounds, 1 or more; None for no limit. The rate is the same within a round
        and between two.
        """

    @property
    def rate(self) -> float:
        """the number of probes per second, to all targets together, above 0 (default: 1000, or the
        number of targets divided by `interval`). Probes delayed by more than 10 ms by a pause
        of this host are sent later, not in a burst.
        """

    @property
    def interval(self) -> float | None:
        """the time between two probes to the same target, in seconds, instead of `rate`."""

    @property
    def keys(self) -> Keys | None:
        """the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        for servers with the same key; None for no authentication. A probe has room for the tag:
        `size` or, if that is more, 102 bytes and the length of the key's id.
        """

    @property
    def timeout(self) -> float:
        """the time to wait for each reply, in seconds."""

    @property
    def size(self) -> int:
        """the length of a probe's payload in bytes, 64 to 65507."""

    @property
    def keep(self) -> int | Literal["all"]:
        """the number of last probes that a report keeps as columns, or "all"; 36 bytes each. A
        call keeps all by default. Flows share the number.
        """

    @property
    def flows(self) -> int:
        """the number of source ports, 1 to 64 and at most `count`: routers choose among equal-cost
        paths by port. The probes to a target take turns over them, and each flow numbers its
        own probes from 1. Flows times targets are at most 1,048,576.
        """

    @property
    def family(self) -> Literal[4, 6] | None:
        """the only address family to use, 4 or 6; None for any."""

    @property
    def resolve_every(self) -> float | None:
        """the time after which the name of a target is looked up again, in seconds; None for only
        while it does not answer: then after 1 s, 2 s and so on up to 60 s in any case. Lookups
        happen when a probe is due.
        """

    def reports(self) -> list[PingReport]:
        """Returns one PingReport per target, in their order, of its last round, which may be in
        progress. Each is consistent even while the sweep runs; that of a target that was not pinged
        yet is empty.
        """

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> PingReport: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[PingReport]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[PingReport]: ...
    def _finish(self) -> list[PingReport]:
        """Waits for the last probe and returns the reports."""

    def _poll(self, waiter: _Waiter) -> PingReport | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class HeartbeatClient:
    """A sender of heartbeats, which show a heartbeat server that this process is alive.

    host: the server's address or name. If a name has addresses of both families, the IPv4 address
        is used.
    port: the server's port, 1 to 65535.
    also: at most 255 more servers, each a (host, port); every beat goes to all of them.
    interval: the time between beats, in seconds, at least 0.001.
    spread: the largest random shift of a beat, earlier or later, as a fraction of the interval, 0
        to 0.5.
    name: the name that identifies this client to the server even if its address changes: 1 to 255
        bytes without blanks, control characters and ";". None for no name.
    stall_after: the time without `progress`, in seconds, after which beats report "stalled", counted
        from the start; None for never.
    multiplier: the number of intervals without a beat after which the server marks this client down,
        instead of by its own detector, 1 to 1e6; the server has bounds. None for one interval if
        there is a grace.
    grace: the time in addition, in seconds, until the server marks this client down; None for none.
        A daily job that may be an hour late has an interval of 86400 s and a grace of 3600 s.
    resolve_every: the time after which a name is looked up again, in seconds; None for never. It is also
        looked up while it has no address, while its server cannot be reached, and while a server
        that replied no longer does.
    keys: the keys that sign beats: Keys or the path of a file of them. The client uses the first one,
        that of its name, and believes only answers that are signed with it. None for no
        signatures.
    broadcast: whether beats may go to broadcast addresses.
    unheard_after: the number of consecutive beats without a reply after which Unheard is yielded, if the
        server has replied before (`reply=True` on a HeartbeatServer), 1 or more; None for never.
    count: the number of beats to send, 1 or more, including the immediate ones of `busy`; None for
        no limit.
    goodbye: False falls silent at an orderly end: a job that beats once each time that it runs is
        missed if it does not run again.
    fail_at: the number, from 1, of the beat at which a crash is simulated; None for no crash.
    fail_chance: the probability, 0 to 1, of a simulated crash at each beat.
    loss: the probability, 0 to 1, that a beat is skipped on purpose.
    seed: the seed of these random choices (xoshiro256++); drawn at random if None.
    format: the text of a beat, with {seq} for its number and {time} (seconds since the Unix epoch),
        {ms} (milliseconds), {ctime} (as C's ctime) or {datetime} (as Python's
        str(datetime.now())) for its time. With None a beat declares its interval, the name, a
        boot id that changes with each start, and the progress and silence reported by
        `progress` and `busy`: "Heartbeat;i=1000;b=18f3a2c0d1e;id=api 17 1760000000.123456". A
        format cannot be combined with `name`, `stall_after`, `multiplier`, `grace` or `keys`.

    An orderly end sends three goodbyes, 20 ms apart: leaving the `with` block, `stop`, the beat
    number `count`, the end of the interpreter. If the block is left by an exception, or the
    interpreter ends with an uncaught one, the client sends its type, but not its text, and the
    server reports a failure. KeyboardInterrupt, GeneratorExit, asyncio.CancelledError and
    SystemExit with code 0 or None are orderly, as is any SystemExit outside the block. A simulated
    crash, a client with a format, a killed process and `os._exit` fall silent. So does an object
    that is dropped while it beats, with a ResourceWarning. In a process forked from this one the
    object is stopped and sends no beats.

    `async with` watches the running event loop: while the loop runs, it marks the progress of a task
    of its own, once per interval, or twice per `stall_after` if that is sooner. If the loop is
    blocked, or has ended before the block is left, the beats go on and report for how long.

    Beats follow an absolute schedule; after a stall one beat is sent, not a burst. Iterating yields
    each Beat once it has left or failed, and Unheard, and ends with the last beat.

    A client starts without a network and without the address of a name; it beats once there is one.
    The first beat waits for the first lookup of every name, but at most a second if the address of
    one server is known.

    Raises ValueError if an argument is out of range.
    """

    def __new__(
        cls,
        host: str,
        port: int = 12000,
        *,
        also: Iterable[_Address] = (),
        interval: float = 1.0,
        spread: float = 0.0,
        name: str | None = None,
        stall_after: float | None = None,
        multiplier: float | None = None,
        grace: float | None = None,
        resolve_every: float | None = 60.0,
        keys: Keys | str | PathLike[str] | None = None,
        broadcast: bool = False,
        unheard_after: int | None = 5,
        count: int | None = None,
        goodbye: bool = True,
        fail_at: int | None = None,
        fail_chance: float = 0.0,
        loss: float = 0.0,
        seed: int | None = None,
        format: str | None = None,
    ) -> Self: ...
    @property
    def host(self) -> str:
        """the server's address or name. If a name has addresses of both families, the IPv4 address
        is used.
        """

    @property
    def port(self) -> int:
        """the server's port, 1 to 65535."""

    @property
    def also(self) -> tuple[_Address, ...]:
        """at most 255 more servers, each a (host, port); every beat goes to all of them."""

    @property
    def interval(self) -> float:
        """the time between beats, in seconds, at least 0.001."""

    @property
    def spread(self) -> float:
        """the largest random shift of a beat, earlier or later, as a fraction of the interval, 0
        to 0.5.
        """

    @property
    def name(self) -> str | None:
        """the name that identifies this client to the server even if its address changes: 1 to 255
        bytes without blanks, control characters and ";". None for no name.
        """

    @property
    def multiplier(self) -> float | None:
        """the number of intervals without a beat after which the server marks this client down,
        instead of by its own detector, 1 to 1e6; the server has bounds. None for one interval if
        there is a grace.
        """

    @property
    def grace(self) -> float | None:
        """the time in addition, in seconds, until the server marks this client down; None for none.
        A daily job that may be an hour late has an interval of 86400 s and a grace of 3600 s.
        """

    @property
    def stall_after(self) -> float | None:
        """the time without `progress`, in seconds, after which beats report "stalled", counted
        from the start; None for never.
        """

    @property
    def resolve_every(self) -> float | None:
        """the time after which a name is looked up again, in seconds; None for never. It is also
        looked up while it has no address, while its server cannot be reached, and while a server
        that replied no longer does.
        """

    @property
    def keys(self) -> Keys | None:
        """the keys that sign beats: Keys or the path of a file of them. The client uses the first one,
        that of its name, and believes only answers that are signed with it. None for no
        signatures.
        """

    @property
    def broadcast(self) -> bool:
        """whether beats may go to broadcast addresses."""

    @property
    def unheard_after(self) -> int | None:
        """the number of consecutive beats without a reply after which Unheard is yielded, if the
        server has replied before (`reply=True` on a HeartbeatServer), 1 or more; None for never.
        """

    @property
    def count(self) -> int | None:
        """the number of beats to send, 1 or more, including the immediate ones of `busy`; None for
        no limit.
        """

    @property
    def goodbye(self) -> bool:
        """False falls silent at an orderly end: a job that beats once each time that it runs is
        missed if it does not run again.
        """

    @property
    def fail_at(self) -> int | None:
        """the number, from 1, of the beat at which a crash is simulated; None for no crash."""

    @property
    def fail_chance(self) -> float:
        """the probability, 0 to 1, of a simulated crash at each beat."""

    @property
    def loss(self) -> float:
        """the probability, 0 to 1, that a beat is skipped on purpose."""

    @property
    def seed(self) -> int:
        """the seed of these random choices (xoshiro256++); drawn at random if None."""

    @property
    def format(self) -> str | None:
        """the text of a beat, with {seq} for its number and {time} (seconds since the Unix epoch),
        {ms} (milliseconds), {ctime} (as C's ctime) or {datetime} (as Python's
        str(datetime.now())) for its time. With None a beat declares its interval, the name, a
        boot id that changes with each start, and the progress and silence reported by
        `progress` and `busy`: "Heartbeat;i=1000;b=18f3a2c0d1e;id=api 17 1760000000.123456". A
        format cannot be combined with `name`, `stall_after`, `multiplier`, `grace` or `keys`.
        """

    def progress(self, task: str | None = None) -> Progress:
        """Marks progress of the application: beats carry the time since the last mark. Any thread may
        call it.

        task: the name of a task that makes progress by itself, 1 to 64 bytes without blanks,
            control characters and ";"; at most 64 names. The task whose last mark is oldest decides.

        Returns a Progress, a context manager that marks progress at its end and a decorator that
        marks it after each call: `with beat.progress("poll"): ...`, `@beat.progress()`. Both mark
        only success, and count a failure. If the calling interpreter is stuck, the beats go on and
        report for how long.

        Raises ValueError if `task` is not such a name.
        Raises RuntimeError if the client has a format, since its beats carry no progress, and in a
        process forked from the one that beats.
        """

    def busy(self, *, until: float) -> None:
        """Announces a silence in an extra beat, sent immediately.

        until: the end of the silence, in seconds since the Unix epoch; `progress` ends it earlier.

        The server waits until then, plus its timeout, before it marks the client down.

        Raises ValueError if `until` is not in the future, and RuntimeError if the client has a
        format, since its beats announce nothing, and in a process forked from the one that beats.
        """

    @property
    def server(self) -> _Address | None:
        """The (host, port) of the server; with several, of the first. None while its name has no
        address.

        Raises NotStartedError before the first start.
        """

    @property
    def unresolved(self) -> dict[_Address, str]:
        """The servers that the last lookup did not resolve: a dict from each (host, port) to the
        resolver's reason. They are looked up again until they have an address.
        """

    @property
    def heard_at(self) -> float | None:
        """The time of the last reply from any server, in seconds since the Unix epoch; None if there
        was none. A HeartbeatServer replies if told to (`reply=True`).
        """

    def _resolve(self) -> None:
        """Resolves the names of all servers now; raises `socket.gaierror` if one has no address."""

    @property
    def counters(self) -> HeartbeatClientCounters:
        """Beat counts since the last start."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self, *, goodbye: bool = True, failure: str | None = None) -> None:
        """Says goodbye and stops; counters stay readable.

        goodbye: False stops immediately and falls silent, like a crash.
        failure: the failure that ended the work, so that the server reports Failed with it: an ASCII
            identifier of 1 to 64 characters, such as "exit_3". None for an orderly end.

        Any thread may call it, any number of times; the first farewell counts.

        Raises ValueError if `failure` is no such word.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _ClientEvent: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[_ClientEvent]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[_ClientEvent]: ...
    @property
    def _tick_period(self) -> float:
        """The period of `_tick` calls from a watched event loop, in seconds."""

    def _tick(self) -> None:
        """Marks progress of the event loop; an announced silence stays."""

    def _poll(self, waiter: _Waiter) -> _ClientEvent | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _end(self, exception: BaseException | None) -> None:
        """Chooses the farewell of a client whose block was left with this exception or None."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class Progress:
    """A progress mark, the result of `HeartbeatClient.progress`: marks progress at the end of a `with`
    block or, as a decorator, after each call of a function or coroutine function.

    It marks only success. An exception counts as a failure, which beats report to the server, unless
    it is an orderly end (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, SystemExit with
    code 0 or None).
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def finish(self) -> None:
        """Forgets the task, which has ended: it need not make progress any more."""

    def __call__(self, function: _F) -> _F: ...

@final
class HeartbeatClientCounters:
    """Beat counts of a HeartbeatClient."""

    __match_args__: Final = (
        "sent",
        "skipped",
        "send_failed",
        "refused",
        "received",
        "unauthenticated",
    )

    def __new__(
        cls,
        *,
        sent: int = 0,
        skipped: int = 0,
        send_failed: int = 0,
        refused: int = 0,
        received: int = 0,
        unauthenticated: int = 0,
    ) -> Self: ...
    @property
    def sent(self) -> int:
        """Beats sent or tried, each copy of a goodbye and `send_failed` included; a beat to several
        servers counts once per server.
        """

    @property
    def skipped(self) -> int:
        """Beats not sent on purpose."""

    @property
    def send_failed(self) -> int:
        """Beats that this host could not send, or whose server had no address."""

    @property
    def refused(self) -> int:
        """ICMP port-unreachable errors received: nothing listens on the server's port. Linux only;
        0 elsewhere.
        """

    @property
    def received(self) -> int:
        """Answers received."""

    @property
    def unauthenticated(self) -> int:
        """With keys: answers among them without a right signature."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Beat:
    """A beat of a HeartbeatClient, due and handled."""

    __match_args__: Final = ("seq", "outcome", "time")

    def __new__(
        cls, *, seq: int, outcome: Literal["failed", "send_failed", "sent", "skipped"], time: float
    ) -> Self: ...
    @property
    def seq(self) -> int:
        """Its number, from 1."""

    @property
    def outcome(self) -> Literal["failed", "send_failed", "sent", "skipped"]:
        """The outcome: "sent", "send_failed" (this host could not send it to any server), "skipped"
        (not sent, on purpose) or "failed" (a simulated crash: neither this beat nor a later one
        is sent).
        """

    @property
    def time(self) -> float:
        """The time at which the client acted on it, in seconds since the Unix epoch."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class HeartbeatServer:
    """A server that follows clients by their heartbeats and reports which are alive.

    host: the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6).
    port: the port, 0 to 65535; 0 for any free one, see `address`.
    timeout: the silence, in seconds, after which any client is down, instead of a detector. It holds
        exactly: no Suspect comes first, and MassSilence does not postpone it. If a client
        declares an interval that is not shorter, its first Down says so. None to use a detector.
    detector: the failure detector, applied to each client's own beats: "multiple" (the default;
        levels in intervals), "chen" (Chen, Toueg, Aguilera 2002, NFD-E; intervals),
        "two_window" (Tomsic et al. 2015, 2W-FD; intervals), "bertier" (Bertier, Marin, Sens
        2002; levels of its phi), "phi" (Hayashibara et al. 2004; levels of phi), "phi_exp" (phi
        over exponential gaps, as in Cassandra; levels of phi) or "fixed" (seconds).
    suspect: the detector's level for Suspect; None for its default ("multiple": 3 intervals).
    down: the detector's level for Down; None for its default ("multiple": 5 intervals).
    by_host: whether to identify clients by their IP addresses alone, not by address and port.
    numbers: the rule that finds a beat's sequence number: "counting" believes a number with a label
        ("seq", "sequence", "n" or "#"; also a key of JSON or of key=value), a number beside a
        time and at most one word, as in the lab, and any other once it has risen by one three
        times in a row; "first" believes the first whole number, as the lab's server does.
    opaque: whether any datagram is a beat, also one without a number, a time or a declaration: its
        sender is a client without sequence numbers.
    reply: whether to answer each beat with its text in upper case.
    keys: the keys that authenticate clients: Keys or the path of a file of them. Each beat must be
        signed with the key of its name. None for no authentication.
    unauthenticated: the treatment of beats without a signature, if there are keys: "refuse" only counts them,
        "accept" treats them like beats without keys, but not if an authenticated client has the
        name.
    max_multiplier: the largest multiplier of its interval that a client may ask for as its timeout, 1 or
        more; without a grace it is at least 2. With `timeout` or "fixed" clients have no say.
    max_grace: the longest grace, in seconds, that a client may ask for in addition.
    expect: the names of clients that must be heard, for Missing.
    grace: the time after the start, in seconds, in which they must be heard.
    max_peers: the maximum number of clients, 1 or more; others are rejected and counted. New clients
        replace those that have stopped, those heard only once, more than 60 s ago, and those
        silent for 60 s and for twice as long as they were known before, whatever they declared.
    every_beat: whether to report each datagram (Heard, Ignored), not only changes.
    old_beats: the treatment of a beat with a number or time that is not newer than earlier ones:
        "ignore" does not count it as a sign of life if it is a duplicate or was sent long
        before, "accept" counts every beat, regardless of its number and time.

    A beat is any datagram with a declaration, a whole number or a time: Unix time in seconds,
    milli-, micro- or nanoseconds, an ISO date and time, C's ctime, or H:M:S.

    Iterating yields the events of clients (Up, Lost, LateBeat, Suspect, Down, Recovered, Restarted,
    Moved, Conflict, Stalled, Busy, Stopped, Failed, TooOften, ClockStepped) and of
    the server (Paused, MassSilence).

    Raises ValueError if an argument is out of range.
    """

    def __new__(
        cls,
        host: str = "127.0.0.1",
        port: int = 12000,
        *,
        timeout: float | None = None,
        detector: Literal["fixed", "multiple", "chen", "two_window", "bertier", "phi", "phi_exp"]
        | None = None,
        suspect: float | None = None,
        down: float | None = None,
        by_host: bool = False,
        numbers: Literal["counting", "first"] = "counting",
        opaque: bool = False,
        reply: bool = False,
        keys: Keys | str | PathLike[str] | None = None,
        unauthenticated: Literal["refuse", "accept"] = "refuse",
        max_multiplier: int = 100,
        max_grace: float = 86400.0,
        expect: Iterable[str] = (),
        grace: float = 60.0,
        max_peers: int = 65536,
        every_beat: bool = False,
        old_beats: Literal["ignore", "accept"] = "ignore",
    ) -> Self: ...
    @property
    def host(self) -> str:
        """the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6)."""

    @property
    def port(self) -> int:
        """the port, 0 to 65535; 0 for any free one, see `address`."""

    @property
    def timeout(self) -> float | None:
        """the silence, in seconds, after which any client is down, instead of a detector. It holds
        exactly: no Suspect comes first, and MassSilence does not postpone it. If a client
        declares an interval that is not shorter, its first Down says so. None to use a detector.
        """

    @property
    def detector(
        self,
    ) -> Literal["fixed", "multiple", "chen", "two_window", "bertier", "phi", "phi_exp"] | None:
        """the failure detector, applied to each client's own beats: "multiple" (the default;
        levels in intervals), "chen" (Chen, Toueg, Aguilera 2002, NFD-E; intervals),
        "two_window" (Tomsic et al. 2015, 2W-FD; intervals), "bertier" (Bertier, Marin, Sens
        2002; levels of its phi), "phi" (Hayashibara et al. 2004; levels of phi), "phi_exp" (phi
        over exponential gaps, as in Cassandra; levels of phi) or "fixed" (seconds).
        """

    @property
    def suspect(self) -> float | None:
        """the detector's level for Suspect; None for its default ("multiple": 3 intervals)."""

    @property
    def down(self) -> float | None:
        """the detector's level for Down; None for its default ("multiple": 5 intervals)."""

    @property
    def by_host(self) -> bool:
        """whether to identify clients by their IP addresses alone, not by address and port."""

    @property
    def numbers(self) -> Literal["counting", "first"]:
        """the rule that finds a beat's sequence number: "counting" believes a number with a label
        ("seq", "sequence", "n" or "#"; also a key of JSON or of key=value), a number beside a
        time and at most one word, as in the lab, and any other once it has risen by one three
        times in a row; "first" believes the first whole number, as the lab's server does.
        """

    @property
    def opaque(self) -> bool:
        """whether any datagram is a beat, also one without a number, a time or a declaration: its
        sender is a client without sequence numbers.
        """

    @property
    def reply(self) -> bool:
        """whether to answer each beat with its text in upper case."""

    @property
    def keys(self) -> Keys | None:
        """the keys that authenticate clients: Keys or the path of a file of them. Each beat must be
        signed with the key of its name. None for no authentication.
        """

    @property
    def unauthenticated(self) -> Literal["refuse", "accept"]:
        """the treatment of beats without a signature, if there are keys: "refuse" only counts them,
        "accept" treats them like beats without keys, but not if an authenticated client has the
        name.
        """

    @property
    def max_multiplier(self) -> int:
        """the largest multiplier of its interval that a client may ask for as its timeout, 1 or
        more; without a grace it is at least 2. With `timeout` or "fixed" clients have no say.
        """

    @property
    def max_grace(self) -> float:
        """the longest grace, in seconds, that a client may ask for in addition."""

    @property
    def expect(self) -> tuple[str, ...]:
        """the names of clients that must be heard, for Missing."""

    @property
    def grace(self) -> float:
        """the time after the start, in seconds, in which they must be heard."""

    @property
    def max_peers(self) -> int:
        """the maximum number of clients, 1 or more; others are rejected and counted. New clients
        replace those that have stopped, those heard only once, more than 60 s ago, and those
        silent for 60 s and for twice as long as they were known before, whatever they declared.
        """

    @property
    def every_beat(self) -> bool:
        """whether to report each datagram (Heard, Ignored), not only changes."""

    @property
    def old_beats(self) -> Literal["ignore", "accept"]:
        """the treatment of a beat with a number or time that is not newer than earlier ones:
        "ignore" does not count it as a sign of life if it is a duplicate or was sent long
        before, "accept" counts every beat, regardless of its number and time.
        """

    @property
    def counters(self) -> HeartbeatServerCounters:
        """Datagram counts since the last start."""

    def peers(self) -> list[Peer]:
        """Returns a list of the clients heard since the last start and not replaced, in no order."""

    @property
    def missing(self) -> list[str]:
        """The names among `expect` that have not been heard since the last start, sorted."""

    def peer(self, name: str) -> Peer | None:
        """Returns the client that declares `name`; None if none was heard since the last start.

        name: a name as in `Peer.name`.
        """

    def table(self) -> Table:
        """Returns the clients as a Table, for polars, pandas and others, or for CSV: the rows and
        columns of `columns()`. Texts are strings, `state` is a dictionary of them, times are
        timestamp[ns, UTC], durations are duration[ns], and other numbers are uint64; null stands
        for NaN and None.
        """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns `table()` as an Arrow stream, so that polars and others take the object
        itself.
        """

    def columns(self) -> _Columns:
        """Returns the clients as a dict of read-only NumPy arrays of shape (n,), one row per client.

        address, name, state, key: object (str; name None if the client declares none, key if it is not
        authenticated).
        port: uint16.
        last_received_at_ns: int64, nanoseconds since `started_at`.
        received, reordered, duplicates: uint64.
        seq, expected, boot, failures: float64, exact up to 2**53; NaN if there is none.
        timeout_ns: int64, nanoseconds.
        interval_ns, delay_ns, difference_ns, progress_age_ns: float64, nanoseconds; NaN if there is
        none.
        """

    @property
    def started_at(self) -> float | None:
        """The time of the last start, in seconds since the Unix epoch; None before the first."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _Event: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[_Event]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[_Event]: ...
    def _poll(self, waiter: _Waiter) -> _Event | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class HeartbeatServerCounters:
    """Datagram counts of a HeartbeatServer:
    received = beats + goodbyes + duplicates + stale + unproven + ignored + rejected
    + unauthenticated + unknown_keys + bad_tags + replays + old_boots.
    """

    __match_args__: Final = (
        "received",
        "beats",
        "late_beats",
        "goodbyes",
        "duplicates",
        "stale",
        "unproven",
        "ignored",
        "rejected",
        "unauthenticated",
        "unknown_keys",
        "bad_tags",
        "replays",
        "old_boots",
        "overlong_names",
        "receive_drops",
        "replied",
        "send_failed",
    )

    def __new__(
        cls,
        *,
        received: int = 0,
        beats: int = 0,
        late_beats: int = 0,
        goodbyes: int = 0,
        duplicates: int = 0,
        stale: int = 0,
        unproven: int = 0,
        ignored: int = 0,
        rejected: int = 0,
        unauthenticated: int = 0,
        unknown_keys: int = 0,
        bad_tags: int = 0,
        replays: int = 0,
        old_boots: int = 0,
        overlong_names: int = 0,
        receive_drops: int = 0,
        replied: int = 0,
        send_failed: int = 0,
    ) -> Self: ...
    @property
    def received(self) -> int:
        """Datagrams received."""

    @property
    def beats(self) -> int:
        """Heartbeats, each counted once."""

    @property
    def late_beats(self) -> int:
        """Heartbeats among `beats` that had been reported lost."""

    @property
    def goodbyes(self) -> int:
        """Goodbyes, after a failure or not; a client sends several, because one may be lost."""

    @property
    def duplicates(self) -> int:
        """Heartbeats received before."""

    @property
    def stale(self) -> int:
        """Heartbeats too old to tell whether they are duplicates, or from a client's previous
        start.
        """

    @property
    def unproven(self) -> int:
        """Heartbeats and goodbyes that do not prove to be from the client they name: without the
        boot id that it has sent, or a goodbye from an address that it has not beaten from.
        """

    @property
    def ignored(self) -> int:
        """Datagrams that are not heartbeats: they carry neither a number nor a time."""

    @property
    def rejected(self) -> int:
        """Datagrams of new clients that found the table full."""

    @property
    def unauthenticated(self) -> int:
        """With keys: beats without a whole signature, refused."""

    @property
    def unknown_keys(self) -> int:
        """With keys: beats signed with a key that is not in the set."""

    @property
    def bad_tags(self) -> int:
        """With keys: beats with a wrong tag: forged, altered, or signed with another client's key."""

    @property
    def replays(self) -> int:
        """With keys: authentic beats whose number was received before, or is more than 959 below the
        highest; recordings or copies made by the network.
        """

    @property
    def old_boots(self) -> int:
        """With keys: authentic beats of a boot that is not newer than the client's last one or, as
        its first, was sent more than 60 s before or after its arrival; recordings, or hosts whose
        clock is wrong.
        """

    @property
    def overlong_names(self) -> int:
        """Datagrams among `received` whose name is longer than 255 bytes and was therefore not
        read.
        """

    @property
    def receive_drops(self) -> int:
        """Datagrams that this host dropped because the server did not read them in time; not
        included in `received`.
        """

    @property
    def replied(self) -> int:
        """Answers sent."""

    @property
    def send_failed(self) -> int:
        """Answers that this host could not send."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Peer:
    """The state of a client of a HeartbeatServer."""

    __match_args__: Final = (
        "address",
        "state",
        "last_received_at",
        "seq",
        "received",
        "expected",
        "name",
        "reordered",
        "duplicates",
        "interval",
        "timeout",
        "delay",
        "difference",
        "boot",
        "status",
        "progress_age",
        "task",
        "failures",
        "error",
        "key",
    )

    def __new__(
        cls,
        *,
        address: _Address,
        state: Literal[
            "unknown",
            "learning",
            "up",
            "overdue",
            "suspect",
            "down",
            "stopped",
            "stalled",
            "busy",
            "failed",
        ],
        last_received_at: float,
        seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        name: str | None = None,
        reordered: int = 0,
        duplicates: int = 0,
        interval: float | None = None,
        timeout: float,
        delay: float | None = None,
        difference: float | None = None,
        boot: int | None = None,
        status: Literal["starting", "ok", "degraded", "stalled", "busy", "bye", "failed"]
        | None = None,
        progress_age: float | None = None,
        task: str | None = None,
        failures: int | None = None,
        error: str | None = None,
        key: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The (host, port) of its last beat."""

    @property
    def state(
        self,
    ) -> Literal[
        "unknown",
        "learning",
        "up",
        "overdue",
        "suspect",
        "down",
        "stopped",
        "stalled",
        "busy",
        "failed",
    ]:
        """ "unknown" (heard once), "learning" (its interval is not known yet), "up", "overdue" (a
        beat is overdue by half an interval), "suspect", "down", "stopped" (it said goodbye),
        "stalled" (it beats, but its application makes no progress), "busy" (it announced a
        silence) or "failed" (it said that it failed).
        """

    @property
    def last_received_at(self) -> float:
        """The receive time of its last new beat, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int | None:
        """The highest number received; None without numbers."""

    @property
    def received(self) -> int:
        """The number of beats received since it started, each counted once. Goodbyes do not count,
        nor do beats without a number if others carry one.
        """

    @property
    def expected(self) -> int | None:
        """The number of beats due, from the first received to the highest; None without numbers."""

    @property
    def name(self) -> str | None:
        """Its name; None if it declares none."""

    @property
    def reordered(self) -> int:
        """The number of its beats that arrived after one with a higher number (RFC 4737)."""

    @property
    def duplicates(self) -> int:
        """The number of duplicates of its beats."""

    @property
    def interval(self) -> float | None:
        """Its interval, declared or learned, in seconds; None if not known."""

    @property
    def timeout(self) -> float:
        """The effective timeout: the silence after which it is down, in seconds."""

    @property
    def delay(self) -> float | None:
        """The one-way delay of its last beat minus that of its fastest, in seconds, which cancels
        the offset of the two clocks. None if its beats carry no times.
        """

    @property
    def difference(self) -> float | None:
        """The receive time minus the send time of its last beat, in seconds; includes the offset
        of the two clocks. None if it carries no time.
        """

    @property
    def boot(self) -> int | None:
        """Its boot id; None if it declares none."""

    @property
    def status(
        self,
    ) -> Literal["starting", "ok", "degraded", "stalled", "busy", "bye", "failed"] | None:
        """Its declared status: "starting", "ok", "degraded", "stalled", "busy", "bye" or
        "failed"; None if it declares none.
        """

    @property
    def progress_age(self) -> float | None:
        """The time from its application's last progress to its last beat, in seconds; None if not
        reported.
        """

    @property
    def task(self) -> str | None:
        """The task of that progress, the one that has made none for longest; None if tasks are not
        named.
        """

    @property
    def failures(self) -> int | None:
        """The number of its application's failures since its start; None if not reported."""

    @property
    def error(self) -> str | None:
        """The type of the exception that ended it, if it is "failed" and told."""

    @property
    def key(self) -> str | None:
        """The id of the key that signed its last beat; None if it is not authenticated."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Busy:
    """A client announced a silence."""

    __match_args__: Final = (
        "address",
        "time",
        "duration",
        "last_seq",
        "received",
        "expected",
        "name",
    )

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        duration: float,
        last_seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def duration(self) -> float:
        """The announced length, in seconds."""

    @property
    def last_seq(self) -> int | None:
        """The highest number received before; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class ClockStepped:
    """A step of a clock: the client's, or the server's own if the host is "0.0.0.0".

    No verdict depends on it; delays are measured from the new time on.
    """

    __match_args__: Final = ("address", "time", "step", "name")

    def __new__(
        cls, *, address: _Address, time: float, step: float, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def step(self) -> float:
        """The size of the step, in seconds; above 0 if the clock went forward."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Conflict:
    """Several senders are alive under one name or, if they have none, at one address, or at one
    host with `by_host`. The server follows one of them, and another one only if that falls
    silent; then it reports Restarted.
    """

    __match_args__: Final = ("address", "time", "boots", "addresses", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        boots: Iterable[int] = (),
        addresses: Iterable[_Address] = (),
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def boots(self) -> tuple[int, ...]:
        """Their boot ids, that of the followed one first; empty if they declare none."""

    @property
    def addresses(self) -> tuple[_Address, ...]:
        """The (host, port) of each, in the same order."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Down:
    """A client was silent for its timeout and is assumed to have ended."""

    __match_args__: Final = (
        "address",
        "time",
        "seq",
        "received",
        "expected",
        "cause",
        "silence",
        "timeout",
        "name",
    )

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        cause: Literal["silence", "old_beats", "busy_over", "mass_silence", "short_timeout"],
        silence: float,
        timeout: float,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int | None:
        """The number of the first missing beat; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def cause(
        self,
    ) -> Literal["silence", "old_beats", "busy_over", "mass_silence", "short_timeout"]:
        """The cause: "silence"; "old_beats" (only beats sent long before arrived); "busy_over" (an
        announced silence ran out); "mass_silence" (many fell silent together, and it did not
        return within a second timeout); "short_timeout" (the server's timeout is not longer
        than the client's declared interval; reported once, since from then on the client is
        down after five intervals).
        """

    @property
    def silence(self) -> float:
        """The time since its last new beat, in seconds."""

    @property
    def timeout(self) -> float:
        """The effective timeout: the silence after which the client is down, in seconds."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Failed:
    """A client said that it failed: an exception ended its program."""

    __match_args__: Final = ("address", "time", "error", "last_seq", "received", "expected", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        error: str | None = None,
        last_seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def error(self) -> str | None:
        """The type of the exception; None if it is not told."""

    @property
    def last_seq(self) -> int | None:
        """The highest number received before; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Heard:
    """A beat that is neither a LateBeat nor a goodbye. Duplicates are reported only with
    `old_beats="accept"`.
    """

    __match_args__: Final = ("address", "time", "seq", "difference", "payload", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        seq: int | None = None,
        difference: float | None = None,
        payload: bytes,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int | None:
        """Its number; None if it carries none."""

    @property
    def difference(self) -> float | None:
        """The receive time minus the time in the beat, in seconds; includes the offset between the
        two hosts' clocks. None if the beat carries no time.
        """

    @property
    def payload(self) -> bytes:
        """Its payload, cut to 1024 bytes."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Ignored:
    """A datagram that is not a heartbeat: it carries neither a number nor a time."""

    __match_args__: Final = ("address", "time", "payload", "name")

    def __new__(
        cls, *, address: _Address, time: float, payload: bytes, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def payload(self) -> bytes:
        """Its payload, cut to 1024 bytes."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class LateBeat:
    """The arrival of a beat that had been reported as Lost; it no longer counts as lost."""

    __match_args__: Final = ("address", "time", "seq", "name")

    def __new__(
        cls, *, address: _Address, time: float, seq: int, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Lost:
    """Beats counted lost, because a higher number arrived first."""

    __match_args__: Final = ("address", "time", "first", "last", "excused", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        first: int,
        last: int,
        excused: int = 0,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def first(self) -> int:
        """The first lost number."""

    @property
    def last(self) -> int:
        """The last lost number."""

    @property
    def excused(self) -> int:
        """How many of these are not lost after all: the client's own host refused to send them, or
        this host was paused.
        """

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class MassSilence:
    """Many clients fell silent together, so the server's own host or network is the likelier
    cause. Each has a second timeout to return before it is Down.
    """

    __match_args__: Final = ("address", "time", "silent", "alive", "listed", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        silent: int,
        alive: int,
        listed: Iterable[_Address] = (),
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """("0.0.0.0", 0): the event is about the server itself."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def silent(self) -> int:
        """The number of silent clients."""

    @property
    def alive(self) -> int:
        """The number of clients that had not ended, the silent ones included."""

    @property
    def listed(self) -> tuple[_Address, ...]:
        """The (host, port) of each silent client, at most 1024."""

    @property
    def name(self) -> str | None:
        """None: the event is about the server itself."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Missing:
    """A client of `expect` was not heard within `grace`."""

    __match_args__: Final = ("address", "time", "name")

    def __new__(cls, *, address: _Address, time: float, name: str) -> Self: ...
    @property
    def address(self) -> _Address:
        """("0.0.0.0", 0): no address of the client is known."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def name(self) -> str:
        """The client's name."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Moved:
    """The address of a client with a name or a boot id changed. It is not reported again before
    the client has stayed at one address for a minute, or its timeout if that is longer.
    """

    __match_args__: Final = ("address", "time", "old", "name")

    def __new__(
        cls, *, address: _Address, time: float, old: _Address, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def old(self) -> _Address:
        """The previous (host, port)."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Paused:
    """A pause of the server itself: its process was stopped, suspended or starved. The pause does
    not count as any client's silence.
    """

    __match_args__: Final = ("address", "time", "duration", "name")

    def __new__(
        cls, *, address: _Address, time: float, duration: float, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """("0.0.0.0", 0): the event is about the server itself."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def duration(self) -> float:
        """The length of the pause, in seconds."""

    @property
    def name(self) -> str | None:
        """None: the event is about the server itself."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Recovered:
    """A beat ended a state of a client that had been reported."""

    __match_args__: Final = ("address", "time", "seq", "state", "duration", "timeout", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        seq: int | None = None,
        state: Literal["suspect", "down", "stopped", "busy", "stalled", "failed"],
        duration: float,
        timeout: float,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int | None:
        """The number of that beat; None if it carries none."""

    @property
    def state(self) -> Literal["suspect", "down", "stopped", "busy", "stalled", "failed"]:
        """The state that ended: "suspect", "down", "stopped", "busy", "stalled" or
        "failed".
        """

    @property
    def duration(self) -> float:
        """How long that state, or the silence, lasted, in seconds."""

    @property
    def timeout(self) -> float:
        """The effective timeout: the silence after which the client is down, in seconds."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Restarted:
    """A client restarted; its counts start over."""

    __match_args__: Final = (
        "address",
        "time",
        "seq",
        "cause",
        "last_seq",
        "received",
        "expected",
        "name",
    )

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        seq: int | None = None,
        cause: Literal["boot", "sequence"],
        last_seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int | None:
        """The number of its first beat; None if it carries none."""

    @property
    def cause(self) -> Literal["boot", "sequence"]:
        """The evidence: "boot" (another boot id) or "sequence" (the numbers started over)."""

    @property
    def last_seq(self) -> int | None:
        """The highest number received before; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Stalled:
    """A client beats, but reports that its application makes no progress."""

    __match_args__: Final = (
        "address",
        "time",
        "age",
        "task",
        "last_seq",
        "received",
        "expected",
        "name",
    )

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        age: float | None = None,
        task: str | None = None,
        last_seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def age(self) -> float | None:
        """The time since the application's last progress, in seconds; None if not reported."""

    @property
    def task(self) -> str | None:
        """The task that makes none; None if tasks are not named."""

    @property
    def last_seq(self) -> int | None:
        """The highest number received before; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Stopped:
    """A client said goodbye."""

    __match_args__: Final = ("address", "time", "last_seq", "received", "expected", "name")

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        last_seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def last_seq(self) -> int | None:
        """The highest number received before; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Suspect:
    """A client has been silent for longer than the suspect timeout, but is not Down yet."""

    __match_args__: Final = (
        "address",
        "time",
        "silence",
        "last_seq",
        "received",
        "expected",
        "timeout",
        "name",
    )

    def __new__(
        cls,
        *,
        address: _Address,
        time: float,
        silence: float,
        last_seq: int | None = None,
        received: int = 0,
        expected: int | None = None,
        timeout: float,
        name: str | None = None,
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def silence(self) -> float:
        """The time since its last new beat, in seconds."""

    @property
    def last_seq(self) -> int | None:
        """The highest number received before; None without numbers."""

    @property
    def received(self) -> int:
        """The number of its beats received before, each counted once."""

    @property
    def expected(self) -> int | None:
        """The number of beats due before, from the first received to the highest; None without
        numbers.
        """

    @property
    def timeout(self) -> float:
        """The effective timeout: the silence after which the client is down, in seconds."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class TooOften:
    """A client beats far more often than it declares: five times in a row within a quarter of its
    interval.
    """

    __match_args__: Final = ("address", "time", "interval", "gap", "name")

    def __new__(
        cls, *, address: _Address, time: float, interval: float, gap: float, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def interval(self) -> float:
        """The declared interval, in seconds."""

    @property
    def gap(self) -> float:
        """The time between its last two beats, in seconds."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Up:
    """The first beat of a client arrived."""

    __match_args__: Final = ("address", "time", "seq", "name")

    def __new__(
        cls, *, address: _Address, time: float, seq: int | None = None, name: str | None = None
    ) -> Self: ...
    @property
    def address(self) -> _Address:
        """The client's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the server noticed it, in seconds since the Unix epoch."""

    @property
    def seq(self) -> int | None:
        """The number of that beat; None if it carries none."""

    @property
    def name(self) -> str | None:
        """The client's name; None if it declares none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

def _end_clients(exception: BaseException | None) -> None:
    """Ends all clients of this process: the interpreter ends with `exception` or None."""

@final
class Unheard:
    """A server that replied to a HeartbeatClient no longer does: it may not hear the client."""

    __match_args__: Final = ("server", "time", "silence")

    def __new__(cls, *, server: _Address, time: float, silence: float) -> Self: ...
    @property
    def server(self) -> _Address:
        """The server's (host, port)."""

    @property
    def time(self) -> float:
        """The time at which the client noticed it, in seconds since the Unix epoch."""

    @property
    def silence(self) -> float:
        """The time since the last reply, in seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

_ClientEvent: TypeAlias = Beat | Unheard
_Event: TypeAlias = (
    Busy
    | ClockStepped
    | Conflict
    | Down
    | Failed
    | Heard
    | Ignored
    | LateBeat
    | Lost
    | MassSilence
    | Missing
    | Moved
    | Paused
    | Recovered
    | Restarted
    | Stalled
    | Stopped
    | Suspect
    | TooOften
    | Up
)
_Reflection: TypeAlias = Literal[
    "replied",
    "unanswerable",
    "looped",
    "not_allowed",
    "limited",
    "short",
    "unauthenticated",
    "bad_tag",
    "replayed",
    "queue_full",
]

@final
class StampReflector:
    """A Session-Reflector of STAMP (RFC 8762, RFC 8972) and TWAMP-Light (RFC 5357 appendix I): it
    answers test packets of routers and of other tools.

    host: the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6). On Linux a reply
        leaves from the address to which the request was sent.
    port: the port, 0 to 65535; 0 for any free one, see `address`. Ports below 1024 need a
        privilege on most systems.
    stateful: False copies the numbers of requests to their replies (stateless), so that the direction
        of a loss does not show; otherwise the replies of each session have numbers of their own.
    twamp_light: whether to answer requests of 14 to 40 bytes with 44 (RFC 8762 section 4.6). That is the
        only reply longer than its request: one with a forged source sends up to three times its
        bytes to a victim.
    allow: the sources that are answered, a sequence of addresses or blocks such as "192.0.2.0/24";
        empty for all.
    keys: the Keys, or the path of a file of them, for authenticated packets (RFC 8762 section 4.4);
        None for no authentication. A reply is signed with the key of its request. At most 2 may
        be bound to no client: STAMP has no key ids, so that each is tried in turn.
    unauthenticated: the treatment of unauthenticated packets if there are keys: "refuse", or "accept" to
        answer them, too, unauthenticated and in sessions of their own.
    max_rate: the average number of packets per second from one source address, 3e-8 to 1e9, in bursts
        of at most one second's worth; the reflector drops the rest. None for no limit.
    max_sessions: the maximum number of sessions, 1 to 1048576; later senders are answered without
        sessions. A session ends after 300 seconds without a packet.
    timestamp_format: the format of timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts UTC here,
        not TAI.
    synchronized: whether to claim that this host's clock is synchronized to UTC; it is not checked.
    clock_error: the error of this host's clock that replies claim, in seconds.
    threads: the number of threads, 1 to 256, each with its own socket; more than one only on Linux.
    uplink: the Link from the senders to the reflector; None for an unimpaired one. It can be set
        while the reflector runs.
    downlink: the Link from the reflector to the senders; None for an unimpaired one. It can be set,
        too.
    per_client: (uplink, downlink) pairs, each a Link or None, at most 65536: links of the first (host,
        port) that sends, of the second and so on, in order of their first packets.
    seed: the seed of all random choices (xoshiro256++); drawn at random if None. A sender's
        choices depend on the seed, its IP address and the rank of its port at that address, in
        order of first packets, and are separate for each way.
    timeline: the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        as JSON has them. `steps` returns those that were taken; `at_packet` counts packets on
        the way in.
    keep: the number of last rows to keep, or "all". `reflected`, `fates` and `columns` return them;
        iterating reads each once and removes none. With 0 there is nothing to iterate over.

    A reply has the length of its request and the TTL 255. It carries the time at which the request
    arrived (T2, the kernel's on Linux), the time at which the program sends the reply (T3), the
    request's number and time, and its TTL. The TLVs 1 to 5 and 7 of RFC 8972 are answered, with keys
    also 8, their tag; others come back as unrecognized. Authenticated packets with TLVs need a tag of
    them, unless there is only padding.

    A session is a source, a destination address and the SSID. A packet whose bytes 16 to 43 are not
    zero is one of TWAMP, which has random padding and no SSID.

    The reflector never answers replies: packets with a T2 within ten seconds of their T3, and
    authenticated ones with any T2. Otherwise
    two reflectors would answer each other without end after one forged packet. Nor does it answer
    source ports that could cause a loop (0, 7, 13, 17, 19, 37), another answering server of this
    process, packets of less than 14 bytes, or packets to a broadcast or multicast address (Linux).

    With links it impairs packets on purpose, repeatably, and is at their far end: a packet that leaves
    the uplink reaches it at T2, and a reply enters the downlink at T3. A packet that is not answered
    because of its source takes no link. `truth` and `fates` tell what happened to each.

    Iterating yields a Reflected for each packet that reaches it and, with links, a Fate for each
    packet and for each reply when its last copy has left.

    Raises ValueError if an argument is out of range.
    """

    def __new__(
        cls,
        host: str = "127.0.0.1",
        port: int = 862,
        *,
        stateful: bool = True,
        twamp_light: bool = False,
        allow: Iterable[str] = (),
        keys: Keys | str | PathLike[str] | None = None,
        unauthenticated: Literal["refuse", "accept"] = "refuse",
        max_rate: float | None = None,
        max_sessions: int = 16384,
        timestamp_format: Literal["ntp", "ptp"] = "ntp",
        synchronized: bool = False,
        clock_error: float = 16.0,
        threads: int = 1,
        uplink: Link | None = None,
        downlink: Link | None = None,
        per_client: Iterable[tuple[Link | None, Link | None]] = (),
        seed: int | None = None,
        timeline: Iterable[Step | dict[str, Any]] = (),
        keep: int | Literal["all"] = 10000,
    ) -> Self: ...
    @property
    def host(self) -> str:
        """the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6). On Linux a reply
        leaves from the address to which the request was sent.
        """

    @property
    def port(self) -> int:
        """the port, 0 to 65535; 0 for any free one, see `address`. Ports below 1024 need a
        privilege on most systems.
        """

    @property
    def stateful(self) -> bool:
        """False copies the numbers of requests to their replies (stateless), so that the direction
        of a loss does not show; otherwise the replies of each session have numbers of their own.
        """

    @property
    def twamp_light(self) -> bool:
        """whether to answer requests of 14 to 40 bytes with 44 (RFC 8762 section 4.6). That is the
        only reply longer than its request: one with a forged source sends up to three times its
        bytes to a victim.
        """

    @property
    def allow(self) -> tuple[str, ...]:
        """the sources that are answered, a sequence of addresses or blocks such as "192.0.2.0/24";
        empty for all.
        """

    @property
    def keys(self) -> Keys | None:
        """the Keys, or the path of a file of them, for authenticated packets (RFC 8762 section 4.4);
        None for no authentication. A reply is signed with the key of its request. At most 2 may
        be bound to no client: STAMP has no key ids, so that each is tried in turn.
        """

    @property
    def unauthenticated(self) -> Literal["refuse", "accept"]:
        """the treatment of unauthenticated packets if there are keys: "refuse", or "accept" to
        answer them, too, unauthenticated and in sessions of their own.
        """

    @property
    def max_rate(self) -> float | None:
        """the average number of packets per second from one source address, 3e-8 to 1e9, in bursts
        of at most one second's worth; the reflector drops the rest. None for no limit.
        """

    @property
    def max_sessions(self) -> int:
        """the maximum number of sessions, 1 to 1048576; later senders are answered without
        sessions. A session ends after 300 seconds without a packet.
        """

    @property
    def timestamp_format(self) -> Literal["ntp", "ptp"]:
        """the format of timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts UTC here,
        not TAI.
        """

    @property
    def synchronized(self) -> bool:
        """whether to claim that this host's clock is synchronized to UTC; it is not checked."""

    @property
    def clock_error(self) -> float:
        """the error of this host's clock that replies claim, in seconds."""

    @property
    def threads(self) -> int:
        """the number of threads, 1 to 256, each with its own socket; more than one only on Linux."""

    @property
    def keep(self) -> int | Literal["all"]:
        """the number of last rows to keep, or "all". `reflected`, `fates` and `columns` return them;
        iterating reads each once and removes none. With 0 there is nothing to iterate over.
        """

    @property
    def uplink(self) -> Link | None:
        """the Link from the senders to the reflector; None for an unimpaired one. It can be set
        while the reflector runs.
        """

    @uplink.setter
    def uplink(self, link: Link | None) -> None:
        """the Link from the senders to the reflector; None for an unimpaired one. It can be set
        while the reflector runs.
        """

    @property
    def downlink(self) -> Link | None:
        """the Link from the reflector to the senders; None for an unimpaired one. It can be set,
        too.
        """

    @downlink.setter
    def downlink(self, link: Link | None) -> None:
        """the Link from the reflector to the senders; None for an unimpaired one. It can be set,
        too.
        """

    @property
    def per_client(self) -> tuple[tuple[Link | None, Link | None], ...]:
        """(uplink, downlink) pairs, each a Link or None, at most 65536: links of the first (host,
        port) that sends, of the second and so on, in order of their first packets.
        """

    @property
    def seed(self) -> int:
        """the seed of all random choices (xoshiro256++); drawn at random if None. A sender's
        choices depend on the seed, its IP address and the rank of its port at that address, in
        order of first packets, and are separate for each way.
        """

    @property
    def timeline(self) -> tuple[Step, ...]:
        """the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        as JSON has them. `steps` returns those that were taken; `at_packet` counts packets on
        the way in.
        """

    def add_step(self, step: Step | dict[str, Any]) -> int:
        """Adds a step to those of the timeline. Returns its index, as `steps` has it.

        step: a Step, or a dict with its fields as JSON has them. If its moment has passed or
            it has none, it is taken now. It may not be a "loop".

        Raises ValueError if the step is not one, or if 1000 steps wait, and NotStartedError
        before the first start.
        """

    def steps(self) -> list[StepDone]:
        """Returns the last 1000 steps that were taken, oldest first, each a StepDone."""

    def set_links(
        self, client: tuple[str, int], *, uplink: Link | None = None, downlink: Link | None = None
    ) -> None:
        """Sets the links of one client; also before its first packet, but for a Relay.

        client: its (host, port), the host an IP address.
        uplink, downlink: the Link in each direction; None leaves it as it is.

        Packets inside keep their delay; those in the queue of a RateLimit leave at the new
        rate. A client with a link of its own keeps it if `uplink` or `downlink` is set.

        Raises ValueError for a client without a session (Relay) or beyond the first 16384
        (EchoServer, StampReflector), and NotStartedError before the first start.
        """

    def outage(
        self,
        duration: float | None = None,
        *,
        mode: Literal["drop", "hold", "refuse"] = "drop",
        way: Literal["both", "uplink", "downlink"] = "both",
    ) -> LinkOutage:
        """Starts an outage and returns it, a LinkOutage. It replaces one that has not ended.

        duration: its length in seconds, above 0; None until `end` is called or the block of
            a `with` statement is left.
        mode: "drop" loses packets that enter a link, so that nothing sent during the outage
            arrives later; packets inside the link arrive. "hold" lets nothing leave, and all
            packets leave together at the end. "refuse" closes the socket to clients, whose
            system then reports a refusal (ICMP port unreachable), and loses packets as
            "drop" does.
        way: the broken links: "uplink", "downlink" or "both". "refuse" affects all clients
            and both links.

        Random choices go on as without an outage.

        Raises ValueError if an argument is out of range and NotStartedError before the first
        start.
        """

    @property
    def truth(self) -> StampReflectorTruth:
        """Counts of the links' impairments since the last start."""

    def fates(self) -> list[Fate]:
        """Returns the kept fates, oldest first."""

    @property
    def clients(self) -> list[_Address]:
        """The list of clients to which the columns of fates refer, each a (host, port), in order
        of their first rows.
        """

    @property
    def counters(self) -> StampReflectorCounters:
        """Packet counts since the last start."""

    @property
    def rows_dropped(self) -> int:
        """The number of older rows that are no longer kept."""

    def reflected(self) -> list[Reflected]:
        """Returns the kept records, oldest first."""

    def columns(self, table: Literal["reflected", "fates", "copies"] = "reflected") -> _Columns:
        """Returns the kept rows as a dict of read-only NumPy arrays of shape (n,).

        table: "reflected" for a row per packet that reached the reflector, oldest first:
            client, outcome: object (str; a client as "host:port").
            received_at_ns: int64, nanoseconds since `started_at`.
            size: uint64.
            ssid, seq, reflector_seq, ttl, tos, sent_at_ns: float64; NaN without a reply or a value.

        With links also "fates" for a row per packet and per reply, in order of completion, and
        "copies" for a row per datagram past its link, with the columns of `EchoServer.columns`.
        "fates" has one more:
            way: uint8, 0 for a packet to the reflector and 1 for a reply.

        The rows of a running reflector change between calls: stop it before you relate the tables or
        `clients` to each other.

        Raises ValueError for another table.
        """

    def table(self, table: Literal["reflected", "fates", "copies"] = "reflected") -> Table:
        """Returns the kept rows as a Table, for polars, pandas and others, or for CSV.

        table: one of those of `columns`, with its rows and columns. The `client` of a fate is
            a dictionary of "host:port", an `outcome` one of strings, times are
            timestamp[ns, UTC], and bits are uint32; null stands for NaN.

        The rows of a running object change between calls: stop it before you relate the
        tables to each other.

        Raises ValueError for another table.
        """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns `table()` as an Arrow stream, so that polars and others take the object
        itself.
        """

    def sessions(self) -> list[StampSession]:
        """Returns the sessions that were heard in the last 300 seconds, in no particular order."""

    @property
    def started_at(self) -> float | None:
        """The time of the last start, in seconds since the Unix epoch; None before the first."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Reflected | Fate: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[Reflected | Fate]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[Reflected | Fate]: ...
    def _poll(self, waiter: _Waiter) -> Reflected | Fate | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

@final
class StampReflectorTruth:
    """Counts of a StampReflector's links."""

    __match_args__: Final = (
        "uplink",
        "downlink",
        "pending",
        "delayed",
        "delay_line_full",
        "crowded",
    )

    def __new__(
        cls,
        *,
        uplink: LinkCounters | None = None,
        downlink: LinkCounters | None = None,
        pending: int = 0,
        delayed: int = 0,
        delay_line_full: int = 0,
        crowded: int = 0,
    ) -> Self: ...
    @property
    def uplink(self) -> LinkCounters:
        """Impairments on the way in."""

    @property
    def downlink(self) -> LinkCounters:
        """Impairments on the way back."""

    @property
    def pending(self) -> int:
        """Packets and replies that are neither dropped nor past their link yet: they are delayed."""

    @property
    def delayed(self) -> int:
        """The same, copies included."""

    @property
    def delay_line_full(self) -> int:
        """Copies dropped because the delay line was full: 32 MiB each way, divided equally among
        threads.
        """

    @property
    def crowded(self) -> int:
        """Packets of clients beyond the first 16,384, which share one stream of random choices;
        consecutive packets of one such client count once.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class StampReflectorCounters:
    """Packet counts of a StampReflector: received = replied + dropped + send_failed."""

    __match_args__: Final = (
        "received",
        "replied",
        "dropped",
        "send_failed",
        "unanswerable",
        "looped",
        "not_allowed",
        "limited",
        "short",
        "unauthenticated",
        "bad_tag",
        "replayed",
        "queue_full",
        "stateless_answers",
        "receive_drops",
    )

    def __new__(
        cls,
        *,
        received: int = 0,
        replied: int = 0,
        dropped: int = 0,
        send_failed: int = 0,
        unanswerable: int = 0,
        looped: int = 0,
        not_allowed: int = 0,
        limited: int = 0,
        short: int = 0,
        unauthenticated: int = 0,
        bad_tag: int = 0,
        replayed: int = 0,
        queue_full: int = 0,
        stateless_answers: int = 0,
        receive_drops: int = 0,
    ) -> Self: ...
    @property
    def received(self) -> int:
        """Packets received: with links, those that left the uplink, copies included."""

    @property
    def replied(self) -> int:
        """Packets answered."""

    @property
    def dropped(self) -> int:
        """Packets not answered on purpose: the sum of the nine reasons below."""

    @property
    def send_failed(self) -> int:
        """Packets whose reply this host could not send."""

    @property
    def unanswerable(self) -> int:
        """Dropped: from another server of this process or a service that answers anything, or to a
        broadcast or multicast address.
        """

    @property
    def looped(self) -> int:
        """Dropped: replies themselves, which two reflectors would send to and fro without end."""

    @property
    def not_allowed(self) -> int:
        """Dropped: from a source outside `allow`."""

    @property
    def limited(self) -> int:
        """Dropped: from a source above `max_rate`."""

    @property
    def short(self) -> int:
        """Dropped: shorter than a reply, which must not be longer than its request."""

    @property
    def unauthenticated(self) -> int:
        """Dropped: not authenticated; 0 without keys."""

    @property
    def bad_tag(self) -> int:
        """Dropped: authenticated, but with a tag that no key gives; 0 without keys."""

    @property
    def replayed(self) -> int:
        """Dropped: authenticated, but it came before, or is too old to tell; 0 without keys."""

    @property
    def queue_full(self) -> int:
        """Dropped: too many replies waited to be sent."""

    @property
    def stateless_answers(self) -> int:
        """Packets answered without a session because there were `max_sessions` already."""

    @property
    def receive_drops(self) -> int:
        """Datagrams that this host dropped before they were read; 0 if the platform does not
        report them.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class Reflected:
    """What a StampReflector did with a packet."""

    __match_args__: Final = (
        "received_at",
        "client",
        "outcome",
        "size",
        "ssid",
        "seq",
        "reflector_seq",
        "ttl",
        "tos",
        "sent_at",
    )

    def __new__(
        cls,
        *,
        received_at: float,
        client: _Address,
        outcome: _Reflection,
        size: int,
        ssid: int | None = None,
        seq: int | None = None,
        reflector_seq: int | None = None,
        ttl: int | None = None,
        tos: int | None = None,
        sent_at: float | None = None,
    ) -> Self: ...
    @property
    def received_at(self) -> float:
        """T2, the receive time, in seconds since the Unix epoch, by the kernel's timestamp if there
        is one; with an uplink that delays packets, when it left that.
        """

    @property
    def client(self) -> _Address:
        """The (host, port) of its sender."""

    @property
    def outcome(self) -> _Reflection:
        """ "replied", or the reason for its drop as in StampReflectorCounters: "unanswerable",
        "looped", "not_allowed", "limited", "short", "unauthenticated", "bad_tag", "replayed" or
        "queue_full".
        """

    @property
    def size(self) -> int:
        """The length of its payload, in bytes."""

    @property
    def ssid(self) -> int | None:
        """The session identifier that the sender chose (RFC 8972 section 3); 0 without one, None
        without a reply.
        """

    @property
    def seq(self) -> int | None:
        """The sender's sequence number; None without a reply."""

    @property
    def reflector_seq(self) -> int | None:
        """The sequence number of the reply; None without one."""

    @property
    def ttl(self) -> int | None:
        """Its TTL or hop limit on arrival; None if the platform does not report it."""

    @property
    def tos(self) -> int | None:
        """Its type of service or traffic class on arrival: DSCP times 4 plus ECN; None if the
        platform does not report it.
        """

    @property
    def sent_at(self) -> float | None:
        """T3, the send time of the reply, in seconds since the Unix epoch; None without one. A
        downlink delays the reply after that.
        """

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class StampSession:
    """A session of a stateful StampReflector: packets from one (host, port) to one address with one
    session identifier.
    """

    __match_args__: Final = ("client", "ssid", "received", "replied", "last_received_at")

    def __new__(
        cls,
        *,
        client: _Address,
        ssid: int = 0,
        received: int = 0,
        replied: int = 0,
        last_received_at: float,
    ) -> Self: ...
    @property
    def client(self) -> _Address:
        """The (host, port) of its sender."""

    @property
    def ssid(self) -> int:
        """The session identifier that the sender chose (RFC 8972 section 3); 0 without one."""

    @property
    def received(self) -> int:
        """Packets received."""

    @property
    def replied(self) -> int:
        """Replies sent; their sequence numbers count from 0."""

    @property
    def last_received_at(self) -> float:
        """The time of the last packet, in seconds since the Unix epoch."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict; values among them become dicts, too."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...

@final
class StampSender(Generic[_PingEvent]):
    """A Session-Sender of STAMP (RFC 8762, RFC 8972): it sends numbered test packets to a
    Session-Reflector, also one of TWAMP-Light (RFC 5357 appendix I), and matches the replies.

    host: the reflector's address or name. If a name has addresses of both families, the IPv4
        address is used, unless `family` is 6.
    port: the reflector's port, 1 to 65535.
    count: the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
    timeout: the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
    interval: the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
    schedule: the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
    duration: the time during which probes are sent, in seconds; None for no limit.
    seed: the seed of a Poisson schedule's gaps; drawn at random if None.
    size: the length of a packet's payload in bytes: 44, or 48 to 65507 with an Extra Padding TLV
        (RFC 8972 section 4.1). With keys 112, also if it is 44, or 136 to 65507.
    fill: the value of that TLV: "random" for pseudo-random bytes, others in each packet, or bytes
        to repeat.
    ssid: the session identifier (RFC 8972 section 3), 0 to 65535; 0 for none, None for a random
        one.
    timestamp_format: the format of the packets' timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts
        UTC here, not TAI. Replies may have either.
    synchronized: whether this host's clock is synchronized to UTC within `clock_error`. Packets claim it,
        and it narrows the bounds of one-way delays if the reflector claims it, too.
    clock_error: the error of this host's clock that packets claim, in seconds.
    keys: the Keys, or the path of a file of them, whose first signs packets and verifies replies
        (RFC 8762 section 4.4); None for no authentication.
    keep: the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
    timestamps: the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
    precise: whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
    source: the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
    interface: the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
    ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255. The reflector reports the rest of it:
        with 255 that gives the number of hops.
    dscp: the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
    dont_fragment: whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
    flows: the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
    wait_out: whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
    outage_after: the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
    revisions: whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
    linger: the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
    capture: the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    A reply is accepted if it repeats the packet's number and time, the padding and the session
    identifier, which may be 0, and if it has a T2. Another reply with the packet's number is corrupt,
    with keys also one with a wrong tag; an unauthenticated one is foreign then. A packet without a
    reply may also have been refused: many reflectors answer only senders that they were told of.

    With keys packets are authenticated, and the tag of another TLV covers the padding. The reflector
    must sign its replies with the key of the packet.

    The numbers in packets count from 0 and leave 2 out: a reflector that counts its replies
    (stateful) shows by that.

    Iterating yields each Probe when it is decided, with `revisions` also Revised and with
    `outage_after` OutageStarted and OutageEnded of `udpulse.events`. It ends with the session: when
    the last packet is decided and `linger` is over.

    Raises ValueError if an argument is out of range.
    """

    @overload
    def __new__(
        cls,
        host: str,
        port: int = 862,
        *,
        count: int | None = 10,
        timeout: float = 1.0,
        interval: float | None = None,
        schedule: Literal["periodic", "poisson"] = "periodic",
        duration: float | None = None,
        seed: int | None = None,
        size: int = 44,
        fill: bytes | Literal["random"] = "random",
        ssid: int | None = None,
        timestamp_format: Literal["ntp", "ptp"] = "ntp",
        synchronized: bool = False,
        clock_error: float = 16.0,
        keys: Keys | str | PathLike[str] | None = None,
        keep: int | Literal["all"] = 10000,
        timestamps: Literal["user", "receive", "kernel"] = "receive",
        precise: bool = False,
        source: tuple[str, int] | None = None,
        interface: str | None = None,
        ttl: int | None = 255,
        dscp: int | None = None,
        dont_fragment: bool = False,
        flows: int = 1,
        family: Literal[4, 6] | None = None,
        resolve_every: float | None = 60.0,
        wait_out: bool = False,
        outage_after: None = None,
        revisions: Literal[False] = False,
        linger: float | None = None,
        capture: str | PathLike[str] | None = None,
        capture_snaplen: int | None = None,
        capture_limit: int = 1073741824,
    ) -> StampSender[Probe]: ...
    @overload
    def __new__(
        cls,
        host: str,
        port: int = 862,
        *,
        count: int | None = 10,
        timeout: float = 1.0,
        interval: float | None = None,
        schedule: Literal["periodic", "poisson"] = "periodic",
        duration: float | None = None,
        seed: int | None = None,
        size: int = 44,
        fill: bytes | Literal["random"] = "random",
        ssid: int | None = None,
        timestamp_format: Literal["ntp", "ptp"] = "ntp",
        synchronized: bool = False,
        clock_error: float = 16.0,
        keys: Keys | str | PathLike[str] | None = None,
        keep: int | Literal["all"] = 10000,
        timestamps: Literal["user", "receive", "kernel"] = "receive",
        precise: bool = False,
        source: tuple[str, int] | None = None,
        interface: str | None = None,
        ttl: int | None = 255,
        dscp: int | None = None,
        dont_fragment: bool = False,
        flows: int = 1,
        family: Literal[4, 6] | None = None,
        resolve_every: float | None = 60.0,
        wait_out: bool = False,
        outage_after: int | None = None,
        revisions: bool = False,
        linger: float | None = None,
        capture: str | PathLike[str] | None = None,
        capture_snaplen: int | None = None,
        capture_limit: int = 1073741824,
    ) -> StampSender[Probe | Revised | OutageStarted | OutageEnded]: ...
    @property
    def capture(self) -> str | None:
        """the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
        """

    @property
    def capture_snaplen(self) -> int | None:
        """the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
        """

    @property
    def capture_limit(self) -> int:
        """the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.
        """

    @property
    def capture_dropped(self) -> int:
        """The number of packets that are missing in the file of the capture: it is full, or
        could not be written in time.
        """

    @property
    def capture_error(self) -> OSError | None:
        """The OSError that ended the capture; None if it could be written."""

    @property
    def host(self) -> str:
        """the reflector's address or name. If a name has addresses of both families, the IPv4
        address is used, unless `family` is 6.
        """

    @property
    def port(self) -> int:
        """the reflector's port, 1 to 65535."""

    @property
    def count(self) -> int | None:
        """the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
        """

    @property
    def keys(self) -> Keys | None:
        """the Keys, or the path of a file of them, whose first signs packets and verifies replies
        (RFC 8762 section 4.4); None for no authentication.
        """

    @property
    def timeout(self) -> float:
        """the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
        """

    @property
    def interval(self) -> float | None:
        """the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
        """

    @property
    def schedule(self) -> Literal["periodic", "poisson"]:
        """the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
        """

    @property
    def duration(self) -> float | None:
        """the time during which probes are sent, in seconds; None for no limit."""

    @property
    def seed(self) -> int:
        """the seed of a Poisson schedule's gaps; drawn at random if None."""

    @property
    def size(self) -> int:
        """the length of a packet's payload in bytes: 44, or 48 to 65507 with an Extra Padding TLV
        (RFC 8972 section 4.1). With keys 112, also if it is 44, or 136 to 65507.
        """

    @property
    def fill(self) -> bytes | Literal["random"]:
        """the value of that TLV: "random" for pseudo-random bytes, others in each packet, or bytes
        to repeat.
        """

    @property
    def ssid(self) -> int:
        """the session identifier (RFC 8972 section 3), 0 to 65535; 0 for none, None for a random
        one.
        """

    @property
    def timestamp_format(self) -> Literal["ntp", "ptp"]:
        """the format of the packets' timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts
        UTC here, not TAI. Replies may have either.
        """

    @property
    def synchronized(self) -> bool:
        """whether this host's clock is synchronized to UTC within `clock_error`. Packets claim it,
        and it narrows the bounds of one-way delays if the reflector claims it, too.
        """

    @property
    def clock_error(self) -> float:
        """the error of this host's clock that packets claim, in seconds."""

    @property
    def keep(self) -> int | Literal["all"]:
        """the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
        """

    @property
    def timestamps(self) -> Literal["user", "receive", "kernel"]:
        """the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
        """

    @property
    def precise(self) -> bool:
        """whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
        """

    @property
    def source(self) -> _Address | None:
        """the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
        """

    @property
    def interface(self) -> str | None:
        """the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
        """

    @property
    def ttl(self) -> int | None:
        """the IPv4 time to live or IPv6 hop limit, 1 to 255. The reflector reports the rest of it:
        with 255 that gives the number of hops.
        """

    @property
    def dscp(self) -> int | None:
        """the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
        """

    @property
    def dont_fragment(self) -> bool:
        """whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
        """

    @property
    def flows(self) -> int:
        """the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
        """

    @property
    def family(self) -> Literal[4, 6] | None:
        """the only address family to use, 4 or 6; None for any."""

    @property
    def resolve_every(self) -> float | None:
        """the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
        """

    @property
    def wait_out(self) -> bool:
        """whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
        """

    @property
    def revisions(self) -> bool:
        """whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
        """

    @property
    def outage_after(self) -> int | None:
        """the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
        """

    @property
    def linger(self) -> float | None:
        """the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
        """

    @property
    def server(self) -> _Address:
        """The (address, port) of the server, the current one if its name has changed its
        address.

        Raises NotStartedError before the first start.
        """

    def report(self) -> PingReport:
        """Returns the PingReport since the last start; consistent even while the client runs."""

    def start(self) -> None:
        """Starts the object on its own thread; does nothing if it is already running.

        A start after a stop resets all counters.

        Raises OSError if the system refuses the address and socket.gaierror if the host has
        none; a HeartbeatClient looks names up while it runs instead.
        """

    def stop(self) -> None:
        """Stops immediately and closes the socket; counters and results stay readable.

        Any thread may call it, any number of times.
        """

    @property
    def running(self) -> bool:
        """Whether the object is running."""

    @property
    def address(self) -> _Address:
        """The local (host, port) of the object's socket.

        Raises NotStartedError before the first start.
        """

    @property
    def events_dropped(self) -> int:
        """The number of events dropped from the bounded queue before they were read."""

    @property
    def last_send_error(self) -> OSError | None:
        """The OSError of the last datagram that this host could not send; None if none failed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Starts the object; a name is resolved without blocking the event loop."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stops the object without blocking the event loop."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _PingEvent: ...
    def next_batch(self, limit: int = 4096, timeout: float | None = None) -> list[_PingEvent]:
        """Waits for an event and returns a list of all pending ones, oldest first.

        limit: the maximum length of the list, 1 to 2**32 - 1.
        timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            limit.

        The list is empty at the timeout, and at the end: the object has stopped and all
        events were read. `events_dropped` counts the events that were dropped unread.

        Raises NotStartedError before the first start and ValueError if an argument is out
        of range.
        """

    def __aiter__(self) -> AsyncIterator[_PingEvent]: ...
    def __class_getitem__(cls, event: Any) -> GenericAlias:
        """Supports the event in brackets after the class in annotations."""

    def _finish(self) -> PingReport:
        """Waits for the last probe and returns the report."""

    def _poll(self, waiter: _Waiter) -> _PingEvent | None:
        """Returns the next event; if there is none yet, returns None and makes `waiter`
        readable when there may be one.
        """

    def _record(self, lines: _Lines, limit: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for an event and adds a line for each pending one, at
        most `limit`, to `lines`. Returns whether there may be more.
        """

    def _record_rest(self, lines: _Lines) -> None:
        """Adds a line for each probe that is not decided to `lines`."""

    def _record_all(self) -> None:
        """Makes the next start report all events that lines need."""

    @property
    def _start_ns(self) -> int:
        """The moment from which the times of lines count, in nanoseconds since the Unix epoch."""

    @property
    def _elapsed_ns(self) -> int:
        """The time since that moment, in nanoseconds."""

    def _has_names(self) -> bool:
        """Returns whether a start waits for the system's resolver."""

    def _begin_stop(self) -> None:
        """Makes the object stop; returns immediately."""

    def _poll_end(self, waiter: _Waiter) -> bool:
        """Returns whether the work has ended; if not, makes `waiter` readable when it may
        have.
        """

def _exposition(
    sources: list[tuple[str, Any, dict[str, int], dict[str, str]]], open_metrics: bool, limit: int
) -> bytes:
    """Returns the metrics of running objects, each with its name, counts from before its start and more
    labels, as text: in the format of Prometheus or of OpenMetrics, with at most `limit` series of targets and
    clients.
    """

def _fit(
    records: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]], simulations: int, seed: int
) -> dict[str, Any]:
    """Fits models to records without holes, each three arrays: send times in nanoseconds, whether the
    packet was lost, and its delay in nanoseconds, NaN if unknown.
    """

def stamp(
    host: str,
    port: int = 862,
    *,
    count: int | None = 10,
    timeout: float = 1.0,
    interval: float | None = None,
    schedule: Literal["periodic", "poisson"] = "periodic",
    duration: float | None = None,
    seed: int | None = None,
    size: int = 44,
    fill: bytes | Literal["random"] = "random",
    ssid: int | None = None,
    timestamp_format: Literal["ntp", "ptp"] = "ntp",
    synchronized: bool = False,
    clock_error: float = 16.0,
    keys: Keys | str | PathLike[str] | None = None,
    keep: int | Literal["all"] = 10000,
    timestamps: Literal["user", "receive", "kernel"] = "receive",
    precise: bool = False,
    source: tuple[str, int] | None = None,
    interface: str | None = None,
    ttl: int | None = 255,
    dscp: int | None = None,
    dont_fragment: bool = False,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
    resolve_every: float | None = 60.0,
    wait_out: bool = False,
    outage_after: int | None = None,
    revisions: bool = False,
    linger: float | None = None,
    capture: str | PathLike[str] | None = None,
    capture_snaplen: int | None = None,
    capture_limit: int = 1073741824,
) -> PingReport:
    """Sends test packets to a Session-Reflector of STAMP or TWAMP-Light and returns the PingReport.

    Blocks until the last packet is decided and `linger` is over. Ctrl-C ends the call: the
    `report` attribute of the KeyboardInterrupt has the results so far.

    host: the reflector's address or name. If a name has addresses of both families, the IPv4
        address is used, unless `family` is 6.
    port: the reflector's port, 1 to 65535.
    count: the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
    timeout: the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
    interval: the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
    schedule: the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
    duration: the time during which probes are sent, in seconds; None for no limit.
    seed: the seed of a Poisson schedule's gaps; drawn at random if None.
    size: the length of a packet's payload in bytes: 44, or 48 to 65507 with an Extra Padding TLV
        (RFC 8972 section 4.1). With keys 112, also if it is 44, or 136 to 65507.
    fill: the value of that TLV: "random" for pseudo-random bytes, others in each packet, or bytes
        to repeat.
    ssid: the session identifier (RFC 8972 section 3), 0 to 65535; 0 for none, None for a random
        one.
    timestamp_format: the format of the packets' timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts
        UTC here, not TAI. Replies may have either.
    synchronized: whether this host's clock is synchronized to UTC within `clock_error`. Packets claim it,
        and it narrows the bounds of one-way delays if the reflector claims it, too.
    clock_error: the error of this host's clock that packets claim, in seconds.
    keys: the Keys, or the path of a file of them, whose first signs packets and verifies replies
        (RFC 8762 section 4.4); None for no authentication.
    keep: the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
    timestamps: the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
    precise: whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
    source: the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
    interface: the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
    ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255. The reflector reports the rest of it:
        with 255 that gives the number of hops.
    dscp: the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
    dont_fragment: whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
    flows: the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
    wait_out: whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
    outage_after: the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
    revisions: whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
    linger: the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
    capture: the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    Raises ValueError if an argument is out of range or if neither count nor duration limits the
    session, OSError if the system refuses the address and socket.gaierror if the host has none.
    """

async def async_stamp(
    host: str,
    port: int = 862,
    *,
    count: int | None = 10,
    timeout: float = 1.0,
    interval: float | None = None,
    schedule: Literal["periodic", "poisson"] = "periodic",
    duration: float | None = None,
    seed: int | None = None,
    size: int = 44,
    fill: bytes | Literal["random"] = "random",
    ssid: int | None = None,
    timestamp_format: Literal["ntp", "ptp"] = "ntp",
    synchronized: bool = False,
    clock_error: float = 16.0,
    keys: Keys | str | PathLike[str] | None = None,
    keep: int | Literal["all"] = 10000,
    timestamps: Literal["user", "receive", "kernel"] = "receive",
    precise: bool = False,
    source: tuple[str, int] | None = None,
    interface: str | None = None,
    ttl: int | None = 255,
    dscp: int | None = None,
    dont_fragment: bool = False,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
    resolve_every: float | None = 60.0,
    wait_out: bool = False,
    outage_after: int | None = None,
    revisions: bool = False,
    linger: float | None = None,
    capture: str | PathLike[str] | None = None,
    capture_snaplen: int | None = None,
    capture_limit: int = 1073741824,
) -> PingReport:
    """Sends test packets to a Session-Reflector through the running event loop and returns the
    PingReport, like `stamp`.

    host: the reflector's address or name. If a name has addresses of both families, the IPv4
        address is used, unless `family` is 6.
    port: the reflector's port, 1 to 65535.
    count: the number of probes, 1 or more (default: 10, or None with a duration); None for no
        limit: until `duration` or `stop` ends the session.
    timeout: the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        if its probe is among the last 16384.
    interval: the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        the last was answered or timed out. With an interval, probes follow an absolute
        schedule, answered or not; a missed slot is skipped and counted.
    schedule: the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        (RFC 2330 section 11.1.1).
    duration: the time during which probes are sent, in seconds; None for no limit.
    seed: the seed of a Poisson schedule's gaps; drawn at random if None.
    size: the length of a packet's payload in bytes: 44, or 48 to 65507 with an Extra Padding TLV
        (RFC 8972 section 4.1). With keys 112, also if it is 44, or 136 to 65507.
    fill: the value of that TLV: "random" for pseudo-random bytes, others in each packet, or bytes
        to repeat.
    ssid: the session identifier (RFC 8972 section 3), 0 to 65535; 0 for none, None for a random
        one.
    timestamp_format: the format of the packets' timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts
        UTC here, not TAI. Replies may have either.
    synchronized: whether this host's clock is synchronized to UTC within `clock_error`. Packets claim it,
        and it narrows the bounds of one-way delays if the reflector claims it, too.
    clock_error: the error of this host's clock that packets claim, in seconds.
    keys: the Keys, or the path of a file of them, whose first signs packets and verifies replies
        (RFC 8762 section 4.4); None for no authentication.
    keep: the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        Functions that return a report keep all by default if there is a count. Flows share the
        number.
    timestamps: the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
    precise: whether to spin for the last 50 us before each slot and the first 50 us after each
        probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
    source: the address and port to send from; port 0 for any free port, "" for any address. The
        address alone does not choose the interface. If this host loses the address, probes are
        "send_failed" until it has it again.
    interface: the name of the network interface or VRF to send and receive through (Linux); None for
        the system's choice for each probe. If it is deleted, probes are "send_failed" until
        there is one of that name again; without the right CAP_NET_RAW, until the next start.
        Start raises OSError if there is none of that name or if the platform does not support
        it.
    ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255. The reflector reports the rest of it:
        with 255 that gives the number of hops.
    dscp: the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        default.
    dont_fragment: whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        the known path MTU is "send_failed"; one that a router drops as too long is
        "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        fragments datagrams too long for its own link. If True, start raises OSError if the
        platform does not support it (Linux does).
    flows: the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        among equal-cost paths by port. The flows take turns, and each numbers its own probes
        from 1; without an interval each flow waits for its own replies. If `source` has a port,
        the flows use consecutive ports from it on.
    family: the only address family to use, 4 or 6; None for any.
    resolve_every: the time after which the server's name is looked up again, in seconds; None for only
        while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        no longer has the address in use, probes go to its new one, of the same family.
    wait_out: whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        decides it, and without an interval the next probe leaves 0.1 s later.
    outage_after: the number of consecutive probes of a flow without an answer in time that make an outage,
        1 or more; None for 3, in the report only. With a number, iterating also yields
        OutageStarted and OutageEnded.
    revisions: whether iterating also yields Revised: a probe that was answered after its verdict, most
        often one that counted as lost.
    linger: the time to listen for late replies and duplicates after the last probe was decided, in
        seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
    capture: the path of a pcapng file for the probes and their replies, each with its verdict as a
        comment; None for no capture. A start replaces the file.
    capture_snaplen: the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        for all.
    capture_limit: the most bytes of the file, 1 or more. The packets that do not fit are counted as
        `capture_dropped`.

    No Python thread waits, except while a name is resolved. Cancelling stops the packets. Raises
    the same errors as `stamp`.
    """
