"""Clients meet a network that changes or fails, on hosts of their own behind a router."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import peers
import pytest
from hosts import V4, V6, Routed, join, routed, within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such hosts")

linux = pytest.mark.skipif(peers.PORTABLE, reason="only Linux can")

PORT = 12000


@pytest.fixture
def hosts() -> Iterator[Routed]:
    with routed() as hosts:
        yield hosts


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def net(request: pytest.FixtureRequest) -> str:
    """Return the pattern of addresses of a family."""
    return V4 if request.param == 4 else V6


def length(net: str) -> str:
    """Return the length of a link's prefix."""
    return "/24" if net == V4 else "/64"


def take_away(hosts: Routed, net: str, address: str) -> None:
    """Remove the client's address on link one and its way out."""
    if net == V6:
        # IPv4 forgets this route with the address. If IPv6 kept it for a moment, the client would
        # send from its address on link two.
        hosts.on(hosts.client, "-6", "route", "delete", "default")
    hosts.on(hosts.client, "address", "delete", address + length(net), "dev", "one")


def give_back(hosts: Routed, net: str, address: str) -> None:
    """Give the client an address on link one and its way out."""
    hosts.on(hosts.client, "address", "add", address + length(net), "dev", "one")
    hosts.on(hosts.client, "route", "add", "default", "via", net.format(1, 1))


class Script:
    """A script that answers each line of JSON with one."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.to, self.from_ = process.stdin, process.stdout

    def ask(self, question: Any) -> Any:
        self.to.write(json.dumps(question) + "\n")
        self.to.flush()
        return self.next()

    def next(self) -> Any:
        return json.loads(self.from_.readline())

    def end(self) -> Any:
        self.to.close()
        return self.next()


SERVE = """
import sys, udpulse
with udpulse.EchoServer(sys.argv[1], 12000):
    print("1", flush=True)
    sys.stdin.read()
"""

# Iterates until a later probe has the verdict that is asked for.
PING = """
import json, sys, udpulse
to, options = json.loads(sys.argv[1])
with udpulse.PingClient(*to, count=None, interval=0.01, timeout=0.3, **options) as client:
    for line in sys.stdin:
        verdict, sent = json.loads(line), client.report().sent
        while (probe := next(client)).seq <= sent or probe.verdict != verdict:
            pass
        print(line.strip(), flush=True)
report = client.report()
decided = report.answered + report.late + report.lost + report.refused + report.unreachable
assert report.sent == decided + report.send_failed + report.pending
changes = [(c.before, c.after) for c in report.changes if c.end == "source"]
print(json.dumps([report.answered, report.send_failed, report.send_errors, changes]))
"""


def ping(hosts: Routed, net: str, **options: Any) -> Any:
    """Start a session with the server."""
    return within(hosts.client, PING, json.dumps([[net.format(3, 2), PORT], options]))


def serve(hosts: Routed, net: str) -> Any:
    """Start the server."""
    return within(hosts.server, SERVE, net.format(3, 2))


@pytest.mark.parametrize("port", [0, PORT], ids=["any port", "fixed port"])
@pytest.mark.parametrize("new", [2, 3], ids=["same", "other"])
def test_a_session_outlives_the_address_of_its_host(
    hosts: Routed, net: str, new: int, port: int
) -> None:
    old, new_address = net.format(1, 2), net.format(1, new)
    with serve(hosts, net) as server, ping(hosts, net, source=["", port]) as process:
        assert Script(server).next() == 1
        client = Script(process)
        client.ask("answered")
        take_away(hosts, net, old)
        client.ask("send_failed")
        give_back(hosts, net, new_address)
        client.ask("answered")
        answered, failed, reasons, changes = client.end()
    assert answered > 1
    # Some of those that failed are not decided yet.
    assert list(reasons) == ["Network is unreachable"]
    assert 0 < failed <= sum(reasons.values())
    told = [old, None] in changes or [old, new_address] in changes
    assert told or old == new_address or peers.PORTABLE


def test_a_session_goes_on_from_the_address_that_replaces_its_own(hosts: Routed, net: str) -> None:
    with serve(hosts, net) as server, ping(hosts, net) as process:
        assert Script(server).next() == 1
        client = Script(process)
        client.ask("answered")
        # With another length of the prefix, IPv4 does not remove it with the first.
        new = net.format(1, 3) + ("/25" if net == V4 else "/64")
        hosts.on(hosts.client, "address", "add", new, "dev", "one")
        hosts.on(hosts.client, "address", "delete", net.format(1, 2) + length(net), "dev", "one")
        client.ask("answered")
        client.end()


def test_a_source_that_is_gone_is_missed_and_comes_back(hosts: Routed, net: str) -> None:
    source = net.format(1, 9)
    second = [source + length(net), "dev", "one"]
    hosts.on(hosts.client, "address", "add", *second)
    with serve(hosts, net) as server, ping(hosts, net, source=[source, 0]) as process:
        assert Script(server).next() == 1
        client = Script(process)
        client.ask("answered")
        hosts.on(hosts.client, "address", "delete", *second)
        client.ask("send_failed")
        hosts.on(hosts.client, "address", "add", *second)
        client.ask("answered")
        _, failed, reasons, _ = client.end()
    assert list(reasons) == ["Cannot assign requested address"]
    assert 0 < failed <= sum(reasons.values())


SWEEP = """
import json, sys, udpulse
to, options = json.loads(sys.argv[1])
changes = []
with udpulse.PingSweep([to], count=1, rounds=None, interval=0.01, timeout=0.3) as sweep:
    for line in sys.stdin:
        verdict = json.loads(line)
        while True:
            report = next(sweep)
            changes += [(change.before, change.after) for change in report.changes]
            if getattr(report, verdict):
                break
        print(report.reply_ttl.max if report.reply_ttl else 0, flush=True)
print(json.dumps(changes))
"""


@linux
def test_a_sweep_outlives_the_address_of_its_host(hosts: Routed, net: str) -> None:
    to = json.dumps([[net.format(3, 2), PORT], {}])
    with serve(hosts, net) as server, within(hosts.client, SWEEP, to) as process:
        assert Script(server).next() == 1
        sweep = Script(process)
        # The router took one of the server's 200 hops.
        assert sweep.ask("answered") == 199
        take_away(hosts, net, net.format(1, 2))
        assert sweep.ask("send_failed") == 0
        give_back(hosts, net, net.format(1, 3))
        assert sweep.ask("answered") == 199
        changes = sweep.end()
    assert changes[0] == [net.format(1, 2), None]
    assert changes[-1] == [None, net.format(1, 3)]


FOLLOW = """
import json, sys, udpulse
with udpulse.HeartbeatServer(sys.argv[1], 12000, every_beat=True) as server:
    print("1", flush=True)
    for line in sys.stdin:
        address = json.loads(line)
        for event in server:
            if isinstance(event, udpulse.events.Heard) and event.address[0] == address:
                break
        print(line.strip(), flush=True)
"""

BEAT = """
import json, sys, time, udpulse
with udpulse.HeartbeatClient(sys.argv[1], 12000, name="c", interval=0.01) as client:
    for line in sys.stdin:
        before = client.counters
        while client.counters.send_failed == before.send_failed:
            next(client)
        print(line.strip(), flush=True)
counters = client.counters
print(json.dumps([counters.sent, counters.send_failed]))
"""


def test_a_heartbeat_client_outlives_the_address_of_its_host(hosts: Routed, net: str) -> None:
    old, new, far = net.format(1, 2), net.format(1, 3), net.format(3, 2)
    with within(hosts.server, FOLLOW, far) as following:
        server = Script(following)
        assert server.next() == 1
        with within(hosts.client, BEAT, far) as process:
            client = Script(process)
            server.ask(old)
            take_away(hosts, net, old)
            client.ask("send_failed")
            give_back(hosts, net, new)
            server.ask(new)
            sent, failed = client.end()
    assert sent > 1
    assert failed > 0


START = """
import json, sys, udpulse
hosts = json.loads(sys.argv[1])
for host in hosts:
    one = udpulse.ping(host, 9, count=2, timeout=0.02)
    with udpulse.PingClient(host, 9, count=2, timeout=0.02) as client:
        list(client)
    (many,) = udpulse.ping_many([(host, 9)], count=2, timeout=0.02)
    for report in (one, client.report(), many):
        print(json.dumps([report.sent, report.send_failed, list(report.send_errors)]), flush=True)
"""


def test_no_network_at_the_start_is_data(hosts: Routed) -> None:
    for device in ("lo", "one", "two"):
        hosts.on(hosts.client, "link", "set", device, "down")
    targets = [V4.format(3, 2), V6.format(3, 2)]
    with within(hosts.client, START, json.dumps(targets)) as process:
        lines = [json.loads(line) for line in process.communicate(timeout=20)[0].splitlines()]
    # Without an interface there is no IPv6 address to send from.
    reasons = ["Network is unreachable", "Cannot assign requested address"]
    assert lines == [[2, 2, [reason]] for reason in reasons for _ in range(3)]


WHY = """
import json, sys, udpulse
to, options, many = json.loads(sys.argv[1])
report = udpulse.ping(*to, count=2, **{"timeout": 30.0} | options)
reports = [report]
if many:
    reports += udpulse.ping_many([to], count=2, timeout=30.0, size=options.get("size", 64))
for report in reports:
    reasons = [[*why, count] for why, count in report.reasons.items()]
    counts = [report.refused, report.unreachable, report.send_failed]
    print(json.dumps([counts, reasons, report.path_mtu]))
"""


def why(hosts: Routed, to: str, *, many: bool = False, **options: Any) -> list[Any]:
    """Return refused, unreachable and send_failed, the reasons, and the path MTU, per report."""
    asked = json.dumps([[to, PORT], options, many])
    with within(hosts.client, WHY, asked) as process:
        output, _ = process.communicate(timeout=40)
    return [json.loads(line) for line in output.splitlines()]


# The kinds of routes of a router, and the ICMP errors that it then sends (RFC 792, RFC 4443).
NO_WAY = {"unreachable": [(3, 1), (1, 0)], "prohibit": [(3, 13), (1, 1)], "none": [(3, 0), (1, 0)]}


@linux
@pytest.mark.parametrize("route", NO_WAY)
def test_each_icmp_error_decides_its_probe(hosts: Routed, net: str, route: str) -> None:
    if route != "none":
        prefix = net.format(50, 0) + length(net)
        hosts.on(hosts.router, "route", "add", route, prefix)
    kind, code = NO_WAY[route][net == V6]
    expected = [[0, 2, 0], [[kind, code, net.format(1, 1), 2]], None]
    assert why(hosts, net.format(50, 7), many=True) == [expected] * 2


def test_a_closed_port_behind_a_router(hosts: Routed, net: str) -> None:
    kind, code = (3, 3) if net == V4 else (1, 4)
    expected = [[2, 0, 0], [[kind, code, net.format(3, 2), 2]], None]
    reports = why(hosts, net.format(3, 2), many=not peers.PORTABLE)
    assert reports == [expected] * (1 if peers.PORTABLE else 2)


@linux
def test_a_hop_limit_that_is_too_low_names_the_router(hosts: Routed, net: str) -> None:
    kind = 11 if net == V4 else 3
    expected = [[0, 2, 0], [[kind, 0, net.format(1, 1), 2]], None]
    assert why(hosts, net.format(3, 2), ttl=1) == [expected]


@linux
def test_the_path_mtu_is_learned(hosts: Routed, net: str) -> None:
    hosts.on(hosts.router, "link", "set", "far", "mtu", "1300")
    kind, code = (3, 4) if net == V4 else (2, 0)
    (report,) = why(hosts, net.format(3, 2), size=1400, dont_fragment=True, timeout=1.0)
    # The router refuses the first; for the second this host knows better.
    counts, reasons, mtu = report
    assert (counts, mtu) == ([0, 1, 1], 1300)
    assert [kind, code, net.format(1, 1), 1] in reasons


LINKS = """
import json, sys, udpulse

def sent(device):
    for line in open("/proc/net/dev"):
        if line.strip().startswith(device + ":"):
            return int(line.split(":")[1].split()[9])

to, options = json.loads(sys.argv[1])
before = sent("two")
report = udpulse.ping(*to, count=20, interval=0.01, timeout=10.0, **options)
print(json.dumps([report.answered, sent("two") - before >= 20]))
"""


@linux
def test_an_interface_chooses_the_link(hosts: Routed, net: str) -> None:
    ways = ["default", "via", net.format(2, 1), "dev", "two", "metric", "2000"]
    hosts.on(hosts.client, "route", "add", *ways)
    source = [net.format(2, 2), 0]
    with serve(hosts, net) as server:
        assert Script(server).next() == 1
        for options, by_two in [
            ({}, False),
            ({"source": source}, False),
            ({"interface": "two"}, True),
            ({"interface": "two", "source": source}, True),
        ]:
            asked = json.dumps([[net.format(3, 2), PORT], options])
            with within(hosts.client, LINKS, asked) as process:
                assert Script(process).next() == [20, by_two], options


@linux
def test_an_interface_that_is_gone_is_missed_and_comes_back(hosts: Routed, net: str) -> None:
    ways = ["default", "via", net.format(2, 1), "dev", "two", "metric", "2000"]
    hosts.on(hosts.client, "route", "add", *ways)
    with serve(hosts, net) as server, ping(hosts, net, interface="two") as process:
        assert Script(server).next() == 1
        client = Script(process)
        client.ask("answered")
        hosts.on(hosts.client, "link", "delete", "two")
        client.ask("send_failed")
        join(hosts.router, hosts.client, "two", 2)
        hosts.on(hosts.client, "route", "add", *ways)
        client.ask("answered")
        _, failed, reasons, _ = client.end()
    assert "No such device" in reasons
    assert 0 < failed <= sum(reasons.values())


@linux
def test_an_interface_may_be_a_vrf(hosts: Routed) -> None:
    try:
        hosts.on(hosts.client, "link", "add", "red", "type", "vrf", "table", "10")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no VRF: {error.stderr.decode()}")
    hosts.on(hosts.client, "link", "set", "red", "up")
    hosts.on(hosts.client, "link", "set", "two", "master", "red")
    ways = ["default", "via", V4.format(2, 1), "table", "10"]
    hosts.on(hosts.client, "route", "add", *ways)
    with serve(hosts, V4) as server:
        assert Script(server).next() == 1
        asked = json.dumps([[V4.format(3, 2), PORT], {"interface": "red"}])
        with within(hosts.client, LINKS, asked) as process:
            assert Script(process).next() == [20, True]


OUTCOMES = """
import json, sys, udpulse
with udpulse.HeartbeatClient(sys.argv[1], 12000, interval=0.01, name="moving") as client:
    for line in sys.stdin:
        while next(client).outcome != json.loads(line):
            pass
        print(line.strip(), flush=True)
    assert client.last_send_error.strerror == "Network is unreachable"
    print(json.dumps(client.server))
"""

# Shows how many beats were never sent, once there are more than asked for.
UNSENT = """
import json, re, sys, udpulse
with udpulse.HeartbeatServer(sys.argv[1], 12000, every_beat=True) as server:
    print("1", flush=True)
    for line in sys.stdin:
        for event in server:
            found = re.search(rb";d=(\\d+)", getattr(event, "payload", b""))
            if found and int(found[1]) > json.loads(line):
                print(int(found[1]), flush=True)
                break
"""


@pytest.mark.parametrize("new", [2, 3], ids=["same", "other"])
def test_a_client_beats_without_an_address_and_with_another(
    hosts: Routed, net: str, new: int
) -> None:
    to = net.format(3, 2)
    take_away(hosts, net, net.format(1, 2))
    with within(hosts.server, UNSENT, to) as server, within(hosts.client, OUTCOMES, to) as process:
        observer, client = Script(server), Script(process)
        assert observer.next() == 1
        client.ask("send_failed")
        give_back(hosts, net, net.format(1, 2))
        client.ask("sent")
        unsent = observer.ask(0)
        take_away(hosts, net, net.format(1, 2))
        client.ask("send_failed")
        give_back(hosts, net, net.format(1, new))
        client.ask("sent")
        assert observer.ask(unsent) > unsent
        assert client.end() == [to, PORT]
