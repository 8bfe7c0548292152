"""The works and their measurements, each the same for udpulse and its peers."""

import asyncio
import json
import re
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from servers import LONGEST, LOOPBACK, PeerError, Server, built, served

import udpulse

SECONDS = 0.5
CLIENT = ["taskset", "-c", "1"]

Measure = Callable[[], float]


class Work(NamedTuple):
    """A work: for each row of its table a measurement per program, the first of them udpulse."""

    title: str
    text: str
    unit: str
    rows: dict[str, dict[str, Measure]]


def output_of(command: list[str], *, needs: str, text: str = "") -> str:
    """Run a client on core 1; return its output and errors, which match the pattern `needs`."""
    ran = subprocess.run(
        [*CLIENT, *command], input=text, capture_output=True, text=True, timeout=60
    )
    output = ran.stdout + ran.stderr
    if not re.search(needs, output):
        raise PeerError(f"{command[0]}: {output[-500:]}")
    return output


def number_in(pattern: str, output: str) -> float:
    """Return the number that a pattern finds."""
    found = re.search(pattern, output)
    if not found:
        raise PeerError(f"no {pattern} in {output[-500:]}")
    return float(found[1])


class Loaded(NamedTuple):
    """The datagrams that a server handled, its CPU time for them, and its memory in bytes then."""

    handled: int
    cpu_ns: int
    memory: int


def load(server: Server, *words: object, count: Callable[[], int] = lambda: 0) -> Loaded:
    """Run the load against a server, which has a `count` of its own if it does not answer."""
    kind, *others = map(str, words)
    command = [*CLIENT, built("load"), kind, str(server.port), *others]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise PeerError(f"{command} is not ready")
        first, before = count(), server.cpu_ns()
        process.stdin.write("\n")
        process.stdin.flush()
        answered, clients = map(int, process.stdout.readline().split())
        used = server.cpu_ns() - before
        loaded = Loaded(count() - first or answered, used, server.memory())
        process.stdin.write("\n")
    if clients < 0.9 * int(others[0]):
        raise PeerError(f"{clients} of {others[0]} clients were served")
    return loaded


# Round trips.

PACE = 0.01


def udpulse_rtt(*, kernel: bool = False, **options: Any) -> float:
    """Return the median round trip in us."""
    with served("udpulse echo") as server:
        report = udpulse.ping(
            LOOPBACK,
            server.port,
            duration=SECONDS,
            keep=0,
            timestamps="kernel" if kernel else "receive",
            **options,
        )
    median = (report.kernel_rtt if kernel else report.rtt).median
    if report.loss or median is None:
        raise PeerError(report)
    return median * 1e6


def stdlib_rtt(interval: float = 0) -> float:
    """Return the same, measured as a student of the lab would."""
    times: list[float] = []
    with served("udpulse echo") as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        end = time.perf_counter() + SECONDS
        while (start := time.perf_counter()) < end:
            client.sendto(b"Ping %d %f" % (len(times), time.time()), (LOOPBACK, server.port))
            client.recvfrom(LONGEST)
            times.append(time.perf_counter() - start)
            if interval:
                time.sleep(interval)
    return statistics.median(times) * 1e6


class AsyncioPing(asyncio.DatagramProtocol):
    """A client that sends the next datagram when the last one is back."""

    def __init__(self) -> None:
        """Start without round trips."""
        self.times: list[float] = []

    def connection_made(self, transport: Any) -> None:
        """Send the first one."""
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Send one."""
        self.sent_at = time.perf_counter()
        self.transport.sendto(b"Ping %d %f" % (len(self.times), time.time()))

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Note the round trip and send the next one."""
        self.times.append(time.perf_counter() - self.sent_at)
        self.send()


def asyncio_rtt() -> float:
    """Return the median round trip of an asyncio client in us."""

    async def run(port: int) -> list[float]:
        loop = asyncio.get_running_loop()
        transport, ping = await loop.create_datagram_endpoint(
            AsyncioPing, remote_addr=(LOOPBACK, port)
        )
        await asyncio.sleep(SECONDS)
        transport.close()
        return ping.times

    with served("udpulse echo") as server:
        return statistics.median(asyncio.run(run(server.port))) * 1e6


def sockperf_rtt() -> float:
    """Return the median of sockperf's ping-pong in us, against its own server."""
    with served("sockperf") as server:
        words = ["sockperf", "ping-pong", "-i", LOOPBACK, "-p", str(server.port), "--full-rtt"]
        pattern = r"percentile 50\.000 =\s*([0-9.]+)"
        return number_in(pattern, output_of([*words, "-m", "24", "-t", "1"], needs=pattern))


def irtt_rtt() -> float:
    """Return the median round trip of irtt in us, against its own server."""
    with served("irtt") as server:
        words = ["-i", f"{PACE}s", "-d", f"{SECONDS}s", "--wait=100ms", "-Q", "-o", "-"]
        output = output_of(["irtt", "client", *words, f"{LOOPBACK}:{server.port}"], needs="stats")
    return float(json.loads(output)["stats"]["rtt"]["median"]) / 1e3


def fping_rtt() -> float:
    """Return the median round trip of fping in us."""
    count = round(SECONDS / PACE)
    words = ["fping", "-q", "-C", str(count), "-p", f"{PACE * 1000:.0f}", LOOPBACK]
    times = output_of(words, needs=" : ").partition(" : ")[2].split()
    return statistics.median(map(float, times)) * 1e3


ROUND_TRIPS = Work(
    "Round trips",
    """Medians of the round trip on loopback, the client on one core and the server on the other.
Back to back, the next probe leaves when the last is answered; all but sockperf, which has a
server of its own, ask udpulse's. irtt has a server of its own, too. The kernel answers fping
(ICMP) without a second process.""",
    "us",
    {
        "back to back": {
            "udpulse": udpulse_rtt,
            "stdlib": stdlib_rtt,
            "asyncio": asyncio_rtt,
            "sockperf": sockperf_rtt,
        },
        "back to back, `precise=True`": {
            "udpulse": partial(udpulse_rtt, precise=True),
            "stdlib": stdlib_rtt,
            "sockperf": sockperf_rtt,
        },
        "back to back, the kernel's timestamps": {
            "udpulse": partial(udpulse_rtt, kernel=True),
            "stdlib": stdlib_rtt,
            "sockperf": sockperf_rtt,
        },
        "every 10 ms": {
            "udpulse": partial(udpulse_rtt, interval=PACE),
            "stdlib": partial(stdlib_rtt, PACE),
            "irtt": irtt_rtt,
            "fping": fping_rtt,
        },
        "every 10 ms, the kernel's timestamps": {
            "udpulse": partial(udpulse_rtt, interval=PACE, kernel=True),
            "irtt": irtt_rtt,
            "fping": fping_rtt,
        },
    },
)


# Servers.


def server_cost(name: str, clients: int, window: int, size: int = 64) -> float:
    """Return the CPU time of a server per datagram that it answered, in ns."""
    with served(name) as server:
        loaded = load(server, "rate", clients, window, size, SECONDS)
    return loaded.cpu_ns / loaded.handled


def echo_servers(clients: int, window: int) -> dict[str, Measure]:
    """Return a row."""
    names = {
        "udpulse": "udpulse echo",
        "udpulse, `keep=10_000`": "udpulse echo, log",
        "C": "C echo",
        "C, batches": "C batches",
        "stdlib": "stdlib echo",
        "asyncio": "asyncio echo",
        "sockperf": "sockperf",
    }
    # Its pipe would join datagrams that wait, and it has a process per client.
    if window == 1 and clients <= 1000:
        names["socat"] = "socat echo"
    return {column: partial(server_cost, name, clients, window) for column, name in names.items()}


ECHO_SERVERS = Work(
    "Echo servers",
    """CPU time of the server per datagram of 64 bytes that it answers. Each client keeps a window
of datagrams in flight. udpulse's server does not keep fates (`keep=0`) but in the second column,
which has the default. One server in C takes one datagram per call, there and back; the other takes
batches and does nothing else, so that it shows what the system calls cost. socat runs a process per
client.""",
    "ns",
    {
        "1 client, window 64": echo_servers(1, 64),
        **{
            f"{clients:,} client{'s' * (clients > 1)}, window 1": echo_servers(clients, 1)
            for clients in (1, 10, 100, 1000, 10_000)
        },
    },
)

STAMP_REFLECTORS = Work(
    "Reflectors of STAMP",
    """CPU time of a stateful reflector per packet of 44 bytes.""",
    "ns",
    {
        f"{clients} client{'s' * (clients > 1)}, window {window}": {
            "udpulse": partial(server_cost, "udpulse stamp", clients, window, 44),
            "stamp-suite": partial(server_cost, "stamp-suite", clients, window, 44),
        }
        for clients, window in ((1, 64), (64, 1))
    },
)


# Relays.

RELAYS = {
    "udpulse": "udpulse relay",
    "C, `poll`": "C relay",
    "asyncio": "asyncio relay",
    "socat": "socat relay",
}
UPSTREAM = "udpulse echo"


def relay_cost(name: str, clients: int, window: int) -> float:
    """Return the CPU time of a relay per packet, there or back, in ns."""
    with (
        served(UPSTREAM, core=1) as upstream,
        served(name, behind=upstream.port) as relay,
    ):
        loaded = load(relay, "rate", clients, window, 64, SECONDS)
    return loaded.cpu_ns / loaded.handled / 2


def relays(clients: int, window: int) -> dict[str, Measure]:
    """Return a row."""
    return {column: partial(relay_cost, name, clients, window) for column, name in RELAYS.items()}


RELAYED = Work(
    "Relays",
    """CPU time per packet of 64 bytes, there or back, to an echo server behind the relay. The relay
has a core; clients and server share the other. socat runs a process per client.""",
    "ns",
    {
        "1 client, window 64": relays(1, 64),
        "1 client, window 1": relays(1, 1),
        "100 clients, window 1": relays(100, 1),
        "1,000 clients, window 1": relays(1000, 1),
    },
)


def added(name: str) -> float:
    """Return the median round trip that a relay adds, in us."""
    with (
        served(UPSTREAM, core=1) as upstream,
        served(name, behind=upstream.port) as relay,
    ):
        command = [built("load"), "rtt"]
        through, direct = (
            number_in(r"(\d+)", output_of([*command, str(port), "3000"], needs=r"\d"))
            for port in (relay.port, upstream.port)
        )
    return (through - direct) / 1e3


RELAY_DELAY = Work(
    "Delay of relays",
    """What a relay adds to the median round trip.""",
    "us",
    {"1 client": {column: partial(added, name) for column, name in RELAYS.items()}},
)


# Many targets.

PROBES = 20_000
RATE = 100_000
# fping numbers the probes of the last ten seconds with 16 bits.
MOST_OF_FPING = 30_000


def targets(count: int) -> list[str]:
    """Return addresses of loopback."""
    return [f"127.{1 + n // 62_500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(count)]


def rounds_of(count: int) -> int:
    """Return the number of probes to each target."""
    return max(2, PROBES // count)


def cpu_of(who: int) -> float:
    """Return the CPU time of this process or its children so far, in seconds."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def udpulse_many(count: int) -> float:
    """Return the CPU time per probe in us, with setup and reports."""
    with served("udpulse echo, all addresses") as server:
        before = cpu_of(resource.RUSAGE_SELF)
        reports = udpulse.ping_many(
            [(host, server.port) for host in targets(count)], count=rounds_of(count), rate=RATE
        )
        used = cpu_of(resource.RUSAGE_SELF) - before
    sent, answered = sum(r.sent for r in reports), sum(r.answered for r in reports)
    if answered < 0.9 * sent:
        raise PeerError(f"{answered} of {sent} probes were answered")
    return 1e6 * used / sent


def fping_many(count: int) -> float:
    """Return the same for fping."""
    before = cpu_of(resource.RUSAGE_CHILDREN)
    words = ["fping", "-q", "-c", str(rounds_of(count)), "-i", "0", "-p", "1", "-t", "1000"]
    output_of(words, text="\n".join(targets(count)), needs=r"/0%")
    return (cpu_of(resource.RUSAGE_CHILDREN) - before) / count / rounds_of(count) * 1e6


def least_many(count: int) -> float:
    """Return the same for a program that makes the system calls of a sweep and no more."""
    program, numbers = built("sweep"), map(str, (count, rounds_of(count), RATE))
    with served("udpulse echo, all addresses") as server:
        before = cpu_of(resource.RUSAGE_CHILDREN)
        output_of([program, str(server.port), *numbers], needs=r"^(9\d|100)%")
        used = cpu_of(resource.RUSAGE_CHILDREN) - before
    return 1e6 * used / count / rounds_of(count)


def many_targets(count: int) -> dict[str, Measure]:
    """Return a row."""
    row: dict[str, Measure] = {
        "udpulse": partial(udpulse_many, count),
        "C, batches": partial(least_many, count),
    }
    if count <= MOST_OF_FPING:
        row["fping"] = partial(fping_many, count)
    return row


MANY_TARGETS = Work(
    "Many targets",
    f"""CPU time of the client per probe, with its start and its reports. `ping_many` sends {RATE:,}
probes per second to an echo server on the other core; fping sends as fast as it can, the kernel
answers it (ICMP), and fping pays for the answers, too. It can follow no more than 65,536 probes in
ten seconds. The program in C sends and receives like `ping_many` and does nothing else.""",
    "us",
    {f"{count:,} targets": many_targets(count) for count in (100, 1000, 10_000, 30_000, 100_000)},
)


# Heartbeats.

BEATS_PER_SECOND = 100_000


def beat_cost(name: str, peers: int) -> float:
    """Return the CPU time of a server per beat, in ns."""
    with served(name) as server:
        words = ("beats", peers, BEATS_PER_SECOND, 2 * SECONDS)
        loaded = load(server, *words, count=server.beats)
    return loaded.cpu_ns / loaded.handled


HEARTBEATS = Work(
    "Heartbeats",
    f"""CPU time of the server per beat; {BEATS_PER_SECOND:,} come per second, from as many loopback
addresses as there are peers, each at the interval that it declares. The stdlib's keeps the
last number and times of each peer in a `dict`, and judges nobody.""",
    "ns",
    {
        f"{peers:,} peers": {
            "udpulse": partial(beat_cost, "udpulse heartbeat", peers),
            "stdlib": partial(beat_cost, "stdlib heartbeat", peers),
        }
        for peers in (1000, 10_000, 100_000)
    },
)


# Memory.


def memory(name: str, *words: object) -> float:
    """Return the memory of a server under a load, in MiB."""
    with served(UPSTREAM, core=1) as upstream, served(name, behind=upstream.port) as server:
        return load(server, *words).memory / 2**20


MEMORY = Work(
    "Memory",
    "Proportional set size of the server under load, with its interpreter.",
    "MiB",
    {
        **{
            f"relay, {clients:,} clients": {
                column: partial(memory, name, "rate", clients, 1, 64, SECONDS)
                for column, name in RELAYS.items()
            }
            for clients in (10, 1000)
        },
        **{
            f"heartbeats, {peers:,} peers": {
                whose: partial(memory, f"{whose} heartbeat", "beats", peers, BEATS_PER_SECOND, 0.1)
                for whose in ("udpulse", "stdlib")
            }
            for peers in (1000, 100_000)
        },
    },
)

WORKS = [
    ROUND_TRIPS,
    ECHO_SERVERS,
    STAMP_REFLECTORS,
    RELAYED,
    RELAY_DELAY,
    MANY_TARGETS,
    HEARTBEATS,
    MEMORY,
]
