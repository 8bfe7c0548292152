"""Ping as an instrument: schedules, verdicts, statistics and columns."""

import asyncio
import inspect
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import peers
import pytest

import udpulse
from udpulse import VERDICTS, EchoServer, PingClient, PingReport, PingSweep
from udpulse.impair import Link

# Whether kernel timestamps are available; the portable path has none.
KERNEL_STAMPS = sys.platform == "linux" and "UDPULSE_PORTABLE" not in os.environ


@contextmanager
def answering(answer: Callable[[bytes], list[bytes]]) -> Iterator[tuple[str, int]]:
    """Run a server that replies to each datagram with the datagrams that `answer` returns."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()

        def serve() -> None:
            while True:
                datagram, client = server.recvfrom(65535)
                if client == stopper.getsockname():
                    return
                for reply in answer(datagram):
                    server.sendto(reply, client)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
            stopper.bind(("127.0.0.1", 0))
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield address
            finally:
                stopper.sendto(b"", address)
                thread.join()


def adds_up(report: udpulse.PingReport) -> bool:
    explained = report.refused + report.unreachable + report.send_failed
    silent = report.lost + explained + report.pending
    known = report.answered + report.late + report.duplicates + report.corrupt
    return (
        report.sent == report.answered + report.late + silent
        and report.received == known + report.foreign
    )


@pytest.mark.parametrize("schedule", ["periodic", "poisson"])
def test_a_schedule_matches_the_servers_records(schedule: Any) -> None:
    with EchoServer(port=0, loss=0.3, seed=7) as server:
        report = udpulse.ping(
            *server.address,
            count=300,
            interval=0.0005,
            schedule=schedule,
            seed=1,
            timeout=2,
            linger=0,
        )
        counters = server.counters
    assert report.sent == counters.received == 300
    assert report.answered == counters.replied
    assert report.lost == counters.dropped > 0
    assert report.loss == counters.dropped / 300
    assert report.loss_interval is not None
    assert report.loss_interval[0] < report.loss < report.loss_interval[1]
    assert report.schedule_error.count == 300
    assert report.loss_bursts.mean is not None
    assert report.loss_bursts.count * report.loss_bursts.mean == pytest.approx(report.lost)
    assert report.ipdv_abs_mean is not None
    assert report.rfc3550_jitter is not None
    assert report.rtt.p99 is not None
    assert report.rtt.percentile(99.9) is None


def test_a_duration_ends_it() -> None:
    with EchoServer(port=0) as server:
        report = udpulse.ping(*server.address, duration=0.1, interval=0.001)
    assert report.sent + report.missed == 100
    assert report.answered == report.sent


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be stopped there")
def test_a_pause_of_the_process_causes_missed_slots_but_no_drift() -> None:
    script = """
import sys, udpulse

with udpulse.PingClient(sys.argv[1], int(sys.argv[2]), count=None, interval=0.001, keep=1) as it:
    while not (before := it.report()).sent:
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    seen = it.report().sent
    while (after := it.report()).sent == seen:
        pass
slots = after.sent + after.missed - before.sent - before.missed
passed = after.columns()["sent_at_ns"][0] - before.columns()["sent_at_ns"][0]
print(after.missed - before.missed, slots, passed)
"""
    with EchoServer(port=0) as server:
        host, port = server.address
        command = [sys.executable, "-c", script, host, str(port)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
            client.send_signal(signal.SIGSTOP)
            os.waitpid(client.pid, os.WUNTRACED)
            time.sleep(0.05)  # the pause itself
            client.send_signal(signal.SIGCONT)
            output, _ = client.communicate("\n", timeout=30)
    missed, slots, passed = map(int, output.split())
    assert missed >= 49
    # Each of the two was sent within its slot.
    assert abs(passed - slots * 1_000_000) < 1_000_000


@pytest.mark.skipif(not KERNEL_STAMPS, reason="needs the kernel's stamps")
def test_a_pause_of_the_process_is_told_and_prolongs_no_round_trip() -> None:
    script = """
import sys, udpulse

report = udpulse.ping(sys.argv[1], int(sys.argv[2]), count=1)
print(report.answered, report.rtt.max, report.overhead.max, report.paused, report.paused_total)
print(sum(pause.end - pause.start for pause in report.pauses), len(report.pauses))
"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        host, port = server.getsockname()
        command = [sys.executable, "-c", script, host, str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            probe, address = server.recvfrom(1024)
            client.send_signal(signal.SIGSTOP)
            os.waitpid(client.pid, os.WUNTRACED)
            server.sendto(probe, address)
            time.sleep(1.1)  # the pause itself, longer than the timeout
            client.send_signal(signal.SIGCONT)
            output, _ = client.communicate(timeout=30)
    answered, longest, overhead, paused, total, listed, count = map(float, output.split())
    assert answered == 1
    assert longest < 1.0 < overhead
    assert paused >= 1
    assert total > 1.0
    assert listed == pytest.approx(total, abs=1e-5)
    assert count == paused


class TestUndefined:
    DISTRIBUTIONS = ("rtt", "kernel_rtt", "overhead", "schedule_error")

    def test_without_probes_everything_is_none(self) -> None:
        nothing = PingClient("127.0.0.1").report()
        for report in (nothing, nothing + nothing):
            assert {report.loss, report.loss_interval} == {None}
            assert {report.ipdv_abs_mean, report.rfc3550_jitter, report.pdv_p95} == {None}
            assert {report.reorder_ratio, report.reorder_extent} == {None}
            for name in self.DISTRIBUTIONS:
                it: udpulse.reports.Distribution = getattr(report, name)
                assert {it.min, it.mean, it.median, it.p99, it.max, it.stddev} == {None}
                assert it.percentile(0) is it.percentile(100) is None
                assert it.percentile_interval(50) is None
            for runs in (report.loss_bursts, report.loss_gaps):
                assert (runs.count, runs.mean, runs.max) == (0, None, None)
            assert {len(column) for column in report.columns().values()} == {0}

    def test_one_reply_has_no_variation(self) -> None:
        with EchoServer(port=0) as server:
            report = udpulse.ping(*server.address, count=1)
        assert report.rtt.min == report.rtt.median == report.rtt.max is not None
        assert {report.rtt.stddev, report.rtt.p99, report.pdv_p95} == {None}
        assert {report.ipdv_abs_mean, report.rfc3550_jitter, report.reorder_extent} == {None}
        assert (report.loss, report.reorder_ratio, report.loss_bursts.mean) == (0, 0, None)

    def test_total_loss_is_reported(self) -> None:
        with EchoServer(port=0, loss=1) as server:
            report = udpulse.ping(*server.address, count=2, timeout=0.01)
        assert (report.loss, report.loss_bursts.max, report.loss_gaps.max) == (1, 2, None)
        assert {report.rtt.min, report.reorder_ratio, report.ipdv_abs_mean} == {None}


def test_a_call_has_the_options_of_a_client() -> None:
    call, client = (
        dict(inspect.signature(taker).parameters) for taker in (udpulse.ping, PingClient)
    )
    assert call == client
    defaults = {name: parameter.default for name, parameter in call.items() if name != "host"}
    with EchoServer(port=0) as server:
        host, defaults["port"] = server.address
        assert udpulse.ping(host, **defaults).answered == 10
        with pytest.raises(TypeError, match="unexpected keyword argument 'no'"):
            udpulse.ping(host, no=1)  # type: ignore[call-arg]


def test_a_call_without_an_end_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^count must be 1 or more if no duration is given"):
        udpulse.ping("127.0.0.1", count=None)


def test_duplicates_corruption_and_foreign_datagrams_are_distinguished() -> None:
    forged = b"PING 1 1486420330.837133"

    def answer(datagram: bytes) -> list[bytes]:
        return [forged, datagram[:-1] + b"!", datagram.upper(), datagram]

    with answering(answer) as address:
        client = PingClient(*address, count=5, size=100)
        assert [probe.verdict for probe in client] == ["answered"] * 5
        report = client.report()
    assert adds_up(report)
    assert report.answered == 5
    # Datagrams after the reply to the last probe arrive after the end.
    assert report.corrupt == report.foreign == 5
    assert report.duplicates == 4


@pytest.mark.parametrize("size", [0, 50, 64, 1400])
@pytest.mark.parametrize("fill", [b".", b"abc", "random"])
def test_no_damaged_reply_counts_as_an_answer(size: int, fill: Any) -> None:
    with EchoServer(port=0, downlink=Link(corruption=1), seed=size) as server:
        options = {"count": 200, "interval": 0.001, "size": size, "fill": fill}
        with PingClient(*server.address, linger=60, **options) as client:
            while client.report().received < 200:
                assert client.running
        report = client.report()
    assert (report.answered, report.late, report.foreign) == (0, 0, 0)
    assert report.corrupt == report.received == 200


@pytest.mark.parametrize("transform", ["upper", "echo"])
def test_padding_comes_back(transform: Any) -> None:
    padding = []

    def answer(datagram: bytes) -> list[bytes]:
        padding.append(datagram.split(b" ", 4)[4])
        return [datagram.upper() if transform == "upper" else datagram]

    for fill in (b".", bytes(range(256)), "random"):
        with answering(answer) as address:
            report = udpulse.ping(*address, count=2, size=400, fill=fill)
        assert report.answered == 2
    dots, pattern, one, other = padding[0], padding[2], *padding[4:]
    assert dots == b"." * len(dots)
    assert pattern == (2 * bytes(range(256)))[: len(pattern)]
    assert len(set(one)) > 100
    assert one[:300] != other[:300]


@pytest.mark.parametrize("fill", [b"", "dots", bytes(65508)])
def test_padding_is_bytes_or_random(fill: Any) -> None:
    with pytest.raises(ValueError, match=r"^fill must be 1 to 65507 bytes or 'random', not "):
        PingClient("127.0.0.1", fill=fill)


@pytest.mark.parametrize("size", [0, 64, 1400, 65507])
def test_a_payload_has_the_size_asked_for(size: int) -> None:
    sizes = []

    def answer(datagram: bytes) -> list[bytes]:
        sizes.append(len(datagram))
        assert datagram.startswith(b"Ping ")
        return [datagram]

    with answering(answer) as address:
        report = udpulse.ping(*address, count=2, size=size)
    assert report.answered == 2
    assert sizes == [size or len("Ping 1 1486420330.837133")] * 2
    assert list(report.columns()["size"]) == sizes


@pytest.mark.parametrize("reply", [b"pong", b"Pong %d", b"%d got it"])
def test_a_teachers_server_may_answer_anything(reply: bytes) -> None:
    def answer(datagram: bytes) -> list[bytes]:
        number = int(datagram.split()[1])
        return [reply % number if b"%d" in reply else reply]

    with answering(answer) as address:
        assert udpulse.ping(*address, count=3, size=0).answered == 3


def test_a_late_answer_without_a_number_shows_as_a_guess() -> None:
    probes = 0

    def answer(_: bytes) -> list[bytes]:
        nonlocal probes
        probes += 1
        if probes == 2:
            return []  # the answer to the second leaves when the third arrives
        if probes != 3:
            time.sleep(0.02)  # the server's own delay
        return [b"Hello client 1"]

    with answering(answer) as address:
        client = PingClient(*address, count=4, timeout=1.0, size=0)
        decided = [(probe.verdict, probe.guessed) for probe in client]
        report = client.report()
    # The first number is believed: it was right.
    assert decided == [("answered", False), ("lost", False), ("answered", True), ("answered", True)]
    assert adds_up(report)
    assert (report.answered, report.guessed) == (3, 2)
    assert "attributed by guess: 2" in str(report)


def test_reordered_replies_are_counted() -> None:
    held: list[bytes] = []

    def answer(datagram: bytes) -> list[bytes]:
        held.append(datagram)
        if len(held) < 4:
            return []
        replies = held[::-1]
        held.clear()
        return replies

    with answering(answer) as address:
        report = udpulse.ping(*address, count=8, interval=0.001)
    assert report.answered == 8
    assert (report.reordered, report.reorder_ratio, report.reorder_extent) == (6, 6 / 8, 3)


def test_a_late_reply_revises_its_own_probe() -> None:
    held: list[bytes] = []

    def answer(datagram: bytes) -> list[bytes]:
        held.append(datagram)
        return [held[0], datagram] if len(held) == 2 else []

    with answering(answer) as address:
        report = udpulse.ping(*address, count=2, timeout=1.0)
    assert (report.answered, report.late, report.lost, report.loss) == (1, 1, 0, 0.5)
    columns = report.columns()
    assert [VERDICTS[code] for code in columns["verdict"]] == ["late", "answered"]
    assert columns["rtt_ns"][0] > 1_000_000_000
    assert report.rtt.count == 1


class TestOutages:
    PATTERN = udpulse.impair.LossPattern([1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1])

    def test_a_report_lists_three_losses_in_a_row(self) -> None:
        with EchoServer(port=0, loss=self.PATTERN) as server:
            report = udpulse.ping(*server.address, count=11, interval=0.001, linger=0)
        assert report.started_at is not None
        sent_at = report.started_at + report.columns()["sent_at_ns"] / 1e9
        first, second = report.outages
        assert (first.start, first.end) == pytest.approx((sent_at[0], sent_at[3]), abs=1e-6)
        assert second.start == pytest.approx(sent_at[7], abs=1e-6)
        assert (second.end, first.lost, second.lost, report.outage_count) == (None, 3, 4, 2)
        lasted = sent_at[3] - sent_at[0] + sent_at[10] - sent_at[7]
        assert report.outage_total == pytest.approx(lasted, abs=1e-6)
        assert "outages: 2, in all 0." in str(report)
        probes = [
            udpulse.Probe(seq=n, verdict="lost" if n < 4 else "answered", rtt=rtt, sent_at=n)
            for n, rtt in [(1, None), (2, None), (3, None), (4, 0.1)]
        ]
        built = udpulse.PingReport.from_probes(probes)
        assert built.outages == (udpulse.reports.Outage(start=1, end=4, lost=3),)

    def test_events_tell_of_them_if_asked_for(self) -> None:
        pattern = udpulse.impair.LossPattern([1, 1, 0, 0, 1])
        options: dict[str, Any] = {"count": 5, "timeout": 0.3, "linger": 0}

        def read(client: Any) -> list[Any]:
            return list(client)

        def batch(client: Any) -> list[Any]:
            client.start()
            return [event for event in iter(client.next_batch, []) for event in event]

        def in_loop(client: Any) -> list[Any]:
            async def read() -> list[Any]:
                return [event async for event in client]

            return asyncio.run(read())

        with EchoServer(port=0, loss=pattern) as server:
            assert not [
                event
                for event in PingClient(*server.address, **options, interval=0.001)
                if not isinstance(event, udpulse.Probe)
            ]
        for way in (read, batch, in_loop):
            with EchoServer(port=0, loss=pattern) as server:
                client = PingClient(*server.address, outage_after=1, **options)
                events = way(client)
            probes = [event for event in events if isinstance(event, udpulse.Probe)]
            assert [probe.seq for probe in probes] == list(range(1, 6))
            outages = [event for event in events if not isinstance(event, udpulse.Probe)]
            names = [type(event).__name__ for event in outages]
            assert names == ["OutageStarted", "OutageEnded", "OutageStarted"]
            assert [event.lost for event in outages] == [1, 2, 1]
            listed = client.report().outages
            assert [outage.start for outage in listed] == [event.start for event in outages[::2]]
            assert [outage.end for outage in listed] == [outages[1].end, None]
            # Each is told after the verdict of the probe that decides it.
            assert events.index(outages[0]) == events.index(probes[0]) + 1
            assert events.index(outages[1]) == events.index(probes[2]) + 1

    def test_each_flow_has_its_own(self, silent: peers.Address) -> None:
        client = PingClient(*silent, count=6, flows=2, timeout=0.01, outage_after=2)
        flows = [event.flow for event in client if isinstance(event, udpulse.events.OutageStarted)]
        report = client.report()
        assert sorted(flows) == [0, 1]
        assert [flow.outage_count for flow in report.flows] == [1, 1]
        assert (report.outage_count, len(report.outages)) == (2, 2)


class TestTheEnd:
    """After the last verdict."""

    @pytest.mark.parametrize("linger", [None, 60.0])
    def test_a_session_that_lost_a_probe_hears_its_late_reply(self, linger: float | None) -> None:
        lost = threading.Event()

        def answer(datagram: bytes) -> list[bytes]:
            assert lost.wait(30)
            return [datagram]

        with answering(answer) as address:
            client = PingClient(*address, count=1, timeout=1.0, linger=linger)
            for probe in client:
                assert probe.verdict == "lost"
                lost.set()
                if linger is not None:
                    while client.report().lost:
                        assert client.running
                    client.stop()
            report = client.report()
        assert (report.late, report.lost, report.settled.late) == (1, 0, 1)
        assert report.settled.sent == 1

    def test_it_listens_as_long_as_asked_for(self, silent: peers.Address) -> None:
        assert udpulse.ping(*silent, count=1, timeout=0.01, linger=0).lost == 1
        with (
            answering(lambda datagram: [datagram] * 2) as address,
            PingClient(*address, count=1, linger=float("inf")) as client,
        ):
            while not client.report().duplicates:
                assert client.running
            report = client.report()
            assert (report.answered, report.settled.sent) == (1, 0)
            client.stop()
            assert client.report().settled == udpulse.reports.PingCounters(sent=1, answered=1)

    def test_a_stop_settles_what_is_decided(self, silent: peers.Address) -> None:
        with PingClient(*silent, count=None, interval=0.001, timeout=0.01) as client:
            while client.report().lost < 10:
                assert client.report().settled.sent == 0
        report = client.report()
        settled = report.settled
        assert (settled.lost, settled.answered) == (report.lost, 0)
        assert settled.sent == report.sent - report.pending


class TestColumns:
    def test_they_have_a_row_for_each_probe(self) -> None:
        with EchoServer(port=0, loss=0.5, seed=3) as server:
            report = udpulse.ping(*server.address, count=40, interval=0.001, linger=0)
        columns = report.columns()
        answered = columns["verdict"] == VERDICTS.index("answered")
        assert list(columns["seq"]) == list(range(1, 41))
        assert answered.sum() == report.answered
        assert (np.isnan(columns["rtt_ns"]) == ~answered).all()
        assert np.nanmean(columns["rtt_ns"]) / 1e9 == pytest.approx(report.rtt.mean)
        assert columns["rtt_ns"][answered].min() / 1e9 == report.rtt.min
        assert columns["sent_at_ns"][0] >= 0
        assert (np.diff(columns["sent_at_ns"]) > 0).all()
        assert report.started_at is not None
        assert abs(report.started_at - time.time()) < 60
        assert {name: column.dtype.name for name, column in columns.items()} == {
            "seq": "uint64",
            "flow": "uint8",
            "sent_at_ns": "int64",
            "rtt_ns": "float64",
            "kernel_rtt_ns": "float64",
            "verdict": "uint8",
            "size": "uint16",
        }

    def test_they_are_the_same_memory_each_time_and_read_only(self) -> None:
        with EchoServer(port=0) as server:
            report = udpulse.ping(*server.address, count=3)
        one, other = report.columns(), report.columns()
        assert all(one[name] is other[name] for name in one)
        with pytest.raises(ValueError, match="read-only"):
            one["seq"][0] = 7

    def test_a_row_takes_less_than_40_bytes(self) -> None:
        with EchoServer(port=0) as server:
            columns = udpulse.ping(*server.address, count=3).columns()
        assert sum(column.itemsize for column in columns.values()) < 40

    @pytest.mark.parametrize(("keep", "rows"), [(0, 0), (3, 3), ("all", 8)])
    def test_as_many_rows_are_kept_as_asked_for(self, keep: Any, rows: int) -> None:
        with EchoServer(port=0) as server:
            client = PingClient(*server.address, count=8, keep=keep)
            list(client)
        report = client.report()
        assert list(report.columns()["seq"]) == list(range(9 - rows, 9))
        assert report.rows_dropped == 8 - rows


def test_reports_add() -> None:
    with EchoServer(port=0, loss=0.4, seed=5) as server:
        one = udpulse.ping(*server.address, count=30, timeout=0.02)
        other = udpulse.ping(*server.address, count=20, timeout=0.02)
    both = one + other
    assert adds_up(both)
    assert (both.sent, both.lost) == (50, one.lost + other.lost)
    assert (one.rtt.min, one.rtt.max, other.rtt.min, other.rtt.max).count(None) == 0
    assert both.rtt.min == min(one.rtt.min or 0, other.rtt.min or 0)
    assert both.rtt.max == max(one.rtt.max or 0, other.rtt.max or 0)
    assert list(both.columns()["seq"]) == [*range(1, 31), *range(1, 21)]
    assert one + other == one + other != other + one


def test_a_snapshot_of_a_paced_run_adds_up_at_any_moment() -> None:
    with EchoServer(port=0, loss=0.3, seed=1) as server:
        client = PingClient(*server.address, count=None, interval=0.0002, timeout=0.002)
        with client:
            while (report := client.report()).sent < 500 or not report.answered:
                assert adds_up(report)
        report = client.report()
    assert adds_up(report)
    assert report.answered > 0


class TestFlows:
    @pytest.mark.parametrize("options", [{}, {"interval": 0.001}, {"source": ("127.0.0.3", 0)}])
    def test_each_has_its_port_and_report_and_all_add_up(self, options: Any) -> None:
        with EchoServer(port=0, loss=0.3, seed=2, keep=1000) as server:
            # A reply that is late is not lost while the session listens.
            options = {"timeout": 0.3, "linger": 1.0, **options}
            report = udpulse.ping(*server.address, count=50, flows=4, **options)
            lost = server.counters.dropped
            clients = [next(server).client for _ in range(report.sent)]
        assert adds_up(report)
        assert all(adds_up(flow) for flow in report.flows)
        sent = [flow.sent for flow in report.flows]
        assert sorted(clients.count(client) for client in set(clients)) == sorted(sent)
        assert (sent, report.sent, report.lost) == ([13, 13, 12, 12], 50, lost)
        assert report.rtt.count == sum(flow.rtt.count for flow in report.flows) == report.answered
        columns = report.columns()
        assert (np.diff(columns["sent_at_ns"]) >= 0).all()
        for number, flow in enumerate(report.flows):
            assert set(flow.columns()["flow"]) == {number}
            its = columns["flow"] == number
            assert (columns["sent_at_ns"][its] == flow.columns()["sent_at_ns"]).all()
        assert not (report + report).flows

    def test_flows_share_one_schedule(self) -> None:
        with EchoServer(port=0) as server:
            report = udpulse.ping(*server.address, duration=0.09, interval=0.001, flows=3)
        assert report.sent + report.missed == 90
        assert [flow.sent + flow.missed for flow in report.flows] == [30] * 3

    def test_a_probe_has_its_flow(self) -> None:
        with EchoServer(port=0) as server:
            probes = list(PingClient(*server.address, count=7, flows=3))
        numbers = sorted((probe.flow, probe.seq) for probe in probes)
        assert numbers == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1), (2, 2)]

    def test_stopping_ends_all(self) -> None:
        with EchoServer(port=0) as server:
            client = PingClient(*server.address, count=None, interval=0.001, flows=5)
            iterator = iter(client)
            while {next(iterator).flow for _ in range(50)} != set(range(5)):
                pass
            client.stop()
            assert not client.running
            sent = client.report().sent
        assert client.report().sent == sent
        assert adds_up(client.report())


def test_a_family_is_used_or_the_name_does_not_resolve() -> None:
    with EchoServer(port=0) as server:
        port = server.address[1]
        assert udpulse.ping("localhost", port, count=1, family=4).answered == 1
        with pytest.raises(socket.gaierror):
            udpulse.ping("127.0.0.1", port, count=1, family=6)
    with EchoServer("::1", 0) as server:
        assert udpulse.ping(*server.address, count=1, family=6).answered == 1


class TestMany:
    def test_each_target_has_its_report_and_disturbs_no_other(self, silent: peers.Address) -> None:
        with (
            EchoServer(port=0) as good,
            EchoServer(port=0, loss=0.5, seed=1) as lossy,
            peers.nobody() as closed,
        ):
            targets = [good.address, silent, lossy.address, ("127.0.0.1", closed)]
            reports = udpulse.ping_many(targets, count=20, rate=5000)
            assert reports[2].lost == lossy.counters.dropped > 0
        assert all(adds_up(report) for report in reports)
        assert [report.sent for report in reports] == [20] * 4
        assert [report.answered for report in reports] == [20, 0, 20 - reports[2].lost, 0]
        assert reports[3].refused == (0 if peers.PORTABLE else 20)
        assert reports[0].rtt.median is not None
        assert list(reports[0].columns()["seq"]) == list(range(1, 21))

    def test_a_reply_from_another_address_is_foreign(self) -> None:
        with peers.open_socket() as server, peers.open_socket("127.0.0.2") as other:
            targets = [server.getsockname(), ("127.0.0.3", 9)]

            def answer() -> None:
                for answering in (other, server):
                    probe, address = server.recvfrom(1024)
                    answering.sendto(probe, address)

            thread = threading.Thread(target=answer)
            thread.start()
            reports = udpulse.ping_many(targets, count=2)
            thread.join()
        report = reports[0]
        assert (report.received, report.foreign, report.answered, report.lost) == (2, 1, 1, 1)
        assert reports[1].received == 0

    def test_answers_in_other_words_are_foreign(self) -> None:
        with peers.Server(lambda _: [b"pong"]) as server:
            (report,) = udpulse.ping_many([("127.0.0.1", server.port)], count=2)
        assert (report.foreign, report.lost) == (2, 2)
        assert report.hint is not None

    @pytest.mark.skipif(not KERNEL_STAMPS, reason="only Linux tells")
    @pytest.mark.parametrize("flows", [1, 2])
    def test_a_closed_port_refuses_its_own_probes(self, flows: int) -> None:
        with EchoServer("::1", 0) as v6, peers.nobody() as closed, peers.nobody() as other:
            v4 = [("127.0.0.1", closed), ("127.0.0.2", other)]
            reports = udpulse.ping_many([*v4, v6.address], count=4, flows=flows)
            only_v4 = udpulse.ping_many(v4, count=4, flows=flows)
        assert [report.refused for report in reports + only_v4] == [4, 4, 0, 4, 4]
        assert (reports[2].answered, sum(report.lost for report in reports)) == (4, 0)

    def test_each_flow_has_a_port(self) -> None:
        with EchoServer(port=0, keep=100) as server, EchoServer(port=0) as other:
            targets = [server.address, other.address]
            reports = udpulse.ping_many(targets, count=7, flows=3, rate=100_000)
            ports = [next(server).client[1] for _ in range(7)]
        assert len(set(ports)) == 3
        for report in reports:
            assert (report.answered, [flow.sent for flow in report.flows]) == (7, [3, 2, 2])
            assert sorted(report.columns()["flow"]) == [0, 0, 0, 1, 1, 2, 2]

    def test_only_the_last_rows_are_kept_if_asked_for(self) -> None:
        with EchoServer(port=0) as server:
            (report,) = udpulse.ping_many([server.address], count=10, keep=4, rate=100_000)
        assert (list(report.columns()["seq"]), report.rows_dropped) == ([7, 8, 9, 10], 6)

    def test_an_interval_separates_the_probes_to_each_target(self) -> None:
        with EchoServer(port=0) as server:
            reports = udpulse.ping_many([server.address] * 20, count=3, interval=0.05)
        for report in reports:
            # A pause of this host delays a probe by up to 10 ms, and the schedule by the rest.
            assert (np.diff(report.columns()["sent_at_ns"]) > 39_000_000).all()

    @pytest.mark.parametrize("rate", [1000, 100_000])
    def test_both_families_are_pinged_in_one_call(self, rate: float, silent: peers.Address) -> None:
        with EchoServer(port=0) as v4, EchoServer("::1", 0) as v6:
            targets = [v4.address, v6.address, silent, v6.address]
            reports = udpulse.ping_many(targets, count=5, rate=rate)
            assert (v4.counters.received, v6.counters.received) == (5, 10)
        assert [report.answered for report in reports] == [5, 5, 0, 5]
        assert [report.kernel_rtt.count for report in reports] == (
            [5, 5, 0, 5] if KERNEL_STAMPS else [0] * 4
        )

    def test_a_failed_send_is_counted_and_disturbs_no_other(self) -> None:
        # A socket without SO_BROADCAST sends nothing to a broadcast address.
        with EchoServer(port=0) as server:
            targets = [("127.255.255.255", 9), server.address]
            reports = udpulse.ping_many(targets, count=3, rate=100_000)
        assert (reports[0].send_failed, reports[0].lost) == (3, 0)
        assert reports[1].answered == 3

    @pytest.mark.skipif(not KERNEL_STAMPS, reason="needs the kernel's stamps")
    def test_kernel_round_trips_lie_within_the_programs(self) -> None:
        with EchoServer(port=0) as server:
            (report,) = udpulse.ping_many([server.address], count=50, rate=20_000)
        columns = report.columns()
        stamped = columns["kernel_rtt_ns"] >= 0
        assert report.kernel_rtt.count == stamped.sum() > 0
        assert (columns["kernel_rtt_ns"] <= columns["rtt_ns"])[stamped].all()

    @pytest.mark.parametrize("target", [7, "ab", ("127.0.0.1",), ("127.0.0.1", "9")])
    def test_a_target_that_is_not_a_pair_is_shown(self, target: Any) -> None:
        with pytest.raises(
            TypeError, match=r"^targets must be \(host, port\) pairs, not "
        ) as caught:
            udpulse.ping_many([("127.0.0.1", 9), target])
        assert str(caught.value).endswith(repr(target))

    def test_no_targets_give_no_reports(self) -> None:
        assert udpulse.ping_many([]) == []

    @pytest.mark.parametrize(
        ("targets", "options", "text"),
        [
            ([("127.0.0.1", 0)], {}, "port must be 1 to 65535, not 0"),
            ([("127.0.0.1", 9)], {"rate": 0}, "rate must be a number per second above 0, not 0"),
            ([("127.0.0.1", 9)], {"size": 63}, "size must be 64 to 65507, not 63"),
            (
                [("127.0.0.1", 9)],
                {"rate": 5, "interval": 1},
                "rate must be left out if interval is given, not 5",
            ),
            ([("127.0.0.1", 9)], {"interval": 0}, "interval must be above 0 and below 9.2e9"),
            ([("127.0.0.1", 9)], {"flows": 4}, "flows must be 1 to 3, not 4"),
            (
                [("127.0.0.1", 9)] * 300_000,
                {"flows": 4, "count": 9},
                "flows must be 1 to 3, not 4",
            ),
            ([("127.0.0.1", 9)], {"family": 5}, "family must be 4 or 6, not 5"),
        ],
    )
    def test_a_bad_argument_is_named(
        self, targets: list[tuple[str, int]], options: dict[str, Any], text: str
    ) -> None:
        with pytest.raises(ValueError, match=f"^{text}"):
            udpulse.ping_many(targets, **options)


class TestSweep:
    def test_targets_are_reported_as_they_finish(self, silent: peers.Address) -> None:
        with EchoServer(port=0) as server:
            sweep = PingSweep([silent, server.address], rate=100_000)
            reports = list(sweep)
        assert [report.answered for report in reports] == [3, 0]
        assert sweep.reports() == reports[::-1]

    def test_a_round_reports_each_target_once(self) -> None:
        with EchoServer(port=0, loss=0.3, seed=5) as server:
            sweep = PingSweep(
                [server.address] * 7, count=5, rounds=4, flows=2, rate=20_000, timeout=1.0
            )
            reports = list(sweep)
            counters = server.counters
        assert [report.sent for report in reports] == [5] * 28
        assert all(adds_up(report) for report in reports)
        total = sum(reports)
        assert isinstance(total, PingReport)
        assert (total.sent, total.lost) == (counters.received, counters.dropped)
        assert total.received == total.answered == counters.replied
        assert sweep.events_dropped == 0

    def test_rounds_without_end_go_on_until_stopped(self, silent: peers.Address) -> None:
        with EchoServer(port=0) as server:
            targets = [server.address, silent]
            with PingSweep(targets, count=1, rounds=None, rate=2000, timeout=0.01) as sweep:
                reports = [next(sweep) for _ in range(200)]
                assert sweep.running
                assert len(sweep.reports()) == 2
            assert not sweep.running
            assert [report.sent for report in sweep.reports()] == [1, 1]
        # A busy host may answer late.
        replies = {(report.answered + report.late, report.lost) for report in reports}
        assert replies == {(1, 0), (0, 1)}

    def test_unread_reports_are_bounded_by_their_probes(self, silent: peers.Address) -> None:
        sweep = PingSweep([silent], count=8192, rounds=12, rate=1e6, timeout=0.01)
        with sweep:
            while sweep.running:
                time.sleep(0.01)
        assert (sweep.events_dropped, [report.sent for report in sweep]) == (4, [8192] * 8)

    def test_a_late_reply_is_foreign_in_the_next_round(self) -> None:
        with peers.open_socket() as server:
            targets = [server.getsockname()]
            with PingSweep(targets, count=1, rounds=2, interval=1.0, timeout=1.0) as sweep:
                first, address = server.recvfrom(1024)
                server.recvfrom(1024)
                server.sendto(first, address)
                reports = list(sweep)
        assert [(r.sent, r.lost, r.late, r.foreign) for r in reports] == [
            (1, 1, 0, 0),
            (1, 1, 0, 1),
        ]

    def test_nothing_was_measured_before_the_start(self) -> None:
        sweep = PingSweep([("127.0.0.1", 9)] * 3)
        assert sweep.reports() == [PingReport()] * 3
        assert list(PingSweep([], rounds=None)) == []


@pytest.mark.parametrize("timestamps", ["user", "receive", "kernel"])
@pytest.mark.parametrize("precise", [False, True])
def test_kernel_round_trips_lie_within_the_programs(timestamps: Any, precise: bool) -> None:
    with EchoServer(port=0) as server:
        client = PingClient(
            *server.address, count=20, interval=0.001, timestamps=timestamps, precise=precise
        )
        probes = list(client)
        report = client.report()
    for probe in probes:
        assert probe.rtt is not None
        assert probe.kernel_rtt is None or 0 <= probe.kernel_rtt <= probe.rtt
    stamped = sum(probe.kernel_rtt is not None for probe in probes)
    assert report.kernel_rtt.count == report.overhead.count == stamped
    assert report.timestamps == ("kernel" if stamped else "user")
    if timestamps == "user" or not KERNEL_STAMPS:
        assert stamped == 0
    else:
        assert stamped > 0


@pytest.mark.skipif(sys.platform == "linux", reason="it can")
def test_dont_fragment_is_refused_on_other_platforms() -> None:
    with pytest.raises(OSError, match="dont_fragment is not supported on this platform"):
        udpulse.ping("127.0.0.1", dont_fragment=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a network namespace")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_unfragmented_probe_fits_or_is_not_sent(host: str) -> None:
    # A separate loopback interface with an MTU of 1500 bytes, gone with the process.
    script = f"""
import udpulse

with udpulse.EchoServer({host!r}, 0) as server:
    for size in (1400, 2000):
        for whole in (False, True):
            # What cannot be sent is not worth a wait.
            timeout = 0.01 if whole and size == 2000 else 10
            report = udpulse.ping(
                *server.address, count=20, size=size, dont_fragment=whole, timeout=timeout
            )
            print(report.answered, report.send_failed)
"""
    link = 'ip link set lo mtu 1500 up && exec "$0" -c "$1"'
    rights = ["--map-root-user"] if os.geteuid() else []
    space = ["unshare", *rights, "--net"]
    try:
        subprocess.run([*space, "ip", "link"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError) as refusal:
        pytest.skip(f"no right to make a network namespace: {refusal}")
    command = [*space, "sh", "-c", link, sys.executable, script]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert ran.stdout.splitlines() == ["20 0", "20 0", "20 0", "0 20"]


@pytest.mark.skipif(not KERNEL_STAMPS, reason="other platforms need three descriptors")
def test_a_client_needs_one_descriptor() -> None:
    script = """
import resource, udpulse

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
clients = [udpulse.PingClient("127.0.0.1", 9, count=1, timeout=60.0) for _ in range(900)]
for client in clients:
    client.start()
print(all(client.running or client.report().sent for client in clients))
for client in clients:
    client.stop()
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "True\n"


@pytest.mark.skipif(not KERNEL_STAMPS, reason="only Linux tells")
def test_drops_of_a_full_receive_queue_are_counted() -> None:
    script = """
import sys, udpulse

report = udpulse.ping(sys.argv[1], int(sys.argv[2]), count=3, timeout=0.5)
print(report.sent, report.received, report.receive_drops)
"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        host, port = server.getsockname()
        command = [sys.executable, "-c", script, host, str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            probe, address = server.recvfrom(1024)
            # While the client is stopped, more datagrams arrive than its queue holds.
            client.send_signal(signal.SIGSTOP)
            os.waitpid(client.pid, os.WUNTRACED)
            for _ in range(10_000):
                server.sendto(probe, address)
            client.send_signal(signal.SIGCONT)
            # The first timeout comes after all that was queued; the next reply reports the drops.
            for _ in range(2):
                server.sendto(*server.recvfrom(1024))
            output, _ = client.communicate(timeout=30)
    sent, received, drops = map(int, output.split())
    assert (sent, received + drops) == (3, 10_002)
    assert drops > 0


def test_refusals_belong_to_their_own_probes() -> None:
    with peers.nobody() as port:
        report = udpulse.ping("127.0.0.1", port, count=20, interval=0.001, timeout=0.05)
    assert (report.refused, report.lost, report.send_failed) == (20, 0, 0)


@pytest.mark.parametrize(
    ("host", "reason", "words"),
    [("127.0.0.1", (3, 3), "port unreachable"), ("::1", (1, 4), "port unreachable")],
)
def test_a_refusal_has_its_reason(host: str, reason: tuple[int, int], words: str) -> None:
    with peers.nobody(host) as port:
        report = udpulse.ping(host, port, count=2, timeout=30)
    assert (report.refused, report.unreachable) == (2, 0)
    assert report.reasons == {(*reason, host): 2}
    assert f"ICMP errors: 2 x {words} from {host}" in str(report)


def test_it_sends_from_the_source_asked_for() -> None:
    with EchoServer(port=0, keep=1) as server:
        with PingClient(*server.address, count=1, source=("127.0.0.2", 0)) as client:
            list(client)
            assert client.address[0] == "127.0.0.2"
        assert next(server).client == client.address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_source_may_be_a_port_of_any_address(host: str) -> None:
    with EchoServer(host, 0) as server:
        assert udpulse.ping(*server.address, count=1, source=("", 0)).answered == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can")
def test_an_unknown_interface_is_named() -> None:
    with pytest.raises(OSError, match="cannot use interface no-such-device: No such device"):
        udpulse.ping("127.0.0.1", interface="no-such-device")


@pytest.mark.skipif(sys.platform == "linux", reason="it can")
def test_an_interface_is_refused_on_other_platforms() -> None:
    with pytest.raises(OSError, match="interface is not supported on this platform"):
        udpulse.ping("127.0.0.1", interface="lo")


def test_a_source_in_use_is_an_os_error() -> None:
    with EchoServer(port=0) as server, pytest.raises(OSError, match="Address already in use"):
        udpulse.ping("127.0.0.1", source=server.address)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"interval": 0}, "interval must be above 0 and below 9.2e9 seconds, not 0"),
        ({"interval": 1, "schedule": "x"}, "schedule must be 'periodic' or 'poisson', not 'x'"),
        ({"schedule": "poisson"}, "interval must be given for a Poisson schedule"),
        ({"duration": -1}, "duration must be above 0 and below 9.2e9 seconds, not -1"),
        ({"size": 65508}, "size must be 0 to 65507, not 65508"),
        ({"interval": float("nan")}, "interval must be above 0 and below 9.2e9 seconds, not nan$"),
        ({"interval": 1e308}, "interval must be above 0 and below 9.2e9 seconds, not 1e[+]308$"),
        (
            {"timeout": -(10**400)},
            "timeout must be above 0 and below 9.2e9 seconds, not a very long int$",
        ),
        ({"keep": -1}, "keep must be 0 to 2[*][*]32 - 1 or 'all', not -1"),
        ({"timestamps": "x"}, "timestamps must be 'user', 'receive' or 'kernel', not 'x'"),
        ({"ttl": 0}, "ttl must be 1 to 255, not 0"),
        ({"flows": 0}, "flows must be 1 to 64, not 0"),
        ({"flows": 65, "count": None}, "flows must be 1 to 64, not 65"),
        ({"resolve_every": 0}, "resolve_every must be above 0 and below 9.2e9 seconds, not 0"),
        ({"family": 5}, "family must be 4 or 6, not 5"),
        ({"family": 0}, "family must be 4 or 6, not 0"),
        ({"family": 10**40}, "family must be 4 or 6, not 1000"),
        (
            {"flows": 3, "source": ("127.0.0.1", 65534)},
            "source must be a port that 2 more can follow, not 65534",
        ),
        ({"dscp": 64}, "dscp must be 0 to 63, not 64"),
        (
            {"interface": "a name of 16 byt"},
            "interface must be the name of a network interface, 1 to 15 bytes, not",
        ),
        ({"interface": ""}, "interface must be the name of a network interface"),
        ({"interface": "a\0b"}, "interface must be the name of a network interface"),
        ({"outage_after": 0}, "outage_after must be 1 to 2[*][*]64 - 1, not 0"),
        ({"linger": -1}, "linger must be 0 or more seconds, not -1"),
        ({"linger": float("nan")}, "linger must be 0 or more seconds, not nan"),
        ({"source": ("x", 0)}, r"source must be an \(address, port\) of this host, not \('x', 0\)"),
        ({"keep": "some"}, "keep must be 0 to 2[*][*]32 - 1 or 'all', not 'some'"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        PingClient("127.0.0.1", **options)
