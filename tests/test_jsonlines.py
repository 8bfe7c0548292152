"""Runs as lines of JSON: they are valid, and `read` gives the run back."""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import peers
import pytest
from schemas import fits

import udpulse
from udpulse import (
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    PingClient,
    PingSweep,
    events,
    impair,
    jsonlines,
)
from udpulse.impair import Link, Uniform

SCHEMA = json.loads(files("udpulse").joinpath("schema.json").read_text("utf-8"))

# Terminal escapes, C1 controls, bidi overrides, quotes, and bytes that are not UTF-8.
HOSTILE = [
    b"\x1b[2J\x1b]0;x\x07",
    "\x9b2J \u202e\u2066 \u2028".encode(),
    b'"\\},{"event":"summary"}\r\n\x00\x7f',
    b"\xff\xfe\x9b2J",
    "\U0001f600 gr\u00fc\u00dfe".encode(),
]


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the lines of a text, each valid."""
    assert text.endswith("\n")
    assert all(character == "\n" or " " <= character <= "~" for character in text)
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert next(iter(line)) == "event"
        assert fits(line, SCHEMA, SCHEMA), line
    return lines


def written(running: jsonlines.Running, **options: Any) -> list[dict[str, Any]]:
    """Return the lines of a running object."""
    file = io.StringIO()
    jsonlines.write(running, file, **options)
    return parsed(file.getvalue())


def reread(lines: list[dict[str, Any]]) -> Any:
    """Return the run that the lines describe."""
    return jsonlines.read(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + peers.PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@contextmanager
def recorded(running: jsonlines.Running, **options: Any) -> Iterator[list[dict[str, Any]]]:
    """Record a running object until the block ends; the list then has its lines."""
    lines: list[dict[str, Any]] = []
    file = io.StringIO()
    thread = threading.Thread(target=jsonlines.write, args=(running, file), kwargs=options)
    thread.start()
    try:
        # A short run may end before it is seen.
        eventually(lambda: running.running or not thread.is_alive())
        yield lines
    finally:
        running.stop()
        thread.join()
    lines += parsed(file.getvalue())


def count(lines: list[dict[str, Any]], event: str) -> int:
    """Return the number of lines of a kind."""
    return sum(line["event"] == event for line in lines)


def test_a_session_is_read_back() -> None:
    link = Link(loss=0.2, duplication=0.2, corruption=0.1, delay=Uniform(0.0, 0.15))
    with EchoServer(port=0, uplink=link) as server:
        client = PingClient(*server.address, count=200, interval=0.001, timeout=0.05, linger=0.3)
        lines = written(client)
    report = client.report()
    assert [line["event"] for line in lines[:2]] == ["start", "probe"]
    assert (count(lines, "probe"), count(lines, "revised")) == (200, report.late)
    assert report.late > 0
    assert reread(lines) == report
    summary = lines[-1]
    assert summary["event"] == "summary"
    assert (summary["sent"], summary["late"]) == (report.sent, report.late)
    columns = report.columns()
    latest = {line["seq"]: line for line in lines if line["event"] in ("probe", "revised")}
    assert [latest[seq]["sent_at_ns"] for seq in columns["seq"]] == list(columns["sent_at_ns"])


@pytest.mark.parametrize("seed", range(12))
def test_any_session_is_read_back(seed: int) -> None:
    choose = random.Random(seed)
    delays: list[float | Uniform] = [0.0, Uniform(0.0, 0.08)]
    link = Link(
        loss=choose.choice([0.0, 0.3, 0.9]),
        duplication=choose.choice([0.0, 0.3]),
        corruption=choose.choice([0.0, 0.2]),
        delay=choose.choice(delays),
    )
    options: dict[str, Any] = {
        "count": choose.randint(64, 150),
        "timeout": 0.03,
        "interval": 0.001,
        "schedule": choose.choice(["periodic", "poisson"]),
        "size": choose.choice([0, 64, 200]),
        "keep": choose.choice([0, 1, 17, "all", 10_000]),
        "flows": choose.choice([1, 1, 5]),
        "outage_after": choose.choice([None, 2]),
        "linger": choose.choice([None, 0.0, 0.1]),
    }
    with EchoServer(port=0, uplink=link, seed=seed) as server, peers.nobody() as port:
        address = choose.choice([server.address] * 4 + [("127.0.0.1", port)])
        client = PingClient(*address, **options)
        lines = written(client, every=choose.choice([None, 0.02]))
    assert reread(lines) == client.report()
    assert count(lines, "probe") == client.report().sent


def test_a_session_that_is_stopped_is_read_back(silent: peers.Address) -> None:
    client = PingClient(*silent, count=None, interval=0.001, timeout=100.0, keep=30)
    with recorded(client) as lines:
        eventually(lambda: client.report().sent > 50)
    report = client.report()
    assert report.pending == report.sent == count(lines, "probe")
    assert {line["verdict"] for line in lines if line["event"] == "probe"} == {"pending"}
    assert reread(lines) == report


def test_intervals_add_up_to_the_summary() -> None:
    with EchoServer(port=0, loss=0.3) as server:
        client = PingClient(*server.address, count=100, interval=0.002, timeout=0.05, linger=0.0)
        lines = written(client, every=0.02)
    intervals = [line for line in lines if line["event"] == "interval"]
    assert len(intervals) > 1
    ends = [line["until_ns"] for line in intervals]
    assert [line["from_ns"] for line in intervals] == [0, *ends[:-1]]
    report = client.report()
    assert sum(line["answered"] for line in intervals) == report.answered
    assert sum(line["lost"] for line in intervals) == report.lost
    assert sum(line["rtt"]["count"] for line in intervals) == report.answered


def test_outages_have_lines() -> None:
    loss = impair.LossPattern([0, 1, 1, 1, 0])
    with EchoServer(port=0, loss=loss) as server:
        client = PingClient(
            *server.address, count=5, interval=0.01, timeout=0.2, outage_after=2, linger=0.0
        )
        outages = [line for line in written(client) if line["event"] == "outage"]
    assert [outage["lost"] for outage in outages] == [2, 3]
    assert outages[0]["end_ns"] is None
    assert outages[0]["start_ns"] == outages[1]["start_ns"] < outages[1]["end_ns"]


def test_a_server_in_its_own_words_is_quoted() -> None:
    words = iter(HOSTILE)
    with peers.Server(lambda _: [next(words)]) as server:
        client = PingClient("127.0.0.1", server.port, count=len(HOSTILE), size=0, timeout=5.0)
        lines = written(client)
    probes = [line for line in lines if line["event"] == "probe"]
    texts = [
        line["reply"].encode() if line["reply_hex"] is None else bytes.fromhex(line["reply_hex"])
        for line in probes
    ]
    assert texts == HOSTILE


def test_a_sweep_is_read_back(silent: peers.Address) -> None:
    with EchoServer(port=0) as server:
        sweep = PingSweep([server.address, silent], rounds=2, interval=0.01, timeout=0.05)
        lines = written(sweep, every=0.05)
    assert reread(lines) == sweep.reports()
    probes = [line for line in lines if line["event"] == "probe"]
    assert sorted((probe["target_index"], probe["round"], probe["seq"]) for probe in probes) == [
        (target, number, seq) for target in (0, 1) for number in (0, 1) for seq in (1, 2, 3)
    ]
    assert [line["target_index"] for line in lines[-2:]] == [0, 1]


def test_a_sweep_that_is_stopped_is_read_back(silent: peers.Address) -> None:
    sweep = PingSweep([silent] * 3, count=50, rate=1000.0, timeout=100.0)
    with recorded(sweep) as lines:
        eventually(lambda: sweep.reports()[2].sent > 2)
    reports = sweep.reports()
    assert reread(lines) == reports
    assert count(lines, "probe") == sum(report.sent for report in reports)


def test_fates_are_read_back() -> None:
    rules = [impair.Rule("drop", nth=3), impair.Rule("duplicate", nth=range(5, 99))]
    uplink = Link(rules=rules, loss=0.2, duplication=0.3, corruption=0.3, delay=0.001)
    server = EchoServer(port=0, uplink=uplink, downlink=Link(loss=0.2, corruption=0.2), seed=2**63)
    with recorded(server, every=0.05) as lines:
        for payload in HOSTILE:
            udpulse.ping(*server.address, count=5, timeout=0.02, fill=payload, linger=0.0)
        eventually(lambda: server.truth.delayed == 0)
    assert reread(lines) == server.fates()
    assert count(lines, "fate") == server.counters.received == lines[-1]["received"]
    assert lines[0]["arguments"]["seed"] == str(2**63)
    assert lines[0]["arguments"]["uplink"]["delay"] == 0.001


def test_events_of_clients_are_read_back() -> None:
    server = HeartbeatServer(port=0, timeout=0.1, every_beat=True, expect=["absent"], grace=0.05)
    name = "a\u202eb\u2066"
    with recorded(server, every=0.05) as lines, peers.open_socket() as peer:
        for payload in HOSTILE:
            peer.sendto(payload, server.address)
        client = HeartbeatClient(*server.address, name=name, count=20, interval=0.005, loss=0.4)
        with client:
            list(client)
        peer.sendto(b"1", server.address)
        eventually(lambda: any(one.state == "down" for one in server.peers()))
        eventually(lambda: server.missing == ["absent"])
    read = reread(lines)
    assert {"Up", "Heard", "Lost", "Down", "Stopped"} <= {type(event).__name__ for event in read}
    payloads = {event.payload for event in read if isinstance(event, events.Heard | events.Ignored)}
    assert payloads >= set(HOSTILE)
    assert name in {event.name for event in read}
    run = jsonlines.load(io.StringIO("\n".join(map(json.dumps, lines))))
    assert (run.command, run.peers, run.missing) == ("watch", server.peers(), ["absent"])
    assert run.counters == server.counters.to_dict()
    assert run.ended_at is not None
    assert run.ended_at >= max(event.time for event in read)


def test_a_heartbeat_client_is_read_back(silent: peers.Address) -> None:
    client = HeartbeatClient(*silent, count=3, interval=0.01, name="\u202ea")
    lines = written(client, every=0.01)
    beats = reread(lines)
    assert [(beat.seq, beat.outcome) for beat in beats] == [(1, "sent"), (2, "sent"), (3, "sent")]
    assert lines[-1]["sent"] == client.counters.sent


def value(argument: Any) -> Any:
    """Return an option from its value in the first line."""
    if isinstance(argument, list):
        return [value(item) for item in argument]
    if not isinstance(argument, dict):
        return argument
    if "hex" in argument:
        return bytes.fromhex(argument["hex"])
    if "range" in argument:
        return range(*argument["range"])
    fields = {name: value(field) for name, field in argument.items() if name != "type"}
    return getattr(impair, argument["type"])(**fields)


def test_the_first_line_is_enough_to_repeat_the_run(silent: peers.Address) -> None:
    link = Link(
        rules=[impair.Rule("drop", value=b"\xff", nth=nth) for nth in (range(2, 9), [1, 2])],
        loss=impair.GilbertElliott(0.1, 0.2),
        delay=impair.Normal(0.1, 0.01),
        rate=impair.RateLimit(1000.0, queue=5),
        reordering=impair.Reordering(0.1, 0.2),
    )
    objects: list[jsonlines.Running] = [
        PingClient(*silent, count=1, timeout=0.01, fill=b"\xff", schedule="poisson", interval=0.1),
        PingSweep([silent], count=1, timeout=0.01, interval=0.5),
        EchoServer(port=0, uplink=link, loss=0.0),
        EchoServer(port=0, loss=impair.LossPattern([1, 0]), delay=impair.Pareto(0.1, 3.0)),
        HeartbeatServer(port=0, expect=["a"]),
        HeartbeatClient(*silent, count=1, also=[silent], name="a"),
    ]
    for running in objects:
        with recorded(running) as lines:
            pass
        arguments = {name: value(given) for name, given in lines[0]["arguments"].items()}
        if arguments.get("seed"):
            arguments["seed"] = int(arguments["seed"])
        again = type(running)(**arguments)
        for name in arguments:
            assert getattr(again, name) == getattr(running, name), name


def test_revisions_are_yielded_if_asked_for() -> None:
    with EchoServer(port=0, delay=0.1) as server:
        client = PingClient(
            *server.address, count=3, interval=0.001, timeout=0.01, linger=10.0, revisions=True
        )
        verdicts = []
        for event in client:
            if isinstance(event, events.Revised):
                assert event.probe.rtt is not None
                assert event.probe.rtt >= 0.1
                verdicts.append((event.probe.seq, event.probe.verdict))
                if len(verdicts) == 3:
                    client.stop()
    assert verdicts == [(1, "late"), (2, "late"), (3, "late")]


def test_wrong_arguments_are_refused() -> None:
    with EchoServer(port=0) as server, pytest.raises(ValueError, match="running must not run yet"):
        jsonlines.write(server, io.StringIO())
    with pytest.raises(ValueError, match="every must be a number of seconds above 0, not 0"):
        jsonlines.write(EchoServer(port=0), io.StringIO(), every=0)


def test_a_closed_pipe_ends_a_run(silent: peers.Address) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    client = PingClient(*silent, count=None)
    with pytest.raises(BrokenPipeError), os.fdopen(writer, "wb") as file:
        jsonlines.write(client, file)
    assert not client.running


@pytest.mark.skipif(sys.platform == "win32", reason="pipes there always block")
def test_a_pipe_that_does_not_block_gets_all_lines() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def drain() -> None:
        while data := os.read(reader, 512):
            received.extend(data)

    thread = threading.Thread(target=drain)
    thread.start()
    with EchoServer(port=0) as server:
        client = PingClient(*server.address, count=3000, interval=0.00005, timeout=1.0)
        with os.fdopen(writer, "wb") as file:
            jsonlines.write(client, file)
    thread.join()
    os.close(reader)
    assert jsonlines.read(io.BytesIO(received)) == client.report()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_ctrl_c_aborts_though_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    with peers.open_socket() as sink:
        host, port = sink.getsockname()
        words = ["ping", f"{host}:{port}", "--interval", "1ms", "--json"]
        program = subprocess.Popen([sys.executable, "-m", "udpulse", *words], stdout=writer)
        sink.recv(100)
        interrupts = 0
        while program.poll() is None and interrupts < 200:
            program.send_signal(signal.SIGINT)
            interrupts += 1
            with suppress(subprocess.TimeoutExpired):
                program.wait(0.1)
    os.close(reader)
    os.close(writer)
    assert program.wait() == 130
    assert interrupts >= 2


INTERRUPTED = """
import socket, sys, udpulse
from udpulse import jsonlines
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("127.0.0.1", 0))
client = udpulse.PingClient(*sink.getsockname(), count=None, interval=0.001, timeout=0.01)
try:
    jsonlines.write(client, sys.stdout)
except KeyboardInterrupt:
    print(client.report().sent, client.running, file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_loses_nothing() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    first = [program.stdout.readline() for _ in range(20)]
    program.send_signal(signal.SIGINT)
    assert program.stderr is not None
    with program.stdout, program.stderr:
        rest, told = program.stdout.read(), program.stderr.read()
    program.wait()
    lines = parsed("".join(first) + rest)
    sent, running = told.split()
    assert (lines[-1]["event"], lines[-1]["sent"], running) == ("summary", int(sent), "False")
    report = reread(lines)
    assert report.sent == count(lines, "probe") == int(sent)


def edited(text: str, wanted: str, new: str) -> str:
    """Return a text with a part of it exchanged, which must be there."""
    assert wanted in text
    return text.replace(wanted, new, 1)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda text: "", "it is empty"),
        (lambda text: "hello\n", "line 1 is not a line of a run: "),
        (lambda text: "[]\n", "line 1 is not a line of a run: it is not an object"),
        (lambda text: "{}\n", "line 1 has no 'event'"),
        (lambda text: "[" * 100_000, "line 1 is not a line of a run: "),
        (lambda text: text.split("\n", 1)[1], "line 1 is not a line of a run: it is a 'probe'"),
        (lambda text: text + text, "it is a 'start' line"),
        (lambda text: edited(text, '"schema":1', '"schema":2'), "line 1 .* its schema is 2"),
        (lambda text: edited(text, '"seq":2,', ""), "line 3 has no 'seq'"),
        (lambda text: edited(text, '"seq":2,', '"seq":NaN,'), "line 3 .* NaN is not JSON"),
        (
            lambda text: edited(text, '"size":64,"g', '"size":-1,"g'),
            "line 7 is not the end of a run",
        ),
        (lambda text: edited(text, '"rtt_ns":', '"rtt_ns":-'), "line 7 is not the end of a run"),
        (lambda text: edited(text, '"version":1', '"version":9'), "its state is of version 9"),
        (lambda text: edited(text, '"data":"', '"data":"A'), "line 7 is not the end of a run"),
        (lambda text: edited(text, '"event":"probe"', '"event":"p"'), "line 2 .* 'p' is not an"),
        (lambda text: text[: text.index('{"event":"summary"')], "cut off before its summary"),
        (lambda text: text[:-100], "line 7 is not a line of a run"),
        (
            lambda text: "".join(
                line + "\n" for line in text.splitlines() if '"probe"' not in line
            ),
            "line 2 .* 5 probes of flow 0 are missing",
        ),
    ],
)
def test_what_is_not_a_run_is_refused(edit: Callable[[str], str], reason: str) -> None:
    with EchoServer(port=0) as server:
        file = io.StringIO()
        jsonlines.write(PingClient(*server.address, count=5), file)
    with pytest.raises(ValueError, match=reason):
        jsonlines.read(io.StringIO(edit(file.getvalue())))


def test_the_schema_refuses_other_lines() -> None:
    with EchoServer(port=0) as server:
        lines = written(PingClient(*server.address, count=1))
    for line in lines:
        for key in line:
            without = {name: part for name, part in line.items() if name != key}
            assert not fits(without, SCHEMA, SCHEMA), key
        assert not fits({**line, "more": 1}, SCHEMA, SCHEMA)


def test_all_keys_are_documented() -> None:
    docs = Path(__file__).parent.parent / "docs"
    text = "".join((docs / page).read_text("utf-8") for page in ("json.md", "numbers.md"))
    listed = {word for span in re.findall("`([^`\n]+)`", text) for word in re.findall(r"\w+", span)}
    keys = {key for line in SCHEMA["$defs"].values() for key in line.get("properties", {})}
    assert {key for key in keys if {key, key.removesuffix("_ns")}.isdisjoint(listed)} == set()


def test_all_attributes_of_a_report_are_in_its_summary() -> None:
    with EchoServer(port=0) as server:
        client = PingClient(*server.address, count=1)
        summary = written(client)[-1]
    for name in client.report().to_dict():
        assert name in summary or f"{name}_ns" in summary, name
