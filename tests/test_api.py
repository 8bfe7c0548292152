"""The six running objects: their common behaviour, and the behaviour of each."""

import contextlib
import errno
import inspect
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peers
import pytest

import udpulse
from udpulse import (
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    NotStartedError,
    PingClient,
    PingSweep,
    Relay,
    StampReflector,
    StampSender,
)

LOOPBACKS = ["127.0.0.1", "::1"]


OBJECTS: dict[str, Callable[[peers.Address], Any]] = {
    "EchoServer": lambda _: EchoServer(port=0),
    "HeartbeatServer": lambda _: HeartbeatServer(port=0),
    "StampReflector": lambda _: StampReflector(port=0),
    "PingClient": lambda silent: PingClient(*silent, count=None, timeout=30),
    "StampSender": lambda silent: StampSender(*silent, count=None, timeout=30),
    "PingSweep": lambda silent: PingSweep([silent], timeout=30),
    "HeartbeatClient": lambda silent: HeartbeatClient(*silent, interval=30),
}


@pytest.fixture(params=OBJECTS)
def thing(request: pytest.FixtureRequest, silent: peers.Address) -> Any:
    return OBJECTS[request.param](silent)


class TestCommon:
    def test_it_starts_and_stops_any_number_of_times(self, thing: Any) -> None:
        for _ in range(3):
            with thing as same:
                assert same is thing
                assert thing.running
                thing.start()
                host, port = thing.address
                # A client is bound to all addresses.
                is_server = isinstance(thing, EchoServer | HeartbeatServer | StampReflector)
                assert host == ("127.0.0.1" if is_server else "0.0.0.0")
                assert 0 < port < 65536
            assert not thing.running
            thing.stop()
            assert thing.address == (host, port)

    def test_stop_from_another_thread_ends_the_iteration(self, thing: Any) -> None:
        with thing:
            stopper = threading.Timer(0.05, thing.stop)
            stopper.start()
            for _ in thing:
                pass
            stopper.join()
        assert not thing.running

    def test_a_batch_is_empty_at_the_timeout_and_at_the_end(self, thing: Any) -> None:
        with pytest.raises(udpulse.NotStartedError):
            thing.next_batch(timeout=0)
        with thing:
            if isinstance(thing, HeartbeatClient):
                next(thing)  # the first beat is due immediately
            assert thing.next_batch(timeout=0.001) == thing.next_batch(timeout=0) == []
            stopper = threading.Timer(0.05, thing.stop)
            stopper.start()
            assert thing.next_batch() == []
            stopper.join()
        assert thing.next_batch(timeout=1e300) == []
        for limit in (0, 1.5):
            with pytest.raises((TypeError, ValueError), match=r"limit must be 1 to 2\*\*32 - 1"):
                thing.next_batch(limit)
        for timeout in (-1, float("nan"), "x"):
            with pytest.raises((TypeError, ValueError), match="timeout must be 0 or more seconds"):
                thing.next_batch(timeout=timeout)

    def test_its_repr_names_class_address_and_state(self, thing: Any) -> None:
        name = type(thing).__name__
        with thing:
            host, port = thing.address
            assert repr(thing).startswith(f"{name}({host}:{port}, running, ")
        assert repr(thing).startswith(f"{name}({host}:{port}, stopped, ")

    def test_it_can_be_referred_to_weakly(self, thing: Any) -> None:
        assert weakref.ref(thing)() is thing

    def test_it_is_frozen(self, thing: Any) -> None:
        with pytest.raises(AttributeError):
            thing.color = "red"


def test_before_the_first_start_there_is_no_address(thing: Any) -> None:
    assert "not started" in repr(thing)
    with pytest.raises(udpulse.NotStartedError) as caught:
        _ = thing.address
    assert isinstance(caught.value, (udpulse.UdpulseError, RuntimeError))
    with pytest.raises(udpulse.NotStartedError):
        next(thing)


@pytest.mark.parametrize("host", LOOPBACKS)
class TestPair:
    def test_ping_measures_what_the_server_did(self, host: str) -> None:
        with EchoServer(host, 0, loss=0.3, seed=7, keep=1000) as server:
            report = udpulse.ping(*server.address, count=40, interval=0.001, linger=0)
            counters = server.counters
            fates = [next(server) for _ in range(counters.received)]
        assert report.sent == counters.received == 40
        assert report.answered == counters.replied
        assert report.lost == counters.dropped == sum(fate.dropped for fate in fates) > 0
        assert report.loss == counters.dropped / 40
        assert report.rtt.count == report.answered
        assert report.rtt.min is not None
        assert report.rtt.mean is not None
        assert report.rtt.max is not None
        assert 0 < report.rtt.min <= report.rtt.mean <= report.rtt.max

    def test_probes_come_as_they_are_decided(self, host: str) -> None:
        with EchoServer(host, 0, loss="lab", seed=1) as server:
            client = PingClient(*server.address, count=20, timeout=0.05)
            probes = list(client)
        assert [probe.seq for probe in probes] == list(range(1, 21))
        for probe in probes:
            answered = probe.verdict == "answered"
            assert probe.verdict in ("answered", "lost")
            assert (probe.rtt is not None) == (probe.reply is not None) == answered
            if probe.reply is not None:
                assert probe.reply.startswith(b"Ping %d " % probe.seq)
        assert sum(p.verdict == "answered" for p in probes) == client.report().answered > 0
        assert client.server == server.address

    def test_a_heartbeat_is_followed_to_its_end(self, host: str) -> None:
        with HeartbeatServer(host, 0, timeout=1.0, every_beat=True) as server:
            client = HeartbeatClient(*server.address, interval=0.01, fail_at=30, loss=0.3, seed=3)
            beats = [beat for beat in client if isinstance(beat, udpulse.Beat)]
            events = []
            for event in server:
                events.append(event)
                if isinstance(event, udpulse.events.Down):
                    break
            (peer,) = server.peers()
        sent = [beat.seq for beat in beats if beat.outcome == "sent"]
        heard = [event.seq for event in events if isinstance(event, udpulse.events.Heard)]
        assert heard == sent
        assert beats[-1].outcome == "failed"
        assert isinstance(events[0], udpulse.events.Up)
        lost = [(e.first, e.last) for e in events if isinstance(e, udpulse.events.Lost)]
        numbers = [n for first, last in lost for n in range(first, last + 1)]
        assert numbers == [n for n in range(sent[0], sent[-1]) if n not in sent]
        assert (peer.state, peer.seq, peer.received) == ("down", sent[-1], len(sent))
        assert peer.address == (host, client.address[1])
        assert client.counters.sent == len(sent) == server.counters.beats

    def test_answers_reach_the_client(self, host: str) -> None:
        with HeartbeatServer(host, 0, reply=True) as server:
            with HeartbeatClient(*server.address, interval=0.01) as client:
                for _ in client:
                    if client.counters.received:
                        break
            assert server.counters.replied >= client.counters.received > 0


def test_a_name_is_resolved() -> None:
    with EchoServer("localhost", 0) as server:
        assert server.address[0] == "127.0.0.1"
        assert udpulse.ping("localhost", server.address[1], count=1).answered == 1


def test_all_interfaces_are_bound_by_the_empty_host() -> None:
    with EchoServer("", 0) as server:
        host, port = server.address
        assert host == "0.0.0.0"
        assert udpulse.ping("127.0.0.1", port, count=1).answered == 1


def test_many_threads_may_start_it_together() -> None:
    servers: list[Any] = [EchoServer("localhost", 0), HeartbeatServer("127.0.0.1", 0)]
    for server in servers:
        for _ in range(20):
            threads = [threading.Thread(target=server.start) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            address = server.address
            server.stop()
            # Its port is free again as soon as it has stopped.
            with type(server)(*address):
                pass


def test_loss_and_delay_are_short_for_an_uplink() -> None:
    with EchoServer(port=0, delay=0.05, loss=0.5, seed=11, keep=100) as server:
        report = udpulse.ping(*server.address, count=10, interval=0.001, linger=0)
        assert (server.counters.replied, report.lost) == (report.answered, server.counters.dropped)
        assert report.lost == server.truth.uplink.lost > 0
        assert report.rtt.min is not None
        assert report.rtt.min >= 0.05


def test_a_client_with_a_format_declares_nothing() -> None:
    client = HeartbeatClient("127.0.0.1", format="{seq}")
    for call in (client.progress, lambda: client.busy(until=2e9)):
        with pytest.raises(
            RuntimeError, match=r"with a format declares nothing, so it has no \w+\(\)"
        ):
            call()


def test_a_seed_repeats_the_losses() -> None:
    def fates() -> list[bool]:
        with EchoServer(port=0, loss=0.5, seed=11, keep=100) as server:
            udpulse.ping(*server.address, count=30, timeout=0.01)
            return [next(server).dropped for _ in range(30)]

    assert fates() == fates()


def test_fates_are_read_once_and_stay() -> None:
    def numbers() -> list[int]:
        return [fate.number for fate in server.fates()]

    with EchoServer(port=0, keep=5) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(server.address)

        def exchange(count: int) -> None:
            for _ in range(count):
                client.send(b"x")
                client.recv(1)

        exchange(8)
        assert (server.rows_dropped, server.events_dropped, numbers()) == (3, 0, [4, 5, 6, 7, 8])
        assert [next(server).number for _ in range(2)] == [4, 5]
        assert len(server.columns()["number"]) == 5
        exchange(4)
        assert (server.rows_dropped, numbers()) == (7, [8, 9, 10, 11, 12])
        assert server.events_dropped == 2, "6 and 7 were not read, 4 and 5 were"
        assert [fate.number for fate in server.next_batch()] == [8, 9, 10, 11, 12]
        assert (server.next_batch(timeout=0), numbers()) == ([], [8, 9, 10, 11, 12])


@pytest.mark.parametrize(("keep", "kept"), [("all", 10), (0, 0), (3, 3)])
def test_as_many_fates_are_kept_as_asked_for(keep: Any, kept: int) -> None:
    with EchoServer(port=0, keep=keep) as server:
        udpulse.ping(*server.address, count=10)
        assert len(server.fates()) == kept
        assert server.rows_dropped == (10 - kept if kept else 0)
        assert len(server.next_batch(timeout=0)) == kept


def test_events_of_an_ended_run_can_still_be_read() -> None:
    with EchoServer(port=0) as server, PingClient(*server.address, count=3) as client:
        while client.running:
            pass
        assert [probe.seq for probe in client] == [1, 2, 3]
        assert list(client) == []
        client.start()
        assert len(list(client)) == 3


def test_a_batch_has_all_waiting_events_up_to_its_limit() -> None:
    with EchoServer(port=0) as server, PingClient(*server.address, count=9) as client:
        while client.running:
            pass
        assert [probe.seq for probe in client.next_batch(4)] == [1, 2, 3, 4]
        assert [probe.seq for probe in client.next_batch(timeout=0)] == [5, 6, 7, 8, 9]
        assert client.next_batch() == []


def test_a_closed_port_is_data() -> None:
    with peers.nobody() as port:
        report = udpulse.ping("127.0.0.1", port, count=2, timeout=1)
    assert (report.answered, report.loss) == (0, 1.0)
    assert report.refused == 2
    assert (report.rtt.min, report.rtt.mean, report.rtt.max) == (None, None, None)


def test_counters_can_be_read_from_many_threads_while_it_runs() -> None:
    with EchoServer(port=0, loss=0.5, seed=1) as server:
        client = PingClient(*server.address, count=None, timeout=0.001)
        with client:
            wrong: list[object] = []

            def look() -> None:
                for _ in range(300):
                    report, counters = client.report(), server.counters
                    decided = (
                        report.answered
                        + report.late
                        + report.lost
                        + report.refused
                        + report.unreachable
                    )
                    if report.sent != decided + report.send_failed + report.pending:
                        wrong.append(report)
                    if counters.received != counters.replied + counters.dropped:
                        wrong.append(counters)

            threads = [threading.Thread(target=look) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not wrong
        assert client.report().sent > 0


def test_values_compare_show_themselves_and_match() -> None:
    with EchoServer(port=0, keep=1) as server:
        udpulse.ping(*server.address, count=1)
        fate = next(server)
        assert repr(server.counters) == (
            "EchoCounters(received=1, replied=1, dropped=0, send_failed=0)"
        )
        assert server.counters == server.counters
        match fate:
            case udpulse.Fate(time, (host, _), 1, "replied", answer=message):
                assert time > 0
                assert host == "127.0.0.1"
                assert message.startswith(b"Ping 1 ")
            case _:
                pytest.fail(f"{fate!r} does not match")


LOSS = "a probability from 0 to 1, 'lab', a GilbertElliott, a TimedGilbertElliott or a LossPattern"

LINK = udpulse.impair.Link()

INTERVAL = "at least 0.001 and below 9.2e9 seconds"

BAD_ARGUMENTS: list[tuple[Any, dict[str, Any], str]] = [
    (EchoServer, {"port": 70000}, "port must be 0 to 65535, not 70000"),
    (EchoServer, {"port": -1}, "port must be 0 to 65535, not -1"),
    (EchoServer, {"port": 10**50}, "port must be 0 to 65535, not 1000"),
    (EchoServer, {"loss": 1.5}, f"loss must be {LOSS}, not 1.5"),
    (EchoServer, {"loss": float("nan")}, f"loss must be {LOSS}, not nan"),
    (EchoServer, {"loss": "heavy"}, f"loss must be {LOSS}, not 'heavy'"),
    (EchoServer, {"seed": -1}, "seed must be 0 to 2**64 - 1, not -1"),
    (EchoServer, {"max_size": 70000}, "max_size must be 0 to 65507, not 70000"),
    (EchoServer, {"keep": -1}, "keep must be 0 to 2**32 - 1 or 'all', not -1"),
    (EchoServer, {"keep": "some"}, "keep must be 0 to 2**32 - 1 or 'all', not 'some'"),
    (PingClient, {"host": ""}, "host must be an address or a name, not ''"),
    (PingClient, {"port": 0}, "port must be 1 to 65535, not 0"),
    (PingClient, {"count": 0}, "count must be 1 to 2**64 - 1, not 0"),
    (PingClient, {"timeout": 0}, "timeout must be above 0 and below 9.2e9 seconds, not 0"),
    (
        PingClient,
        {"timeout": float("inf")},
        "timeout must be above 0 and below 9.2e9 seconds, not inf",
    ),
    (
        PingClient,
        {"timeout": 10**400},
        "timeout must be above 0 and below 9.2e9 seconds, not a very long int",
    ),
    (PingClient, {"port": 10**5000}, "port must be 1 to 65535, not a very long int"),
    (udpulse.ping, {"count": -3}, "count must be 1 to 2**64 - 1, not -3"),
    (HeartbeatClient, {"interval": 0.0009}, f"interval must be {INTERVAL}, not 0.0009"),
    (HeartbeatClient, {"interval": -1}, f"interval must be {INTERVAL}, not -1"),
    (HeartbeatClient, {"fail_at": 0}, "fail_at must be 1 to 2**64 - 1, not 0"),
    (HeartbeatClient, {"fail_chance": 2}, "fail_chance must be a probability from 0 to 1, not 2"),
    (HeartbeatClient, {"format": "{name}"}, "format must be a text whose only braces are"),
    (HeartbeatClient, {"format": "{seq}", "name": "x"}, "format must be None beside name, stall"),
    (HeartbeatClient, {"format": "{seq}", "stall_after": 1}, "format must be None beside name, st"),
    (HeartbeatClient, {"format": "{seq}", "grace": 1}, "format must be None beside name, stall_af"),
    (HeartbeatClient, {"multiplier": 0.5}, "multiplier must be a number from 1 to 1e6, not 0.5"),
    (EchoServer, {"delay": 1, "uplink": LINK}, "delay must be part of uplink, not given beside it"),
    (EchoServer, {"loss": 1, "uplink": LINK}, "loss must be part of uplink, not given beside it"),
    (
        HeartbeatServer,
        {"timeout": 1, "down": 2},
        "timeout must be None beside detector, suspect or",
    ),
    (HeartbeatServer, {"timeout": -5}, "timeout must be above 0 and below 9.2e9 seconds, not -5"),
    (HeartbeatServer, {"max_peers": 0}, "max_peers must be 1 to 2**32 - 1, not 0"),
]


@pytest.mark.parametrize(("make", "arguments", "text"), BAD_ARGUMENTS)
def test_a_bad_argument_is_a_value_error_that_names_it(
    make: Any, arguments: dict[str, Any], text: str
) -> None:
    needs_host = make in (PingClient, HeartbeatClient, udpulse.ping)
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        make(**({"host": "127.0.0.1"} if needs_host else {}) | arguments)


CAPTURE = {
    "capture": "a path",
    "capture_snaplen": "48 to 65575",
    "capture_limit": "1 to 2**64 - 1",
}

KEYS = "Keys or the path of a file"
SERVER_KEYS = {"keys": KEYS, "unauthenticated": "'refuse' or 'accept'"}

PING = {
    "host": "an address or a name",
    "port": "1 to 65535",
    "count": "1 to 2**64 - 1",
    "timeout": "above 0 and below 9.2e9 seconds",
    "interval": "above 0 and below 9.2e9 seconds",
    "schedule": "'periodic' or 'poisson'",
    "duration": "above 0 and below 9.2e9 seconds",
    "seed": "0 to 2**64 - 1",
    "size": "0 to 65507",
    "fill": "1 to 65507 bytes or 'random'",
    "keys": KEYS,
    "keep": "0 to 2**32 - 1 or 'all'",
    "timestamps": "'user', 'receive' or 'kernel'",
    "precise": "True or False",
    "source": "an (address, port) of this host",
    "interface": "a str",
    "ttl": "1 to 255",
    "dscp": "0 to 63",
    "dont_fragment": "True or False",
    "flows": "1 to 64",
    "family": "4 or 6",
    "resolve_every": "above 0 and below 9.2e9 seconds",
    "wait_out": "True or False",
    "outage_after": "1 to 2**64 - 1",
    "revisions": "True or False",
    "linger": "0 or more seconds",
    **CAPTURE,
}
SWEEP = {
    "targets": "(host, port) pairs",
    "count": "1 to 2**32 - 1",
    "rate": "a number per second above 0",
    "interval": "above 0 and below 9.2e9 seconds",
    "timeout": "above 0 and below 9.2e9 seconds",
    "size": "64 to 65507",
    "keys": KEYS,
    "keep": "0 to 2**32 - 1 or 'all'",
    "flows": "1 to 64",
    "family": "4 or 6",
    "resolve_every": "above 0 and below 9.2e9 seconds",
}

ALLOWED: dict[Any, dict[str, str]] = {
    EchoServer: {
        "host": "an address or a name",
        "port": "0 to 65535",
        "loss": LOSS,
        "delay": "a number of seconds from 0 to 3600, a Uniform, a Normal, an Exponential, "
        "a Pareto or a Quantiles",
        "uplink": "a Link",
        "downlink": "a Link",
        "seed": "0 to 2**64 - 1",
        "transform": "'upper' or 'echo'",
        "max_size": "0 to 65507",
        "max_rate": "a number",
        **SERVER_KEYS,
        "threads": "1 to 256",
        "timeline": "steps, each a Step or a dict with its fields",
        "keep": "0 to 2**32 - 1 or 'all'",
        **CAPTURE,
    },
    StampReflector: {
        "host": "an address or a name",
        "port": "0 to 65535",
        "stateful": "True or False",
        "twamp_light": "True or False",
        "allow": "blocks of addresses such as '192.0.2.0/24'",
        **SERVER_KEYS,
        "max_rate": "a number",
        "max_sessions": "1 to 1048576",
        "timestamp_format": "'ntp' or 'ptp'",
        "synchronized": "True or False",
        "clock_error": "above 0 and below 9.2e9 seconds",
        "threads": "1 to 256",
        "uplink": "a Link",
        "downlink": "a Link",
        "per_client": "(uplink, downlink) pairs of a Link or None",
        "seed": "0 to 2**64 - 1",
        "timeline": "steps, each a Step or a dict with its fields",
        "keep": "0 to 2**32 - 1 or 'all'",
    },
    PingClient: PING,
    StampSender: {
        **PING,
        "ssid": "0 to 65535",
        "timestamp_format": "'ntp' or 'ptp'",
        "synchronized": "True or False",
        "clock_error": "above 0 and below 9.2e9 seconds",
    },
    udpulse.ping_many: SWEEP,
    PingSweep: {**SWEEP, "rounds": "1 to 2**32 - 1"},
    HeartbeatClient: {
        "host": "an address or a name",
        "port": "1 to 65535",
        "also": "(host, port) pairs",
        "interval": INTERVAL,
        "spread": "a number",
        "name": "a str",
        "keys": KEYS,
        "stall_after": "above 0 and below 9.2e9 seconds",
        "multiplier": "a number",
        "grace": "above 0 and below 9.2e9 seconds",
        "resolve_every": "above 0 and below 9.2e9 seconds",
        "broadcast": "True or False",
        "unheard_after": "1 to 2**64 - 1",
        "count": "1 to 2**64 - 1",
        "goodbye": "True or False",
        "fail_at": "1 to 2**64 - 1",
        "fail_chance": "a probability from 0 to 1",
        "loss": "a probability from 0 to 1",
        "seed": "0 to 2**64 - 1",
        "format": "a str",
    },
    HeartbeatServer: {
        "host": "an address or a name",
        "port": "0 to 65535",
        "timeout": "above 0 and below 9.2e9 seconds",
        "detector": "'fixed', 'multiple', 'chen', 'two_window', 'bertier', 'phi' or 'phi_exp'",
        "suspect": "a number",
        "down": "a number",
        "by_host": "True or False",
        "reply": "True or False",
        **SERVER_KEYS,
        "max_peers": "1 to 2**32 - 1",
        "every_beat": "True or False",
        "old_beats": "'ignore' or 'accept'",
        "numbers": "'counting' or 'first'",
        "opaque": "True or False",
        "max_multiplier": "1 to 2**32 - 1",
        "max_grace": "above 0 and below 9.2e9 seconds",
        "expect": 'names of 1 to 255 bytes without blanks, control characters and ";"',
        "grace": "above 0 and below 9.2e9 seconds",
    },
}


@pytest.mark.parametrize(
    ("make", "option", "allowed"),
    [(make, *option) for make, options in ALLOWED.items() for option in options.items()],
)
def test_an_argument_of_another_type_is_a_type_error_that_names_it(
    make: Any, option: str, allowed: str
) -> None:
    first = next(iter(inspect.signature(make).parameters))
    arguments: dict[str, Any] = {first: [] if first == "targets" else "127.0.0.1"}
    for wrong in (1j, [None]):
        lists = ("pairs", "names of", "blocks of", "steps")
        shown = repr(None if wrong == [None] and any(word in allowed for word in lists) else wrong)
        if allowed == KEYS:  # which nothing shows
            shown = f"of type {type(wrong).__name__}"
        with pytest.raises(TypeError) as caught:
            make(**arguments | {option: wrong})
        assert str(caught.value) == f"{option} must be {allowed}, not {shown}"


@pytest.mark.parametrize("make", ALLOWED)
def test_these_are_all_options(make: Any) -> None:
    assert inspect.signature(make).parameters.keys() == ALLOWED[make].keys()


def test_a_bool_is_not_a_number() -> None:
    for make, options in [
        (EchoServer, ("port", "loss", "seed", "max_rate", "threads")),
        (HeartbeatClient, ("interval", "count", "fail_chance", "loss")),
    ]:
        for option in options:
            with pytest.raises(TypeError, match=f"^{option} must be .*, not True$"):
                make(**{"host": "127.0.0.1", option: True})


def test_settings_are_attributes_and_shown_if_they_are_not_the_defaults() -> None:
    link = udpulse.impair.Link(duplication=0.5)
    server = EchoServer("localhost", 0, loss=0, uplink=link, seed=7, threads=2)
    assert (server.host, server.port, server.loss) == ("localhost", 0, 0.0)
    assert (server.uplink, server.downlink, server.threads) == (link, None, 2)
    assert "not started, uplink=Link(duplication=0.5), seed=7, threads=2, received=0" in repr(
        server
    )
    client = PingClient(
        "::1", duration=2, schedule="poisson", interval=1, source=("", 0), keep="all"
    )
    assert (client.count, client.duration, client.interval) == (None, 2.0, 1.0)
    assert (client.schedule, client.keep) == ("poisson", "all")
    assert client.source == ("0.0.0.0", 0)
    assert "count=None, interval=1.0, schedule='poisson', duration=2.0, seed=" in repr(client)
    sweep = PingSweep(iter([("localhost", 9), ("::1", 10)]), rounds=None, interval=0.5, keep=0)
    assert sweep.targets == (("localhost", 9), ("::1", 10))
    assert (sweep.rounds, sweep.interval, sweep.rate, sweep.keep) == (None, 0.5, 4.0, 0)
    assert repr(sweep) == (
        "PingSweep(not started, targets=2, rounds=None, rate=4.0, interval=0.5, keep=0)"
    )
    beats = HeartbeatClient("localhost", 9, also=iter([("::1", 10)]), name="n", loss=0.5)
    assert (beats.also, beats.name, beats.loss) == ((("::1", 10),), "n", 0.5)
    judge = HeartbeatServer(detector="phi", reply=True)
    assert (judge.detector, judge.reply, judge.timeout) == ("phi", True, None)
    for make, options in ALLOWED.items():
        if isinstance(make, type):
            thing = make([] if make is PingSweep else "127.0.0.1")
            for option, parameter in inspect.signature(make).parameters.items():
                if option not in ("host", "targets", "seed", "ssid"):
                    assert getattr(thing, option) == parameter.default, (make, option)
            assert options


@pytest.mark.parametrize("make", [EchoServer, PingClient, HeartbeatClient])
def test_a_seed_that_was_drawn_is_shown(make: Any) -> None:
    one, other = make("127.0.0.1"), make("127.0.0.1")
    assert one.seed != other.seed
    assert f", seed={one.seed}" in repr(one)
    assert make("127.0.0.1", seed=one.seed).seed == one.seed


class Liar:
    """A sequence that claims to be longer than anything."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def __len__(self) -> int:
        return 2**59

    def __getitem__(self, index: int) -> object:
        return self.items[index]


def parameters(make: Any) -> list[str]:
    """Return the names of the parameters that can be given by name."""
    return [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
    ]


MODELS = [getattr(udpulse.impair, name) for name in udpulse.impair.__all__]


@pytest.mark.parametrize("huge", [10**400, -(10**400)], ids=["large", "small"])
def test_an_int_too_large_for_a_float_is_no_overflow(huge: int) -> None:
    for make in (*ALLOWED, *filter(callable, MODELS)):
        names = parameters(make)
        others = {names[0]: [] if "targets" in names else "::1"} if make in ALLOWED else {}
        for name in names:
            # The time to linger may have no end.
            with contextlib.suppress(TypeError, ValueError):
                make(**others | {name: huge})
    for make in (EchoServer, HeartbeatServer, HeartbeatClient, PingClient, StampReflector, Relay):
        thing = make("127.0.0.1", 9)
        methods = [name for name in dir(make) if not name.startswith("_")]
        for method in filter(lambda name: callable(getattr(make, name)), methods):
            for name in parameters(getattr(thing, method)):
                with contextlib.suppress(TypeError, ValueError, NotStartedError):
                    getattr(thing, method)(**{name: huge})


def test_a_claimed_length_is_not_trusted() -> None:
    client = HeartbeatClient("127.0.0.1", also=Liar(("127.0.0.1", 9)))  # type: ignore[arg-type]
    assert not client.running
    pattern = udpulse.impair.LossPattern(Liar(True, False))  # type: ignore[arg-type]
    assert pattern.lost == (True, False)
    with pytest.raises(TypeError, match=r"also must be .host, port. pairs, not 0"):
        HeartbeatClient("127.0.0.1", also=range(10**9))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"also must be at most 255 .host, port. pairs"):
        HeartbeatClient("127.0.0.1", also=[("127.0.0.1", 9)] * 256)
    with pytest.raises(ValueError, match="lost must be at most 16777216 truth values"):
        udpulse.impair.LossPattern(itertools.repeat(True))


@pytest.mark.parametrize("server", [EchoServer, HeartbeatServer, StampReflector])
def test_a_port_in_use_is_the_os_error_that_names_it(server: Any, silent: peers.Address) -> None:
    host, port = silent
    with pytest.raises(OSError, match="Address already in use") as e:
        server(host, port).start()
    assert e.value.errno == errno.EADDRINUSE
    assert f"cannot bind {host}:{port}" in str(e.value)


def test_an_unknown_name_is_a_gaierror_that_names_it() -> None:
    with pytest.raises(socket.gaierror, match=r"cannot resolve host no\.such\.host\.invalid: "):
        udpulse.ping("no.such.host.invalid")
    with pytest.raises(socket.gaierror):
        EchoServer("no.such.host.invalid").start()


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs root to give it up")
def test_a_missing_permission_is_a_permission_error() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 7:
        pytest.skip("any user may bind any port here")
    # In a process of its own: there is no way back from giving up root.
    code = "import os, udpulse; os.setuid(65534); udpulse.EchoServer(port=7).start()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.splitlines()[-1] == (
        "PermissionError: [Errno 13] cannot bind 127.0.0.1:7: Permission denied"
    )


NO_THREADS = """
import os, resource, udpulse
if os.getuid() == 0:
    os.setuid(65534)  # root has no limit
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
for call in (
    udpulse.EchoServer("localhost", 0).start,
    udpulse.HeartbeatClient("127.0.0.1", 9).start,
    lambda: udpulse.ping("127.0.0.1", 9),
    lambda: udpulse.ping_many([("localhost", 9)]),
    udpulse.HeartbeatServer("localhost", 0).start,
    udpulse.StampReflector("localhost", 0).start,
    udpulse.Relay("127.0.0.1", 9).start,
    lambda: udpulse.stamp("127.0.0.1", 9),
):
    try:
        call()
    except OSError as error:
        print(error)
"""

NO_DESCRIPTORS = """
import os, resource, udpulse
from udpulse._core import _Waiter
while (last := os.dup(0)) < 64:
    pass
resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
for call in (
    udpulse.EchoServer("127.0.0.1", 0).start,
    udpulse.HeartbeatServer("127.0.0.1", 0).start,
    udpulse.HeartbeatClient("127.0.0.1", 9).start,
    lambda: udpulse.ping("127.0.0.1", 9),
    lambda: udpulse.ping_many([("127.0.0.1", 9)]),
    udpulse.StampReflector("127.0.0.1", 0).start,
    udpulse.Relay("127.0.0.1", 9).start,
    lambda: udpulse.stamp("127.0.0.1", 9),
    _Waiter.pair,
):
    try:
        call()
    except OSError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits differ elsewhere")
@pytest.mark.parametrize(
    ("code", "number", "count"),
    [(NO_THREADS, errno.EAGAIN, 8), (NO_DESCRIPTORS, errno.EMFILE, 9)],
    ids=["threads", "descriptors"],
)
def test_a_lack_of_threads_or_descriptors_is_an_os_error(
    code: str, number: int, count: int
) -> None:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr == ""
    told = ended.stdout.splitlines()
    assert len(told) == count
    for line in told:
        assert re.fullmatch(rf"\[Errno {number}\] cannot [a-z ]+ .+: {os.strerror(number)}", line)
