"""A reader of captures: pcapng with raw IP, every byte accounted for."""

import ipaddress
import struct
from dataclasses import dataclass, field
from pathlib import Path

from udpulse._printable import joined

SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6
RAW = 101
UDP = 17


@dataclass(frozen=True)
class Packet:
    """A packet of a capture."""

    point: str
    at_ns: int
    #: The addresses as "host:port".
    source: str
    target: str
    ttl: int
    tos: int
    payload: bytes
    #: The length of the payload before it was cut.
    length: int
    outbound: bool
    comment: str


@dataclass
class Capture:
    """A capture."""

    application: str
    #: The description of each point by its name.
    points: dict[str, str] = field(default_factory=dict)
    snaplen: int = 0
    packets: list[Packet] = field(default_factory=list)
    #: How many packets were at each point, and how many of them the capture has not.
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def at(self, point: str) -> list[Packet]:
        """Return the packets at a point."""
        return [packet for packet in self.packets if packet.point == point]


def read(path: str | Path) -> Capture:
    """Read a capture; fail if anything in it is not as the format has it."""
    found = [*blocks(Path(path).read_bytes())]
    kind, body = found.pop(0)
    assert kind == SECTION
    assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
    capture = Capture(options(body[16:])[4].decode())
    for kind, body in found:
        names = [*capture.points]
        if kind == INTERFACE:
            link, zero, capture.snaplen = struct.unpack_from("<HHI", body)
            described = options(body[8:])
            assert (link, zero, described[9], len(described)) == (RAW, 0, b"\x09", 3)
            capture.points[described[2].decode()] = described[3].decode()
        elif kind == PACKET:
            point, high, low, captured, original = struct.unpack_from("<5I", body)
            data = body[20 : 20 + captured]
            found_options = options(body[20 + captured + -captured % 4 :])
            (flags,) = struct.unpack("<I", found_options[2])
            assert flags in (1, 2)
            assert captured == min(original, capture.snaplen or original)
            comment = found_options.get(1, b"").decode()
            at_ns = high << 32 | low
            capture.packets.append(packet(names[point], at_ns, data, original, flags == 2, comment))
        else:
            assert kind == STATISTICS
            (point,) = struct.unpack_from("<I", body)
            (received,), (dropped,) = (
                struct.unpack("<Q", options(body[12:])[code]) for code in (4, 5)
            )
            capture.counts[names[point]] = (received, dropped)
    return capture


def blocks(content: bytes) -> list[tuple[int, bytes]]:
    """Return the blocks of a file, each with its type."""
    found = []
    while content:
        kind, length = struct.unpack_from("<II", content)
        assert length % 4 == 0
        assert struct.unpack_from("<I", content, length - 4) == (length,)
        found.append((kind, content[8 : length - 4]))
        content = content[length:]
    return found


def options(content: bytes) -> dict[int, bytes]:
    """Return options, up to the one that ends them."""
    found: dict[int, bytes] = {}
    while True:
        code, length = struct.unpack_from("<HH", content)
        if code == 0:
            assert content == bytes(4)
            return found
        assert code not in found
        found[code] = content[4 : 4 + length]
        assert not any(content[4 + length : 4 + length + -length % 4])
        content = content[4 + length + -length % 4 :]


def packet(
    point: str, at_ns: int, data: bytes, original: int, outbound: bool, comment: str
) -> Packet:
    """Take a datagram apart; check its lengths and, if it was not cut, its checksums."""
    if data[0] >> 4 == 4:
        tos, ttl, protocol, size = data[1], data[8], data[9], 20
        (length,) = struct.unpack_from(">H", data, 2)
        assert data[0] == 0x45
        assert checksum(data[:20]) == 0
        addresses = data[12:20]
    else:
        tos, protocol, ttl, size = (data[0] & 15) << 4 | data[1] >> 4, data[6], data[7], 40
        length = struct.unpack_from(">H", data, 4)[0] + 40
        assert data[0] >> 4 == 6
        addresses = data[8:40]
    assert (protocol, length) == (UDP, original)
    source, target, udp_length, given = struct.unpack_from(">4H", data, size)
    assert udp_length == length - size
    assert given != 0
    if len(data) == original:
        assert checksum(addresses + struct.pack(">HH", UDP, udp_length) + data[size:]) == 0
    half = len(addresses) // 2
    hosts = [str(ipaddress.ip_address(part)) for part in (addresses[:half], addresses[half:])]
    return Packet(
        point=point,
        at_ns=at_ns,
        source=joined((hosts[0], source)),
        target=joined((hosts[1], target)),
        ttl=ttl,
        tos=tos,
        payload=data[size + 8 :],
        length=udp_length - 8,
        outbound=outbound,
        comment=comment,
    )


def checksum(content: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = content + bytes(len(content) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
