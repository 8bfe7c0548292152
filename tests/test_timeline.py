"""Timelines: steps taken at their packets and times, from Python, files and stdin."""

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from programs import Program
from schemas import fits
from test_jsonlines import SCHEMA

from udpulse import EchoServer, Fate, NotStartedError, Relay, jsonlines
from udpulse.impair import (
    Exponential,
    Link,
    LossPattern,
    Normal,
    RateLimit,
    Rule,
    Step,
    TimedGilbertElliott,
)
from udpulse.reports import StepDone

LOST = Link(loss=1)


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Open a client of a server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect(address)
        yield client


def ask(client: socket.socket, question: bytes = b"x") -> None:
    """Send a question and wait for its answer."""
    client.send(question)
    assert client.recv(99) == question


def sent(server: EchoServer, count: int) -> list[str]:
    """Send packets to a server. Return their outcomes."""
    with connected(server.address) as client:
        for number in range(count):
            client.send(b"%d" % number)
            # Nothing is read late.
            next(server)
    return [fate.outcome for fate in server.fates()]


@pytest.fixture
def upstream() -> Iterator[EchoServer]:
    with EchoServer(port=0) as upstream:
        yield upstream


def test_each_step_is_taken_before_its_packet() -> None:
    timeline: list[Any] = [
        Step("set", at_packet=4, uplink=LOST),
        Step("set", at_packet=6, uplink=Link()),
        {"action": "outage", "at_packet": 8, "way": "downlink"},
    ]
    with EchoServer(port=0, timeline=timeline) as server:
        outcomes = sent(server, 10)
        assert outcomes == ["replied"] * 3 + ["lost"] * 2 + ["replied"] * 2 + ["lost"] * 3
        assert [fate.downlink for fate in server.fates()][6:8] == [(), ("outage",)]
        done = server.steps()
        assert [(step.number, step.index, step.action) for step in done] == [
            (1, 0, "set"),
            (2, 1, "set"),
            (3, 2, "outage"),
        ]
        assert [(step.received, step.clients) for step in done] == [(3, 1), (5, 1), (7, None)]
        times = [fate.received_at for fate in server.fates()]
        assert [step.time for step in done] == [times[3], times[5], times[7]]
        # The attribute is the setting.
        assert server.uplink is None
        assert server.timeline[2] == Step("outage", at_packet=8, way="downlink")
        # A start begins anew.
        server.stop()
        server.start()
        assert server.steps() == []
        assert sent(server, 4) == ["replied"] * 3 + ["lost"]


def test_a_timeline_repeats_and_leaves_random_choices_alone() -> None:
    rough = Link(loss=0.3, duplication=0.2, corruption=0.2)

    def decisions(timeline: Sequence[Step | dict[str, Any]]) -> list[Any]:
        with EchoServer(port=0, uplink=rough, seed=9, timeline=timeline, keep="all") as server:
            sent(server, 300)
            copies = [(fate.number, fate.uplink, len(fate.copies)) for fate in server.fates()]
            assert server.steps() or not timeline
            return copies

    plain = decisions([])
    idle = [Step("set", at_packet=50, uplink=rough), Step("set", at=0, downlink=Link())]
    assert decisions(idle) == plain
    assert decisions([*idle, Step("loop", at_packet=60)]) == plain
    # An outage takes packets out, and no random choice.
    out = decisions([Step("outage", at_packet=101)])
    assert out[:100] == plain[:100]
    assert all("outage" in flags for _, flags, _ in out[100:] if "lost" not in flags)
    assert [("lost" in flags) for _, flags, _ in out] == [
        ("lost" in flags) for _, flags, _ in plain
    ]


def test_the_same_packets_meet_the_same_changes_at_any_speed(upstream: EchoServer) -> None:
    slow = Link(loss=0.2, duplication=0.3, delay=Exponential(0.001))
    timeline = [
        Step("set", at_packet=31, uplink=slow),
        Step("set", at_packet=61, uplink=Link(corruption=0.5)),
        Step("outage", at_packet=101, way="uplink"),
        Step("outage", at_packet=106, duration=0),
        Step("rebind", at_packet=111),
        Step("loop", at_packet=121),
    ]

    def decisions(burst: int) -> list[Any]:
        with (
            Relay(*upstream.address, downlink=LOST, seed=3, timeline=timeline, keep="all") as relay,
            # Its answers would come between the packets of a burst.
            upstream.outage(mode="drop"),
            connected(relay.address) as client,
        ):
            for number in range(300):
                client.send(b"%d" % number)
                # Its receive queue holds no more than a few bursts.
                while number % burst == 0 and (
                    relay.counters.received <= number or relay.truth.pending
                ):
                    pass
            while relay.counters.received < 300 or relay.truth.delayed:
                pass
            fates = sorted(relay.fates(), key=lambda fate: fate.number)
            steps = [(step.index, step.round, step.received) for step in relay.steps()]
            bits = [sorted(str(copy.uplink_bit) for copy in fate.copies) for fate in fates]
            return [steps, bits, [(fate.answer, fate.uplink, fate.outcome) for fate in fates]]

    apart = decisions(1)
    assert apart == decisions(20)
    steps, _, packets = apart
    assert [received for *_, received in steps[:6]] == [30, 60, 100, 105, 110, 120]
    assert [n for n, packet in enumerate(packets, 1) if packet[1] == ("outage",)] == [
        *range(101, 106),
        *range(221, 226),
    ]


def test_a_loop_begins_again() -> None:
    timeline = [
        Step("set", at_packet=1, uplink=Link()),
        Step("set", at_packet=3, uplink=LOST),
        Step("loop", at_packet=4),
    ]
    with EchoServer(port=0, timeline=timeline) as server:
        assert sent(server, 9) == ["replied", "replied", "lost"] * 3
        done = [(step.round, step.index) for step in server.steps()]
        assert done == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_steps_are_taken_in_time_without_any_packet(upstream: EchoServer) -> None:
    timeline = [
        {"action": "outage", "at": 0.02, "duration": 0.01},
        {"action": "set", "at": 0.01, "uplink": {"loss": 0.5}},
        {"action": "loop", "at": 0.03},
    ]
    for server in (
        EchoServer(port=0, timeline=timeline),
        Relay(*upstream.address, timeline=timeline),
    ):
        with server:
            while len(server.steps()) < 5:
                pass
        done = server.steps()
        assert [step.index for step in done[:5]] == [1, 0, 2, 1, 0]
        started = server.started_at
        assert started is not None
        # The start of the times is close to that of the server, and they are exact.
        gaps = [round(step.time - done[0].time, 3) for step in done[:3]]
        assert gaps == [0.0, 0.01, 0.02]


def test_a_relay_gets_another_port_before_the_packet(upstream: EchoServer) -> None:
    with (
        Relay(*upstream.address, timeline=[Step("rebind", at_packet=5)]) as relay,
        connected(relay.address) as client,
    ):
        # Each question is two packets of the relay.
        for _ in range(4):
            ask(client)
        ports = [fate.client[1] for fate in upstream.fates()]
        assert ports[0] == ports[1] != ports[2] == ports[3]
        assert [(step.received, step.clients) for step in relay.steps()] == [(4, 1)]


def test_steps_for_one_client(upstream: EchoServer) -> None:
    with (
        Relay(*upstream.address) as relay,
        connected(relay.address) as one,
        connected(relay.address) as other,
    ):
        host, port = one.getsockname()
        assert relay.add_step({"action": "rebind", "client": f"{host}:{port}"}) == 0
        ask(one)
        ask(other)
        assert relay.add_step(Step("set", client=(host, port), uplink=LOST)) == 1
        assert relay.add_step({"action": "set", "client": [host, 1], "uplink": {}}) == 2
        one.send(b"y")
        ask(other, b"y")
        assert [step.clients for step in relay.steps()] == [0, 1, 0]
        assert relay.truth.uplink.lost == 1


def test_the_system_refuses_packets_during_a_step(upstream: EchoServer) -> None:
    timeline = [Step("outage", at_packet=3, mode="refuse")]
    for server in (
        EchoServer(port=0, timeline=timeline),
        Relay(*upstream.address, timeline=timeline),
    ):
        with server, connected(server.address) as client:
            ask(client)
            client.settimeout(0.01)
            while is_answered(client) is not False:
                pass
            server.add_step(Step("outage", duration=0))
            while is_answered(client) is not True:
                pass


def is_answered(client: socket.socket) -> bool | None:
    """Return whether a packet is answered, or is refused, or None."""
    try:
        client.send(b"x")
        return client.recv(9) == b"x"
    except ConnectionRefusedError:
        return False
    except TimeoutError:
        return None


def test_json_describes_every_model() -> None:
    step = Step(
        "set",
        uplink=Link(
            rules=[
                Rule("drop", offset=1, value=b"\xff", nth=range(2, 9)),
                Rule("duplicate", nth=[1, 3]),
            ],
            loss=TimedGilbertElliott(good=1, bad=0.1),
            rate=RateLimit(1000),
            delay=Normal(0.01, 0.002),
            mtu=1500,
        ),
        downlink=Link(loss=LossPattern([True, False])),
    )
    text = json.dumps(jsonlines.argument("", step))
    with EchoServer(port=0, timeline=[json.loads(text)]) as server:
        assert server.timeline == (step,)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"action": "set"}, "uplink must be given, or downlink, with 'set', not missing"),
        ({"action": "sit"}, "action must be 'set', 'outage', 'rebind' or 'loop', not 'sit'"),
        ({}, "action must be 'set', 'outage', 'rebind' or 'loop', not missing"),
        ({"action": "outage", "lenght": 1}, "Step has no lenght: it has action, at, at_packet, "),
        (
            {"action": "outage", "uplink": {}},
            "uplink must be left out of 'outage', which has at, at_packet, duration, mode, way",
        ),
        ({"action": "outage", "at": -1}, "at must be 0 to 9.2e9 seconds, not -1"),
        ({"action": "outage", "at": 1, "at_packet": 1}, "at must be left out beside at_packet"),
        ({"action": "outage", "at_packet": 0}, "at_packet must be 1 to "),
        ({"action": "outage", "at_packet": 1.5}, "at_packet must be 1 to "),
        ({"action": "outage", "duration": -1}, "duration must be 0 to 9.2e9 seconds, not -1"),
        ({"action": "outage", "mode": "refuse", "way": "uplink"}, "way must be 'both' with mode="),
        ({"action": "rebind"}, "action must be 'set', 'outage' or 'loop', not 'rebind'"),
        ({"action": "loop"}, "at must be given, or at_packet, with 'loop'"),
        ({"action": "loop", "at": 0}, "at must be at least 0.001 with 'loop', not 0"),
        ({"action": "loop", "at_packet": 1}, "at_packet must be at least 2 with 'loop', not 1"),
        ({"action": "set", "uplink": {"los": 1}}, "uplink: Link has no los: it has rules, "),
        ({"action": "set", "uplink": {"loss": 2}}, "uplink: loss must be a probability"),
        ({"action": "set", "uplink": 5}, "uplink must be a Link, not 5"),
        ({"action": "set", "uplink": {"delay": {"low": 1}}}, "uplink: delay: type must be Expon"),
        ({"action": "set", "uplink": {"delay": {"type": "x"}}}, "uplink: delay: type must be Exp"),
        ({"action": "set", "uplink": {"type": "Step"}}, "uplink: type must be Link, not 'Step'"),
        (
            {"action": "set", "uplink": {"delay": {"type": "Normal", "mean": {}, "deviation": 1}}},
            "uplink: delay: mean: it must be a plain value, not {}",
        ),
        ({"action": "set", "uplink": {"type": "Normal"}}, "uplink: type must be Link, not 'Norm"),
        ({"action": "set", "uplink": {}, "client": "x"}, "client must be a (host, port)"),
        ({"action": "set", 5: 1}, "its keys must be str, not 5"),
    ],
)
def test_a_wrong_step_is_named(step: Any, text: str) -> None:
    first = Step("outage", duration=1)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        EchoServer(timeline=[first, step])
    assert str(caught.value).startswith(f"timeline[1]: {text}")


def test_any_dict_is_a_step_or_refused() -> None:
    choose = random.Random(7)
    words = ["type", "action", "at", "at_packet", "client", "uplink", "downlink", "duration"]
    words += ["mode", "way", "loss", "delay", "rate", "mean", "lost", "hex", "range", "set"]
    words += ["outage", "loop", "Link", "Normal", "LossPattern", "127.0.0.1:9", "\ud800", ""]
    numbers = [None, True, 0, 1, -1, 2**64, 1e300, float("nan"), 0.5]

    def value(depth: int) -> Any:
        kind = choose.randrange(4 if depth else 2)
        if kind == 2:
            return [value(depth - 1) for _ in range(choose.randrange(3))]
        if kind == 3:
            return {choose.choice(words): value(depth - 1) for _ in range(choose.randrange(4))}
        return choose.choice(words if kind else numbers)

    with EchoServer(port=0) as server:
        taken = 0
        for _ in range(20_000):
            step = {"action": choose.choice(["set", "outage"]), choose.choice(words): value(4)}
            with suppress(ValueError):
                server.add_step(step)
                taken += 1
        assert 0 < len(server.steps()) <= taken
        deep: dict[str, Any] = {}
        for _ in range(100_000):
            deep = {"uplink": deep}
        with pytest.raises(ValueError, match="uplink: uplink: uplink: it must be a plain value"):
            server.add_step({"action": "set", "uplink": deep})


def test_wrong_timelines() -> None:
    loop, late = Step("loop", at=1), Step("outage", at=1)
    for timeline, text in (
        ([loop, late], r"timeline\[0\]: action must be another than 'loop' before the last step"),
        ([late, loop], r"timeline\[0\]: at must be less than that of the 'loop'"),
        (
            [Step("outage", at_packet=9), Step("loop", at_packet=9)],
            r"\[0\]: at_packet must be less",
        ),
        ([Step("outage")] * 1001, "timeline must be at most 1000 steps"),
    ):
        with pytest.raises(ValueError, match=text):
            Relay("127.0.0.1", 9, timeline=timeline)
    for wrong in (5, "[]", {"action": "outage"}, ["set"]):
        with pytest.raises(TypeError, match="timeline must be steps, each a Step or a dict"):
            Relay("127.0.0.1", 9, timeline=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[0\]: mode must be another word with several threads"):
        EchoServer(threads=2, timeline=[Step("outage", mode="refuse")])
    with pytest.raises(NotStartedError):
        EchoServer().add_step(Step("outage"))
    with EchoServer(port=0) as server:
        with pytest.raises(ValueError, match="action must be 'set', 'outage' or 'rebind'"):
            server.add_step(loop)
        with pytest.raises(ValueError, match="action must be 'set', 'outage' or 'loop'"):
            server.add_step(Step("rebind"))
        for number in range(1000):
            assert server.add_step(Step("outage", at_packet=9)) == number
        with pytest.raises(ValueError, match="step must wait until fewer than 1000 others wait"):
            server.add_step(Step("outage", at_packet=9))


def test_a_failing_test_shows_the_steps(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import udpulse
        from udpulse.impair import Link, Step

        def test_fails(echo_server):
            server = echo_server(timeline=[Step("set", at_packet=2, uplink=Link(loss=1.0))])
            udpulse.ping(*server.address, count=2, timeout=0.01)
            while server.counters.received < 2:
                pass
            assert False
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "EchoServer('127.0.0.1', 0, seed=*, timeline=(Step(*at_packet=2*",
            "    0.000000 127.0.0.1:* #1 64 B: replied *",
            "    0.?????? step 0: set of 1 client after 1 packet",
            "    0.?????? 127.0.0.1:* #2 64 B: uplink lost; no reply",
        ]
    )


# On the command line.


def test_the_command_takes_the_steps_in_a_file(tmp_path: Path, upstream: EchoServer) -> None:
    steps = [
        {"action": "set", "at_packet": 3, "uplink": {"loss": 1}},
        {"action": "set", "at_packet": 4, "uplink": {}},
    ]
    for text in (json.dumps(steps, indent=1), "\n\n".join(map(json.dumps, steps))):
        file = tmp_path / "steps.json"
        file.write_text(text)
        words = ["relay", "127.0.0.1:0", f"127.0.0.1:{upstream.address[1]}", "-v"]
        with Program("udpulse", *words, "--timeline", str(file)) as relay:
            with connected(("127.0.0.1", relay.listening())) as client:
                ask(client)
                client.send(b"lost")
                ask(client)
                # The last line.
                relay.screen.until(".* #2 1 B downlink: relayed .*")
            ended = relay.interrupted()
        texts = [line.split(" ", 2)[2] for line in ended.screen if line.startswith("20")]
        assert [text for text in texts if text.startswith("step")] == [
            "step 0: set of 1 client after 2 packets",
            "step 1: set of 1 client after 3 packets",
        ]
        assert texts.index("step 0: set of 1 client after 2 packets") == 2


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "steps.json"
    command = [sys.executable, "-m", "udpulse", "echo", "127.0.0.1:0", "--timeline", str(file)]
    for text, error in (
        (None, f"--timeline: {file}: No such file or directory"),
        ('{"action": "outage"}\n{"act', f"--timeline: {file}, line 2: "),
        ("[1,", f"--timeline: {file}: "),
        ('[{"action": "outage"}, {"acton": "outage"}]', "timeline[1]: "),
        ('{"action": "outage", "duration": "long"}', "timeline[0]: duration must be 0 to"),
    ):
        if text is not None:
            file.write_text(text)
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith(f"udpulse: {error}")
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("verbose", [False, True])
def test_steps_from_stdin(verbose: bool, upstream: EchoServer) -> None:
    words = ["relay", "127.0.0.1:0", f"127.0.0.1:{upstream.address[1]}", *["-v"] * verbose]
    with (
        Program("udpulse", *words, stdin=True) as relay,
        connected(("127.0.0.1", relay.listening())) as client,
    ):
        ask(client)
        ask(client)
        relay.type('{"action": "set", "uplink": {"loss": 1}}\n\n')
        relay.screen.until(r"20.* step 0: set of 1 client after 4 packets")
        client.send(b"lost")
        relay.type('{"action": "set", "uplink": {"los": 1}}\nnonsense\n5\n')
        relay.notes.until("stdin, line 3: uplink: Link has no los: it has .*")
        relay.notes.until("stdin, line 4: Expecting value: .*")
        relay.notes.until("stdin, line 5: step must be a Step or a dict with its fields, not 5")
        relay.type('{"action": "set", "at_packet": 6, "uplink": {}}\n')
        relay.type('{"action": "set", "uplink": null, "downlink": {}}')
        relay.end_input()
        relay.screen.until(r"20.* step 2: set of 1 client after \d packets")
        # The end of stdin is not the relay's.
        ask(client)
        relay.screen.until(r"20.* step 1: set of 1 client after 5 packets")
        ended = relay.interrupted()
    assert (ended.code, ended.screen[-1]) == (0, "uplink: 1 lost")


def test_steps_from_stdin_have_lines(tmp_path: Path, upstream: EchoServer) -> None:
    file = tmp_path / "steps"
    file.write_text('{"action": "outage", "at_packet": 1, "duration": 1e-6, "mode": "hold"}')
    words = ["127.0.0.1:0", f"127.0.0.1:{upstream.address[1]}", "--json"]
    with Program("udpulse", "relay", *words, "--timeline", str(file), stdin=True) as relay:
        start = relay.screen.until(r'\{"event":"start",.*"address":"127\.0\.0\.1:(\d+)".*')
        relay.type('{"action": "rebind"}\n{"rebind": 1}\n')
        relay.screen.until(r'\{"event":"step","number":1,"index":1,"round":0,"action":"rebind",.*')
        relay.screen.until(r'\{"event":"error","line":2,"reason":"action must be .*')
        with connected(("127.0.0.1", int(start[1]))) as client:
            ask(client)
        relay.screen.until(r'\{"event":"fate",.*"way":"downlink",.*')
        ended = relay.interrupted()
    text = "\n".join(ended.screen)
    lines = [json.loads(line) for line in ended.screen]
    assert all(fits(line, SCHEMA, SCHEMA) for line in lines)
    assert lines[0]["arguments"]["timeline"][0]["at_packet"] == 1
    (tmp_path / "run.jsonl").write_text(text)
    with (tmp_path / "run.jsonl").open() as run:
        loaded = jsonlines.load(run)
    assert isinstance(loaded.result, list)
    assert all(isinstance(fate, Fate) for fate in loaded.result)
    assert [(step.index, step.action) for step in loaded.steps] == [(1, "rebind"), (0, "outage")]
    assert all(isinstance(step, StepDone) for step in loaded.steps)
    read = subprocess.run(
        [sys.executable, "-m", "udpulse", "read", str(tmp_path / "run.jsonl")],
        capture_output=True,
        text=True,
        check=True,
    )
    texts = [line.split(" ", 2)[-1] for line in read.stdout.splitlines()]
    assert texts[:2] == [
        "step 1: rebind of 0 clients after 0 packets",
        "step 0: outage after 0 packets",
    ]


@pytest.mark.parametrize("stdin", ["closed", "terminal", "null"])
def test_a_relay_goes_on_without_stdin(stdin: str, upstream: EchoServer) -> None:
    port = upstream.address[1]
    command = f"{sys.executable} -m udpulse relay 127.0.0.1:0 127.0.0.1:{port} --json"
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with closing(os.fdopen(ours, "wb", buffering=0)), closing(os.fdopen(theirs, "rb")) as terminal:
        shell = f"exec {command} <&-" if stdin == "closed" else f"exec {command}"
        process = subprocess.Popen(
            ["sh", "-c", shell],
            stdin=terminal if stdin == "terminal" else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            start = json.loads(process.stdout.readline())
            address = ("127.0.0.1", int(start["address"].rpartition(":")[2]))
            with connected(address) as client:
                ask(client)
            process.terminate()
            *_, summary = process.stdout
            assert json.loads(summary)["event"] == "summary"
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
