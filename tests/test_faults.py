"""Faults of the network, of the process and of the system, each met by every kind of object."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hosts import V4, Routed, join, read_json, routed, within

PORTABLE = "UDPULSE_PORTABLE" in os.environ

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such faults")

SERVERS = """
import json, sys, udpulse

host = sys.argv[1]
echo = udpulse.EchoServer(host, 0)
reflector = udpulse.StampReflector(host, 0)
follower = udpulse.HeartbeatServer(host, 0, reply=True)
for server in (echo, reflector, follower):
    server.start()
print(json.dumps([server.address for server in (echo, reflector, follower)]), flush=True)
sys.stdin.read()
for server in (echo, reflector, follower):
    server.stop()
c = echo.counters
assert c.received == c.replied + c.dropped + c.send_failed + echo.truth.pending, c
c = reflector.counters
assert c.received == c.replied + c.dropped + c.send_failed, c
c = follower.counters
seen = c.beats + c.goodbyes + c.duplicates + c.stale + c.unproven + c.ignored + c.rejected
assert c.received == seen, c
print(json.dumps([echo.counters.received, reflector.counters.received, c.received]))
"""

RELAY = """
import json, sys, udpulse

listen, upstream = json.loads(sys.argv[1])
with udpulse.Relay(*upstream, listen=(listen, 0)) as relay:
    print(json.dumps(relay.address), flush=True)
    sys.stdin.read()
c, truth = relay.counters, relay.truth
assert c.received == c.relayed + c.dropped + c.send_failed + truth.pending, (c, truth)
print(c.received)
"""

# Waits until each object has seen "answered" or "silent" of datagrams that it sent after the
# question.
CLIENTS = """
import itertools, json, sys, time, udpulse

echo, reflector, follower, relay = json.loads(sys.argv[1])
options = {"count": None, "interval": 0.02, "timeout": 0.1, "outage_after": None}
probing = [
    udpulse.PingClient(*echo, **options),
    udpulse.PingClient(*relay, **options),
    udpulse.StampSender(*reflector, **options),
]
beating = udpulse.HeartbeatClient(*follower, interval=0.02, unheard_after=None)

def see_probe(client, answered):
    sent = client.report().sent
    while (probe := next(client)).seq <= sent or (probe.verdict == "answered") != answered:
        pass

def see_sweep(answered):
    while bool(udpulse.ping_many([echo], count=1, timeout=0.1)[0].answered) != answered:
        pass

def see_beat(answered):
    asked = time.time()
    if answered:
        while (beating.heard_at or 0) <= asked:
            next(beating)
    else:
        while max(asked, beating.heard_at or 0) > next(beating).time - 0.1:
            pass

for client in (*probing, beating):
    client.start()
for line in sys.stdin:
    answered = json.loads(line) == "answered"
    for client in probing:
        see_probe(client, answered)
    see_sweep(answered)
    see_beat(answered)
    print(line.strip(), flush=True)
for client in (*probing, beating):
    client.stop()
reasons = {}
for client in probing:
    r = client.report()
    decided = r.answered + r.late + r.lost + r.refused + r.unreachable + r.send_failed
    assert r.sent == decided + r.pending, r
    assert r.received == r.answered + r.late + r.duplicates + r.corrupt + r.foreign, r
    reasons |= r.send_errors
print(json.dumps(reasons))
"""


class Faults(NamedTuple):
    """The servers, the relay and the clients, each on a host of its own."""

    hosts: Routed
    servers: "subprocess.Popen[str]"
    clients: "subprocess.Popen[str]"

    def ask(self, word: str) -> None:
        """Wait until each client has seen that it is answered, or that it is not."""
        assert self.clients.stdin is not None
        self.clients.stdin.write(json.dumps(word) + "\n")
        self.clients.stdin.flush()
        assert read_json(self.clients) == word


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    near, far = V4.format(3, 1), V4.format(3, 2)
    with routed() as hosts, within(hosts.server, SERVERS, far) as servers:
        addresses = read_json(servers)
        with within(hosts.router, RELAY, json.dumps([near, addresses[0]])) as relay:
            to = json.dumps([*addresses, read_json(relay)])
            with within(hosts.client, CLIENTS, to) as clients:
                faults = Faults(hosts, servers, clients)
                faults.ask("answered")
                yield faults
                assert "Network is unreachable" in clients.communicate(timeout=20)[0]
            assert json.loads(relay.communicate(timeout=20)[0]) > 0
        assert all(json.loads(servers.communicate(timeout=20)[0]))


Act = Callable[[Routed], None]

DEFAULT = ["route", "add", "default", "via"]
FAR = V4.format(3, 0) + "/24"
SERVER = V4.format(3, 2)


def on(name: str, *args: str) -> Act:
    """Return a change of a host."""
    return lambda hosts: hosts.on(getattr(hosts, name), *args)


def all_of(*acts: Act) -> Act:
    """Return several changes."""

    def act_all(hosts: Routed) -> None:
        for act in acts:
            act(hosts)

    return act_all


def tc(*args: str) -> Act:
    """Return a change of the queue of the client's link."""

    def act(hosts: Routed) -> None:
        command = ["tc", "-n", hosts.client, "qdisc", args[0], "dev", "one", "root", *args[1:]]
        subprocess.run(command, check=True, capture_output=True, timeout=10)

    return act


CLIENT_WAY = on("client", *DEFAULT, V4.format(1, 1))
SERVER_WAY = on("server", *DEFAULT, V4.format(3, 1))

FAULTS: dict[str, tuple[Act, Act]] = {
    "the client's address": (
        on("client", "address", "delete", V4.format(1, 2) + "/24", "dev", "one"),
        all_of(
            on("client", "address", "add", V4.format(1, 2) + "/24", "dev", "one"),
            CLIENT_WAY,
        ),
    ),
    "the server's address": (
        on("server", "address", "delete", SERVER + "/24", "dev", "far"),
        all_of(on("server", "address", "add", SERVER + "/24", "dev", "far"), SERVER_WAY),
    ),
    "the client's route": (on("client", "route", "delete", "default"), CLIENT_WAY),
    "the server's route": (
        # Answers to the relay, on the same link, need none.
        all_of(on("server", "route", "delete", FAR), on("server", "route", "flush", "default")),
        all_of(
            on("server", "route", "add", FAR, "dev", "far", "src", SERVER),
            SERVER_WAY,
        ),
    ),
    "the client's link": (
        on("client", "link", "set", "one", "down"),
        all_of(on("client", "link", "set", "one", "up"), CLIENT_WAY),
    ),
    "the server's link": (
        on("server", "link", "set", "far", "down"),
        all_of(on("server", "link", "set", "far", "up"), SERVER_WAY),
    ),
    "a new link": (
        on("client", "link", "delete", "one"),
        all_of(lambda hosts: join(hosts.router, hosts.client, "one", 1), CLIENT_WAY),
    ),
    "a dead neighbour": (
        on("router", "neighbor", "replace", SERVER, "lladdr", "02:00:00:00:00:99", "dev", "far"),
        on("router", "neighbor", "delete", SERVER, "dev", "far"),
    ),
    "a full queue": (
        tc("add", "tbf", "rate", "1kbit", "burst", "200", "limit", "400"),
        tc("delete"),
    ),
    **{
        f"{kind} at the {name}": (
            on(name, "route", "add", kind, SERVER + "/32"),
            on(name, "route", "delete", kind, SERVER + "/32"),
        )
        for kind in ("blackhole", "unreachable", "prohibit")
        for name in ("router",)
    },
    **{
        f"{kind} at the client": (
            on("client", "route", "add", kind, FAR),
            on("client", "route", "delete", kind, FAR),
        )
        for kind in ("blackhole", "unreachable", "prohibit")
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_client_notices_a_fault_and_its_end(faults: Faults, fault: str) -> None:
    break_it, mend_it = FAULTS[fault]
    break_it(faults.hosts)
    faults.ask("silent")
    mend_it(faults.hosts)
    faults.ask("answered")


@pytest.mark.parametrize("stopped", ["servers", "clients"])
def test_each_object_outlives_the_suspension_of_its_process(faults: Faults, stopped: str) -> None:
    process = getattr(faults, stopped)
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    if stopped == "servers":
        faults.ask("silent")
    process.send_signal(signal.SIGCONT)
    faults.ask("answered")


# All kinds of objects, with peers on this host.
OBJECTS = """
import asyncio, json, os, signal, socket, sys, threading, time, udpulse

peers = [
    udpulse.EchoServer(port=0, keep=0),
    udpulse.StampReflector(port=0, keep=0),
    udpulse.HeartbeatServer(port=0, reply=True),
]

def begin():
    for peer in peers:
        peer.start()
    echo, reflector, follower = (peer.address for peer in peers)
    often = {"count": None, "interval": 0.005}
    return {
        "PingClient": lambda: udpulse.PingClient(*echo, **often),
        "PingSweep": lambda: udpulse.PingSweep([echo] * 3, rounds=None, interval=0.005),
        "StampSender": lambda: udpulse.StampSender(*reflector, **often),
        "HeartbeatClient": lambda: udpulse.HeartbeatClient(*follower, interval=0.005),
        "EchoServer": lambda: udpulse.EchoServer(port=0, threads=2),
        "StampReflector": lambda: udpulse.StampReflector(port=0, threads=2),
        "HeartbeatServer": lambda: udpulse.HeartbeatServer(port=0),
        "Relay": lambda: udpulse.Relay(*echo),
    }

def use(name, thing):
    "Exchange something with a running object."
    if name in ("PingClient", "StampSender"):
        while next(thing).verdict != "answered":
            pass
    elif name == "PingSweep":
        while not next(thing).answered:
            pass
    elif name == "HeartbeatClient":
        while not thing.heard_at:
            next(thing)
    elif name == "HeartbeatServer":
        with udpulse.HeartbeatClient(*thing.address, interval=0.005):
            while not isinstance(next(thing), udpulse.events.Up):
                pass
    else:
        ask = udpulse.StampSender if name == "StampReflector" else udpulse.PingClient
        with ask(*thing.address, count=None, interval=0.005) as client:
            while next(client).verdict != "answered":
                pass

def end():
    for peer in peers:
        peer.stop()
"""


def run(script: str, *words: str) -> str:
    """Run a script with all kinds of objects; return its output."""
    command = [sys.executable, "-W", "ignore", "-c", OBJECTS + script, *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


FORK = """
def waited(thing):
    thread = threading.Thread(target=list, args=(thing,), daemon=True)
    thread.start()
    return thread

def child(name, state, thing):
    assert not thing.running
    repr(thing)
    thing.stop()
    thing.stop()
    if state != "new":
        list(thing)  # what is left to read
    if state in ("new", "used"):
        with thing:
            use(name, thing)
    sys.exit(7)

kinds = begin()
for name, make in kinds.items():
    for state in ("new", "used", "waited for", "stopped"):
        thing = make()
        if state != "new":
            thing.start()
        if state == "used":
            use(name, thing)
        if state == "waited for":
            waiting = waited(thing)
        if state == "stopped":
            thing.stop()
        number = os.fork()
        if number == 0:
            child(name, state, thing)
        ended = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        assert ended == 7, (name, state, ended)
        assert thing.running == (state not in ("new", "stopped")), (name, state)
        thing.stop()
        if state == "waited for":
            waiting.join()
end()
print("whole")
"""


def test_a_fork_in_every_state_leaves_parent_and_child_whole() -> None:
    assert run(FORK) == "whole\n"


EXIT = """
kinds = begin()
things = {name: make() for name, make in kinds.items()}
state = sys.argv[1]
if state != "new":
    for thing in things.values():
        thing.start()
if state == "stopped":
    for thing in things.values():
        thing.stop()
if state == "waited for":
    for thing in things.values():
        threading.Thread(target=list, args=(thing,), daemon=True).start()
if state == "called":
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    for call in (udpulse.ping, lambda *to, **long: udpulse.ping_many([to], **long)):
        to = silent.getsockname()
        threading.Thread(target=call, args=to, kwargs={"timeout": 60}, daemon=True).start()
    for _ in range(2):
        silent.recv(100)
if state == "awaited":
    ready = threading.Event()
    async def wait():
        async def read(thing):
            async for event in thing:
                pass
        reading = [asyncio.create_task(read(thing)) for thing in things.values()]
        await asyncio.sleep(0.01)
        ready.set()
        await asyncio.gather(*reading)
    threading.Thread(target=asyncio.run, args=(wait(),), daemon=True).start()
    ready.wait()
if state == "in a cycle":
    for name, thing in things.items():
        cycle = [thing]
        cycle.append(cycle)
    del things, thing
if state == "at the exit":
    import atexit
    def use_all():
        for name, thing in things.items():
            use(name, thing)
    atexit.register(use_all)
if state == "exiting":
    class Late:
        def __del__(self, things=things):
            for thing in things.values():
                thing.stop()
                repr(thing)
    sys.late = Late()
"""

STATES = [
    "new",
    "running",
    "stopped",
    "waited for",
    "called",
    "awaited",
    "in a cycle",
    "at the exit",
    "exiting",
]


@pytest.mark.parametrize("state", STATES)
def test_the_interpreter_can_exit_in_every_state(state: str) -> None:
    run(EXIT, state)


SIGNALS = """
kinds = begin()
count = 0
def handle(*_):
    global count
    count += 1
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for name, make in kinds.items():
    before = count
    while count < before + 25:
        with make() as thing:
            for _ in range(3):
                use(name, thing)
before = count
while count < before + 25:
    report = udpulse.ping(*peers[0].address, count=5, timeout=30)
    reports = udpulse.ping_many([peers[0].address], count=5, timeout=30, rate=1000)
    assert [report.answered for report in [report, *reports]] == [5, 5]
async def wait():
    async for probe in kinds["PingClient"]():
        if count > before + 50:
            break
asyncio.run(wait())
signal.setitimer(signal.ITIMER_REAL, 0)
end()
print("whole")
"""


def test_a_signal_each_millisecond_changes_nothing() -> None:
    assert run(SIGNALS) == "whole\n"


MEMORY = """
import resource

_, unlimited = resource.getrlimit(resource.RLIMIT_AS)

def leave(size):
    "Set the memory that the process can still get."
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, unlimited))

def flood(to):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for length in (1, 60_000, 9000):
            datagram = b"1" * length
            for _ in range(500):
                sender.sendto(datagram, to)

kinds = begin()
refused = 0
for make in kinds.values():
    thing = make()
    # A thread needs more.
    leave(1 << 20)
    try:
        thing.start()
    except OSError as error:
        refused += error.errno == 11
    resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))
    thing.stop()
for make in (
    lambda: udpulse.EchoServer(port=0, keep=0),
    lambda: udpulse.StampReflector(port=0, keep=0),
    lambda: udpulse.HeartbeatServer(port=0),
    lambda: udpulse.Relay(*peers[0].address, keep=0),
):
    with make() as server:
        leave(8 << 20)
        flood(server.address)
        resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))
        use(type(server).__name__, server)
end()
print(refused)
"""


def test_little_memory_is_an_error_or_makes_do() -> None:
    # In one run of forty glibc has the stack of an ended thread for a new one, which then finds no
    # memory for itself; somebody else's small allocation may fail, too. Both end the process.
    for is_last in (False, False, True):
        try:
            assert run(MEMORY) == "8\n"
        except AssertionError:
            if is_last:
                raise
        else:
            return


ICMP = """
import socket, struct, sys, threading, udpulse
from collections import Counter

host = sys.argv[1]
is_v4 = host == "127.0.0.1"
# Linux reports the first ones to the sender: of version 6 all errors, known or not (RFC 4443
# section 2.4).
if is_v4:
    DECIDE = [*((3, code) for code in range(16)), (11, 0), (12, 0), (12, 1), (12, 2)]
    OTHERS = [(3, 16), (4, 0), (5, 0), (5, 3), (11, 1), (40, 0), (255, 255)]
    REFUSED, NO_HOST, TOO_BIG = (3, 3), (3, 1), (3, 4)
else:
    DECIDE = [*((1, code) for code in range(9)), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2)]
    DECIDE += [(5, 0), (127, 255)]
    OTHERS = [(128, 0), (129, 0), (131, 0), (137, 0), (200, 0), (255, 255)]
    REFUSED, NO_HOST, TOO_BIG = (1, 4), (1, 3), (2, 0)
# The headers of IP and UDP before a payload.
UDP = 20 if is_v4 else 40
PAYLOAD = UDP + 8

def cut(end):
    return lambda packet: packet[:end]

def changed(at, new):
    return lambda packet: packet[:at] + new + packet[at + len(new) :]

whole = cut(None)
ENOUGH = [whole, cut(PAYLOAD + 30), cut(PAYLOAD + 6), cut(PAYLOAD)]
# Too short, another port, host, number or payload, and no packet at all.
FOREIGN = [
    *map(cut, (0, 1, UDP - 1, UDP, PAYLOAD - 1)),
    changed(UDP + 2, b"\\0\\7"),
    changed(UDP - 1, b"\\7"),
    changed(PAYLOAD, b"\\xff" * 4),
    changed(PAYLOAD + 16, b"\\xff" * 16),
    changed(0, b"\\xff" * PAYLOAD),
]
# The errors that each row of a test's probes gets, whether it decides them, and their number.
ROWS = [
    ([(kind, whole) for kind in DECIDE], True),
    ([(kind, whole) for kind in OTHERS], False),
    ([(NO_HOST, quote) for quote in ENOUGH], True),
    ([(NO_HOST, quote) for quote in FOREIGN], False),
]
ERRORS = [error for errors, _ in ROWS for error in errors]

family = socket.AF_INET if is_v4 else socket.AF_INET6
nobody = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(6)]
for one in nobody:
    one.bind((host, 0))
ports = {one.getsockname()[1]: 0 for one in nobody}
watch = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
protocol = socket.IPPROTO_ICMP if is_v4 else socket.IPPROTO_ICMPV6
tell = socket.socket(family, socket.SOCK_RAW, protocol)

def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def answer():
    "Answer the nth datagram to each port with the nth ICMP error."
    while True:
        packet = watch.recv(65536)
        if not is_v4:
            # The system hides this header.
            head = struct.pack("!IHBB", 6 << 28, len(packet), socket.IPPROTO_UDP, 64)
            packet = head + 2 * socket.inet_pton(family, host) + packet
        port = int.from_bytes(packet[UDP + 2 : UDP + 4], "big")
        if port in ports:
            (kind, code), quote = ERRORS[ports[port] % len(ERRORS)]
            ports[port] += 1
            mtu = 1280 if (kind, code) == TOO_BIG else 0
            error = struct.pack("!BBHI", kind, code, 0, mtu) + quote(packet)
            # The system adds the checksum of version 6.
            if is_v4:
                error = error[:2] + struct.pack("!H", checksum(error)) + error[4:]
            tell.sendto(error, (host, 0))

threading.Thread(target=answer, daemon=True).start()
to = [one.getsockname()[:2] for one in nobody]
for errors, decides in ROWS:
    count = len(errors)
    row = {"count": count, "timeout": 30.0 if decides else 0.02}
    for r in (
        udpulse.ping(*to[0], interval=0.002, **row),
        udpulse.stamp(*to[1], interval=0.002, **row),
        *udpulse.ping_many([to[2]], rate=500, **row),
    ):
        decided = r.answered + r.late + r.lost + r.refused + r.unreachable + r.send_failed
        assert r.sent == decided + r.pending == count, r
        told = {(kind, code): number for (kind, code, _), number in r.reasons.items()}
        kinds = [kind for kind, _ in errors if decides]
        assert (told, r.lost) == (Counter(kinds), count - len(kinds)), r
        assert r.refused == told.get(REFUSED, 0), r
with udpulse.HeartbeatClient(*to[3], interval=0.005, count=len(ERRORS)) as client:
    assert {beat.outcome for beat in client} <= {"sent", "send_failed"}
    assert client.counters.refused > 0
for server in (
    udpulse.EchoServer(host, 0),
    udpulse.StampReflector(host, 0),
    udpulse.HeartbeatServer(host, 0, reply=True),
    udpulse.Relay(*to[4], listen=(host, 0)),
):
    # Each answer, and each datagram to the upstream, is answered with an error.
    with server:
        for number in range(len(ERRORS)):
            is_stamp = isinstance(server, udpulse.StampReflector)
            packet = struct.pack("!I8xHxx28x", number, 1) if is_stamp else f"hb {number}".encode()
            nobody[5].sendto(packet, server.address)
            assert nobody[4 if isinstance(server, udpulse.Relay) else 5].recv(100)
        assert server.running
        assert server.counters.received == len(ERRORS)
"""


@pytest.mark.skipif(PORTABLE, reason="only Linux reports all of them")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_icmp_errors_of_every_kind_end_nothing(faults: Faults, host: str) -> None:
    with within(faults.hosts.client, ICMP, host) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
