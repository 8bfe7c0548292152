"""The reflector of STAMP and TWAMP-Light, against senders made of plain sockets."""

import io
import json
import math
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, cast

import peers
import pytest
from peers import exchange
from programs import Program
from schemas import fits

from udpulse import EchoServer, Fate, StampReflector, jsonlines
from udpulse.cli import _reflected, main
from udpulse.impair import Link, Step
from udpulse.reports import Reflected

linux = pytest.mark.skipif(peers.PORTABLE, reason="only Linux reports the headers of packets")
unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of Unix")

NTP_TO_UNIX = 2_208_988_800
SCHEMA = json.loads(files("udpulse").joinpath("schema.json").read_text("utf-8"))


class Reply(NamedTuple):
    """The fields of a reply (RFC 8762 section 4.3.1)."""

    seq: int
    sent_at: float
    error: int
    ssid: int
    received_at: float
    sender_seq: int
    sender_time: int
    sender_error: int
    ttl: int


def test_records_are_columns(sender: socket.socket) -> None:
    with StampReflector(port=0) as reflector:
        for seq, size in ((5, 44), (6, 20)):
            sender.sendto(request(seq, ssid=7)[:size], reflector.address)
            next(reflector)
        columns = reflector.columns()
        file = io.StringIO()
        reflector.table().write_csv(file)
        records = reflector.reflected()
    assert columns["outcome"].tolist() == ["replied", "short"]
    assert columns["client"].tolist() == [f"127.0.0.1:{peers.port_of(sender)}"] * 2
    assert columns["size"].tolist() == [44, 20]
    for name in ("ssid", "seq", "reflector_seq"):
        values = columns[name].tolist()
        assert values[0] == getattr(records[0], name)
        assert math.isnan(values[1])
    assert columns["sent_at_ns"][0] >= columns["received_at_ns"][0]
    assert file.getvalue().splitlines()[0].startswith("client,received_at,sent_at,outcome,size")


def request(seq: int, ssid: int = 0, tail: bytes = b"") -> bytes:
    """Return a request (RFC 8762 section 4.2.1, RFC 8972 section 3)."""
    return struct.pack("!IQHH28x", seq, 0xEEB23DA7_F431322F, 1, ssid) + tail


def parsed(reply: bytes) -> Reply:
    """Return the fields of a reply with NTP timestamps."""
    seq, t3, error, ssid, t2, sender_seq, t1, sender_error, ttl = struct.unpack(
        "!IQHHQIQHxxBxxx", reply[:44]
    )
    sent_at, received_at = (time / 2**32 - NTP_TO_UNIX for time in (t3, t2))
    return Reply(seq, sent_at, error, ssid, received_at, sender_seq, t1, sender_error, ttl)


def ignored(sender: socket.socket, reflector: StampReflector, packets: list[bytes]) -> None:
    """Send packets that get no reply."""
    for packet in packets:
        sender.sendto(packet, reflector.address)
    # The reply to a later packet would come after theirs.
    assert parsed(exchange(sender, reflector.address, request(4242))).sender_seq == 4242


def test_a_reply_says_when_the_request_came_and_when_it_left(sender: socket.socket) -> None:
    with StampReflector(port=0) as reflector:
        for seq in (7, 9, 9):
            before = time.time()
            reply = exchange(sender, reflector.address, request(seq, ssid=0x1234))
            after = time.time()
            fields = parsed(reply)
            assert (len(reply), fields.sender_seq, fields.ssid) == (44, seq, 0x1234)
            assert (fields.sender_time, fields.sender_error) == (0xEEB23DA7_F431322F, 1)
            assert before - 1e-3 <= fields.received_at <= fields.sent_at <= after + 1e-3
            assert fields.error == 0x1D80, "16 s, not synchronized"
            assert peers.PORTABLE or fields.ttl == 64
        records = reflector.reflected()
        assert [one.reflector_seq for one in records] == [0, 1, 2]
        assert [(one.seq, one.ssid, one.outcome) for one in records] == [
            (seq, 0x1234, "replied") for seq in (7, 9, 9)
        ]
        # A double has a resolution of a quarter of a microsecond.
        assert records[-1].received_at == pytest.approx(fields.received_at, abs=1e-6)
        assert records[-1].sent_at == pytest.approx(fields.sent_at, abs=1e-6)
        (session,) = reflector.sessions()
        assert session.client == sender.getsockname()
        assert (session.ssid, session.received, session.replied) == (0x1234, 3, 3)
        assert [next(reflector) for _ in records] == records
        assert (reflector.counters.received, reflector.counters.replied) == (3, 3)


def test_a_stateless_reflector_copies_numbers(sender: socket.socket) -> None:
    with StampReflector(port=0, stateful=False) as reflector:
        replies = [
            parsed(exchange(sender, reflector.address, request(seq))) for seq in (5, 3, 2**32 - 1)
        ]
        assert [reply.seq for reply in replies] == [5, 3, 2**32 - 1]
        assert reflector.sessions() == []


def test_a_session_limit_is_counted(sender: socket.socket) -> None:
    with StampReflector(port=0, max_sessions=2) as reflector:
        replies = [
            parsed(exchange(sender, reflector.address, request(9, ssid))) for ssid in (1, 2, 3, 1)
        ]
        assert [reply.seq for reply in replies] == [0, 0, 9, 1]
        assert reflector.counters.stateless_answers == 1
        assert len(reflector.sessions()) == 2


def test_ptp_timestamps_and_a_synchronized_clock(sender: socket.socket) -> None:
    options: dict[str, Any] = {"timestamp_format": "ptp", "synchronized": True, "clock_error": 1e-6}
    with StampReflector(port=0, **options) as reflector:
        reply = exchange(sender, reflector.address, request(0))
        seconds, ns, error = struct.unpack("!IIH", reply[4:14])
        assert seconds + ns / 1e9 == pytest.approx(time.time(), abs=peers.PATIENCE)
        assert error == 0xC587


def test_a_reply_has_the_length_of_its_request(sender: socket.socket) -> None:
    with StampReflector(port=0) as reflector:
        for length in (41, 43, 44, 45, 47, 48, 142, 1472, 9000, 65507):
            packet = request(0) + bytes(65507)
            reply = exchange(sender, reflector.address, packet[:length])
            assert len(reply) == length
            assert not any(reply[44:])
        ignored(sender, reflector, [request(0)[:length] for length in (0, 1, 13, 14, 40)])
        assert reflector.counters.short == 5


def test_twamp_light_has_an_exception(sender: socket.socket) -> None:
    with StampReflector(port=0, twamp_light=True) as reflector:
        for length in (14, 16, 40):
            reply = exchange(sender, reflector.address, request(0)[:length])
            assert len(reply) == 44
        ignored(sender, reflector, [b"", bytes(13)])
        assert reflector.counters.short == 2


def test_the_padding_of_twamp_is_no_session(sender: socket.socket) -> None:
    choose = random.Random(1)
    with StampReflector(port=0) as reflector:
        for seq in range(100):
            packet = request(seq)[:14] + choose.randbytes(27)
            assert parsed(exchange(sender, reflector.address, packet) + bytes(3)).seq == seq
        assert len(reflector.sessions()) == 1


@linux
def test_tlvs_are_answered(sender: socket.socket) -> None:
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2 | 2)
    tail = bytes.fromhex(
        "80040004 b8000000"  # class of service
        "80020018 00000000 80070010 00000000000000000000000000000000"  # location
        "80c80002 0102"  # unknown
        "80010004 01020304"  # padding
    )
    with StampReflector(port=0) as reflector:
        reply = exchange(sender, reflector.address, request(0, tail=tail))
        ports = struct.pack("!HH", reflector.address[1], sender.getsockname()[1])
        assert reply[44:] == (
            bytes.fromhex("00040004 bae90000 00020018")
            + ports
            + bytes.fromhex("00080010 7f000001 000000000000000000000000")
            + bytes.fromhex("80c80002 0102 00010004 01020304")
        )
        assert reflector.reflected()[0].tos == 46 << 2 | 2


@linux
def test_a_reply_leaves_with_all_its_hops(sender: socket.socket) -> None:
    sender.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    with StampReflector("", 0) as reflector:
        # From the address that was asked.
        sender.sendto(request(0), ("127.0.0.5", reflector.address[1]))
        _, control, _, source = sender.recvmsg(100, 100)
        assert source == ("127.0.0.5", reflector.address[1])
        assert [struct.unpack("@i", data)[0] for _, _, data in control] == [255]


def test_ipv6(sender: socket.socket) -> None:
    with (
        StampReflector("::1", 0, allow=["::1"]) as reflector,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(peers.PATIENCE)
        client.sendto(request(3), reflector.address)
        fields = parsed(client.recv(100))
        assert (fields.seq, fields.sender_seq) == (0, 3)
        assert peers.PORTABLE or fields.ttl == 64


@pytest.mark.parametrize("threads", [1, 2])
def test_many_senders_have_their_own_numbers(threads: int) -> None:
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    with StampReflector(port=0, threads=threads) as reflector:
        for seq in range(10):
            for sender in senders:
                sender.settimeout(peers.PATIENCE)
                assert parsed(exchange(sender, reflector.address, request(seq))).seq == seq
        assert len(reflector.sessions()) == 20
        assert reflector.counters.received == 200
    for sender in senders:
        sender.close()


def test_replies_are_not_answered(sender: socket.socket) -> None:
    with StampReflector(port=0) as reflector, StampReflector(port=0) as other:
        reply = exchange(sender, other.address, request(0))
        twamp = exchange(sender, other.address, request(0)[:41])
        ignored(sender, reflector, [reply, twamp, reply + bytes(100)])
        assert reflector.counters.looped == 3
        assert reflector.counters.received == 4


@pytest.mark.parametrize("other", [EchoServer, StampReflector])
def test_no_server_of_the_process_is_answered(
    sender: socket.socket, other: Callable[..., Any]
) -> None:
    with StampReflector(port=0) as reflector, other(port=0) as server:
        for source in (server.address, reflector.address, ("127.0.0.1", 7)):
            peers.forge(request(0), source, reflector.address)
        ignored(sender, reflector, [])
        assert (reflector.counters.received, reflector.counters.unanswerable) == (4, 3)
        assert server.counters.received == 0


def test_only_allowed_sources_within_their_rate_are_answered(sender: socket.socket) -> None:
    with StampReflector(port=0, allow=["192.0.2.0/24", "2001:db8::/32"]) as reflector:
        assert reflector.allow == ("192.0.2.0/24", "2001:db8::/32")
        sender.sendto(request(0), reflector.address)
        assert next(reflector).outcome == "not_allowed"
        assert (reflector.counters.not_allowed, reflector.counters.dropped) == (1, 1)
    with StampReflector(port=0, allow=["127.0.0.1"], max_rate=0.001) as reflector:
        exchange(sender, reflector.address, request(0))
        sender.sendto(request(1), reflector.address)
        assert [next(reflector).outcome for _ in range(2)] == ["replied", "limited"]
        assert reflector.counters.limited == 1
        assert reflector.sessions()[0].received == 1


@linux
def test_a_broadcast_is_not_answered(sender: socket.socket) -> None:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    with StampReflector("", 0) as reflector:
        sender.sendto(request(0), ("127.255.255.255", reflector.address[1]))
        assert next(reflector).outcome == "unanswerable"
        assert reflector.counters.unanswerable == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow": ["192.0.2.0/33"]}, "allow must be blocks of addresses such as '192.0.2.0/24'"),
        ({"max_rate": 0}, "max_rate must be 3e-8 to 1e9 packets per second, not 0"),
        ({"max_sessions": 0}, "max_sessions must be 1 to 1048576, not 0"),
        ({"clock_error": 0}, "clock_error must be above 0"),
        ({"timestamp_format": "tai"}, "timestamp_format must be 'ntp' or 'ptp', not 'tai'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        StampReflector(port=0, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs root to give it up")
def test_without_the_privilege_a_high_port_is_named() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 862:
        pytest.skip("any user may bind any port here")
    code = "import os, udpulse; os.setuid(65534); udpulse.StampReflector().start()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.splitlines()[-1] == (
        "PermissionError: [Errno 13] cannot bind 127.0.0.1:862: Permission denied; ports below "
        "1024 need a privilege; give a higher one, such as 8620"
    )


# with links


def test_the_reflector_is_at_the_far_end_of_its_links(sender: socket.socket) -> None:
    uplink, downlink = Link(delay=0.004), Link(delay=0.002)
    with StampReflector(port=0, uplink=uplink, downlink=downlink) as reflector:
        fields = parsed(exchange(sender, reflector.address, request(7)))
        assert peers.PORTABLE or fields.ttl == 64
        events = [next(reflector) for _ in range(3)]
        up, down = reflector.fates()
        (record,) = reflector.reflected()
        assert events == [up, record, down]
        assert [(fate.way, fate.outcome, fate.number) for fate in (up, down)] == [
            ("uplink", "relayed", 1),
            ("downlink", "relayed", 1),
        ]
        assert struct.unpack_from("!I", up.answer) == struct.unpack_from("!I", down.answer, 24)
        assert record.received_at == up.sent_at
        assert record.received_at - up.received_at >= 0.003
        # A double has a resolution of a quarter of a microsecond.
        assert record.received_at == pytest.approx(fields.received_at, abs=1e-6)
        assert record.sent_at == pytest.approx(fields.sent_at, abs=1e-6)
        assert down.received_at == record.sent_at
        assert down.sent_at is not None
        assert down.sent_at - down.received_at >= 0.001
        columns = reflector.columns("fates")
        assert columns["way"].tolist() == [0, 1]
        assert len(reflector.columns("copies")["fate"]) == 2
        assert reflector.columns()["seq"].tolist() == [7]
        assert reflector.clients == [sender.getsockname()]
        with pytest.raises(ValueError, match="table must be 'reflected', 'fates' or 'copies'"):
            reflector.columns("probes")  # type: ignore[arg-type]


def test_links_change_while_it_runs(sender: socket.socket) -> None:
    lossy = Link(loss=1.0)
    with StampReflector(port=0, keep=8) as reflector:

        def outcomes(count: int) -> list[str]:
            """Return the outcomes of the next packets and replies."""
            return [next(reflector).outcome for _ in range(count)]

        exchange(sender, reflector.address, request(0))
        assert (outcomes(1), reflector.fates()) == (["replied"], []), "it takes no link"
        reflector.uplink = lossy
        sender.sendto(request(1), reflector.address)
        assert outcomes(1) == ["lost"]
        reflector.set_links(sender.getsockname(), uplink=Link())
        assert parsed(exchange(sender, reflector.address, request(2))).seq == 1, (
            "nothing came meanwhile"
        )
        assert outcomes(3) == ["relayed", "replied", "relayed"]
        with reflector.outage(way="downlink"):
            sender.sendto(request(3), reflector.address)
            assert outcomes(3) == ["relayed", "replied", "lost"]
        assert reflector.fates()[-1].downlink == ("outage",)
        assert (reflector.truth.uplink.lost, reflector.truth.downlink.outage) == (1, 1)
        assert reflector.rows_dropped == 0
        exchange(sender, reflector.address, request(4))
        outcomes(3)
        assert reflector.rows_dropped == 3
        assert (reflector.counters.received, reflector.counters.replied) == (4, 4)


def test_links_of_senders_and_steps(sender: socket.socket) -> None:
    lossy = Link(loss=1.0)
    steps = [Step("set", at_packet=3, uplink=lossy), Step("set", at_packet=4, uplink=Link())]
    options: dict[str, Any] = {"per_client": [(None, lossy)], "timeline": steps, "seed": 1}
    with (
        StampReflector(port=0, **options) as reflector,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.sendto(request(0), reflector.address)
        assert [next(reflector).outcome for _ in range(3)] == ["relayed", "replied", "lost"]
        exchange(sender, reflector.address, request(1))
        for seq in (2, 3):
            sender.sendto(request(seq), reflector.address)
        outcomes = [next(reflector).outcome for _ in range(5)]
        assert outcomes == ["relayed", "replied", "relayed", "lost", "relayed"]
        assert [(step.index, step.received) for step in reflector.steps()] == [(0, 2), (1, 3)]
    with pytest.raises(ValueError, match="mode must be another word with several threads"):
        StampReflector(threads=2, timeline=[{"action": "outage", "at": 1, "mode": "refuse"}])
    with pytest.raises(ValueError, match="action must be 'set', 'outage' or 'loop', not 'rebind'"):
        StampReflector(timeline=[{"action": "rebind", "at": 1}])


# recorded, and on the command line


def test_a_recorded_run_is_read_back(sender: socket.socket) -> None:
    file = io.StringIO()
    reflector = StampReflector(port=0, uplink=Link(delay=0.001))

    class Stopper(io.StringIO):
        """A file that asks once the reflector runs, and ends the run after the last record."""

        def write(self, text: str) -> int:
            if '"start"' in text:
                sender.sendto(b"short", reflector.address)
                exchange(sender, reflector.address, request(5, ssid=3))
            if '"downlink","outcome":"relayed"' in text:
                reflector.stop()
            return file.write(text)

    jsonlines.write(reflector, Stopper(), every=60)
    run = jsonlines.load(io.StringIO(file.getvalue()))
    assert run.command == "reflect"
    result = cast(list[Reflected | Fate], run.result)
    assert [one for one in result if isinstance(one, Reflected)] == reflector.reflected()
    assert [one for one in result if isinstance(one, Fate)] == reflector.fates()
    assert run.counters == reflector.counters.to_dict()
    assert run.truth == reflector.truth.to_dict()
    lines = map(json.loads, file.getvalue().splitlines())
    assert all(fits(line, SCHEMA, SCHEMA) for line in lines)
    assert run.counters["short"] == run.counters["replied"] == 1


@unix
def test_reflect_says_what_happened_to_each_packet(sender: socket.socket, tmp_path: Path) -> None:
    options = ["-v", "--twamp-light", "--uplink-delay", "1ms"]
    with Program("udpulse", "reflect", "127.0.0.1:0", *options) as reflect:
        port = reflect.listening()
        sender.sendto(bytes(13), ("127.0.0.1", port))
        sender.sendto(request(7, ssid=9), ("127.0.0.1", port))
        assert parsed(sender.recv(100)).sender_seq == 7
        reflect.send(signal.SIGTERM)
        ended = reflect.ended()
    assert ended.code == 0
    came, short, *also, replied, left, summary = ended.screen
    assert " #1 13 B uplink: relayed after " in came
    assert " #2 44 B uplink: relayed after " in also[0]
    assert " #1 44 B downlink: relayed after " in left
    assert " 13 B" in short
    assert short.endswith(": dropped, shorter than a reply; --twamp-light answers from 14 bytes on")
    assert " #7 ssid=9 44 B" in replied
    assert ": reply #0 after " in replied
    assert summary == "2 packets: 1 replied, 1 dropped"
    assert ended.notes[-1].startswith("1 packet came shorter than a reply;")


@unix
def test_reflect_shows_counters_on_a_terminal(sender: socket.socket) -> None:
    with Program("udpulse", "reflect", "127.0.0.1:0", terminal=True) as reflect:
        port = int(reflect.screen.until(r".*Listening on .*:(\d+);.*")[1])
        sender.sendto(request(0), ("127.0.0.1", port))
        assert parsed(sender.recv(100)).seq == 0
        reflect.screen.until(r".*replied +1 +.*/s.*")
        reflect.screen.until(r".*sessions +1.*")
        reflect.type("\x03")
        ended = reflect.ended()
    assert ended.code == 0
    assert any("1 packet: 1 replied" in line for line in ended.screen)


def test_a_recorded_run_is_shown_and_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    reflector = StampReflector(port=0)

    class Stopper(io.StringIO):
        """A file that ends the run at its start."""

        def write(self, text: str) -> int:
            reflector.stop()
            with path.open("a") as file:
                return file.write(text)

    jsonlines.write(reflector, Stopper())
    assert main(["read", str(path)]) == 0
    assert capsys.readouterr().out == "0 packets: 0 replied\n"
    assert main(["plot", str(path), "-o", str(tmp_path / "run.svg")]) == 2
    assert "a run of `udpulse reflect` has no picture" in capsys.readouterr().err


@pytest.mark.parametrize("outcome", _reflected.REASONS)
def test_each_drop_has_its_words(outcome: Any) -> None:
    record = Reflected(received_at=0.0, client=("192.0.2.1", 5), outcome=outcome, size=5)
    assert _reflected.text(record) == f"192.0.2.1:5 5 B: {_reflected.REASONS[outcome]}"
