"""Losses as each tool counts them on a path that knows what it lost: udpulse's relay."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from servers import LONGEST, LOOPBACK, PeerError, served
from works import output_of

import udpulse
from udpulse.impair import Link, Step, Uniform

TITLE = "Losses and the truth"
TEXT = """Each tool sends {count:,} packets over a relay of udpulse that loses 5 % on each way; the
truth is the relay's count of the tool's packets that it lost. Jitter is a delay of 0 to 20 ms
on each way, so that packets overtake each other; copies are 5 % of the packets on the way back.
STAMP cannot tell the way of losses after the last answer, and counts them in both only. irtt's
share of losses on the way back overflows if copies outnumber them. fping cannot pass a relay of
UDP, and sockperf tells no losses of a session."""

COUNT = 1000
INTERVAL = 0.002
# The packets that count. Those with which a tool begins and ends have other lengths.
SIZE = 120
TIMEOUT = 0.2

JITTER = Uniform(0, 0.02)
LOSS = Link(loss=0.05)
SHAKEN = Link(loss=0.05, delay=JITTER)
PATHS = {
    "losses": (LOSS, LOSS),
    "and jitter": (SHAKEN, SHAKEN),
    "and copies": (SHAKEN, Link(loss=0.05, delay=JITTER, duplication=0.05)),
}
Losses = dict[str, int]
"""Packets lost there, back, and on both ways; only those that a tool tells apart."""


class Tool(NamedTuple):
    """A tool, the server that it asks, and a function of a port that counts losses."""

    server: str
    losses: Callable[[int], Losses]


def by_ping(port: int) -> Losses:
    """Count losses with `ping`."""
    report = udpulse.ping(
        LOOPBACK, port, count=COUNT, interval=INTERVAL, size=SIZE, timeout=TIMEOUT
    )
    return {"both": report.lost}


def by_stamp(port: int) -> Losses:
    """Count losses with `stamp`."""
    report = udpulse.stamp(
        LOOPBACK, port, count=COUNT, interval=INTERVAL, size=SIZE, timeout=TIMEOUT
    )
    there, back = report.forward.lost, report.reverse.lost
    if there is None or back is None:
        raise PeerError(report)
    return {"there": there, "back": back, "both": report.lost}


def by_stdlib(port: int) -> Losses:
    """Count losses as the lab's client does: a datagram that arrives in time is the answer."""
    lost = 0
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT / 2)
        for number in range(COUNT):
            message = b"Ping %d %f" % (number, time.time())
            client.sendto(message.ljust(SIZE), (LOOPBACK, port))
            try:
                client.recvfrom(LONGEST)
            except TimeoutError:
                lost += 1
    return {"both": lost}


def by_irtt(port: int) -> Losses:
    """Count losses with irtt."""
    duration = f"{COUNT * INTERVAL}s"
    words = ["-i", f"{INTERVAL}s", "-d", duration, "-l", str(SIZE), "--wait=500ms", "-Q", "-o", "-"]
    output = output_of(["irtt", "client", *words, f"{LOOPBACK}:{port}"], needs="stats")
    stats = json.loads(output)["stats"]
    shares = {
        "there": ("upstream_loss_percent", "packets_sent"),
        "back": ("downstream_loss_percent", "server_packets_received"),
        "both": ("packet_loss_percent", "packets_sent"),
    }
    return {way: round(stats[lost] * stats[of] / 100) for way, (lost, of) in shares.items()}


def by_iperf3(port: int, *, back: bool = False) -> Losses:
    """Count losses with iperf3, on one way."""
    words = ["iperf3", "-c", LOOPBACK, "-p", str(port), "-u", "-l", str(SIZE), "-k", str(COUNT)]
    words += ["-b", str(round(8 * SIZE / INTERVAL)), "-J", *["-R"] * back]
    output = output_of(words, needs='"lost_packets"')
    return {"back" if back else "there": json.loads(output)["end"]["sum"]["lost_packets"]}


TOOLS = {
    "udpulse ping": Tool("udpulse echo", by_ping),
    "udpulse stamp": Tool("udpulse stamp", by_stamp),
    "stdlib": Tool("udpulse echo", by_stdlib),
    "irtt": Tool("irtt", by_irtt),
    "iperf3": Tool("iperf3", by_iperf3),
    "iperf3 -R": Tool("iperf3", lambda port: by_iperf3(port, back=True)),
}


@contextmanager
def forwarded(port: int, upstream: int) -> Iterator[None]:
    """Pass one TCP connection on, because iperf3 has a control connection beside its datagrams."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            server = socket.create_connection((LOOPBACK, upstream))
            with client, server:
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()

    with socket.create_server((LOOPBACK, port)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield
        # Wakes a thread that no tool has connected to.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def losses_and_truth(tool: Tool, path: str) -> tuple[Losses, Losses]:
    """Return a tool's losses on a path, and the relay's."""
    uplink, downlink = PATHS[path]
    # The first packet and its answer pass: some tools give up without.
    links = Step("set", at_packet=3, uplink=uplink, downlink=downlink)
    with (
        served(tool.server) as server,
        udpulse.Relay(
            LOOPBACK,
            server.port,
            listen=(LOOPBACK, 0),
            timeline=[links],
            seed=1,
            keep="all",
        ) as relay,
        forwarded(relay.address[1], server.port),
    ):
        losses = tool.losses(relay.address[1])
        while relay.truth.pending:
            time.sleep(0.01)
        rows = relay.columns()
    if relay.truth.receive_drops:
        raise PeerError("this host dropped packets")
    there = int(((rows["way"] == 0) & (rows["size"] == SIZE) & (rows["uplink"] & 1)).sum())
    back = int(((rows["way"] == 1) & (rows["size"] == SIZE) & (rows["downlink"] & 1)).sum())
    return losses, {"there": there, "back": back, "both": there + back}
