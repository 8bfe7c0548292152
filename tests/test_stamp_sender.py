"""The sender of STAMP, against our reflector, over bad paths, and against odd reflectors."""

import asyncio
import io
import itertools
import json
import pickle
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import peers
import pytest
from programs import run

import udpulse
from udpulse import Fate, PingReport, Relay, StampReflector, StampSender, jsonlines, reports
from udpulse.cli import _ping_screens, main
from udpulse.impair import Link, Uniform

linux = pytest.mark.skipif(peers.PORTABLE, reason="only Linux reports the headers of packets")

NTP_TO_UNIX = 2_208_988_800


def ntp(seconds: float) -> int:
    """Return a time as NTP has it."""
    return round((seconds + NTP_TO_UNIX) * 2**32) % 2**64


def ptp(seconds: float) -> int:
    """Return a time in the truncated format of PTP."""
    whole, rest = divmod(seconds, 1)
    return int(whole) << 32 | int(rest * 1e9)


class Odd:
    """A reflector with habits of its own."""

    def __init__(
        self,
        *,
        first: int | None = 0,
        stamp: Callable[[float], int] = ntp,
        error: int = 1,
        swapped: bool = False,
        size: Callable[[int], int] = lambda size: size,
        ssid: bool = True,
        ahead: float = 0,
    ) -> None:
        self.stamp, self.error, self.swapped, self.ssid = stamp, error, swapped, ssid
        self.numbers = None if first is None else itertools.count(first)
        self.size, self.ahead = size, ahead

    def __call__(self, request: bytes) -> list[bytes]:
        """Return the reply to a request."""
        seq, t1, error, ssid = struct.unpack("!IQHH", request[:16])
        now = time.time() + self.ahead
        number = seq if self.numbers is None else next(self.numbers) % 2**32
        t3, echo = self.stamp(now + 1e-6), t1
        if self.swapped:
            t3, echo = echo, t3
        reply = struct.pack(
            "!IQHHQIQHxxBxxx",
            number,
            t3,
            self.error,
            ssid if self.ssid else 0,
            self.stamp(now),
            seq,
            echo,
            error,
            250,
        )
        size = self.size(len(request))
        return [(reply + request[44:]).ljust(size, b"\0")[:size]]


def measured(rule: Odd, count: int = 6, **options: Any) -> PingReport:
    """Return the report about an odd reflector."""
    with peers.Server(rule) as server:
        options = {"timeout": peers.PATIENCE, **options}
        return udpulse.stamp("127.0.0.1", server.port, count=count, **options)


def test_a_whole_session() -> None:
    with StampReflector(port=0) as reflector:
        report = udpulse.stamp(*reflector.address, count=20, interval=0.001, ssid=7, size=60)
        records = reflector.reflected()
    assert (report.sent, report.answered, report.foreign, report.corrupt) == (20, 20, 0, 0)
    assert [record.seq for record in records] == [0, 1, *range(3, 21)]
    assert {(record.ssid, record.size) for record in records} == {(7, 60)}
    traits = report.reflector
    assert (traits.mode, traits.timestamp_format, traits.quirks) == ("stateful", "ntp", ())
    assert (traits.min_reply_size, traits.max_reply_size) == (60, 60)
    for direction in (report.forward, report.reverse):
        assert (direction.lost, direction.unknown, direction.duplicates) == (0, None, 0)
        assert direction.reordered == 0
        assert direction.delay
        assert 0 <= direction.delay[0] <= direction.delay[1]
        assert direction.pdv_p95 is not None
        assert direction.pdv_p95 >= 0
        assert direction.ipdv_abs_mean is not None
    assert report.unattributed == 0
    assert report.residence.count == 20
    low, high = report.clock.offset or (1, 1)
    assert low <= 0 <= high, "it is the same clock"
    assert report.clock.steps == 0
    assert "to the reflector: 0 lost, median delay within" in str(report)
    lines = _ping_screens.directions(report)
    assert lines[0].startswith("forward  0 lost, 0 reordered, delay 0.")
    assert lines[1].startswith("reverse  0 lost, 0 reordered, delay 0.")


@linux
def test_the_reflector_sees_hops_and_the_dscp() -> None:
    with StampReflector(port=0) as reflector:
        report = udpulse.stamp(*reflector.address, count=3, dscp=46)
        assert {(record.ttl, record.tos) for record in reflector.reflected()} == {(255, 184)}
    assert report.reflector.ttl == reports.HeaderField(min=255, max=255)


def test_the_directions_of_an_echo_server_are_unknown() -> None:
    with udpulse.EchoServer(port=0) as server:
        report = udpulse.ping(*server.address, count=3)
    assert report.forward == report.reverse
    assert (report.forward.lost, report.unattributed) == (None, None)
    assert report.forward.unknown == "an echo server does not tell directions apart"
    assert _ping_screens.directions(report) == []
    assert report.reflector == reports.ReflectorTraits()
    assert report.clock == reports.ReflectorClock()


def fates_by_way(fates: list[Fate]) -> tuple[dict[int, list[Fate]], dict[int, list[Fate]]]:
    """Return the fates of requests and of replies by the number of the request."""
    ways: tuple[dict[int, list[Fate]], dict[int, list[Fate]]] = ({}, {})
    for fate in fates:
        up = fate.way == "uplink"
        (seq,) = struct.unpack_from("!I", fate.answer, 0 if up else 24)
        ways[0 if up else 1].setdefault(seq, []).append(fate)
    return ways


@contextmanager
def bad_path(
    by: str, up: Link, down: Link, *, seed: int = 0, stateful: bool = True
) -> Iterator[tuple[Relay | StampReflector, StampReflector]]:
    """Yield a bad path and the reflector at its end: behind a relay, or with links of its own."""
    if by == "reflector":
        links: dict[str, Any] = {"uplink": up, "downlink": down, "seed": seed}
        with StampReflector(port=0, stateful=stateful, **links) as reflector:
            yield reflector, reflector
        return
    with (
        StampReflector(port=0, stateful=stateful) as reflector,
        Relay(*reflector.address, uplink=up, downlink=down, seed=seed) as relay,
    ):
        yield relay, reflector


by_either = pytest.mark.parametrize("by", ["relay", "reflector"])


@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize(
    ("by", "seed"), [*(("relay", seed) for seed in range(4)), ("reflector", 3)]
)
def test_each_direction_equals_the_truth(by: str, seed: int, stateful: bool) -> None:
    count = 300
    up = Link(loss=0.1 * (seed % 2), delay=Uniform(0, 0.01))
    down = Link(loss=0.05 * seed, delay=Uniform(0, 0.005))
    with bad_path(by, up, down, seed=seed, stateful=stateful) as (path, reflector):
        report = udpulse.stamp(*path.address, count=count, interval=0.001, timeout=1)
        fates, truth = path.fates(), path.truth
        records = reflector.reflected()
    requests, replies = fates_by_way(fates)
    losses = [sum(not fate.copies for (fate,) in way.values()) for way in (requests, replies)]
    assert [truth.uplink.lost, truth.downlink.lost] == losses
    lost_up = {seq for seq, (fate,) in requests.items() if not fate.copies}
    lost_down = {seq for seq, (fate,) in replies.items() if not fate.copies}
    assert len(requests) == count
    assert report.lost == len(lost_up) + len(lost_down)
    answered = sorted(set(replies) - lost_down)
    forward, reverse = report.forward, report.reverse
    # The order at the reflector, and the order of arrival.
    there = [record.seq for record in records if record.seq in answered]
    assert forward.reordered == reordered(there)
    left = sorted((fate.copies[0].number, seq) for seq, (fate,) in replies.items() if fate.copies)
    order = {record.seq: place for place, record in enumerate(records)}
    assert reverse.reordered == reordered([order[seq] for _, seq in left])
    missing = lost_up | lost_down
    edges = {seq for seq in missing if not answered[0] < seq < answered[-1]}
    if stateful:
        assert report.reflector.mode == "stateful"
        assert report.unattributed is not None
        assert report.unattributed >= len(edges)
        assert forward.lost is not None
        assert reverse.lost is not None
        assert forward.lost + reverse.lost + report.unattributed == len(missing)
        assert len(lost_up) - report.unattributed <= forward.lost <= len(lost_up)
        assert len(lost_down) - report.unattributed <= reverse.lost <= len(lost_down)
        assert report.unattributed <= len(edges) + 12, "only at the ends"
    elif missing:
        assert report.reflector.mode == "stateless"
        assert (forward.lost, report.unattributed) == (None, len(missing))
        assert forward.unknown == "the reflector repeats the packets' numbers (stateless)"
    else:
        assert (forward.lost, reverse.lost) == (0, 0)


def test_the_way_of_each_lost_probe() -> None:
    up, down = Link(loss=0.1, delay=0.002), Link(loss=0.1, delay=0.002)
    with bad_path("reflector", up, down, seed=5) as (path, _):
        report = udpulse.stamp(*path.address, count=400, interval=0.001, timeout=1)
        requests, replies = fates_by_way(path.fates())
    # The packet number 2 is left out.
    numbers = [number for number in range(401) if number != 2]
    way_of = {
        number: "forward" if not requests[number][0].copies else "reverse"
        for number in numbers
        if number not in replies or not replies[number][0].copies
    }
    known: dict[str, list[int]] = {"forward": [], "reverse": []}
    gap: list[int] = []
    began = False
    for seq, number in enumerate(numbers, 1):
        if number in way_of:
            gap.append(seq)
            continue
        ways = {way_of[numbers[lost - 1]] for lost in gap}
        if began and len(ways) == 1:
            known[ways.pop()] += gap
        gap, began = [], True
    assert min(map(len, known.values())) > 20
    assert list(report.forward.lost_seqs) == known["forward"]
    assert list(report.reverse.lost_seqs) == known["reverse"]
    assert report.forward.reordered == 0


def reordered(numbers: list[Any]) -> int:
    """Return how many numbers come after a larger one."""
    most = itertools.accumulate(numbers, max)
    return sum(number < before for number, before in zip(numbers[1:], most, strict=False))


@pytest.mark.parametrize("stateful", [True, False])
@by_either
def test_copies_are_attributed(by: str, stateful: bool) -> None:
    up, down = Link(duplication=0.2), Link(duplication=0.3)
    with bad_path(by, up, down, seed=3, stateful=stateful) as (path, _):
        report = udpulse.stamp(*path.address, count=200, interval=0.001, linger=0.6)
        requests, replies = fates_by_way(path.fates())
    twice_up = sum(len(fate.copies) - 1 for (fate,) in requests.values())
    twice_down = sum(len(fate.copies) - 1 for fates in replies.values() for fate in fates)
    assert twice_up > 0
    assert twice_down > 0
    assert (report.forward.duplicates, report.reverse.duplicates) == (twice_up, twice_down)
    assert report.duplicates == twice_up + twice_down
    assert (report.forward.lost, report.reverse.lost) == (0, 0)


@by_either
def test_bounds_contain_the_truth_on_an_asymmetric_path(by: str) -> None:
    up, down = Link(delay=0.03), Link(delay=0.01)
    with bad_path(by, up, down) as (path, _):
        report = udpulse.stamp(*path.address, count=20, interval=0.005)
    forward, reverse = report.forward.delay, report.reverse.delay
    assert forward
    assert reverse
    assert forward[0] <= 0.03 <= forward[1]
    assert reverse[0] <= 0.01 <= reverse[1]
    assert forward[1] - forward[0] >= 0.04, "the width is the least round trip"
    low, high = report.clock.offset or (1, 1)
    assert low <= 0 <= high


#: Habits of reflectors, and the quirks that a report names.
HABITS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "none": ({}, ()),
    "T1 and T3 swapped": ({"swapped": True}, ("t1_t3_swapped",)),
    "counts from 1": ({"first": 1}, ()),
    "counts from 35": ({"first": 35}, ()),
    "count wraps": ({"first": 2**32 - 3}, ()),
    "38 bytes": ({"size": lambda _: 38, "ssid": False}, ("short_reply", "ssid_zeroed")),
    "41 bytes": ({"size": lambda _: 41}, ("short_reply",)),
    "20 bytes more": ({"size": lambda size: size + 20}, ("long_reply",)),
    "PTP": ({"stamp": ptp, "error": 0x4001}, ()),
    "PTP called NTP": ({"stamp": ptp}, ("z_mismatch",)),
    "NTP called PTP": ({"error": 0x4001}, ("z_mismatch",)),
    "TAI": ({"stamp": ptp, "error": 0x4001, "ahead": 37}, ("tai",)),
    "no error estimate": ({"error": 0}, ("invalid_error_estimate",)),
    "an hour ahead": ({"ahead": 3600}, ()),
    "an hour behind": ({"ahead": -3600}, ()),
}


@pytest.mark.parametrize("name", HABITS)
@pytest.mark.parametrize("size", [44, 100])
def test_odd_reflectors_are_understood(name: str, size: int) -> None:
    habits, quirks = HABITS[name]
    report = measured(Odd(**habits), size=size)
    assert (report.answered, report.corrupt, report.foreign) == (6, 0, 0)
    assert report.reflector.mode == "stateful"
    assert report.reflector.quirks == quirks
    assert report.reflector.timestamp_format == ("ptp" if "stamp" in habits else "ntp")
    low, high = report.clock.offset or (1, 1)
    ahead = habits.get("ahead", 0)
    # The odd reflector's clock is a float of microseconds.
    assert low - 2e-6 <= ahead <= high + 2e-6
    assert (report.forward.lost, report.reverse.lost) == (0, 0)


def test_a_stateless_reflector_is_recognized() -> None:
    assert measured(Odd(first=None)).reflector.mode == "stateless"


@pytest.mark.parametrize(("error", "ahead", "claim"), [(0x8D80, 0, "synchronized")])
def test_claims_narrow_bounds(error: int, ahead: float, claim: str) -> None:
    # 0x8D80 is 0.24 ms.
    report = measured(Odd(error=error, ahead=ahead), synchronized=True, clock_error=0.001)
    assert report.clock.claim == claim
    low, high = report.clock.offset or (1, 1)
    assert -0.00125 <= low <= high <= 0.00125


def test_a_wrong_claim_is_refuted() -> None:
    report = measured(Odd(error=0x8D80, ahead=60), synchronized=True, clock_error=0.001)
    assert report.clock.claim == "refuted"
    low, high = report.clock.offset or (1, 1)
    assert low <= 60 + 2e-6
    assert high >= 60 - 2e-6
    assert measured(Odd(error=0x8D80)).clock.claim is None, "this host claims nothing"


def test_a_clock_that_steps_by_an_hour() -> None:
    odd = Odd()

    def rule(request: bytes) -> list[bytes]:
        (seq,) = struct.unpack_from("!I", request)
        odd.ahead = 3600 if seq > 10 else 0
        return odd(request)

    with peers.Server(rule) as server:
        report = udpulse.stamp("127.0.0.1", server.port, count=20, timeout=peers.PATIENCE)
    clock = report.clock
    assert clock.steps == 1
    assert clock.step_total == pytest.approx(3600, abs=peers.PATIENCE)
    assert report.forward.delay is not None
    assert report.forward.delay[1] <= peers.PATIENCE
    assert report.forward.pdv_max is not None
    assert report.forward.pdv_max <= peers.PATIENCE


def test_a_reply_that_does_not_repeat_the_packet_is_corrupt() -> None:
    def rule(request: bytes) -> list[bytes]:
        (reply,) = Odd()(request)
        return [reply[:28] + bytes(8) + reply[36:], reply[:24] + b"\xff" * 4 + reply[28:], b"?"]

    with peers.Server(rule) as server:
        report = udpulse.stamp("127.0.0.1", server.port, count=1, timeout=0.5)
    assert (report.lost, report.corrupt, report.foreign) == (1, 1, 2)
    assert report.forward.unknown == "no reply came"
    assert report.hint is not None
    assert "no reply repeats" in report.hint


def test_reports_survive_storage_and_add() -> None:
    with StampReflector(port=0) as reflector:
        file = io.StringIO()
        sender = StampSender(*reflector.address, count=12, interval=0.001, flows=2)
        jsonlines.write(sender, file)
        report = sender.report()
    file.seek(0)
    assert jsonlines.read(file) == report
    assert pickle.loads(pickle.dumps(report)) == report
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert lines[0]["command"] == "stamp"
    summary = lines[-1]
    assert summary["forward"]["lost"] == summary["reverse"]["lost"] == 0
    assert summary["reflector"]["mode"] == "stateful"
    low, high = summary["clock"]["offset_ns"]
    assert low <= 0 <= high
    assert len(summary["flows"]) == 2
    double = report + report
    assert double.residence.count == 24
    assert double.forward.lost == 0
    assert report.to_dict()["forward"] == report.forward.to_dict()


def test_iterating_and_asyncio() -> None:
    async def call(address: tuple[str, int]) -> PingReport:
        return await udpulse.async_stamp(*address, count=3)

    with StampReflector(port=0) as reflector:
        probes = list(StampSender(*reflector.address, count=3))
        assert [probe.verdict for probe in probes] == ["answered"] * 3
        assert all(probe.reply and len(probe.reply) == 44 for probe in probes)
        assert asyncio.run(call(reflector.address)).answered == 3


@pytest.mark.parametrize("size", [0, 43, 45, 47])
def test_a_size_without_a_packet_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size must be 44, or 48 to 65507, not {size}"):
        StampSender("127.0.0.1", size=size)


def test_settings_show() -> None:
    sender = StampSender("192.0.2.1")
    assert 1 <= sender.ssid <= 65535
    assert (sender.port, sender.size, sender.ttl, sender.fill) == (862, 44, 255, "random")
    assert "ssid" in repr(sender)
    assert StampSender("192.0.2.1", ssid=0).ssid == 0


def test_the_command() -> None:
    with StampReflector(port=0) as reflector:
        target = f"127.0.0.1:{reflector.address[1]}"
        ended = run("udpulse", "stamp", target, "-c", "3", "-i", "1ms", "--ssid", "7")
    assert ended.code == 0
    assert ended.screen[0].startswith("seq 1: ")
    assert any(line.startswith("to the reflector: 0 lost") for line in ended.screen)


@linux
def test_a_closed_port_refuses() -> None:
    with peers.open_socket() as closed:
        port = peers.port_of(closed)
    report = udpulse.stamp("127.0.0.1", port, count=3, size=100)
    assert (report.refused, report.lost) == (3, 0)
    assert report.forward.unknown == "no reply came"
    assert report.unattributed == 3


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with peers.Server() as server:
        assert main(["stamp", f"127.0.0.1:{server.port}", "-c", "1", "-t", "50ms"]) == 1
    notes = capsys.readouterr().err
    assert f"udpulse reflect 0.0.0.0:{server.port}" in notes
    assert "only addresses and ports that they were told of" in notes
