"""Probes and answers with tags: a client and a server with the same keys, and forgers."""

import hashlib
import hmac
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import peers
import pytest

import udpulse
from udpulse import EchoServer, Keys, PingClient, StampReflector, StampSender
from udpulse.cli import main
from udpulse.impair import Link

OLD, NEW = bytes(range(32)), bytes(range(32, 64))

WORD = re.compile(rb"(?<= k=old;m=)[0-9A-F]{32}", re.IGNORECASE)


def signed(datagram: bytes, direction: str, secret: bytes = OLD) -> bytes:
    """Return a datagram with the tag that belongs into it."""
    found = WORD.search(datagram)
    assert found
    before, after = datagram[: found.start()], datagram[found.end() :]
    message = b"udpulse ping 1 " + direction.encode() + before + after
    digits = hmac.new(secret, message, hashlib.sha256).hexdigest()[:32].upper()
    return before + digits.encode() + after


def probe(secret: bytes = OLD, key: str = "old", *, seq: int = 1) -> bytes:
    """Return a probe."""
    text = b"Ping %d 1760000000.123456 0123456789ABCDEF k=old;m=" % seq + b"0" * 32 + b" ...."
    return signed(text, "c>s", secret).replace(b"k=old", b"k=" + key.encode())


def outcome(sender: socket.socket, server: EchoServer, packet: bytes) -> str:
    """Return what a server does with a packet."""
    sender.sendto(packet, server.address)
    fate = next(server)
    assert isinstance(fate, udpulse.Fate)
    return fate.outcome


@pytest.mark.parametrize("transform", ["echo", "upper"])
@pytest.mark.parametrize("keep", [0, 100])
def test_both_sides_with_the_same_keys(transform: Literal["echo", "upper"], keep: int) -> None:
    keys = Keys({"new": NEW, "old": OLD})
    with EchoServer(port=0, keys=keys, transform=transform, keep=keep) as server:
        report = udpulse.ping(
            *server.address,
            count=20,
            interval=0.001,
            timeout=peers.PATIENCE,
            keys=Keys({"old": OLD}),
        )
        fates = server.fates()
    assert (report.answered, report.corrupt, report.foreign) == (20, 0, 0)
    assert set(report.columns()["size"].tolist()) == {105}
    assert len(fates) == min(keep, 20)
    for fate in fates:
        assert fate.answer == signed(fate.answer, "s>c")


def test_a_server_signs_its_answer(sender: socket.socket) -> None:
    with EchoServer(port=0, keys=Keys({"old": OLD})) as server:
        sender.sendto(probe(), server.address)
        assert sender.recv(1000) == signed(probe(), "s>c")


def test_forged_probes_are_refused(sender: socket.socket) -> None:
    with EchoServer(port=0, keys=Keys({"old": OLD})) as server:
        assert outcome(sender, server, probe()) == "replied"
        reflected = sender.recv(1000)
        truncated = WORD.sub(lambda digits: digits[0][:31], probe())
        altered = probe().replace(b"Ping 1 ", b"Ping 2 ")
        for packet in (reflected, truncated, altered, probe(NEW), probe() + b"."):
            assert outcome(sender, server, packet) == "bad_tag"
        assert outcome(sender, server, probe(key="new")) == "unknown_key"
        for packet in (b"", b"Ping 1 1760000000.123456", probe()[:45]):
            assert outcome(sender, server, packet) == "unauthenticated"
        truth = server.truth
        assert (truth.bad_tag, truth.unknown_key, truth.unauthenticated) == (5, 1, 3)
        assert (server.counters.received, server.counters.dropped) == (10, 9)
        assert [fate.number for fate in server.fates()] == [1] + [0] * 9


def test_a_replay_is_refused_within_and_beyond_the_window(sender: socket.socket) -> None:
    with EchoServer(port=0, keys=Keys({"old": OLD})) as server:
        outcomes = [outcome(sender, server, probe(seq=seq)) for seq in (1, 3, 2, 1, 2, 1000, 2, 4)]
        assert outcomes == ["replied"] * 3 + ["replayed"] * 2 + ["replied"] + ["replayed"] * 2
        with peers.open_socket() as other:
            assert outcome(other, server, probe(seq=3)) == "replayed", "from any address"
        assert (server.truth.replayed, server.counters.dropped) == (5, 5)
        assert [fate.number for fate in server.fates()] == [1, 2, 3, 0, 0, 4, 0, 0, 0]


@pytest.mark.parametrize(
    ("server", "client"), [(EchoServer, PingClient), (StampReflector, StampSender)]
)
def test_replies_without_a_right_tag_give_a_hint(server: Any, client: Any) -> None:
    options = {"count": 1, "timeout": peers.PATIENCE, "keys": Keys({"old": OLD})}
    with server(port=0) as open_server, client(*open_server.address, **options) as keyed:
        while not (report := keyed.report()).received:
            time.sleep(0.001)
    assert report.answered == 0
    assert report.hint == "no reply has the right tag: the server has no keys, or other ones"


def test_a_rotated_out_key_is_refused() -> None:
    with EchoServer(port=0, keys=Keys({"new": NEW})) as server:
        options: dict[str, Any] = {"count": 1, "timeout": 0.01, "linger": 0}
        report = udpulse.ping(*server.address, keys=Keys({"old": OLD}), **options)
        assert report.answered == 0
        assert next(server).outcome == "unknown_key"


def test_unauthenticated_packets_can_be_accepted() -> None:
    with EchoServer(port=0, keys=Keys({"old": OLD}), unauthenticated="accept") as server:
        for keys in (None, Keys({"old": OLD})):
            report = udpulse.ping(*server.address, count=2, timeout=peers.PATIENCE, keys=keys)
            assert (report.answered, report.corrupt) == (2, 0)


def right(request: bytes) -> bytes:
    """Return the answer of a server with the key."""
    return signed(request, "s>c")


@pytest.mark.parametrize(
    ("forge", "corrupt", "foreign"),
    [
        (lambda request: request, 1, 0),
        (lambda request: signed(request, "s>c", NEW), 1, 0),
        (lambda request: WORD.sub(lambda digits: digits[0][:31], right(request)), 1, 0),
        (lambda request: right(request).lower(), 1, 0),
        (lambda request: probe(), 0, 1),
    ],
    ids=["reflected request", "another key", "truncated tag", "lower case", "another probe"],
)
def test_forged_replies_answer_nothing(
    forge: Callable[[bytes], bytes], corrupt: int, foreign: int
) -> None:
    with peers.Server(lambda request: [forge(request), right(request)]) as server:
        report = udpulse.ping(
            "127.0.0.1", server.port, count=3, timeout=peers.PATIENCE, keys=Keys({"old": OLD})
        )
    assert (report.answered, report.duplicates) == (3, 0)
    assert (report.corrupt, report.foreign) == (3 * corrupt, 3 * foreign)


def test_damage_shows_as_corrupt() -> None:
    link = Link(corruption=0.3)
    keys = Keys({"old": OLD})
    with (
        EchoServer(port=0, uplink=link, downlink=link, seed=7, keys=keys) as server,
        PingClient(
            *server.address, count=300, interval=0.0005, timeout=peers.PATIENCE, keys=keys
        ) as client,
    ):
        end = time.monotonic() + peers.PATIENCE
        while client.report().received < 300 and time.monotonic() < end:
            time.sleep(0.001)
        report, fates, truth = client.report(), server.fates(), server.truth
    damaged = [bool(fate.uplink or fate.downlink) for fate in fates]
    assert (len(fates), report.answered) == (300, damaged.count(False))
    assert report.corrupt == damaged.count(True) > 100
    # The tag of a damaged probe is not replaced by a right one.
    assert [bool(fate.corrupted) for fate in fates] == damaged
    assert truth.bad_tag == 0, "the links are behind the server's check"


def test_many_targets() -> None:
    keys = Keys({"old": OLD})
    with EchoServer(port=0, keys=keys) as server:
        options: dict[str, Any] = {"rate": 1000, "timeout": peers.PATIENCE, "keys": keys}
        (report,) = udpulse.ping_many([server.address], count=2, **options)
    assert (report.answered, report.corrupt, report.foreign) == (2, 0, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda keys: PingClient("127.0.0.1", keys=keys, size=0),
            "size must be 64 to 65507 with keys, which need a token, not 0",
        ),
        (
            lambda keys: PingClient("127.0.0.1", keys=keys.client("api")),
            "keys must be keys with one that is bound to no client, not those of clients",
        ),
        (
            lambda keys: EchoServer(keys=keys.client("api")),
            "keys must be keys with one that is bound to no client, not those of clients",
        ),
        (
            lambda keys: EchoServer(unauthenticated="accept"),
            "unauthenticated must be 'refuse' without keys, not 'accept'",
        ),
    ],
)
def test_a_wrong_option_is_named(make: Callable[[Keys], Any], message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        make(Keys({"old": OLD}))
    assert str(caught.value) == message


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    Keys({"old": OLD}).write(path)
    with EchoServer(port=0, keys=path) as server:
        target = f"127.0.0.1:{server.address[1]}"
        assert main(["ping", target, "-c", "2", "-i", "1ms", "--keys", str(path)]) == 0
        assert "2 answered" in capsys.readouterr().out
        assert "00010203" not in repr(server)
