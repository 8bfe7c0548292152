"""Types of the compiled half; its docstrings say what each thing is."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar, final

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from typing_extensions import Self

__all__ = [
    "VERDICTS",
    "Beat",
    "Busy",
    "ClockStepped",
    "Conflict",
    "Distribution",
    "Down",
    "EchoCounters",
    "EchoServer",
    "EchoTruth",
    "Exponential",
    "Fate",
    "FateColumns",
    "GilbertElliott",
    "Heard",
    "HeartbeatClient",
    "HeartbeatClientCounters",
    "HeartbeatServer",
    "HeartbeatServerCounters",
    "Ignored",
    "LateBeat",
    "Link",
    "LinkCounters",
    "LossPattern",
    "Lost",
    "MassSilence",
    "Moved",
    "Normal",
    "Pareto",
    "Paused",
    "Peer",
    "PingClient",
    "PingReport",
    "Probe",
    "Progress",
    "RateLimit",
    "Recovered",
    "Reordering",
    "Reply",
    "ReplyColumns",
    "Restarted",
    "Runs",
    "Stalled",
    "Stopped",
    "Suspect",
    "Uniform",
    "Up",
    "_Waiter",
    "__version__",
    "ping",
    "ping_many",
]

VERDICTS: Final[list[str]]
__version__: Final[str]

_Address: TypeAlias = tuple[str, int]
_F = TypeVar("_F", bound=Callable[..., Any])

@final
class _Waiter:
    @staticmethod
    def pair() -> tuple[_Waiter, int]: ...

@final
class EchoServer:
    def __new__(
        cls,
        host: str = "127.0.0.1",
        port: int = 12000,
        *,
        loss: _Loss = 0.0,
        uplink: Link | None = None,
        downlink: Link | None = None,
        seed: int | None = None,
        transform: Literal["upper", "echo"] = "upper",
        max_size: int = 65507,
        max_rate: float | None = None,
        threads: int = 1,
        log: int = 0,
    ) -> Self: ...
    @property
    def counters(self) -> EchoCounters: ...
    @property
    def truth(self) -> EchoTruth: ...
    def fates(self) -> list[Fate]: ...
    def columns(self) -> FateColumns: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def address(self) -> _Address: ...
    @property
    def overflowed(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Fate: ...
    def __aiter__(self) -> AsyncIterator[Fate]: ...
    def _poll(self, waiter: _Waiter) -> Fate | None: ...
    def _has_names(self) -> bool: ...
    def _begin_leaving(self) -> None: ...
    def _poll_end(self, waiter: _Waiter) -> bool: ...

@final
class EchoCounters:
    __match_args__: Final = ("received", "replied", "dropped", "send_failed")
    @property
    def received(self) -> int: ...
    @property
    def replied(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def send_failed(self) -> int: ...

@final
class Fate:
    __match_args__: Final = (
        "received_at",
        "client",
        "dropped",
        "answer",
        "size",
        "number",
        "outcome",
        "uplink",
        "downlink",
        "replies",
        "corrupted",
        "sent_at",
        "copies",
    )
    @property
    def received_at(self) -> float: ...
    @property
    def client(self) -> _Address: ...
    @property
    def dropped(self) -> bool: ...
    @property
    def answer(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def outcome(
        self,
    ) -> Literal["replied", "lost", "unanswerable", "limited", "delay_line_full"]: ...
    @property
    def uplink(self) -> list[str]: ...
    @property
    def downlink(self) -> list[str]: ...
    @property
    def replies(self) -> int: ...
    @property
    def corrupted(self) -> int: ...
    @property
    def sent_at(self) -> float | None: ...
    @property
    def copies(self) -> list[Reply]: ...

@final
class FateColumns:
    @property
    def received_ns(self) -> NDArray[np.int64]: ...
    @property
    def sent_ns(self) -> NDArray[np.int64]: ...
    @property
    def client(self) -> NDArray[np.uint32]: ...
    @property
    def number(self) -> NDArray[np.uint64]: ...
    @property
    def size(self) -> NDArray[np.uint32]: ...
    @property
    def uplink(self) -> NDArray[np.uint8]: ...
    @property
    def downlink(self) -> NDArray[np.uint8]: ...
    @property
    def replies(self) -> NDArray[np.uint8]: ...
    @property
    def corrupted(self) -> NDArray[np.uint8]: ...
    @property
    def copies(self) -> ReplyColumns: ...
    @property
    def clients(self) -> list[_Address]: ...
    def __len__(self) -> int: ...

@final
class Reply:
    __match_args__: Final = (
        "number",
        "sent_at",
        "uplink_bit",
        "downlink_bit",
        "corrupted",
    )
    @property
    def number(self) -> int: ...
    @property
    def sent_at(self) -> float: ...
    @property
    def uplink_bit(self) -> int | None: ...
    @property
    def downlink_bit(self) -> int | None: ...
    @property
    def corrupted(self) -> bool: ...

@final
class ReplyColumns:
    @property
    def fate(self) -> NDArray[np.uint32]: ...
    @property
    def sent_ns(self) -> NDArray[np.int64]: ...
    @property
    def uplink_bit(self) -> NDArray[np.int32]: ...
    @property
    def downlink_bit(self) -> NDArray[np.int32]: ...
    @property
    def corrupted(self) -> NDArray[np.bool_]: ...
    def __len__(self) -> int: ...

@final
class LinkCounters:
    __match_args__: Final = (
        "lost",
        "duplicated",
        "corrupted",
        "held",
        "queue_full",
    )
    @property
    def lost(self) -> int: ...
    @property
    def duplicated(self) -> int: ...
    @property
    def corrupted(self) -> int: ...
    @property
    def held(self) -> int: ...
    @property
    def queue_full(self) -> int: ...

@final
class EchoTruth:
    __match_args__: Final = (
        "uplink",
        "downlink",
        "replies",
        "pending",
        "delayed",
        "unanswerable",
        "limited",
        "delay_line_full",
        "crowded",
        "receive_drops",
    )
    @property
    def uplink(self) -> LinkCounters: ...
    @property
    def downlink(self) -> LinkCounters: ...
    @property
    def replies(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def delayed(self) -> int: ...
    @property
    def unanswerable(self) -> int: ...
    @property
    def limited(self) -> int: ...
    @property
    def delay_line_full(self) -> int: ...
    @property
    def crowded(self) -> int: ...
    @property
    def receive_drops(self) -> int: ...

@final
class GilbertElliott:
    def __new__(
        cls, p: float, r: float | None = None, *, bad_loss: float = 1.0, good_loss: float = 0.0
    ) -> Self: ...

@final
class LossPattern:
    def __new__(cls, lost: Sequence[bool]) -> Self: ...

@final
class Uniform:
    def __new__(cls, low: float, high: float) -> Self: ...

@final
class Normal:
    def __new__(cls, mean: float, deviation: float) -> Self: ...

@final
class Exponential:
    def __new__(cls, mean: float) -> Self: ...

@final
class Pareto:
    def __new__(cls, scale: float, shape: float) -> Self: ...

@final
class Reordering:
    def __new__(cls, p: float, delay: float) -> Self: ...

@final
class RateLimit:
    def __new__(cls, bits_per_second: int, *, queue: int = 65536) -> Self: ...

_Loss: TypeAlias = float | Literal["lab"] | GilbertElliott | LossPattern
_Delay: TypeAlias = float | Uniform | Normal | Exponential | Pareto

@final
class Link:
    def __new__(
        cls,
        *,
        loss: _Loss = 0.0,
        duplication: float = 0.0,
        corruption: float = 0.0,
        rate: RateLimit | None = None,
        delay: _Delay = 0.0,
        keep_order: bool = False,
        reordering: Reordering | None = None,
    ) -> Self: ...

@final
class PingClient:
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
        size: int = 0,
        keep: int | Literal["all"] = 0,
        timestamps: Literal["user", "receive", "kernel"] = "receive",
        precise: bool = False,
        source: tuple[str, int] | None = None,
        ttl: int | None = None,
        dscp: int | None = None,
        dont_fragment: bool = False,
        flows: int = 1,
        family: Literal[4, 6] | None = None,
    ) -> Self: ...
    @property
    def server(self) -> _Address: ...
    def report(self) -> PingReport: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def address(self) -> _Address: ...
    @property
    def overflowed(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Probe: ...
    def __aiter__(self) -> AsyncIterator[Probe]: ...
    def _poll(self, waiter: _Waiter) -> Probe | None: ...
    def _has_names(self) -> bool: ...
    def _begin_leaving(self) -> None: ...
    def _poll_end(self, waiter: _Waiter) -> bool: ...

@final
class Probe:
    __match_args__: Final = ("seq", "verdict", "rtt", "reply", "sent_at", "kernel_rtt", "flow")
    @property
    def seq(self) -> int: ...
    @property
    def verdict(self) -> Literal["answered", "lost", "refused", "send_failed"]: ...
    @property
    def rtt(self) -> float | None: ...
    @property
    def reply(self) -> bytes | None: ...
    @property
    def sent_at(self) -> float: ...
    @property
    def kernel_rtt(self) -> float | None: ...
    @property
    def flow(self) -> int: ...

@final
class Runs:
    __match_args__: Final = ("count", "mean", "max")
    @property
    def count(self) -> int: ...
    @property
    def mean(self) -> float | None: ...
    @property
    def max(self) -> int | None: ...

@final
class Distribution:
    @property
    def count(self) -> int: ...
    @property
    def min(self) -> float | None: ...
    @property
    def mean(self) -> float | None: ...
    @property
    def median(self) -> float | None: ...
    @property
    def p99(self) -> float | None: ...
    @property
    def max(self) -> float | None: ...
    @property
    def stddev(self) -> float | None: ...
    def percentile(self, percent: float) -> float | None: ...

_Columns: TypeAlias = dict[str, npt.NDArray[np.integer[Any]]]

@final
class PingReport:
    __match_args__: Final = (
        "sent",
        "answered",
        "late",
        "lost",
        "refused",
        "send_failed",
        "pending",
    )
    @property
    def flows(self) -> list[PingReport]: ...
    @property
    def sent(self) -> int: ...
    @property
    def answered(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def send_failed(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def received(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def corrupt(self) -> int: ...
    @property
    def foreign(self) -> int: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def loss_interval(self) -> tuple[float, float] | None: ...
    @property
    def loss_bursts(self) -> Runs: ...
    @property
    def loss_gaps(self) -> Runs: ...
    @property
    def rtt(self) -> Distribution: ...
    @property
    def kernel_rtt(self) -> Distribution: ...
    @property
    def overhead(self) -> Distribution: ...
    @property
    def timestamps(self) -> Literal["kernel", "user"]: ...
    @property
    def schedule_error(self) -> Distribution: ...
    @property
    def missed(self) -> int: ...
    @property
    def ipdv_abs_mean(self) -> float | None: ...
    @property
    def rfc3550_jitter(self) -> float | None: ...
    @property
    def pdv_p95(self) -> float | None: ...
    @property
    def reordered(self) -> int: ...
    @property
    def reorder_ratio(self) -> float | None: ...
    @property
    def reorder_extent(self) -> int | None: ...
    @property
    def wall_steps(self) -> int: ...
    @property
    def wall_step_total(self) -> float: ...
    @property
    def receive_drops(self) -> int: ...
    def columns(self) -> _Columns: ...
    def __add__(self, other: PingReport, /) -> PingReport: ...
    def __radd__(self, value: PingReport, /) -> PingReport: ...

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
    size: int = 0,
    keep: int | Literal["all"] = "all",
    timestamps: Literal["user", "receive", "kernel"] = "receive",
    precise: bool = False,
    source: tuple[str, int] | None = None,
    ttl: int | None = None,
    dscp: int | None = None,
    dont_fragment: bool = False,
    flows: int = 1,
    family: Literal[4, 6] | None = None,
) -> PingReport: ...
def ping_many(
    targets: Iterable[tuple[str, int]],
    *,
    count: int = 3,
    rate: float = 1000.0,
    timeout: float = 1.0,
    size: int = 64,
) -> list[PingReport]: ...

@final
class HeartbeatClient:
    def __new__(
        cls,
        host: str,
        port: int = 12000,
        *,
        also: Sequence[tuple[str, int]] = (),
        interval: float = 1.0,
        spread: float = 0.0,
        name: str | None = None,
        stall_after: float | None = None,
        count: int | None = None,
        fail_at: int | None = None,
        fail_chance: float = 0.0,
        loss: float = 0.0,
        seed: int | None = None,
        format: str | None = None,
    ) -> Self: ...
    def progress(self) -> Progress: ...
    def busy(self, *, until: float) -> None: ...
    @property
    def server(self) -> _Address: ...
    @property
    def counters(self) -> HeartbeatClientCounters: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def address(self) -> _Address: ...
    @property
    def overflowed(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Beat: ...
    def __aiter__(self) -> AsyncIterator[Beat]: ...
    @property
    def _tick_period(self) -> float: ...
    def _tick(self) -> None: ...
    def _poll(self, waiter: _Waiter) -> Beat | None: ...
    def _has_names(self) -> bool: ...
    def _begin_leaving(self) -> None: ...
    def _poll_end(self, waiter: _Waiter) -> bool: ...

@final
class Progress:
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __call__(self, function: _F) -> _F: ...

@final
class HeartbeatClientCounters:
    __match_args__: Final = ("sent", "skipped", "send_failed", "refused", "received")
    @property
    def sent(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def send_failed(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def received(self) -> int: ...

@final
class Beat:
    __match_args__: Final = ("seq", "outcome", "time")
    @property
    def seq(self) -> int: ...
    @property
    def outcome(self) -> Literal["failed", "sent", "skipped"]: ...
    @property
    def time(self) -> float: ...

@final
class HeartbeatServer:
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
        reply: bool = False,
        max_peers: int = 65536,
        every_beat: bool = False,
        old_beats: Literal["ignore", "accept"] = "ignore",
    ) -> Self: ...
    @property
    def counters(self) -> HeartbeatServerCounters: ...
    def peers(self) -> list[Peer]: ...
    def columns(self) -> dict[str, NDArray[Any]]: ...
    def next_batch(self, limit: int = 4096) -> list[_Event]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def address(self) -> _Address: ...
    @property
    def overflowed(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> _Event: ...
    def __aiter__(self) -> AsyncIterator[_Event]: ...
    def _poll(self, waiter: _Waiter) -> _Event | None: ...
    def _has_names(self) -> bool: ...
    def _begin_leaving(self) -> None: ...
    def _poll_end(self, waiter: _Waiter) -> bool: ...

@final
class HeartbeatServerCounters:
    __match_args__: Final = (
        "received",
        "beats",
        "late_beats",
        "goodbyes",
        "duplicates",
        "stale",
        "ignored",
        "rejected",
        "receive_drops",
        "replied",
        "send_failed",
    )
    @property
    def received(self) -> int: ...
    @property
    def beats(self) -> int: ...
    @property
    def late_beats(self) -> int: ...
    @property
    def goodbyes(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def receive_drops(self) -> int: ...
    @property
    def replied(self) -> int: ...
    @property
    def send_failed(self) -> int: ...

@final
class Peer:
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
    )
    @property
    def address(self) -> _Address: ...
    @property
    def state(
        self,
    ) -> Literal[
        "unknown", "learning", "up", "overdue", "suspect", "down", "stopped", "stalled", "busy"
    ]: ...
    @property
    def last_received_at(self) -> float: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def reordered(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def interval(self) -> float | None: ...
    @property
    def timeout(self) -> float: ...
    @property
    def delay(self) -> float | None: ...
    @property
    def difference(self) -> float | None: ...
    @property
    def boot(self) -> int | None: ...
    @property
    def status(self) -> Literal["starting", "ok", "degraded", "stalled", "busy", "bye"] | None: ...
    @property
    def progress_age(self) -> float | None: ...

@final
class Busy:
    __match_args__: Final = (
        "address",
        "time",
        "duration",
        "last_seq",
        "received",
        "expected",
        "name",
    )
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def duration(self) -> float: ...
    @property
    def last_seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def name(self) -> str | None: ...

@final
class ClockStepped:
    __match_args__: Final = ("address", "time", "step", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def step(self) -> float: ...
    @property
    def name(self) -> str | None: ...

@final
class Conflict:
    __match_args__: Final = ("address", "time", "boot", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def boot(self) -> int: ...
    @property
    def name(self) -> str | None: ...

@final
class Down:
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
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def cause(self) -> Literal["silence", "old_beats", "busy_over", "mass_silence"]: ...
    @property
    def silence(self) -> float: ...
    @property
    def timeout(self) -> float: ...
    @property
    def name(self) -> str | None: ...

@final
class Heard:
    __match_args__: Final = ("address", "time", "seq", "difference", "payload", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def difference(self) -> float | None: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def name(self) -> str | None: ...

@final
class Ignored:
    __match_args__: Final = ("address", "time", "payload", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def name(self) -> str | None: ...

@final
class LateBeat:
    __match_args__: Final = ("address", "time", "seq", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def seq(self) -> int: ...
    @property
    def name(self) -> str | None: ...

@final
class Lost:
    __match_args__: Final = ("address", "time", "first", "last", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def name(self) -> str | None: ...

@final
class MassSilence:
    __match_args__: Final = ("address", "time", "silent", "alive", "listed")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def silent(self) -> int: ...
    @property
    def alive(self) -> int: ...
    @property
    def listed(self) -> list[_Address]: ...

@final
class Moved:
    __match_args__: Final = ("address", "time", "old", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def old(self) -> _Address: ...
    @property
    def name(self) -> str | None: ...

@final
class Paused:
    __match_args__: Final = ("address", "time", "duration")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def duration(self) -> float: ...

@final
class Recovered:
    __match_args__: Final = ("address", "time", "seq", "state", "duration", "timeout", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def state(self) -> Literal["suspect", "down", "stopped", "busy", "stalled"]: ...
    @property
    def duration(self) -> float: ...
    @property
    def timeout(self) -> float: ...
    @property
    def name(self) -> str | None: ...

@final
class Restarted:
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
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def cause(self) -> Literal["boot", "sequence"]: ...
    @property
    def last_seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def name(self) -> str | None: ...

@final
class Stalled:
    __match_args__: Final = ("address", "time", "age", "last_seq", "received", "expected", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def age(self) -> float | None: ...
    @property
    def last_seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def name(self) -> str | None: ...

@final
class Stopped:
    __match_args__: Final = ("address", "time", "last_seq", "received", "expected", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def last_seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def name(self) -> str | None: ...

@final
class Suspect:
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
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def silence(self) -> float: ...
    @property
    def last_seq(self) -> int | None: ...
    @property
    def received(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def timeout(self) -> float: ...
    @property
    def name(self) -> str | None: ...

@final
class Up:
    __match_args__: Final = ("address", "time", "seq", "name")
    @property
    def address(self) -> _Address: ...
    @property
    def time(self) -> float: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def name(self) -> str | None: ...

_Event: TypeAlias = (
    Busy
    | ClockStepped
    | Conflict
    | Down
    | Heard
    | Ignored
    | LateBeat
    | Lost
    | MassSilence
    | Moved
    | Paused
    | Recovered
    | Restarted
    | Stalled
    | Stopped
    | Suspect
    | Up
)
