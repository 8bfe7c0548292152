"""Programs that nobody wrote for udpulse, and a game, over a relay that loses what a rule picks.

Whatever a rule loses, the programs recover, and the fates say exactly what was lost.
"""

import asyncio
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from udpulse import Fate, Relay
from udpulse.impair import Exponential, Link, Reordering, Rule

REASON = "the step `programs` of .ci/run installs it"

#: The first byte of a QUIC Initial: a long header of type 0 (RFC 9000 section 17.2.2). Header
#: protection leaves these bits as they are.
INITIAL: dict[str, Any] = {"value": b"\xc0", "mask": b"\xf0"}

#: A DNS query, and a response: the bit QR (RFC 1035 section 4.1.1).
QUERY: dict[str, Any] = {"offset": 2, "value": b"\x00", "mask": b"\x80"}
RESPONSE: dict[str, Any] = {"offset": 2, "value": b"\x80", "mask": b"\x80"}


def needed(module: str) -> Any:
    """Return a module; without it the test is skipped."""
    return pytest.importorskip(module, reason=f"needs {module}: {REASON}")


def losses(relay: Relay) -> list[Fate]:
    """Return the fates of the packets that did not pass."""
    return [fate for fate in relay.fates() if fate.dropped]


def certificate() -> tuple[Any, Any]:
    """Return a key for a server, and a certificate that it signed itself."""
    x509 = needed("cryptography.x509")
    hashes = needed("cryptography.hazmat.primitives.hashes")
    ec = needed("cryptography.hazmat.primitives.asymmetric.ec")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    day = datetime.timedelta(days=1)
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    return key, builder.sign(key, hashes.SHA256())


def test_quic_connects_without_its_first_initials() -> None:
    quic = needed("aioquic.asyncio")
    configuration = needed("aioquic.quic.configuration").QuicConfiguration
    key, signed = certificate()
    # Another version has other types.
    versions = [1]
    text = bytes(range(256)) * 100

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def reverse() -> None:
            writer.write((await reader.read())[::-1])
            writer.write_eof()

        answers.add(asyncio.ensure_future(reverse()))

    answers: set[asyncio.Future[None]] = set()

    async def exchange() -> tuple[bytes, Relay]:
        server_side = configuration(
            is_client=False, certificate=signed, private_key=key, supported_versions=versions
        )
        server = await quic.serve("127.0.0.1", 0, configuration=server_side, stream_handler=answer)
        port = server._transport.get_extra_info("sockname")[1]
        link = Link(rules=[Rule("drop", **INITIAL, nth=1)])
        client_side = configuration(verify_mode=ssl.CERT_NONE, supported_versions=versions)
        with Relay("127.0.0.1", port, uplink=link, downlink=link, keep="all") as relay:
            async with quic.connect(*relay.address, configuration=client_side) as client:
                reader, writer = await client.create_stream()
                writer.write(text)
                writer.write_eof()
                got = await reader.read()
        server.close()
        return got, relay

    got, relay = asyncio.run(asyncio.wait_for(exchange(), 50))
    assert got == text[::-1]
    lost = losses(relay)
    assert [(fate.way, fate.outcome) for fate in lost] == [("uplink", "lost"), ("downlink", "lost")]
    assert [(fate.uplink_rule, fate.downlink_rule) for fate in lost] == [(0, None), (None, 0)]
    # The first of each side: a ClientHello and a ServerHello.
    assert [fate.number for fate in lost] == [1, 1]
    assert {fate.answer[0] & 0xF0 for fate in lost} == {0xC0}
    assert (relay.truth.uplink.lost, relay.truth.downlink.lost, relay.counters.dropped) == (1, 1, 2)


@contextmanager
def serving(answer: Any) -> Iterator[tuple[str, int]]:
    """Answer datagrams on a thread; yield the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                datagram, client = server.recvfrom(65_535)
                if datagram == b"end":
                    return
                for reply in answer(datagram, client):
                    server.sendto(reply, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", server.getsockname())
            thread.join()


def test_a_resolver_asks_again() -> None:
    message, rrset, resolver = map(needed, ("dns.message", "dns.rrset", "dns.resolver"))
    asked = []

    def answer(datagram: bytes, _: object) -> list[bytes]:
        query = message.from_wire(datagram)
        asked.append(query.id)
        name = query.question[0].name
        response = message.make_response(query)
        response.answer.append(rrset.from_text(name, 60, "IN", "A", "192.0.2.7"))
        return [response.to_wire()]

    uplink = Link(rules=[Rule("drop", **QUERY, nth=1)])
    downlink = Link(rules=[Rule("corrupt", **RESPONSE, bit=0, nth=1)])
    with (
        serving(answer) as upstream,
        # A resolver asks from a new port each time, so that each question is another client's.
        Relay(*upstream, per_client=[(uplink, None), (None, downlink)], keep="all") as relay,
    ):
        client = resolver.Resolver(configure=False)
        client.nameservers, client.port = [relay.address[0]], relay.address[1]
        client.timeout, client.lifetime = 0.5, 50
        found = client.resolve("host.example.", "A")
        assert [record.address for record in found] == ["192.0.2.7"]
        fates = relay.fates()
    lost = losses(relay)
    assert [(fate.uplink_rule, fate.uplink) for fate in lost] == [(0, ("lost",))]
    # The second question was answered under another number, which no resolver takes.
    wrong = [fate for fate in fates if fate.downlink_rule == 0]
    assert [(fate.downlink, fate.copies[0].downlink_bit) for fate in wrong] == [(("corrupted",), 0)]
    # The third one ended it; all that the server was asked is in the record.
    assert len(asked) >= 2
    up = [int.from_bytes(fate.answer[:2], "big") for fate in fates if fate.way == "uplink"]
    assert up[1:][: len(asked)] == asked


# A game: the client sends its inputs again until a snapshot acknowledges them.

JOIN, WELCOME, INPUTS, SNAPSHOT = range(4)
HEAD = struct.Struct("!BI")
STEPS = 400


class Game:
    """A server: the sum of each player's inputs, each counted once and in order."""

    def __init__(self) -> None:
        """Begin without players."""
        self.players: dict[object, list[int]] = {}
        self.received = 0
        self.sent = 0

    def answer(self, datagram: bytes, player: object) -> list[bytes]:
        """Return the answers to a datagram."""
        answers = self.answers(datagram, player)
        # In this order: whoever sees it received knows what it was answered.
        self.sent += len(answers)
        self.received += 1
        return answers

    def answers(self, datagram: bytes, player: object) -> list[bytes]:
        kind, first = HEAD.unpack_from(datagram)
        if kind == JOIN:
            self.players.setdefault(player, [])
            return [HEAD.pack(WELCOME, len(self.players))]
        inputs = self.players.get(player)
        if inputs is None or first > len(inputs):
            return []
        inputs += datagram[HEAD.size :][len(inputs) - first :]
        return [HEAD.pack(SNAPSHOT, len(inputs)) + struct.pack("!Q", sum(inputs))]


class Player:
    """A client that plays until all its inputs are acknowledged."""

    def __init__(self, client: socket.socket) -> None:
        """Begin to play."""
        self.client = client
        self.sent = 0
        self.received = 0
        self.total = 0
        self.thread = threading.Thread(target=self.play)
        self.thread.start()

    def play(self) -> None:
        inputs = bytes(step * 7 % 251 for step in range(STEPS))
        done, welcome = 0, False
        while done < STEPS:
            # A few new inputs, and those before them that nobody acknowledged.
            message = HEAD.pack(INPUTS, done) + inputs[done : done + 8]
            self.client.send(message if welcome else HEAD.pack(JOIN, 0))
            self.sent += 1
            with suppress(TimeoutError):
                datagram = self.client.recv(2048)
                self.received += 1
                kind, number = HEAD.unpack_from(datagram)
                welcome |= kind == WELCOME
                if kind == SNAPSHOT and number > done:
                    done, (self.total,) = number, struct.unpack_from("!Q", datagram, HEAD.size)

    def drain(self) -> None:
        """Read what has arrived."""
        self.client.setblocking(False)
        with suppress(BlockingIOError):
            while self.client.recv(2048):
                self.received += 1


def test_a_game_goes_on_over_a_rough_path() -> None:
    rough: dict[str, Any] = {
        "loss": 0.1,
        "max_burst": 2,
        "duplication": 0.1,
        "delay": Exponential(0.001),
        "reordering": Reordering(0.05, 0.005),
    }
    first_input = Rule("drop", value=bytes([INPUTS, 0, 0, 0, 0]), nth=1)
    first_welcome = Rule("drop", value=bytes([WELCOME]), nth=1)
    uplink, downlink = Link(rules=[first_input], **rough), Link(rules=[first_welcome], **rough)
    game = Game()
    with ExitStack() as stack:
        upstream = stack.enter_context(serving(game.answer))
        relay = Relay(*upstream, uplink=uplink, downlink=downlink, seed=5, keep="all")
        stack.enter_context(relay)
        players = []
        for _ in range(3):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.settimeout(0.02)
            client.connect(relay.address)
            players.append(Player(client))
        for player in players:
            player.thread.join()
        # Until nothing is under way.
        sent = sum(player.sent for player in players)
        while True:
            for player in players:
                player.drain()
            arrived = game.received + sum(player.received for player in players)
            truth = relay.truth
            has_all = relay.counters.received == sent + game.sent and arrived == truth.sent
            if has_all and truth.delayed == 0:
                break
        fates = relay.fates()
        for player in players:
            own = [fate for fate in fates if fate.client == player.client.getsockname()]
            assert player.total == sum(step * 7 % 251 for step in range(STEPS))
            of_way = {way: [fate for fate in own if fate.way == way] for way in WAYS}
            assert player.sent == len(of_way["uplink"])
            assert player.received == sum(fate.replies for fate in of_way["downlink"])
            picked = [[fate for fate in of_way[way] if rule_of(fate) == 0] for way in WAYS]
            assert [[fate.answer[0] for fate in few] for few in picked] == [[INPUTS], [WELCOME]]
            assert {fate.outcome for few in picked for fate in few} == {"lost"}
    assert relay.truth.uplink.lost > 3


WAYS = ("uplink", "downlink")


def rule_of(fate: Fate) -> int | None:
    """Return the rule that acted on a packet."""
    return fate.uplink_rule if fate.way == "uplink" else fate.downlink_rule
