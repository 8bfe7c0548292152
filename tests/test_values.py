"""Values travel: they compare, hash, copy, pickle, convert and can be built by hand."""

import copy
import inspect
import itertools
import json
import pickle
import subprocess
import sys
import weakref
from typing import Any

import peers
import pytest

import udpulse
from udpulse import EchoServer, Fate, Peer, PingClient, PingReport, Probe, events, impair, reports
from udpulse.events import ClientEvent, Event, PingEvent, RelayEvent
from udpulse.impair import Link
from udpulse.reports import Distribution, EchoTruth, LinkCounters, Reply, Runs

HOME = ("127.0.0.1", 4711)

REPORT = PingReport.from_probes(
    [
        Probe(seq=1, verdict="answered", rtt=0.010, sent_at=1000.0),
        Probe(seq=2, verdict="lost", sent_at=1000.1),
        Probe(seq=3, verdict="late", rtt=2.0, sent_at=1000.2),
        Probe(seq=1, verdict="answered", rtt=0.030, kernel_rtt=0.025, sent_at=1000.05, flow=1),
    ]
)

LINK = Link(
    rules=[impair.Rule("drop", offset=1, value=b"\x02", mask=b"\x0f", nth=range(1, 9, 2))],
    loss=impair.GilbertElliott(0.1, 0.5),
    duplication=0.1,
    rate=impair.RateLimit(1e6),
    delay=impair.Normal(0.1, 0.01),
    keep_order=True,
    reordering=impair.Reordering(0.1, 0.2),
)

REPLY = Reply(number=1, sent_at=1000.1, uplink_bit=3)

FATE = Fate(
    received_at=1000.0,
    client=HOME,
    number=1,
    outcome="replied",
    answer=b"PING 1",
    uplink=["duplicated", "corrupted"],
    uplink_rule=1,
    copies=[REPLY, Reply(number=2, sent_at=1000.2)],
)

VALUES: list[Any] = [
    Probe(seq=1, verdict="answered", rtt=0.1, reply=b"PING 1", sent_at=1000.0, flow=3),
    FATE,
    REPLY,
    Peer(address=HOME, state="up", last_received_at=1000.0, timeout=5.0, name="a", status="ok"),
    udpulse.Beat(seq=1, outcome="sent", time=1000.0),
    reports.EchoCounters(received=3, replied=2, dropped=1),
    LinkCounters(lost=1),
    reports.StampReflectorCounters(received=3, replied=2, short=1),
    reports.StampReflectorTruth(downlink=LinkCounters(lost=1), pending=2),
    reports.StampSession(client=HOME, ssid=7, received=2, last_received_at=1000.0),
    reports.Reflected(received_at=1000.0, client=HOME, outcome="replied", size=44, ssid=7, seq=1),
    EchoTruth(uplink=LinkCounters(lost=1), replies=2),
    reports.RelayCounters(received=2, relayed=1),
    reports.StepDone(number=1, index=0, action="set", time=1.0, received=9, clients=1),
    impair.Step("outage", at=1, duration=0.5, mode="hold", way="uplink"),
    impair.Step("set", at_packet=9, client=HOME, uplink=LINK),
    reports.RelayTruth(downlink=LinkCounters(lost=1), refused=2),
    reports.HeartbeatClientCounters(sent=7),
    reports.HeartbeatServerCounters(received=7, beats=7),
    reports.AddressChange(time=1.0, end="target", before="192.0.2.1", after="192.0.2.2"),
    reports.HeaderField(min=63, max=64, changes=1),
    reports.Direction(lost=1, duplicates=2, reordered=3, delay=(0.001, 0.02)),
    reports.ReflectorClock(offset=(-0.1, 0.3), skew_ppm=-37.5, steps=1, claim="refuted"),
    reports.ReflectorTraits(
        mode="stateful", ttl=reports.HeaderField(min=1, max=2), quirks=["tai", "short_reply"]
    ),
    Runs(count=1, mean=2.0, max=2),
    reports.Outage(start=1.0, end=2.0, lost=3),
    reports.Pause(start=1.0, end=2.0),
    reports.PingCounters(sent=2, answered=1, late=1),
    events.OutageStarted(start=1.0, lost=3),
    events.Revised(probe=Probe(seq=1, verdict="late", rtt=0.1, sent_at=1000.0)),
    events.OutageEnded(start=1.0, end=2.0, lost=3, flow=1),
    Distribution([0.1, 0.2, 0.3]),
    Distribution(i * 1e-5 for i in range(5000)),
    PingReport(),
    REPORT,
    *REPORT.flows,
    LINK,
    LINK.loss,
    LINK.rate,
    LINK.delay,
    LINK.reordering,
    LINK.rules[0],
    impair.Rule("delay", delay=0.1, min_size=9, max_size=9, nth=[4, 2]),
    impair.Rule("corrupt", bit=9, nth=3),
    impair.LossPattern([1, 0, True]),
    impair.GilbertElliott.timed(good=1, bad=0.125, bad_delay=0.1),
    impair.Quantiles([0.01, 0.02], correlation=0.5, spacing=0.1),
    impair.TraceRate([1, 1, 2]),
    impair.Uniform(0.1, 0.2),
    impair.Exponential(0.1),
    impair.Pareto(0.1, 3),
    events.Busy(address=HOME, time=1.0, duration=60.0),
    events.ClockStepped(address=HOME, time=1.0, step=-3600.0),
    events.Conflict(address=HOME, time=1.0, boots=[7, 8], addresses=[HOME, HOME]),
    events.Down(address=HOME, time=1.0, seq=5, cause="silence", silence=5.0, timeout=5.0),
    events.Failed(address=HOME, time=1.0, error="OSError", received=9, expected=9),
    events.Heard(address=HOME, time=1.0, seq=1, payload=b"hb 1", name="a"),
    events.Ignored(address=HOME, time=1.0, payload=b"\xff"),
    events.LateBeat(address=HOME, time=1.0, seq=3),
    events.Lost(address=HOME, time=1.0, first=3, last=4),
    events.MassSilence(address=("0.0.0.0", 0), time=1.0, silent=2, alive=3, listed=[HOME, HOME]),
    events.Missing(address=("0.0.0.0", 0), time=1.0, name="a"),
    events.Moved(address=HOME, time=1.0, old=("127.0.0.2", 1)),
    events.Paused(address=("0.0.0.0", 0), time=1.0, duration=3.0),
    events.Recovered(address=HOME, time=1.0, state="down", duration=9.0, timeout=5.0),
    events.Restarted(address=HOME, time=1.0, cause="boot", last_seq=9),
    events.Stalled(address=HOME, time=1.0, age=30.0),
    events.Stopped(address=HOME, time=1.0, received=9, expected=9),
    events.TooOften(address=HOME, time=1.0, interval=3600.0, gap=60.0),
    events.Suspect(address=HOME, time=1.0, silence=3.0, timeout=5.0),
    events.SessionEnded(client=HOME, time=1.0, reason="idle", uplink=3, downlink=2),
    events.Unheard(server=HOME, time=1.0, silence=5.0),
    events.Up(address=HOME, time=1.0, seq=1),
]


def public_values() -> set[type]:
    modules = (udpulse, events, impair, reports)
    public = {getattr(module, name) for module in modules for name in module.__all__}
    running = {
        EchoServer,
        udpulse.Relay,
        udpulse.PingClient,
        udpulse.PingSweep,
        udpulse.HeartbeatClient,
        udpulse.HeartbeatServer,
        udpulse.StampReflector,
        udpulse.StampSender,
    }
    classes = {thing for thing in public if isinstance(thing, type)}
    return {
        thing
        for thing in classes
        - running
        - {reports.Progress, reports.Table, impair.LinkOutage, udpulse.Keys}
        if not issubclass(thing, BaseException)
    }


def test_every_public_value_is_among_these() -> None:
    assert {type(value) for value in VALUES} == public_values()


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
class TestWhatAllHave:
    def test_it_names_the_module_that_it_is_imported_from(self, value: Any) -> None:
        kind = type(value)
        assert getattr(sys.modules[kind.__module__], kind.__name__) is kind
        assert kind.__module__ != "udpulse._core"

    def test_it_copies_and_pickles_into_an_equal_value(self, value: Any) -> None:
        assert copy.copy(value) is copy.deepcopy(value) is value
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            same = pickle.loads(pickle.dumps(value, protocol))
            assert same == value
            assert hash(same) == hash(value)
            assert repr(same) == repr(value)
            assert same.to_dict() == value.to_dict()

    def test_it_is_equal_to_no_other(self, value: Any) -> None:
        assert sum(value == other for other in VALUES) == 1
        assert value != value.to_dict()
        assert len({value, pickle.loads(pickle.dumps(value))}) == 1

    def test_a_pickle_of_another_version_is_refused(self, value: Any) -> None:
        restore, (kind, version, state) = value.__reduce__()
        assert version == 1
        assert restore(kind, version, state) == value
        with pytest.raises(ValueError, match=f"this {kind.__name__} was pickled in format 2"):
            restore(kind, 2, state)

    def test_a_damaged_pickle_raises(self, value: Any) -> None:
        restore, (kind, version, state) = value.__reduce__()
        if isinstance(state, bytes):
            bad_states: list[Any] = [state + b"\0", *(state[:end] for end in range(len(state)))]
            with pytest.raises(ValueError, match=f"the pickle of this {kind.__name__} is damaged"):
                kind._load(b"\xff" * 30)
        else:
            bad_states = [
                (*state, None),
                *((*state[:i], object(), *state[i + 1 :]) for i in range(len(state))),
            ]
        for bad in [None, 7, object(), *bad_states[:200]]:
            with pytest.raises((TypeError, ValueError, AttributeError)):
                restore(kind, version, bad)

    def test_it_has_weak_references_and_is_frozen(self, value: Any) -> None:
        reference: Any = weakref.ref(value)
        assert reference() is value
        with pytest.raises(AttributeError):
            value.color = "red"

    def test_its_dict_holds_plain_values(self, value: Any) -> None:
        names = type(value).__match_args__ if hasattr(type(value), "__match_args__") else ()
        assert set(names) <= set(value.to_dict())
        others: dict[type, Any] = {bytes: repr, range: repr}
        json.dumps(value.to_dict(), default=lambda thing: others[type(thing)](thing))

    def test_its_text_is_one_line(self, value: Any) -> None:
        assert "\n" not in repr(value)
        assert repr(value).startswith(type(value).__name__ + "(")


BUILT = [value for value in VALUES if not isinstance(value, (PingReport, Distribution))]


@pytest.mark.parametrize("value", BUILT, ids=lambda value: type(value).__name__)
def test_its_text_builds_it_again(value: Any) -> None:
    namespace = {kind.__name__: kind for kind in public_values()}
    assert eval(repr(value), namespace) == value


@pytest.mark.parametrize("value", BUILT, ids=lambda value: type(value).__name__)
def test_its_fields_are_the_parameters_of_its_class(value: Any) -> None:
    names = type(value).__match_args__
    assert tuple(inspect.signature(type(value)).parameters) == names
    assert type(value)(**{name: getattr(value, name) for name in names}) == value


def test_bytes_of_any_kind_make_a_value_or_an_error() -> None:
    packed: list[Any] = [
        REPORT,
        Distribution([0.1, 0.2]),
        Distribution(i / 1e5 for i in range(3000)),
    ]
    for value in packed:
        _, (kind, _, state) = value.__reduce__()
        for place, byte in itertools.product(range(min(len(state), 300)), (0, 127, 255)):
            try:
                damaged = kind._load(state[:place] + bytes([byte]) + state[place + 1 :])
            except ValueError:
                continue
            assert pickle.loads(pickle.dumps(damaged)) == damaged
            damaged.to_dict()
            if isinstance(damaged, PingReport):
                assert sum([damaged] * 9, PingReport()).sent == 9 * damaged.sent
                damaged.columns()


def test_a_field_of_another_type_is_named() -> None:
    for wrong, error, text in (
        ({"seq": "1"}, TypeError, "seq must be 0 to 2[*][*]64 - 1, not '1'"),
        ({"seq": True}, TypeError, "seq must be 0 to 2[*][*]64 - 1, not True"),
        ({"seq": -1}, ValueError, "seq must be 0 to 2[*][*]64 - 1, not -1"),
        ({"verdict": "won"}, ValueError, "verdict must be 'answered', 'late', 'lost', 'pending', "),
        ({"reply": "PING"}, TypeError, "reply must be bytes, not 'PING'"),
        ({"rtt": "fast"}, TypeError, "rtt must be a number, not 'fast'"),
        ({"color": "red"}, TypeError, "Probe has no color: it has seq, verdict, rtt, "),
    ):
        good: dict[str, Any] = {"seq": 1, "verdict": "lost", "sent_at": 1.0}
        with pytest.raises(error, match=f"^{text}"):
            Probe(**{**good, **wrong})
    with pytest.raises(TypeError, match="missing 1 required keyword argument: 'seq'"):
        Probe(verdict="lost", sent_at=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^client must be a \(host, port\) pair, not 7"):
        Fate(received_at=1.0, client=7, number=1, outcome="lost", answer=b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uplink must be 'lost', "):
        Fate(received_at=1.0, client=HOME, number=1, outcome="lost", answer=b"", uplink=["broken"])


def test_derived_fields_are_optional() -> None:
    assert (FATE.dropped, FATE.size, FATE.replies, FATE.corrupted) == (False, 6, 2, 1)
    assert (FATE.sent_at, REPLY.corrupted) == (1000.1, True)
    lost = Fate(received_at=1.0, client=HOME, number=1, outcome="lost", answer=b"")
    assert (lost.dropped, lost.replies, lost.sent_at, lost.uplink) == (True, 0, None, ())
    assert repr(lost) == (
        "Fate(received_at=1.0, client=('127.0.0.1', 4711), number=1, outcome='lost', answer=b'')"
    )


def test_nested_values_become_dicts() -> None:
    assert FATE.to_dict()["copies"][0] == REPLY.to_dict()
    assert EchoTruth(uplink=LinkCounters(lost=3)).to_dict()["uplink"]["lost"] == 3
    told = LINK.to_dict()
    assert told["delay"] == {"mean": 0.1, "deviation": 0.01}
    assert told["rate"] == {"bits_per_second": 1_000_000, "queue": 65_536}
    assert REPORT.to_dict()["flows"][0]["rtt"]["count"] == 1


def test_a_class_matches_by_position_and_name() -> None:
    match VALUES[0]:
        case Probe(seq, "answered", rtt, flow=flow):
            assert (seq, rtt, flow) == (1, 0.1, 3)
        case _:
            pytest.fail("no match")


def test_every_event_is_an_event() -> None:
    mine = [value for value in VALUES if type(value).__module__ == "udpulse.events"]
    outages = [event for event in mine if isinstance(event, PingEvent)]
    beyond = ClientEvent | RelayEvent
    others = [*outages, *(event for event in mine if isinstance(event, beyond))]
    assert len(mine) == 20 + len(others) == 25
    assert all(isinstance(event, Event) != (event in others) for event in mine)
    assert isinstance(VALUES[0], PingEvent)


def test_a_long_sequence_is_cut_in_a_text() -> None:
    assert repr(impair.LossPattern([True] * 100)).endswith("True, ... 92 more))")


def test_another_process_reads_a_pickle() -> None:
    code = (
        "import pickle, sys; values = pickle.load(sys.stdin.buffer); print(len(values), values[0])"
    )
    got = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(VALUES),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert got.stdout.decode().strip() == f"{len(VALUES)} {VALUES[0]!r}"


class TestReports:
    def test_probes_make_a_report(self) -> None:
        assert (REPORT.sent, REPORT.answered, REPORT.lost, REPORT.late) == (4, 2, 1, 1)
        assert (REPORT.received, REPORT.loss, REPORT.started_at) == (3, 0.5, 1000.0)
        assert (REPORT.rtt.min, REPORT.rtt.max, REPORT.kernel_rtt.max) == (0.01, 0.03, 0.025)
        assert REPORT.overhead.max == pytest.approx(0.005)
        assert [flow.sent for flow in REPORT.flows] == [3, 1]
        columns = REPORT.columns()
        assert columns["sent_at_ns"].tolist() == [0, 50_000_000, 100_000_000, 200_000_000]
        assert columns["flow"].tolist() == [0, 1, 0, 0]
        assert columns["seq"].tolist() == [1, 1, 2, 3]
        assert columns["size"].tolist() == [64] * 4

    def test_the_probes_of_a_session_rebuild_its_report(self) -> None:
        with EchoServer(port=0, loss=0.3, seed=2) as server:
            client = udpulse.PingClient(
                *server.address, count=60, interval=0.001, timeout=0.3, keep="all"
            )
            probes = list(client)
            made = client.report()
        built = PingReport.from_probes(probes)
        for name in ("sent", "answered", "lost", "loss", "loss_bursts", "loss_gaps", "received"):
            assert getattr(built, name) == getattr(made, name), name
        assert built.rtt == made.rtt
        assert built.ipdv_abs_mean == made.ipdv_abs_mean
        assert built.rfc3550_jitter == made.rfc3550_jitter
        assert (built.columns()["rtt_ns"] == made.columns()["rtt_ns"])[
            made.columns()["verdict"] == 0
        ].all()

    @pytest.mark.parametrize(
        ("probe", "text"),
        [
            (Probe(seq=1, verdict="answered", sent_at=1.0), "must have an rtt"),
            (Probe(seq=1, verdict="lost", rtt=0.1, sent_at=1.0), "must have no rtt"),
            (Probe(seq=1, verdict="late", rtt=-0.1, sent_at=1.0), "must have an rtt of 0 to "),
            (Probe(seq=1, verdict="lost", sent_at=1e300), "must have a sent_at that is a Unix "),
            (Probe(seq=1, verdict="lost", sent_at=1.0, flow=256), "must have a flow of 0 to 255"),
        ],
    )
    def test_a_probe_that_contradicts_itself_is_refused(self, probe: Probe, text: str) -> None:
        with pytest.raises(ValueError, match=rf"^probe 1 of flow \d+ \('\w+'\) {text}"):
            PingReport.from_probes([probe])

    def test_a_number_occurs_once_in_a_flow(self) -> None:
        probe = Probe(seq=1, verdict="lost", sent_at=1.0)
        with pytest.raises(ValueError, match="each number of flow 0 must occur once"):
            PingReport.from_probes([probe, probe])

    def test_reports_sum(self) -> None:
        parts = [PingReport.from_probes([probe]) for probe in VALUES[:1]] * 3
        assert sum(parts) == parts[0] + parts[1] + parts[2]
        assert sum(parts[:1]) == parts[0]
        assert sum(parts, PingReport()) == sum(parts)
        assert (PingReport() + REPORT).to_dict() == {**REPORT.to_dict(), "flows": ()}
        with pytest.raises(TypeError):
            sum(parts, 1)

    def test_adding_is_associative(self) -> None:
        one, two, three = REPORT, REPORT.flows[0], REPORT.flows[1]
        assert (one + two) + three == one + (two + three)

    def test_a_printed_report_is_a_summary(self) -> None:
        assert str(REPORT).splitlines() == [
            "4 probes: 2 answered, 1 late, 1 lost",
            "loss 50 %, with 95 % confidence 15 to 85 %",
            "round trip in ms: min 10.000, median 10.000, max 30.000",
        ]
        assert str(PingReport()) == "no probes"

    def test_only_foreign_replies_give_a_hint(self) -> None:
        assert REPORT.hint is None
        # With so little room the token is cut off.
        with EchoServer(port=0, max_size=20) as server:
            report = udpulse.ping(*server.address, count=3, timeout=0.05, size=64)
        assert (report.foreign, report.answered) == (3, 0)
        assert report.hint is not None
        assert "use a size of 0" in report.hint
        assert "hint: " in str(report)

    @pytest.mark.skipif(peers.PORTABLE, reason="only Linux shows them")
    @pytest.mark.parametrize("size", [0, 64])
    def test_replies_from_another_address_give_a_hint(self, size: int) -> None:
        with peers.open_socket() as stranger, peers.Server(peers.from_another_port) as server:
            client = PingClient("127.0.0.1", server.port, count=2, size=size, timeout=0.2)
            with client:
                address = ("127.0.0.1", client.address[1])
                stranger.sendto(b"noise", address)
                probes = list(client)
            report = client.report()
        assert [probe.verdict for probe in probes] == ["lost", "lost"]
        assert sorted(report.foreign_sources.values()) == [1, 2]
        assert report.hint is not None
        (other,) = (port for (_, port), count in report.foreign_sources.items() if count == 2)
        assert f"(127.0.0.1:{other})" in report.hint

    @pytest.mark.skipif(peers.PORTABLE, reason="only Linux shows them")
    def test_a_stranger_gives_no_hint_about_the_server(self) -> None:
        with peers.open_socket() as stranger, peers.open_socket() as silent:
            client = PingClient("127.0.0.1", peers.port_of(silent), count=1, timeout=2)
            with client:
                stranger.sendto(b"noise", ("127.0.0.1", client.address[1]))
                list(client)
            report = client.report()
        assert (report.foreign, report.received, report.hint) == (1, 1, None)


class TestDistributions:
    def test_durations_make_one(self) -> None:
        three = Distribution([0.3, 0.1, 0.2])
        assert (three.count, three.min, three.median, three.max) == (3, 0.1, 0.2, 0.3)
        assert Distribution() == REPORT.schedule_error
        assert Distribution([0.1, 0.2]) != Distribution([0.1, 0.3])
        with pytest.raises(ValueError, match="durations must be numbers of seconds from 0 to"):
            Distribution([-1.0])

    @pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan"), float("inf"), 0.99, 0.5])
    def test_a_percentile_is_not_a_share(self, percent: float) -> None:
        text = r"percent must be 0 or from 1 to 100 \(99 is the 99th percentile\), not"
        with pytest.raises(ValueError, match=f"^{text} {percent}$"):
            Distribution([0.1]).percentile(percent)
        with pytest.raises(ValueError, match=f"^{text} {percent}$"):
            Distribution([0.1]).percentile_interval(percent)
        with pytest.raises(TypeError, match=f"^{text} '99'$"):
            Distribution([0.1]).percentile("99")  # type: ignore[arg-type]

    def test_an_interval_is_between_two_of_the_values(self) -> None:
        few, more = Distribution(range(1, 6)), Distribution(range(1, 21))
        assert few.percentile_interval(50) is None
        assert more.percentile_interval(50) == (6.0, 15.0)

    def test_its_columns_are_its_values(self) -> None:
        few = Distribution([0.3, 0.1, 0.3]).columns()
        assert few["value_ns"].tolist() == [100_000_000, 300_000_000]
        assert few["count"].tolist() == [1, 2]
        many = Distribution(1e-3 + i * 1e-6 for i in range(5000)).columns()
        assert many["count"].sum() == 5000
        assert many["value_ns"][0] == pytest.approx(1_000_000, rel=1e-3)
        assert many["value_ns"][-1] == 5_999_000
        assert {len(column) for column in Distribution().columns().values()} == {0}

    def test_the_ends_are_the_extremes(self) -> None:
        distribution = Distribution([0.1, 0.2, 0.3])
        assert (distribution.percentile(0), distribution.percentile(100)) == (0.1, 0.3)
        assert distribution.percentile(1) is None


NO_MODELS: list[tuple[Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (Link, (), {"loss": True}, TypeError, "loss must be a probability .*, not True"),
    (Link, (), {"loss": []}, TypeError, r"loss must be a probability .*, not \[\]"),
    (Link, (), {"rate": 1e6}, TypeError, "rate must be a RateLimit or a TraceRate, not 1000000.0"),
    (Link, (), {"delay": True}, TypeError, "delay must be a number of seconds .*, not True"),
    (Link, (), {"jitter": 0.1}, TypeError, r"Link has no jitter: delay=Normal\(mean, deviation\)"),
    (Link, (), {"los": 0.1}, TypeError, "Link has no los: it has rules, loss, max_burst, "),
    (Link, (), {"keep_order": 1}, TypeError, "keep_order must be True or False, not 1"),
    (impair.RateLimit, (1.5,), {}, ValueError, "bits_per_second must be a whole .*, not 1.5"),
    (impair.RateLimit, (True,), {}, TypeError, "bits_per_second must be a whole .*, not True"),
    (impair.LossPattern, ([0, 2],), {}, ValueError, "lost must be truth values, not 2"),
    (impair.LossPattern, ("01",), {}, TypeError, "lost must be truth values, not '01'"),
    (impair.LossPattern, (range(10**12),), {}, ValueError, "lost must be truth values, not 2"),
    (Link, (), {"rules": "x"}, TypeError, "rules must be a Rule, not 'x'"),
    (Link, (), {"rules": [impair.Rule("drop")] * 65}, ValueError, "rules must be at most 64 Rules"),
    (impair.Rule, ("lose",), {}, ValueError, "action must be 'drop', 'delay', 'duplicate' or "),
    (impair.Rule, ("drop",), {"value": b""}, ValueError, "value must be 1 to 65527 bytes long"),
    (impair.Rule, ("drop",), {"value": "a"}, TypeError, "value must be bytes, not 'a'"),
    (
        impair.Rule,
        ("drop",),
        {"value": b"ab", "mask": b"a"},
        ValueError,
        r"mask must be as long as value \(2 bytes\), not 1",
    ),
    (
        impair.Rule,
        ("drop",),
        {"value": b"\x10", "mask": b"\x0f"},
        ValueError,
        "value must be 0 where mask is: within 0x0f in byte 0, not 0x10",
    ),
    (impair.Rule, ("drop",), {"mask": b"a"}, ValueError, "mask must be None without a value, not"),
    (impair.Rule, ("drop",), {"offset": 1}, ValueError, "offset must be 0 without a value, not 1"),
    (
        impair.Rule,
        ("drop",),
        {"offset": 65526, "value": b"ab"},
        ValueError,
        "offset must be 0 to 65525, so that value ends within max_size, not 65526",
    ),
    (impair.Rule, ("drop",), {"offset": 65527}, ValueError, "offset must be 0 to 65526, not 65527"),
    (
        impair.Rule,
        ("drop",),
        {"min_size": 9, "max_size": 8},
        ValueError,
        r"max_size must be at least min_size \(9\), not 8",
    ),
    (impair.Rule, ("drop",), {"nth": 0}, ValueError, "nth must be a number from 1, .*, not 0"),
    (impair.Rule, ("drop",), {"nth": []}, ValueError, r"nth must be .*, not \[\]"),
    (impair.Rule, ("drop",), {"nth": range(3, 3)}, ValueError, r"nth must be .*range\(3, 3\)"),
    (impair.Rule, ("drop",), {"nth": range(9, 3, -1)}, ValueError, "nth must be .*, not range"),
    (impair.Rule, ("drop",), {"nth": [1, True]}, TypeError, "nth must be .*, not True"),
    (impair.Rule, ("delay",), {}, ValueError, "delay must be a number of seconds with action="),
    (impair.Rule, ("drop",), {"delay": 1}, ValueError, "delay must be None without action='delay'"),
    (impair.Rule, ("drop",), {"bit": 1}, ValueError, "bit must be None without action='corrupt'"),
    (
        impair.Rule,
        ("corrupt",),
        {"bit": 64, "max_size": 8},
        ValueError,
        "bit must be a bit of the first 8 bytes, which max_size allows, not 64",
    ),
    (impair.Normal, ("a", 1), {}, TypeError, "mean must be a number of seconds .*, not 'a'"),
]


class TestModels:
    @pytest.mark.parametrize(("kind", "positional", "named", "error", "text"), NO_MODELS)
    def test_a_bad_argument_is_named(
        self,
        kind: Any,
        positional: tuple[Any, ...],
        named: dict[str, Any],
        error: type[Exception],
        text: str,
    ) -> None:
        with pytest.raises(error, match=f"^{text}"):
            kind(*positional, **named)

    def test_parameters_can_be_read(self) -> None:
        assert (LINK.duplication, LINK.keep_order, LINK.corruption) == (0.1, True, 0.0)
        assert LINK.loss == impair.GilbertElliott(0.1, 0.5)
        assert impair.RateLimit(1e6).bits_per_second == 1_000_000
        assert impair.GilbertElliott(0.25).r == 0.75
        assert impair.LossPattern([0, 1, True]).lost == (False, True, True)
        assert LINK.rules[0].nth == range(1, 9, 2)
        numbers = [impair.Rule("drop", nth=nth).nth for nth in (None, 3, [3], {5, 3})]
        assert numbers == [None, 3, 3, (3, 5)]

    def test_a_link_that_travelled_does_the_same(self) -> None:
        def outcomes(link: Link) -> list[str]:
            with EchoServer(port=0, uplink=link, seed=3, keep=100) as server:
                udpulse.ping(*server.address, count=30, timeout=0.01)
                # Each probe waits for the one before, so that all arrive.
                return [fate.outcome for fate in server.fates()]

        link = Link(loss=impair.GilbertElliott(0.2, 0.5))
        assert outcomes(pickle.loads(pickle.dumps(link))) == outcomes(link)


def test_verdicts_are_a_tuple_in_the_order_of_stored_columns() -> None:
    assert udpulse.VERDICTS == (
        "answered",
        "late",
        "lost",
        "pending",
        "refused",
        "send_failed",
        "unreachable",
    )
