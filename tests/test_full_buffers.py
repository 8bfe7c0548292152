"""A full send buffer or a dead neighbour delays only its own packets, on hosts of their own."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from hosts import host, ip, joined, read_json, within

PORTABLE = "UDPULSE_PORTABLE" in os.environ

NEAR = host("near", 1)
FAR = host("far", 2)

# An operation of milliseconds must take less than this; one that waits for a full buffer does not:
# the kernel keeps packets for a dead neighbour for 3 s.
PROMPT = 2.0

LIVING = [f"198.18.1.{number}" for number in range(1, 101)]
DEAD = [f"198.18.{third}.{number}" for third in (2, 3, 4) for number in range(1, 101)]


@pytest.fixture(autouse=True)
def _hosts() -> Iterator[None]:
    with joined(NEAR, FAR):
        yield


def add_addresses(addresses: list[str]) -> None:
    """Give addresses to the far host."""
    lines = "".join(f"address add {address}/16 dev cable\n" for address in addresses)
    ip_batch(lines)


def ip_batch(lines: str) -> None:
    """Run many `ip` commands on the far host."""
    command = ["ip", "-n", FAR.name, "-batch", "-"]
    subprocess.run(command, input=lines, text=True, check=True, capture_output=True, timeout=10)


SERVE = """
import sys, udpulse
with udpulse.EchoServer("", 0, transform="echo") as server:
    print(server.address[1], flush=True)
    sys.stdin.read()
"""

SWEEP = """
import json, sys, time, udpulse
port, *hosts = json.loads(sys.argv[1])
start = time.monotonic()
try:
    print("1", flush=True)
    reports = udpulse.ping_many([(host, port) for host in hosts], count=2, rate=2000, timeout=1.0)
except KeyboardInterrupt:
    print(json.dumps("interrupted"), flush=True)
else:
    spent = time.monotonic() - start
    counts = [[report.sent, report.answered + report.late] for report in reports]
    print(json.dumps([spent, counts]), flush=True)
"""


@pytest.mark.skipif(PORTABLE, reason="answers leave from the system's choice of address")
def test_dead_neighbours_delay_no_living_target_of_a_sweep() -> None:
    add_addresses(LIVING)
    # The dead come first: their packets wait in the kernel for a hardware address.
    with within(FAR, SERVE) as server:
        hosts = [read_json(server), *DEAD, *LIVING]
        with within(NEAR, SWEEP, json.dumps(hosts)) as sweep:
            assert read_json(sweep) == 1
            spent, counts = read_json(sweep)
    # A probe that has to wait for the dead does not leave before its timeout. An answer may be late
    # for another reason: the kernel asks again for a hardware address after one second.
    assert [count for count in counts[len(DEAD) :] if count != [2, 2]] == []
    assert all(answered == 0 for _, answered in counts[: len(DEAD)])
    # 0.4 s of sending and 1 s of waiting; if a send blocks, it takes 7 s.
    assert spent < 1.4 + 2 * PROMPT


def test_ctrl_c_ends_a_sweep_of_dead_neighbours() -> None:
    hosts = [9, *DEAD]
    with within(NEAR, SWEEP, json.dumps(hosts)) as sweep:
        assert read_json(sweep) == 1
        sweep.send_signal(signal.SIGINT)
        assert sweep.stdout is not None
        assert json.loads(sweep.communicate(timeout=10)[0]) == "interrupted"


ANSWER_LATE = """
import json, sys, time, udpulse
with udpulse.EchoServer("", 0, downlink=udpulse.impair.Link(delay=0.5)) as server:
    print(server.address[1], flush=True)
    sys.stdin.readline()
    start = time.monotonic()
print(json.dumps([time.monotonic() - start, server.counters.received]), flush=True)
"""

ASK_AND_VANISH = """
import json, socket, sys
server, *clients = json.loads(sys.argv[1])
for client in clients:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((client, 0))
        for _ in range(10):
            one.sendto(b"x" * 1000, tuple(server))
print("1", flush=True)
"""

LIVE_ON = """
import json, sys, udpulse
report = udpulse.ping(*json.loads(sys.argv[1]), count=200, interval=0.01, timeout=10.0)
print(json.dumps([report.answered, report.rtt.max]))
"""


def test_vanished_clients_delay_no_other_answer() -> None:
    add_addresses(DEAD)
    with within(NEAR, ANSWER_LATE) as server:
        address = (NEAR.address, read_json(server))
        with within(FAR, ASK_AND_VANISH, json.dumps([address, *DEAD])) as dying:
            assert read_json(dying) == 1
        ip_batch("".join(f"address delete {address}/16 dev cable\n" for address in DEAD))
        ip("-n", NEAR.name, "neighbor", "flush", "dev", "cable")
        with within(FAR, LIVE_ON, json.dumps(address)) as living:
            answered, slowest = read_json(living)
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
        stopping, received = read_json(server)
    # The receive buffer of a busy host drops requests of the dying, but holds more than these.
    assert received >= 50 + 200
    assert (answered, slowest < 0.5 + PROMPT) == (200, True)
    assert stopping < PROMPT


SLOW = """
import asyncio, json, sys, time, udpulse

async def turn(client):
    longest = 0.0
    async with client:
        async for probe in client:
            start = time.monotonic()
            report = client.report()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - start)
            if report.send_failed > 100:
                break
    return longest

client = udpulse.PingClient(
    *json.loads(sys.argv[1]), count=None, interval=0.0005, timeout=0.2, size=1000
)
longest = asyncio.run(turn(client))
client.start()
while client.report().sent < 1000:
    time.sleep(0.01)
start = time.monotonic()
client.stop()
stopping = time.monotonic() - start
report = client.report()
decided = report.answered + report.late + report.lost + report.refused + report.send_failed
print(json.dumps([longest, stopping, report.sent - decided - report.pending]))
"""


def test_a_slow_link_delays_neither_reports_nor_stop() -> None:
    tbf = ["tbf", "rate", "100kbit", "burst", "2000", "limit", "10000000"]
    tc = ["tc", "-n", NEAR.name, "qdisc", "add", "dev", "cable", "root", *tbf]
    subprocess.run(tc, check=True, capture_output=True, timeout=10)
    with within(FAR, SERVE) as server:
        address = (FAR.address, read_json(server))
        with within(NEAR, SLOW, json.dumps(address)) as client:
            longest, stopping, unaccounted = read_json(client)
    assert unaccounted == 0
    assert max(longest, stopping) < PROMPT


FOLLOW = """
import json, udpulse
with udpulse.HeartbeatServer("", 0, every_beat=True) as server:
    print(server.address[1], flush=True)
    for event in server:
        if isinstance(event, udpulse.events.Heard) and event.seq == 600:
            break
    (peer,) = server.peers()
print(json.dumps([peer.received, peer.expected]), flush=True)
"""

BEAT = """
import json, sys, udpulse
dead, *server = json.loads(sys.argv[1])
client = udpulse.HeartbeatClient(*server, also=[(dead, 9)], interval=0.005, count=600)
with client:
    sent = sum(1 for beat in client)
print(sent, flush=True)
"""


def test_a_dead_server_delays_no_beats_to_the_others() -> None:
    with within(FAR, FOLLOW) as server:
        port = read_json(server)
        with within(NEAR, BEAT, json.dumps([DEAD[0], FAR.address, port])) as client:
            assert read_json(client) == 600
        assert read_json(server) == [600, 600]
