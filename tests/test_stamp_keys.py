"""STAMP in authenticated mode: both roles against each other and against forgers."""

import hashlib
import hmac
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peers
import pytest
from peers import exchange

import udpulse
from udpulse import Keys, StampReflector, StampSender
from udpulse.cli import main

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
T1 = 0xEEB23DA7_F431322F


def tag(secret: bytes, message: bytes) -> bytes:
    """Return the tag of a message (RFC 8762 section 4.4)."""
    return hmac.new(secret, message, hashlib.sha256).digest()[:16]


def signed(packet: bytes, secret: bytes = OLD) -> bytes:
    """Return an authenticated packet with its tag."""
    return packet[:96] + tag(secret, packet[:96]) + packet[112:]


def request(seq: int, secret: bytes = OLD) -> bytes:
    """Return an authenticated request (RFC 8762 section 4.2.2)."""
    return signed(struct.pack("!I12xQHH84x", seq, T1, 1, 7), secret)


def unauthenticated(length: int) -> bytes:
    """Return an unauthenticated request (RFC 8762 section 4.2.1)."""
    return struct.pack("!IQHH28x", 0, T1, 1, 7).ljust(length, b"\0")


def outcome(sender: socket.socket, reflector: StampReflector, packet: bytes) -> str:
    """Return what the reflector does with a packet."""
    sender.sendto(packet, reflector.address)
    return next(reflector).outcome


@pytest.mark.parametrize("size", [44, 112, 136, 200])
def test_both_roles_with_the_same_keys(size: int) -> None:
    with StampReflector(port=0, keys=Keys({"new": NEW, "old": OLD})) as reflector:
        report = udpulse.stamp(
            *reflector.address, count=10, interval=0.001, size=size, keys=Keys({"old": OLD})
        )
        sizes = {record.size for record in reflector.reflected()}
    assert (report.answered, report.corrupt, report.foreign) == (10, 0, 0)
    assert sizes == {max(size, 112)}
    assert (report.reflector.mode, report.reflector.quirks) == ("stateful", ())
    assert (report.forward.lost, report.reverse.lost) == (0, 0)


def test_a_reply_is_signed(sender: socket.socket) -> None:
    with StampReflector(port=0, keys=Keys({"a": OLD})) as reflector:
        for seq in (4, 5):
            reply = exchange(sender, reflector.address, request(seq))
            number, ssid, sender_seq, t1 = struct.unpack("!I22xH20xI12xQ40x", reply)
            assert (number, ssid, sender_seq, t1) == (seq - 4, 7, seq, T1)
            assert reply[96:] == tag(OLD, reply[:96])
        tail = bytes.fromhex("80040004 b8000000")
        tail += bytes.fromhex("80080010") + tag(OLD, bytes(4) + tail)
        reply = exchange(sender, reflector.address, request(0) + tail)
        assert (len(reply), reply[112], reply[120]) == (140, 0, 0)
        assert reply[124:] == tag(OLD, reply[:4] + reply[112:120])
        # Without the tag of the TLVs they are not answered.
        reply = exchange(sender, reflector.address, request(1) + tail[:8])
        assert (len(reply), reply[112]) == (120, 0x20)


def test_forged_requests_are_refused(sender: socket.socket) -> None:
    with StampReflector(port=0, keys=Keys({"a": OLD})) as reflector:
        reply = exchange(sender, reflector.address, request(0))
        assert next(reflector).outcome == "replied"
        assert outcome(sender, reflector, reply) == "looped", "a reply is no request"
        altered = b"\1" + request(0)[1:]
        truncated = request(0)[:111] + bytes(20)
        for packet in (altered, truncated, request(0, NEW), signed(reply, NEW)):
            assert outcome(sender, reflector, packet) == "bad_tag"
        for packet in (request(0)[:111], unauthenticated(44), unauthenticated(200)):
            assert outcome(sender, reflector, packet) == "unauthenticated"
        counters = reflector.counters
        assert (counters.looped, counters.bad_tag, counters.unauthenticated) == (1, 4, 3)
        assert counters.received == counters.replied + counters.dropped == 9
        assert [session.received for session in reflector.sessions()] == [1]


def test_a_rotated_out_key_is_refused(sender: socket.socket) -> None:
    with StampReflector(port=0, keys=Keys({"new": NEW, "old": OLD})) as reflector:
        for seq, secret in enumerate((OLD, NEW)):
            reply = exchange(sender, reflector.address, request(seq, secret))
            assert reply[96:] == tag(secret, reply[:96])
    with StampReflector(port=0, keys=Keys({"new": NEW})) as reflector:
        assert outcome(sender, reflector, request(0, OLD)) == "bad_tag"
        assert outcome(sender, reflector, request(0, NEW)) == "replied"


def test_a_replayed_request_is_refused(sender: socket.socket) -> None:
    with StampReflector(port=0, keys=Keys({"a": OLD})) as reflector:
        outcomes = [outcome(sender, reflector, request(seq)) for seq in (9, 9, 8)]
        assert outcomes == ["replied", "replayed", "replied"]
        assert reflector.counters.replayed == reflector.counters.dropped == 1
    with StampReflector(port=0, keys=Keys({"a": OLD}), stateful=False) as reflector:
        outcomes = [outcome(sender, reflector, request(9)) for _ in range(2)]
        assert outcomes == ["replied"] * 2, "it has no sessions"


def test_unauthenticated_packets_can_be_accepted(sender: socket.socket) -> None:
    keys = Keys({"a": OLD})
    with StampReflector(port=0, keys=keys, unauthenticated="accept") as reflector:
        assert len(exchange(sender, reflector.address, unauthenticated(44))) == 44
        assert len(exchange(sender, reflector.address, unauthenticated(200))) == 200
        assert exchange(sender, reflector.address, request(0))[:4] == bytes(4), (
            "a session of its own"
        )
        sender.sendto(request(0, NEW), reflector.address)
        assert [next(reflector).outcome for _ in range(4)] == ["replied"] * 3 + ["bad_tag"]


def reply_to(request: bytes, secret: bytes = OLD) -> bytes:
    """Return the reply of an authenticated reflector."""
    seq, t1, error, ssid = struct.unpack("!I12xQHH", request[:28])
    fields = (seq, t1 + 9, 1, ssid, t1 + 5, seq, t1, error, 255)
    reply = struct.pack("!I12xQHHxxxxQ8xI12xQHxxxxxxB31x", *fields)
    return signed(reply, secret) + request[112:]


@pytest.mark.parametrize(
    ("forge", "corrupt", "foreign"),
    [
        (lambda request: request, 1, 0),
        (lambda request: reply_to(request, NEW), 1, 0),
        (lambda request: reply_to(request)[:96] + bytes(16), 1, 0),
        (lambda request: reply_to(request)[:111], 0, 1),
        (lambda request: unauthenticated(44), 0, 1),
    ],
    ids=["reflected request", "another key", "no tag", "truncated tag", "unauthenticated"],
)
def test_forged_replies_answer_nothing(
    forge: Callable[[bytes], bytes], corrupt: int, foreign: int
) -> None:
    with peers.Server(lambda request: [forge(request), reply_to(request)]) as server:
        report = udpulse.stamp(
            "127.0.0.1", server.port, count=3, timeout=peers.PATIENCE, keys=Keys({"a": OLD})
        )
    assert (report.answered, report.duplicates) == (3, 0)
    assert (report.corrupt, report.foreign) == (3 * corrupt, 3 * foreign)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda keys: StampSender("127.0.0.1", keys=keys, size=120),
            "size must be 44, 112, or 136 to 65507 with keys, not 120",
        ),
        (
            lambda keys: StampSender("127.0.0.1", keys=keys.client("api")),
            "keys must be keys with one that is bound to no client, not those of clients",
        ),
        (
            lambda keys: StampReflector(keys=Keys({str(n): OLD for n in range(3)})),
            "keys must be at most 2 that are bound to no client, not 3",
        ),
        (
            lambda keys: StampReflector(unauthenticated="accept"),
            "unauthenticated must be 'refuse' without keys, not 'accept'",
        ),
    ],
)
def test_a_wrong_option_is_named(make: Callable[[Keys], Any], message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        make(Keys({"a": OLD}))
    assert str(caught.value) == message


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    keys = Keys({"a": OLD})
    keys.write(path)
    with StampReflector(port=0, keys=path) as reflector:
        target = f"127.0.0.1:{reflector.address[1]}"
        assert main(["stamp", target, "-c", "2", "-i", "1ms", "--keys", str(path)]) == 0
        assert "2 answered" in capsys.readouterr().out
        assert "00010203" not in repr(reflector)
