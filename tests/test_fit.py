"""Fits find the truth, survive a replay, and say what they cannot know."""

import io
import json
import pickle
import threading
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

import udpulse
from udpulse import EchoServer, PingReport, Probe, Relay, fits, impair, jsonlines
from udpulse.cli import main
from udpulse.impair import GilbertElliott, Link, Quantiles

SPACING = 20_000_000


def losses(n: int, p: float, r: float, bad_loss: float = 1.0, seed: int = 1) -> NDArray[np.bool_]:
    """Return the losses of a chain, packet by packet."""
    draws = np.random.default_rng(seed).random((n, 2))
    bad, lost = False, np.zeros(n, np.bool_)
    for index, (change, loss) in enumerate(draws):
        lost[index] = bad and loss < bad_loss
        bad ^= change < (r if bad else p)
    return lost


def columns(lost: NDArray[np.bool_], spacing: int = SPACING) -> dict[str, NDArray[Any]]:
    """Return columns as those of a report whose round trips take 20 ms and more."""
    count = len(lost)
    rtt = 2e7 + np.random.default_rng(9).exponential(3e6, count)
    return {
        "seq": np.arange(1, count + 1),
        "sent_at_ns": np.arange(count) * spacing,
        "rtt_ns": np.where(lost, np.nan, rtt),
        "verdict": np.where(lost, udpulse.VERDICTS.index("lost"), 0),
    }


BURSTS = columns(losses(10_000, 0.01, 0.25))


def within(estimate: fits.Estimate | None, truth: float) -> bool:
    """Return whether an interval holds the truth."""
    assert estimate is not None
    low, high = estimate.interval
    return low <= truth <= high


class TestLoss:
    def test_bursts_are_found_per_packet_and_in_time(self) -> None:
        fit = udpulse.fit(BURSTS)
        assert fit.loss.model == "gilbert"
        of = fit.loss.per_packet
        assert of is not None
        assert within(of.p, 0.01)
        assert within(of.r, 0.25)
        assert (of.good_loss.value, of.bad_loss.value) == (0.0, 1.0)
        assert of.model == GilbertElliott(of.p.value, of.r.value)
        rate = -np.log(1 - 0.26) / 0.02
        timed = fit.loss.timed
        assert timed is not None
        assert within(timed.good, 0.26 / 0.01 / rate)
        assert within(timed.bad, 0.26 / 0.25 / rate)
        assert within(fit.loss.loss, 0.01 / 0.26)
        assert fit.warnings == ()
        assert min(fit.loss.bic, key=lambda model: fit.loss.bic[model]) == "gilbert"

    def test_a_bad_state_that_lets_packets_pass_is_found(self) -> None:
        fit = udpulse.fit(columns(losses(10_000, 0.01, 0.1, 0.5)))
        assert fit.loss.model == "gilbert3"
        assert fit.loss.timed is not None
        assert within(fit.loss.timed.bad_loss, 0.5)

    def test_independent_losses_have_no_states(self) -> None:
        fit = udpulse.fit(columns(losses(10_000, 0.03, 0.97)))
        assert (fit.loss.model, fit.loss.timed) == ("bernoulli", None)
        assert within(fit.loss.loss, 0.03)
        assert fit.link.loss == fit.loss.loss.value

    def test_the_link_is_the_same_at_another_packet_rate(self) -> None:
        loss = udpulse.fit(BURSTS).link.loss
        assert isinstance(loss, impair.TimedGilbertElliott)
        # Half of the packets, twice as far apart.
        half = {name: column[::2] for name, column in BURSTS.items() if name != "seq"}
        timed = udpulse.fit(half).loss.timed
        assert timed is not None
        assert within(timed.good, loss.good)
        assert within(timed.bad, loss.bad)

    def test_the_check_tells_a_changed_link(self) -> None:
        calm, rough = losses(6000, 0.002, 0.25), losses(6000, 0.05, 0.1)
        fit = udpulse.fit(columns(np.concatenate([calm, rough])))
        assert fit.loss.check is not None
        assert fit.loss.check.stationary is not None
        assert fit.loss.check.stationary <= 0.01
        assert any("not stationary" in warning for warning in fit.warnings)

    def test_the_same_seed_gives_the_same_check(self) -> None:
        assert udpulse.fit(BURSTS, seed=3) == udpulse.fit(BURSTS, seed=3)
        assert udpulse.fit(BURSTS, seed=3) != udpulse.fit(BURSTS, seed=4)
        assert udpulse.fit(BURSTS, simulations=0).loss.check is None


class TestDelay:
    def test_delays_and_their_correlation_are_found(self) -> None:
        draws = np.random.default_rng(2).normal(size=5000)
        walk = np.zeros(5000)
        for index in range(1, 5000):
            walk[index] = 0.8 * walk[index - 1] + 0.6 * draws[index]
        delay = 0.03 + 0.002 * walk
        record = columns(np.zeros(5000, np.bool_)) | {"rtt_ns": delay * 1e9}
        fit = udpulse.fit(record)
        assert fit.delay is not None
        # A Gaussian correlation of 0.8 is one of ranks of 6 / pi asin(0.4).
        assert within(fit.delay.correlation, 6 / np.pi * np.arcsin(0.4))
        assert within(fit.delay.median, 0.03)
        table = np.quantile(delay, np.linspace(0, 1, 1024))
        assert fit.delay.table == pytest.approx(table, abs=1e-8)
        model = fit.link.delay
        assert isinstance(model, Quantiles)
        assert fit.delay.correlation is not None
        assert model.correlation == fit.delay.correlation.value
        assert model.spacing == pytest.approx(0.02)
        assert fit.link.keep_order

    def test_a_correlation_that_chance_explains_is_none(self) -> None:
        model = udpulse.fit(BURSTS).link.delay
        assert isinstance(model, Quantiles)
        assert (model.correlation, model.spacing) == (0.0, None)

    def test_the_kernels_times_are_used_if_all_are_known(self) -> None:
        kernel = BURSTS["rtt_ns"] - 1e6
        some = kernel.copy()
        some[np.flatnonzero(~np.isnan(some))[0]] = np.nan
        for times, expected in ((kernel, kernel), (some, BURSTS["rtt_ns"])):
            fit = udpulse.fit(BURSTS | {"kernel_rtt_ns": times})
            assert fit.delay is not None
            assert fit.delay.table[0] == pytest.approx(np.nanmin(expected) / 1e9)


class TestRecords:
    def test_reports_fates_and_lines_give_the_same_as_their_columns(self, tmp_path: Path) -> None:
        link = Link(loss=GilbertElliott(0.1, 0.5))
        file = io.StringIO()
        with EchoServer(port=0, uplink=link, seed=1) as server:
            client = udpulse.PingClient(*server.address, count=200, interval=0.001, timeout=1)
            jsonlines.write(client, file)
            report = client.report()
            of_fates = udpulse.fit(server.fates())
            of_columns = udpulse.fit(server)
            assert of_columns.loss == udpulse.fit(server.columns()).loss
        # Times of fates are rounded to seconds since the epoch.
        assert of_fates.loss.spacing == pytest.approx(of_columns.loss.spacing, rel=0.01)
        assert of_fates.loss.loss.value == pytest.approx(of_columns.loss.loss.value, rel=0.05)
        path = tmp_path / "run.jsonl"
        path.write_text(file.getvalue())
        expected = udpulse.fit(report)
        assert expected == udpulse.fit(report.columns())
        assert expected == udpulse.fit(path) == udpulse.fit(str(path))
        assert expected == udpulse.fit(io.StringIO(file.getvalue()))
        assert expected == udpulse.fit(jsonlines.load(io.StringIO(file.getvalue())))
        # The server saw what the client did.
        assert of_fates.loss.lost == expected.loss.lost == report.lost > 0

    def test_flows_and_clients_are_records_of_their_own(self) -> None:
        lost = np.array([True, True, False, False] * 2)
        record = columns(lost) | {"flow": np.repeat([0, 1], 4), "seq": np.tile(np.arange(4), 2)}
        assert udpulse.fit(record).loss.bursts == 2
        together = columns(np.array([True, False, False, True, True, False]))
        apart = together | {"flow": np.array([0, 0, 0, 1, 1, 1])}
        assert udpulse.fit(together).loss.bursts == udpulse.fit(apart).loss.bursts == 2

    def test_a_hole_ends_a_record(self) -> None:
        record = {name: np.delete(column, slice(100, 200)) for name, column in BURSTS.items()}
        fit = udpulse.fit(record)
        assert fit.loss.model == "gilbert"
        without = {name: column for name, column in record.items() if name != "seq"}
        noticed = udpulse.fit(without)
        assert noticed.loss.per_packet == fit.loss.per_packet
        for told in (fit, noticed):
            assert "the record has 1 holes, across which no state is followed" in told.warnings
        assert not any("holes" in warning for warning in udpulse.fit(BURSTS).warnings)

    def test_a_late_probe_is_slow_and_an_error_is_left_out(self) -> None:
        probes = [
            Probe(seq=1, verdict="answered", rtt=0.01, sent_at=1.0),
            Probe(seq=2, verdict="late", rtt=2.0, sent_at=1.1),
            Probe(seq=3, verdict="lost", sent_at=1.2),
            Probe(seq=4, verdict="refused", sent_at=1.3),
        ]
        fit = udpulse.fit(PingReport.from_probes(probes))
        assert (fit.loss.packets, fit.loss.lost) == (3, 1)
        assert fit.delay is not None
        assert fit.delay.table == (0.01, 2.0)
        assert any("1 packets that neither arrived" in warning for warning in fit.warnings)

    def test_rows_that_fell_off_are_told(self) -> None:
        with EchoServer(port=0) as server:
            client = udpulse.PingClient(*server.address, count=5, keep=3)
            with client:
                for _ in client:
                    pass
            fit = udpulse.fit(client.report())
            few = EchoServer(port=0, keep=2)
            with few:
                udpulse.ping(*few.address, count=5)
        assert "3 older packets were not kept" in udpulse.fit(few).warnings
        assert fit.loss.packets == 3
        assert "only the last 3 of 5 probes were kept" in fit.warnings


class TestWays:
    UPLINK = Link(loss=GilbertElliott(0.1, 0.5))
    DOWNLINK = Link(loss=impair.LossPattern([False] * 9 + [True]), delay=0.001)

    def test_each_way_of_a_relay_has_a_fit(self, tmp_path: Path) -> None:
        file = io.StringIO()
        with EchoServer(port=0) as server:
            relay = Relay(
                *server.address,
                uplink=self.UPLINK,
                downlink=self.DOWNLINK,
                seed=1,
                keep="all",
            )

            def probe() -> None:
                while not relay.running:
                    pass
                udpulse.ping(*relay.address, count=300, interval=0.001, timeout=0.2)
                relay.stop()

            prober = threading.Thread(target=probe)
            prober.start()
            jsonlines.write(relay, file)
            prober.join()
        truth = relay.truth
        records = (relay, relay.columns(), relay.fates(), io.StringIO(file.getvalue()))
        for record in records:
            for way, counters in (("uplink", truth.uplink), ("downlink", truth.downlink)):
                if isinstance(record, io.StringIO):
                    record.seek(0)
                fit = udpulse.fit(record, way=way)  # type: ignore[arg-type]
                assert fit.loss.lost == counters.lost > 0
                assert not any("left out" in warning for warning in fit.warnings)
        assert udpulse.fit(relay, way="uplink").loss.packets == 300
        delay = udpulse.fit(relay, way="downlink").delay
        assert delay is not None
        assert delay.table[0] >= 0.001 - 1e-4
        with pytest.raises(ValueError, match="way must be 'uplink' or 'downlink'"):
            udpulse.fit(relay)
        up = {name: column[relay.columns()["way"] == 0] for name, column in relay.columns().items()}
        assert udpulse.fit(up) == udpulse.fit(relay, way="uplink")

    def test_an_echo_server_tells_losses_apart_but_no_delays(self) -> None:
        with EchoServer(
            port=0, uplink=self.UPLINK, downlink=self.DOWNLINK, seed=1, keep="all"
        ) as server:
            udpulse.ping(*server.address, count=300, interval=0.001, timeout=0.2)
            while server.truth.delayed:
                pass
            truth = server.truth
            both, up, down = (udpulse.fit(server, way=way) for way in get_args(fits.Way))
        assert (up.loss.packets, up.loss.lost) == (300, truth.uplink.lost)
        assert (down.loss.packets, down.loss.lost) == (300 - up.loss.lost, truth.downlink.lost)
        assert both.loss.lost == up.loss.lost + down.loss.lost
        assert (up.delay, down.delay) == (None, None)
        assert both.delay is not None

    def test_probes_take_both_ways(self) -> None:
        with pytest.raises(ValueError, match="way must be 'both' for probes"):
            udpulse.fit(BURSTS, way="uplink")
        with pytest.raises(
            ValueError, match="way must be 'both', 'uplink' or 'downlink', not 'up'"
        ):
            udpulse.fit(BURSTS, way="up")  # type: ignore[arg-type]


SILENT = columns(np.zeros(500, np.bool_))


class TestDoubts:
    def test_no_losses_prove_nothing(self) -> None:
        fit = udpulse.fit(SILENT)
        assert (fit.loss.model, fit.loss.per_packet, fit.loss.timed) == ("none", None, None)
        assert fit.loss.loss.interval == pytest.approx((0.0, 0.0076), abs=1e-4)
        assert "nothing was lost: the loss may be anything up to 0.0076" in fit.warnings
        assert fit.link.loss == 0.0

    def test_few_losses_say_little(self) -> None:
        lost = np.zeros(500, np.bool_)
        lost[[100, 300]] = True
        assert any("2 bursts" in warning for warning in udpulse.fit(columns(lost)).warnings)

    def test_a_dead_path_has_no_delay(self) -> None:
        fit = udpulse.fit(columns(np.ones(50, np.bool_)))
        assert (fit.loss.model, fit.loss.loss.value, fit.delay) == ("bernoulli", 1.0, None)
        assert fit.link == Link(loss=1.0)
        assert any("everything was lost" in warning for warning in fit.warnings)

    def test_irregular_packets_are_told(self) -> None:
        times = np.cumsum(np.random.default_rng(1).exponential(2e7, 2000)).astype(np.int64)
        fit = udpulse.fit(columns(losses(2000, 0.02, 0.3)) | {"sent_at_ns": times})
        assert any("irregular" in warning for warning in fit.warnings)

    @pytest.mark.parametrize(
        ("record", "error", "text"),
        [
            (PingReport(), ValueError, "record must have a packet that arrived or was lost"),
            ([], ValueError, "record must have a packet that arrived or was lost"),
            ({}, ValueError, "record must have a column 'sent_at_ns'"),
            ({"sent_at_ns": [1]}, ValueError, "record must have a column 'verdict' or 'lost'"),
            ({"sent_at_ns": [1, 2], "lost": [1]}, ValueError, "columns must have one length"),
            ({"sent_at_ns": [2, 1], "lost": [0, 1]}, ValueError, "record must be in order of send"),
            ({"sent_at_ns": [1], "lost": [0], "rtt_ns": [-1]}, ValueError, "delays below 0"),
            ({"sent_at_ns": ["a"], "lost": [0]}, ValueError, "column 'sent_at_ns' must be an arr"),
            ({"sent_at_ns": [2**64], "lost": [0]}, ValueError, "column 'sent_at_ns' must be an a"),
            (
                {"sent_at_ns": [[1]], "lost": [0]},
                ValueError,
                "column 'sent_at_ns' must have one di",
            ),
            (7, TypeError, "record must be a PingReport, an EchoServer, .*, not int"),
            ([1], TypeError, "record must be a PingReport, an EchoServer, .*, not list"),
            (io.StringIO(""), ValueError, "it is empty"),
            (Path("/missing/run"), FileNotFoundError, "missing"),
        ],
    )
    def test_a_record_that_cannot_be_fitted_is_an_error(
        self, record: Any, error: type[Exception], text: str
    ) -> None:
        with pytest.raises(error, match=text):
            udpulse.fit(record)

    def test_bad_options_are_named(self) -> None:
        for name, bad in (("simulations", -1), ("simulations", 10_001), ("seed", -1)):
            with pytest.raises(ValueError, match=f"^{name} must be 0 to"):
                udpulse.fit(SILENT, **{name: bad})  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=f"^{name} must be 0 to"):
                udpulse.fit(SILENT, **{name: 0.5})  # type: ignore[arg-type]


class TestValue:
    def test_it_travels(self) -> None:
        fit = udpulse.fit(BURSTS)
        assert pickle.loads(pickle.dumps(fit)) == fit
        assert json.loads(json.dumps(fit.to_dict()))["loss"]["model"] == "gilbert"
        assert eval(repr(fit), vars(fits)) == fit

    def test_netem_has_the_same_chain(self) -> None:
        fit = udpulse.fit(BURSTS)
        of = fit.loss.per_packet
        assert of is not None
        words = fit.netem.split()
        assert " ".join(words[:9]) == "tc qdisc add dev DEV root netem loss gemodel"
        shares = [float(word.rstrip("%")) / 100 for word in words[9:13]]
        assert shares == pytest.approx([of.p.value, of.r.value, 1.0, 0.0], abs=1e-6)
        assert words[13] == "delay"
        assert udpulse.fit(columns(losses(5000, 0.03, 0.97))).netem.split()[7] == "loss"

    def test_it_has_a_picture(self) -> None:
        pytest.importorskip("matplotlib", reason="needs the extra plot")
        from udpulse import plots

        assert "gilbert" in plots.of(udpulse.fit(BURSTS)).get_suptitle()
        assert "none" in udpulse.fit(SILENT).plot().get_suptitle()
        lone = udpulse.fit({"sent_at_ns": [0], "lost": [1]}, simulations=0)
        assert lone.plot().texts[0].get_text() == "nothing to compare"


def test_a_replay_through_a_relay_is_fitted_to_the_same() -> None:
    """Simulate, fit, replay, measure and fit again."""
    # Packets of the record are 40 times as far apart as those of the replay.
    record = columns(losses(20_000, 0.02, 0.4))
    record["rtt_ns"] = record["rtt_ns"] / 10
    record["sent_at_ns"] = record["sent_at_ns"] // 20
    truth = udpulse.fit(record)
    loss = truth.link.loss
    assert isinstance(loss, impair.TimedGilbertElliott)
    with (
        EchoServer(port=0) as server,
        Relay(*server.address, uplink=truth.link, seed=5, keep="all") as relay,
    ):
        report = udpulse.ping(*relay.address, count=6000, interval=0.0005, timeout=1)
        of_fates, of_report = udpulse.fit(relay, way="uplink"), udpulse.fit(report)
        assert of_fates.loss.lost == relay.truth.uplink.lost
    assert truth.delay is not None
    # The times of arrival differ from run to run, and so do the losses: 80 bursts determine each
    # mean within 12 %, so that a factor of 2 is out of reach of chance.
    # A busy host drops packets of its own, which the report counts, too.
    for again in (of_fates, of_report)[: 1 + (report.lost == relay.truth.uplink.lost)]:
        assert again.loss.timed is not None
        assert loss.good / 2 < again.loss.timed.good.value < loss.good * 2
        assert loss.bad / 2 < again.loss.timed.bad.value < loss.bad * 2
        assert again.delay is not None
        # A packet leaves when it is due or later.
        assert again.delay.table[0] >= truth.delay.table[0] - 1e-4


class TestCommand:
    @pytest.fixture
    def recorded(self, tmp_path: Path) -> Path:
        """Return the path of a recorded ping."""
        file = tmp_path / "run.jsonl"
        with EchoServer(port=0, loss=impair.LossPattern([0, 0, 1])) as server:
            client = udpulse.PingClient(*server.address, count=30, interval=0.001, timeout=1)
            with file.open("w") as lines:
                jsonlines.write(client, lines)
        return file

    def test_it_shows_the_fit(self, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fit", str(recorded)]) == 0
        fit, output = udpulse.fit(recorded), capsys.readouterr().out
        assert output.startswith(f"{fit}\nlink: Link(loss=")
        assert output.endswith(f"netem: {fit.netem}\n")

    def test_it_writes_json_and_a_picture(
        self, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["fit", str(recorded), "--json"]) == 0
        members = json.loads(capsys.readouterr().out)
        assert members["loss"]["lost"] == 10
        assert members["link"]["keep_order"] in (True, False)
        pytest.importorskip("matplotlib", reason="needs the extra plot")
        assert main(["fit", str(recorded), "-o", str(tmp_path / "fit.svg")]) == 0
        assert "<svg" in (tmp_path / "fit.svg").read_text("utf-8")

    def test_a_run_that_cannot_be_fitted_is_one_line(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "run.jsonl"
        with EchoServer(port=0) as server, file.open("w") as lines:
            jsonlines.write(udpulse.PingSweep([server.address], timeout=0.5), lines)
        assert main(["fit", str(file)]) == 2
        error = capsys.readouterr().err
        assert "record must be a run of a ping, an EchoServer or a Relay, not sweep" in error
        assert main(["fit", str(file), "-o", "fit.txt"]) == 2
        assert "--output must end in .svg, .png or .html" in capsys.readouterr().err


def test_the_likelihood_is_that_of_a_peer() -> None:
    """Baum-Welch in hmmlearn finds the same four parameters and no greater likelihood."""
    hmm = pytest.importorskip("hmmlearn.hmm", reason="needs hmmlearn")
    lost = losses(10_000, 0.005, 0.05, 0.5) | (np.random.default_rng(4).random(10_000) < 0.005)
    fit = udpulse.fit(columns(lost), simulations=0)
    assert fit.loss.model == "gilbert4"
    of = fit.loss.per_packet
    assert of is not None
    peer = hmm.CategoricalHMM(2, n_iter=500, tol=1e-7, params="te", init_params="")
    peer.startprob_ = np.array([10 / 11, 1 / 11])
    peer.transmat_ = np.array([[0.99, 0.01], [0.1, 0.9]])
    peer.emissionprob_ = np.array([[0.99, 0.01], [0.4, 0.6]])
    symbols = lost.astype(int)[:, None]
    peer.fit(symbols)
    for found, expected in (
        (of.p, peer.transmat_[0, 1]),
        (of.r, peer.transmat_[1, 0]),
        (of.good_loss, peer.emissionprob_[0, 1]),
        (of.bad_loss, peer.emissionprob_[1, 1]),
    ):
        assert found.value == pytest.approx(expected, rel=0.02)
    likelihood = (4 * np.log(len(lost)) - fit.loss.bic["gilbert4"]) / 2
    assert likelihood > peer.score(symbols) - 0.05
