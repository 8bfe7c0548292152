"""Models of impairments through a server: in time, from traces, and of known paths."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import udpulse
from udpulse import EchoServer, impair
from udpulse.impair import GilbertElliott, Link, Quantiles, TimedGilbertElliott, TraceRate, presets

PRESETS = {name: getattr(presets, name) for name in presets.__all__ if name.isupper()}


def test_a_timed_model_is_its_own_class_with_the_arguments_given() -> None:
    model = GilbertElliott.timed(good=2, bad=0.5, bad_loss=0.9, good_loss=0.1, bad_delay=0.05)
    assert model == TimedGilbertElliott(
        good=2.0, bad=0.5, bad_loss=0.9, good_loss=0.1, bad_delay=0.05
    )
    assert repr(GilbertElliott.timed(good=1, bad=1)) == "TimedGilbertElliott(good=1.0, bad=1.0)"


def test_a_bad_state_loses_and_delays() -> None:
    # The states last for many packets, or for less than the time between two.
    slow = GilbertElliott.timed(good=1e6, bad=1e-9)
    fast = GilbertElliott.timed(good=1e-9, bad=1e6, bad_loss=0, bad_delay=0.02)
    with EchoServer(port=0, uplink=Link(loss=slow), downlink=Link(loss=fast)) as server:
        report = udpulse.ping(*server.address, count=3)
        fates = server.fates()
    assert report.answered == 3
    # The first packet is in the good state.
    others = [fate.sent_at - fate.received_at for fate in fates[1:] if fate.sent_at]
    assert len(others) == 2
    assert min(others) >= 0.02


def test_delays_are_in_the_table() -> None:
    delay = Quantiles([0.010, 0.011, 0.020], correlation=0.9, spacing=0.01)
    with EchoServer(port=0, downlink=Link(delay=delay), seed=1) as server:
        report = udpulse.ping(*server.address, count=20, interval=0.001)
        columns = server.columns()
    assert report.answered == 20
    assert (columns["sent_at_ns"] - columns["received_at_ns"]).min() >= 10_000_000


class TestTraceRate:
    def test_a_file_is_read_as_mahimahi_reads_it(self, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        trace.write_text("0\n2\n2\n5\n")
        rate = TraceRate(trace, quantum=1504)
        assert rate.opportunities == (0, 2, 2, 5)
        assert TraceRate(str(trace)) == TraceRate([0, 2, 2, 5])
        assert pickle.loads(pickle.dumps(rate)) == rate

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("", "opportunities must be 1 to 4194304 milliseconds, not 0"),
            ("1\n\n2\n", 'a whole number of milliseconds a line, not "" in line 2'),
            ("1\n-2\n", 'a line, not "-2" in line 2'),
            ("3\n2\n", "opportunities must be in rising order, not 2 after 3"),
            ("0\n", "opportunities must be longer than 0 milliseconds in all, not 0"),
        ],
    )
    def test_a_bad_file_is_refused(self, tmp_path: Path, text: str, error: str) -> None:
        trace = tmp_path / "trace"
        trace.write_text(text)
        with pytest.raises(ValueError, match=error):
            TraceRate(trace)

    def test_a_missing_file_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            TraceRate(tmp_path / "missing")

    def test_packets_leave_at_its_opportunities(self) -> None:
        # One packet of 1500 bytes with headers each 10 ms.
        link = Link(rate=TraceRate([10], queue=3000))
        with EchoServer(port=0, uplink=link) as server:
            report = udpulse.ping(*server.address, count=9, interval=0.0001, size=1472, timeout=2)
            fates = server.fates()
            lost = server.truth.uplink.queue_full
        passed = [fate for fate in fates if fate.sent_at is not None]
        assert lost == report.lost == 9 - len(passed) > 0
        start = min(fate.received_at for fate in fates)
        due = start + 0.010 * np.arange(1, len(passed) + 1)
        sent = np.sort([fate.sent_at for fate in passed if fate.sent_at is not None])
        assert (sent >= due - 1e-6).all()


class TestPresets:
    @pytest.mark.parametrize("name", PRESETS)
    def test_delays_are_as_stated(self, name: str) -> None:
        preset = PRESETS[name]
        assert preset.round_trip == pytest.approx(2 * preset.one_way)
        for link in (preset.uplink, preset.downlink):
            assert link.delay == preset.one_way
        assert preset.links == {"uplink": preset.uplink, "downlink": preset.downlink}
        assert len(preset.source) > 20

    def test_a_server_behaves_like_one(self) -> None:
        with EchoServer(port=0, **impair.presets.CABLE.links) as server:
            report = udpulse.ping(*server.address, count=2, size=600)
        assert report.rtt.min is not None
        # The path, and the transmission of 628 bytes on both ways.
        assert report.rtt.min >= 0.028 + 628 * 8 / 1e6 + 628 * 8 / 5e6
