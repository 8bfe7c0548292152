"""Metrics: their names and values, read back by the parser of prometheus_client."""

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peers
import prometheus_client
import pytest
from expositions import Samples, parsed, value

import udpulse
from udpulse import (
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    PingClient,
    PingSweep,
    Relay,
    StampReflector,
    StampSender,
    metrics,
)
from udpulse.impair import Link

DOCUMENT = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text("utf-8")


def read(sources: list[metrics.Source], **options: Any) -> Samples:
    return parsed(metrics.render(sources, **options))


@pytest.fixture
def all_kinds(silent: peers.Address) -> list[metrics.Source]:
    """An object of each kind that does not run."""
    return [
        ("a", PingClient(*silent)),
        ("a", StampSender(*silent)),
        ("a", PingSweep([silent])),
        ("a", EchoServer(port=0)),
        ("a", Relay(silent[0], silent[1])),
        ("a", StampReflector(port=0)),
        ("a", HeartbeatClient(*silent)),
        ("a", HeartbeatServer(port=0)),
    ]


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(port=0) as server:
        yield server


@pytest.mark.parametrize("openmetrics", [False, True])
def test_each_family_is_documented(all_kinds: list[metrics.Source], openmetrics: bool) -> None:
    page = metrics.render(all_kinds, openmetrics=openmetrics).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    assert page.endswith("# EOF\n") == openmetrics
    parsed(page.encode(), openmetrics)
    documented = dict(re.findall(r"^\| `(udpulse_\w+)` \| (\w+) \|", DOCUMENT, re.MULTILINE))
    if openmetrics:
        suffixes = {"counter": "_total", "info": "_info"}
        kinds = {name + suffixes.get(kind, ""): kind for name, kind in kinds.items()}
        documented.update((name, "info") for name in documented if name.endswith("_info"))
    # Those of a client come with the client, those of a monitor with that.
    absent = {name for name in documented if name not in kinds}
    assert {name: documented[name] for name in kinds if name in documented} == kinds
    assert all(
        name.startswith(("udpulse_peer_", "udpulse_observer", "udpulse_store", "udpulse_alert"))
        or name.endswith(
            ("_timestamp_seconds", "_start_time_seconds", "_low_seconds", "_high_seconds")
        )
        for name in absent
    )


def test_series_begin_at_zero(all_kinds: list[metrics.Source]) -> None:
    samples = read(all_kinds)
    info = {"udpulse_build_info", "udpulse_ping_address_info"}
    assert {value for (name, _), value in samples.items() if name not in info} == {0.0}
    assert value(samples, "udpulse_ping_lost_total", kind="ping", name="a") == 0
    assert value(samples, "udpulse_ping_rtt_seconds_bucket", kind="stamp", le="+Inf") == 0
    assert value(samples, "udpulse_reflector_packets_total", outcome="replied") == 0
    assert value(samples, "udpulse_heartbeat_clients", state="overdue") == 0
    assert value(samples, "udpulse_relay_impaired_total", link="uplink", impairment="lost") == 0
    assert value(samples, "udpulse_stamp_lost_total", kind="stamp", way="forward") == 0
    assert value(samples, "udpulse_stamp_residence_seconds_count", kind="stamp") == 0


def test_a_session_counts_what_it_does_not_keep(echo: EchoServer) -> None:
    host, port = echo.address
    with PingClient(host, port, count=1500, interval=1e-4, keep=0, linger=0) as client:
        report = client._finish()
    samples = read([("here", client), ("echo", echo)])
    labels = {"kind": "ping", "name": "here", "target": f"{host}:{port}"}
    for name in ("sent", "answered", "lost", "duplicates", "missed", "receive_drops"):
        assert value(samples, f"udpulse_ping_{name}_total", **labels) == getattr(report, name)
    assert value(samples, "udpulse_ping_rtt_seconds_count", **labels) == report.rtt.count
    total = value(samples, "udpulse_ping_rtt_seconds_sum", **labels)
    assert total == pytest.approx(report.rtt.count * (report.rtt.mean or 0.0))
    counts = [
        value(samples, "udpulse_ping_rtt_seconds_bucket", le=f"{16e-6 * 2**n:.6f}", **labels)
        for n in range(20)
    ]
    assert counts == sorted(counts)
    assert counts[-1] == report.rtt.count
    assert value(samples, "udpulse_ping_address_info", address=f"{host}:{port}") == 1
    assert value(samples, "udpulse_running", kind="ping") == 0
    assert value(samples, "udpulse_echo_received_total", name="echo") == report.sent


def test_each_direction_of_a_session_with_a_reflector() -> None:
    with (
        StampReflector(port=0) as reflector,
        Relay(*reflector.address, uplink=Link(loss=0.2), downlink=Link(loss=0.1), seed=1) as relay,
        StampSender(*relay.address, count=300, interval=0.001, timeout=0.5, linger=0) as sender,
    ):
        report = sender._finish()
        sources: list[metrics.Source] = [
            ("far", sender, {"forward_lost": 1000, "unattributed": 2000}, {"site": "berlin"}),
            ("report", report),
        ]
        samples = read(sources)
    found = {
        name: [
            value(samples, f"udpulse_stamp_{name}_total", name="far", site="berlin", way=way)
            for way in ("forward", "reverse")
        ]
        for name in ("lost", "duplicates", "reordered")
    }
    assert report.forward.lost
    assert report.reverse.lost
    assert report.unattributed is not None
    assert found == {
        "lost": [1000 + report.forward.lost, report.reverse.lost],
        "duplicates": [0, 0],
        "reordered": [0, 0],
    }
    unattributed = value(samples, "udpulse_stamp_unattributed_total", name="far")
    assert unattributed == 2000 + report.unattributed
    residence = value(samples, "udpulse_stamp_residence_seconds_count", name="far")
    assert residence == report.answered
    low = value(samples, "udpulse_stamp_clock_offset_low_seconds", name="far")
    assert low <= 0 <= value(samples, "udpulse_stamp_clock_offset_high_seconds", name="far")
    assert report.reverse.delay
    low, high = (
        value(samples, f"udpulse_stamp_delay_{end}_seconds", name="far", way="reverse")
        for end in ("low", "high")
    )
    assert (low, high) == pytest.approx(report.reverse.delay)
    for name in ("lost", "duplicates", "reordered"):
        lost = value(samples, f"udpulse_stamp_{name}_total", name="report", way="reverse")
        assert lost == found[name][1]


def test_a_sweep_counts_all_its_rounds(echo: EchoServer, silent: peers.Address) -> None:
    host, port = echo.address
    sweep = PingSweep(
        [(host, port), silent, silent], count=2, rounds=3, rate=3000, timeout=0.01, keep=0
    )
    before: Samples = {}
    for _ in sweep:
        samples = read([("many", sweep)])
        for key, count in before.items():
            if key[0].endswith(("_total", "_bucket", "_count")):
                assert samples[key] >= count, key
        before = samples
    samples = read([("many", sweep)])
    labels = {"kind": "ping_many", "target": f"{host}:{port}"}
    assert value(samples, "udpulse_ping_sent_total", **labels) == 6
    answered = value(samples, "udpulse_ping_answered_total", **labels)
    assert value(samples, "udpulse_ping_rtt_seconds_count", **labels) == answered
    # Both of the silent ones are one target.
    mute = f"{silent[0]}:{silent[1]}"
    assert value(samples, "udpulse_ping_lost_total", target=mute) == 12
    assert value(samples, "udpulse_ping_loss_bursts_total", target=mute) == 6


def test_a_report_counts_like_its_session(echo: EchoServer) -> None:
    report = udpulse.ping(*echo.address, count=3, interval=0.001)
    samples = read([("sum", report + report, {"sent": 10, "answered": 9, "lost": 1})])
    labels = {"kind": "ping_many", "name": "sum"}
    assert value(samples, "udpulse_ping_sent_total", **labels) == 16
    assert value(samples, "udpulse_ping_answered_total", **labels) == 15
    assert value(samples, "udpulse_ping_lost_total", **labels) == 1
    assert value(samples, "udpulse_ping_rtt_seconds_count", **labels) == 6


def test_impairments_of_a_server_are_counted(sender: socket.socket) -> None:
    with EchoServer(port=0, uplink=Link(loss=1.0)) as server:
        sender.sendto(b"Ping 1 0", server.address)
        next(iter(server))
        samples = read([("bad", server, {"received": 4})])
    assert value(samples, "udpulse_echo_received_total", name="bad") == 5
    assert value(samples, "udpulse_echo_dropped_total", name="bad") == 1
    assert value(samples, "udpulse_echo_impaired_total", link="uplink", impairment="lost") == 1


def test_labels_of_ones_own(all_kinds: list[metrics.Source]) -> None:
    labels = {"site": 'ber"lin', "_rack": "7"}
    samples = read([(name, thing, {}, labels) for name, thing, *_ in all_kinds])
    for name, have in samples:
        if name not in ("udpulse_build_info", "udpulse_series_left_out"):
            assert labels.items() <= dict(have).items(), name
    used = {label for _, have in samples for label, _ in have} - labels.keys()
    # A client of a server and its address come with it.
    assert used | {"peer"} == metrics.LABELS


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ({"name": "a"}, "labels must have other names than address, "),
        ({"way": "a"}, "labels must have other names than address, "),
        ({"__a": "a"}, "labels must have names of up to 64 letters, .* not '__a'"),
        ({"si-te": "a"}, "labels must have names of up to 64 letters, .* not 'si-te'"),
        ({"é": "a"}, "labels must have names of up to 64 letters, .* not 'é'"),
        ({"1a": "a"}, "labels must have names of up to 64 letters, .* not '1a'"),
        ({"a\n": "a"}, r"labels must have names of up to 64 letters, .* not 'a\\n'"),
        ({"a" * 65: "a"}, "labels must have names of up to 64 letters, "),
        ({"a": 7}, "labels must be texts, not 7 for a"),
        ({"a": ""}, "labels must be texts of 1 to 256 characters, not '' for a"),
        ({"a": "b" * 257}, "labels must be texts of 1 to 256 characters"),
        ({f"a{number}": "b" for number in range(17)}, "labels must be at most 16, not 17"),
    ],
)
def test_wrong_labels_are_refused(labels: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        metrics.render([("a", EchoServer(port=0), {}, labels)])


NAMES = ["plain", 'a"b\\c\nd', "}{,=#", "grüße 漢字", "\x1b[31m\r\0", ""]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_labels_hold_any_text(openmetrics: bool) -> None:
    servers: list[metrics.Source] = [(name, EchoServer(port=0)) for name in NAMES]
    samples = parsed(metrics.render(servers, openmetrics=openmetrics), openmetrics)
    found = {dict(labels)["name"] for name, labels in samples if name == "udpulse_running"}
    assert found == set(NAMES)


def watch(server: HeartbeatServer, sender: socket.socket, beats: list[bytes]) -> None:
    """Send beats and wait until the server has counted them."""
    seen = server.counters.received
    for beat in beats:
        sender.sendto(beat, server.address)
    while server.counters.received < seen + len(beats):
        server.next_batch(timeout=0.01)


def test_clients_of_a_server(sender: socket.socket) -> None:
    with HeartbeatServer(port=0) as server, HeartbeatClient(*server.address, name='a"b') as client:
        next(iter(server))
        # Names of other bytes than UTF-8 look alike, and a stranger has none.
        for beat in (b"UDP1 name=\xff seq=1", b"UDP1 name=\xfe seq=1", b"7 1486420330"):
            watch(server, sender, [beat])
        samples = read([("watch", server), ("beat", client)])
        peer = {"name": "watch", "peer": 'a"b', "address": ""}
        states = {
            dict(labels)["state"]: count
            for (name, labels), count in samples.items()
            if name == "udpulse_peer_state" and dict(labels)["peer"] == 'a"b'
        }
        stranger = "{}:{}".format(*sender.getsockname())
        assert value(samples, "udpulse_peer_received_total", peer="", address=stranger) >= 1
        received = value(samples, "udpulse_peer_received_total", **peer)
        assert received == value(samples, "udpulse_peer_expected_total", **peer) >= 1
    assert (len(states), sum(states.values())) == (10, 1)
    assert value(samples, "udpulse_peer_timeout_seconds", **peer) > 0
    assert value(samples, "udpulse_heartbeat_client_sent_total", name="beat") >= 1
    kinds = [
        count for (name, _), count in samples.items() if name == "udpulse_heartbeat_datagrams_total"
    ]
    assert sum(kinds) == value(samples, "udpulse_heartbeat_received_total", name="watch")


def test_a_page_is_bounded(silent: peers.Address) -> None:
    host, port = silent
    sweep = PingSweep([(host, port + n) for n in range(100)])
    whole = read([("many", sweep)])
    targets = {dict(labels).get("target") for _, labels in whole} - {None}
    assert (len(targets), value(whole, "udpulse_series_left_out")) == (100, 0)
    # The time of the last reply may appear later, and has room.
    series = sum(1 for _, labels in whole if "target" in dict(labels)) // 100 + 1
    cut = read([("many", sweep)], max_series=10 * series + 1)
    kept = {dict(labels).get("target") for _, labels in cut} - {None}
    assert (len(kept), kept < targets) == (10, True)
    assert value(cut, "udpulse_series_left_out") == 90 * series
    assert not any("target" in dict(labels) for _, labels in read([("m", sweep)], max_series=0))


def test_clients_without_room_are_counted() -> None:
    with HeartbeatServer(port=0) as server, contextlib.ExitStack() as stack:
        for name in ("b", "a", "c"):
            stack.enter_context(HeartbeatClient(*server.address, name=name))
        while len(server.peers()) < 3:
            server.next_batch(timeout=1)
        left_out = value(read([("fleet", server)], max_series=0), "udpulse_series_left_out")
        cut = read([("fleet", server)], max_series=int(left_out) // 3 * 2 - 1)
    assert {dict(labels).get("peer") for _, labels in cut} - {None} == {"a"}
    assert 3 * value(cut, "udpulse_series_left_out") == 2 * left_out


def test_wrong_sources_are_refused(echo: EchoServer) -> None:
    with pytest.raises(TypeError, match="running objects of udpulse or PingReports, not int"):
        metrics.render([("a", 1)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="different names, not 'a' for two of EchoServer"):
        metrics.render([("a", echo), ("a", EchoServer(port=0))])
    with pytest.raises(ValueError, match="max_series must be 0 or more, not -1"):
        metrics.render([], max_series=-1)


def test_a_registry_collects_them(echo: EchoServer) -> None:
    registry = prometheus_client.CollectorRegistry()
    sources: list[metrics.Source] = [("echo", echo)]
    registry.register(metrics.Collector(sources))
    udpulse.ping(*echo.address, count=3, interval=0.001)
    assert registry.get_sample_value("udpulse_echo_replied_total", {"name": "echo"}) == 3
    text = prometheus_client.generate_latest(registry)
    assert parsed(text) == read(sources)
