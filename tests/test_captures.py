"""Captures: every packet at every point, and comments that are the fates."""

import errno
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pcapng
import pytest

import udpulse
from udpulse import EchoServer, Fate, PingClient, Relay, ping
from udpulse._printable import joined
from udpulse.cli import main
from udpulse.impair import (
    Exponential,
    GilbertElliott,
    Link,
    LossPattern,
    RateLimit,
    Reordering,
)

PORTABLE = "UDPULSE_PORTABLE" in os.environ

ROUGH = Link(
    loss=GilbertElliott(p=0.05, r=0.4),
    duplication=0.1,
    corruption=0.05,
    mtu=28 + 120,
    rate=RateLimit(20_000_000, queue=2_000),
    delay=Exponential(0.0005),
    keep_order=True,
    reordering=Reordering(0.02, 0.002),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a capture."""
    return tmp_path / "packets.pcapng"


def udp(host: str = "127.0.0.1") -> socket.socket:
    """Return a bound socket with a timeout."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    opened.settimeout(10)
    opened.bind((host, 0))
    return opened


def arrival(fate: Fate) -> str:
    """Return the comment on a packet that came in."""
    words = [f"#{fate.number}"] if fate.number else []
    if fate.dropped and fate.outcome != "expired":
        words.append(fate.outcome)
    flags = [
        f"{way} {', '.join(names)}"
        for way, names in (("uplink", fate.uplink), ("downlink", fate.downlink))
        if names
    ]
    return " ".join(words) + (f": {'; '.join(flags)}" if flags else "")


def departures(server: EchoServer | Relay, way: int | None) -> dict[int, tuple[str, int, bytes]]:
    """Return the comment, the time and the payload of each copy of one way, by its number."""
    fates, copies = server.fates(), server.columns("copies")
    received = server.columns()["received_at_ns"]
    ways = {None: "both", 0: "uplink", 1: "downlink"}
    found, count = {}, Counter[int]()
    for row, number in enumerate(copies["number"]):
        index = int(copies["fate"][row])
        fate = fates[index]
        count[index] += 1
        if fate.way != ways[way]:
            continue
        sent_ns = int(copies["sent_at_ns"][row])
        comment = f"#{fate.number}" + (f" copy {count[index]}" if count[index] > 1 else "")
        comment += f" after {(sent_ns - int(received[index])) / 1e6:.6f} ms"
        copy = fate.copies[count[index] - 1]
        payload = bytearray(fate.answer)
        for name, bit in (("uplink", copy.uplink_bit), ("downlink", copy.downlink_bit)):
            if bit is not None:
                comment += f", {name} bit {bit}"
                payload[bit // 8] ^= 1 << bit % 8
        if copy.corrupted:
            comment += ", corrupted"
        found[int(number)] = comment, sent_ns, bytes(payload)
    return found


def check_way(
    server: EchoServer | Relay,
    capture: pcapng.Capture,
    points: tuple[str, str],
    way: int | None = None,
) -> None:
    """Check that the packets of one way at both points are those of the fates."""
    start_ns = server._start_ns
    fates = [
        (int(at), fate)
        for at, fate in zip(server.columns()["received_at_ns"], server.fates(), strict=True)
        if way is None or fate.way == ("uplink", "downlink")[way]
    ]
    came = {
        packet.comment.partition(" ")[0].rstrip(":"): packet for packet in capture.at(points[0])
    }
    assert len(came) == len(capture.at(points[0])) == len(fates)
    for at_ns, fate in fates:
        packet = came[f"#{fate.number}"]
        assert (packet.comment, packet.at_ns) == (arrival(fate), start_ns + at_ns)
        assert (packet.payload, packet.length) == (fate.answer, fate.size)
        assert not packet.outbound
    left = capture.at(points[1])
    expected = departures(server, way)
    assert [(packet.comment, packet.at_ns - start_ns, packet.payload) for packet in left] == [
        expected[number] for number in sorted(expected)
    ]
    assert all(packet.outbound for packet in left)
    for point, packets in zip(points, (capture.at(points[0]), left), strict=True):
        assert capture.counts[point] == (len(packets), 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_relay_captures_four_points(host: str, file: Path) -> None:
    with (
        udp(host) as upstream,
        udp(host) as client,
        Relay(
            *upstream.getsockname()[:2],
            listen=(host, 0),
            uplink=ROUGH,
            downlink=ROUGH,
            seed=3,
            keep="all",
            capture=file,
        ) as relay,
    ):
        client.connect(relay.address)
        source, sent = None, 0
        upstream.settimeout(0.05)
        while source is None:
            client.send(b"first")
            sent += 1
            try:
                source = upstream.recvfrom(9)[1]
            except TimeoutError:
                continue
        for number in range(500):
            payload = (b"%d," % number * 60)[: number % 130]
            client.send(payload)
            upstream.sendto(payload, source)
            sent += 2
            while relay.counters.received < sent or relay.truth.delayed > 50:
                pass
        while relay.truth.delayed:
            pass
        relay.stop()
        capture = pcapng.read(file)
        assert capture.application == f"udpulse {udpulse.__version__}"
        assert [*capture.points] == [
            "client in",
            "upstream out",
            "upstream in",
            "client out",
            "dropped",
        ]
        check_way(relay, capture, ("client in", "upstream out"), 0)
        check_way(relay, capture, ("upstream in", "client out"), 1)
        assert (capture.counts["dropped"], relay.capture_dropped) == ((0, 0), 0)
        assert relay.capture_error is None
        ends = {
            "client in": (client.getsockname()[:2], relay.address),
            "upstream out": (source[:2], relay.upstream),
            "upstream in": (relay.upstream, source[:2]),
            "client out": (relay.address, client.getsockname()[:2]),
        }
        for point, (sender, receiver) in ends.items():
            packets = capture.at(point)
            assert {packet.source for packet in packets} == {joined(sender)}
            assert {packet.target for packet in packets} == {joined(receiver)}
        if not PORTABLE:
            hops = [{packet.ttl for packet in capture.at(point)} for point in [*ends][:2]]
            assert hops == [{64}, {63}]


def test_an_echo_server_captures_both_ends_of_the_path(file: Path) -> None:
    uplink = Link(loss=0.1, duplication=0.1, corruption=0.05, mtu=28 + 400)
    with EchoServer(
        port=0, uplink=uplink, downlink=ROUGH, seed=5, keep="all", capture=file
    ) as server:
        report = ping(*server.address, count=300, interval=0.0005, timeout=0.5, size=100)
        while server.truth.delayed:
            pass
        server.stop()
        capture = pcapng.read(file)
        assert {**capture.points}.keys() == {"in", "out", "dropped"}
        check_way(server, capture, ("in", "out"))
        assert len(capture.at("in")) == report.sent
        assert {packet.ttl for packet in capture.at("out")} == {64 if PORTABLE else 200}
        assert capture.counts["dropped"] == (0, 0)


def test_a_copy_that_the_downlink_drops_later_is_captured_then(file: Path) -> None:
    narrow = Link(rate=RateLimit(100_000, queue=300))
    with EchoServer(
        port=0, uplink=Link(delay=0.001), downlink=narrow, keep="all", capture=file
    ) as server:
        ping(*server.address, count=100, interval=0.0005, timeout=0.5)
        while server.truth.delayed:
            pass
        server.stop()
        capture, fates = pcapng.read(file), server.fates()
        numbers = [fate.number for fate in fates if fate.downlink == ("queue_full",)]
        assert [packet.comment for packet in capture.at("dropped")] == [
            f"#{number} lost: downlink queue_full" for number in numbers
        ]
        # Nobody knew when they came in.
        assert [packet.comment for packet in capture.at("in")] == [
            f"#{number + 1}" for number in range(len(fates))
        ]
        assert len(capture.at("out")) + len(numbers) == len(fates) > len(numbers) > 0


def test_a_session_that_ends_drops_its_packets(file: Path) -> None:
    with (
        udp() as upstream,
        udp() as first,
        udp() as second,
        Relay(*upstream.getsockname(), max_clients=1, capture=file) as relay,
    ):
        with relay.outage(mode="hold"):
            for number, client in enumerate((first, second), 1):
                client.sendto(b"%d" % number, relay.address)
                while relay.counters.received < number:
                    pass
        assert upstream.recv(9) == b"2"
        assert relay.truth.expired == 1
        relay.stop()
        (dropped,) = pcapng.read(file).at("dropped")
        assert (dropped.comment, dropped.payload) == ("#1 expired", b"1")
        assert dropped.source == joined(first.getsockname())


def test_a_refusal_is_captured(file: Path) -> None:
    with udp() as placeholder:
        nobody = placeholder.getsockname()
    with udp() as client, Relay(*nobody, capture=file) as relay:
        client.sendto(b"anybody?", relay.address)
        while not relay.truth.refused:
            pass
        relay.stop()
        (dropped,) = pcapng.read(file).at("dropped")
        assert dropped.comment in ("#1 refused", "refused")
        assert dropped.payload == b"anybody?"[: dropped.length]


class TestPing:
    def test_probes_and_replies_have_their_verdicts(self, file: Path) -> None:
        fates = LossPattern([False, True, False, False])
        with EchoServer(
            port=0, loss=fates, downlink=Link(duplication=1), seed=1, keep="all"
        ) as server:
            client = PingClient(*server.address, count=4, timeout=0.2, linger=0.2, capture=file)
            probes = list(client)
        capture = pcapng.read(file)
        assert [*capture.points] == ["out", "in", "unanswered"]
        assert [packet.comment for packet in capture.at("out")] == ["#1", "#2", "#3", "#4"]
        for packet, probe in zip(capture.at("out"), probes, strict=True):
            assert abs(packet.at_ns / 1e9 - probe.sent_at) < 1e-6
            assert packet.payload.startswith(b"Ping %d " % probe.seq)
        rtts = {probe.seq: probe.rtt for probe in probes}
        words = [packet.comment for packet in capture.at("in")]
        for seq in (1, 3, 4):
            rtt = rtts[seq]
            assert rtt is not None
            assert f"#{seq} answered after {rtt * 1000:.6f} ms" in words
        assert Counter(words)["#4 duplicate"] == 1
        assert len(words) == 6
        (lost,) = capture.at("unanswered")
        assert (lost.comment, lost.payload) == ("#2 lost", capture.at("out")[1].payload)
        host, port = server.address
        assert {packet.target for packet in capture.at("out")} == {f"{host}:{port}"}
        assert {packet.source for packet in capture.at("out")} == {f"127.0.0.1:{client.address[1]}"}

    def test_a_call_captures_too(self, file: Path) -> None:
        with EchoServer(port=0, transform="upper") as server:
            ping(*server.address, count=3, flows=3, ttl=9, dscp=46, size=0, capture=str(file))
        capture = pcapng.read(file)
        assert {(packet.ttl, packet.tos) for packet in capture.at("out")} == {(9, 46 << 2)}
        assert len({packet.source for packet in capture.at("out")}) == 3
        assert all(packet.payload.startswith(b"PING 1 ") for packet in capture.at("in"))

    def test_damage_and_strangers_are_named(self, file: Path) -> None:
        with EchoServer(port=0, downlink=Link(corruption=1), seed=1) as server:
            ping(*server.address, count=1, timeout=0.2, capture=file)
        capture = pcapng.read(file)
        assert [packet.comment for packet in capture.at("in")] in (["corrupt"], ["foreign"])

    def test_packets_of_stamp_are_probes(self, file: Path) -> None:
        with udpulse.StampReflector(port=0) as reflector:
            udpulse.stamp(*reflector.address, count=2, capture=file)
        capture = pcapng.read(file)
        assert [packet.comment for packet in capture.at("out")] == ["#1", "#2"]
        assert [packet.comment.split()[:2] for packet in capture.at("in")] == [
            ["#1", "answered"],
            ["#2", "answered"],
        ]
        assert {packet.length for packet in capture.packets} == {44}

    def test_a_refused_probe_is_unanswered(self, file: Path) -> None:
        with udp() as placeholder:
            nobody = placeholder.getsockname()
        ping(*nobody, count=1, timeout=1, capture=file)
        (refused,) = pcapng.read(file).at("unanswered")
        assert refused.comment == "#1 refused"


SERVERS: list[Callable[..., Any]] = [
    lambda **options: EchoServer(port=0, **options),
    lambda **options: Relay("127.0.0.1", 9, **options),
    lambda **options: PingClient("127.0.0.1", 9, **options),
]


class TestOptions:
    def test_long_packets_are_cut(self, file: Path) -> None:
        with EchoServer(port=0, capture=file, capture_snaplen=60) as server:
            ping(*server.address, count=2, size=1000)
            assert (server.capture, server.capture_snaplen) == (str(file), 60)
        capture = pcapng.read(file)
        assert capture.snaplen == 60
        assert {(len(packet.payload), packet.length) for packet in capture.packets} == {(32, 1000)}

    def test_a_full_file_counts_the_rest(self, file: Path) -> None:
        with EchoServer(port=0, capture=file, capture_limit=5000) as server:
            ping(*server.address, count=100)
            server.stop()
            capture = pcapng.read(file)
            assert 5000 - 200 < file.stat().st_size - 3 * 52 <= 5000
            assert len(capture.packets) + server.capture_dropped == 200
            assert sum(dropped for _, dropped in capture.counts.values()) == server.capture_dropped

    def test_a_start_replaces_the_file(self, file: Path) -> None:
        server = EchoServer(port=0, capture=file)
        for _ in range(2):
            with server:
                ping(*server.address, count=1)
            assert len(pcapng.read(file).packets) == 2

    def test_a_path_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        for make in SERVERS:
            with pytest.raises(FileNotFoundError, match=r"cannot write .*missing"):
                make(capture=tmp_path / "missing" / "file").start()

    def test_bad_options_are_named(self) -> None:
        for make in SERVERS:
            with pytest.raises(TypeError, match="capture must be a path"):
                make(capture=7)
            with pytest.raises(ValueError, match="capture must be a path without a NUL"):
                make(capture="a\0b")
            with pytest.raises(ValueError, match="capture_snaplen must be 48 to 65575, not 47"):
                make(capture_snaplen=47)
            with pytest.raises(ValueError, match="capture_limit must be 1 to"):
                make(capture_limit=0)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_full_disk_is_told(self) -> None:
        with EchoServer(port=0, capture="/dev/full") as server:
            assert ping(*server.address, count=3).answered == 3
            server.stop()
            assert server.capture_error is not None
            assert server.capture_error.errno == errno.ENOSPC

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a fifo")
    def test_a_file_that_blocks_delays_no_packet(self, file: Path) -> None:
        os.mkfifo(file)
        reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        with EchoServer(port=0, capture=file) as server:
            # More than the queue holds.
            count = 0
            while not server.capture_dropped:
                assert ping(*server.address, count=10, size=60_000, timeout=5).answered == 10
                count += 20
            os.close(reader)
            server.stop()
            assert server.capture_error is not None
            assert server.capture_error.errno == errno.EPIPE
            assert count * 60_000 > 1 << 24


def test_commands_capture(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EchoServer(port=0) as server:
        host, port = server.address
        asked = ["ping", f"{host}:{port}", "-c", "3", "-i", "1ms", "--capture", str(file)]
        assert main([*asked, "--capture-snaplen", "48"]) == 0
        assert len(pcapng.read(file).packets) == 6
        assert main(["ping", f"{host}:{port}", "127.0.0.2", "--capture", str(file)]) == 2
    assert "--capture: only for one target" in capsys.readouterr().err


class TestPeers:
    """Other readers find the same."""

    @pytest.fixture
    def captured(self, file: Path) -> pcapng.Capture:
        """Return a capture of a rough echo server."""
        with EchoServer(port=0, uplink=ROUGH, seed=3, keep="all", capture=file) as server:
            ping(*server.address, count=50, interval=0.001, timeout=0.2)
        return pcapng.read(file)

    def test_tshark_reads_it(self, captured: pcapng.Capture, file: Path) -> None:
        if shutil.which("tshark") is None:
            pytest.skip("needs tshark")
        fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "udp.srcport"]
        fields += ["ip.checksum.status", "udp.checksum.status"]
        checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
        selected = [part for name in fields for part in ("-e", name)]
        found = subprocess.run(
            ["tshark", "-n", "-r", str(file), *checks, "-T", "fields", *selected],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        expected = [
            (
                packet.point,
                f"{packet.at_ns // 10**9}.{packet.at_ns % 10**9:09}",
                packet.comment,
                packet.source.rpartition(":")[2],
                # Good.
                "1",
                "1",
            )
            for packet in captured.packets
        ]
        assert [tuple(line.split("\t")) for line in found.splitlines()] == expected

    def test_scapy_reads_it(self, captured: pcapng.Capture, file: Path) -> None:
        utils = pytest.importorskip("scapy.utils", reason="needs scapy")
        inet = pytest.importorskip("scapy.layers.inet")
        packets = utils.rdpcap(str(file))
        assert len(packets) == len(captured.packets)
        for found, packet in zip(packets, captured.packets, strict=True):
            assert round(found.time * 10**9) == packet.at_ns
            assert found.comment == packet.comment.encode()
            assert bytes(found[inet.UDP].payload) == packet.payload
            rebuilt = found.copy()
            del rebuilt[inet.IP].chksum, rebuilt[inet.UDP].chksum
            assert bytes(rebuilt) == bytes(found)
