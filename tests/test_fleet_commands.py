"""`udpulse beat`, `watch` and `echo`."""

import csv
import io
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Program, run

import udpulse
from udpulse import EchoServer, Fate, HeartbeatClient, HeartbeatServer, events, jsonlines
from udpulse.cli import _fates, _fleet, main
from udpulse.impair import Link, LossPattern

ESCAPES = "\x1b]title\x07\x1b[m\u202e\x9bJ"

unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of Unix")


@pytest.fixture
def server() -> Iterator[HeartbeatServer]:
    with HeartbeatServer(port=0) as server:
        yield server


def address(server: HeartbeatServer | EchoServer) -> str:
    return "{}:{}".format(*server.address)


def following(*options: str, terminal: bool = False) -> Program:
    return Program("udpulse", "watch", "127.0.0.1:0", *options, terminal=terminal)


def next_event(server: HeartbeatServer, *kinds: type) -> events.Event:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for event in server.next_batch(1, timeout=1):
            if isinstance(event, kinds):
                return event
    raise AssertionError(f"no {kinds}")


# watch


def test_watch_says_what_happens_to_each_client() -> None:
    with following() as watch:
        port = watch.listening()
        with HeartbeatClient("127.0.0.1", port, interval=0.05, name="api"):
            watch.screen.until(r"[\d-]{10} [\d:.]{12} api: up, at 127\.0\.0\.1:\d+")
        watch.screen.until(r".* api: stopped, it said goodbye")
        client = HeartbeatClient("127.0.0.1", port, interval=0.05, name="web")
        client.start()
        watch.screen.until(r".* web: up, .*")
        client.stop(failure="exit_3")
        watch.screen.until(r".* web: failed, exit_3")
        with HeartbeatClient("127.0.0.1", port, interval=0.05, name="db", goodbye=False):
            watch.screen.until(r".* db: up, .*")
        watch.screen.until(r".* db: down, silent for .*")
        ended = watch.interrupted()
    assert ended.code == 0
    assert "3 clients: 1 stopped, 1 failed, 1 down" in ended.screen
    assert any(line.startswith("web: failed, last beat ") for line in ended.screen)


@unix
def test_signals_ask_watch_for_a_summary_and_end_it() -> None:
    with following() as watch:
        port = watch.listening()
        with HeartbeatClient("127.0.0.1", port, interval=0.05, name="api"):
            watch.screen.until(r".* api: up, .*")
            watch.send(signal.SIGQUIT)
            watch.notes.until(r"1 client: 1 \w+")
        watch.screen.until(r".* api: stopped, .*")
        watch.send(signal.SIGTERM)
        ended = watch.ended()
    assert ended.code == 0
    assert ended.screen[-1] == "1 client: 1 stopped"


def test_an_expected_client_that_is_missing_or_down_is_an_error() -> None:
    with following("--expect", "api", "--expect", "db", "--expect", "ghost") as watch:
        port = watch.listening()
        with (
            HeartbeatClient("127.0.0.1", port, interval=1, name="api"),
            HeartbeatClient("127.0.0.1", port, interval=0.05, name="db") as client,
        ):
            watch.screen.until(r".* db: up, .*")
            client.stop(goodbye=False)
            watch.screen.until(r".* db: down, .*")
            ended = watch.interrupted()
    assert ended.code == 1
    assert "never heard: ghost" in ended.screen
    assert ended.notes[1:] == ["expected, but down: db", "expected, but missing: ghost"]


def test_expected_clients_that_live_are_fine() -> None:
    with following("--expect", "api") as watch:
        port = watch.listening()
        with HeartbeatClient("127.0.0.1", port, interval=1, name="api"):
            watch.screen.until(r".* api: up, .*")
            assert watch.interrupted().code == 0


def test_nothing_received_reaches_the_terminal_raw() -> None:
    with following("--every-beat") as watch:
        port = watch.listening()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(f"beat;id={ESCAPES} 1".encode(), ("127.0.0.1", port))
            client.sendto(ESCAPES.encode(), ("127.0.0.1", port))
            watch.screen.until(r'.*: ignored "\\x1b.*": it is no beat')
        ended = watch.interrupted()
    assert all(line.isprintable() for line in ended.screen + ended.notes)


HOSTILE = [
    events.Up(address=("::1", 7), time=0, name=ESCAPES),
    events.Failed(address=("::1", 7), time=0, error=ESCAPES),
    events.Stalled(address=("::1", 7), time=0, task=ESCAPES, age=7.2),
    events.Heard(address=("::1", 7), time=0, payload=ESCAPES.encode() * 1000),
    events.Missing(address=("0.0.0.0", 0), time=0, name=ESCAPES),
]


@pytest.mark.parametrize("event", HOSTILE, ids=lambda event: type(event).__name__)
def test_texts_of_strangers_are_escaped_and_cut(event: events.Event) -> None:
    line = _fleet.event_line(event)
    assert line.isprintable()
    assert len(line) < 200


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (events.Paused(address=("0.0.0.0", 0), time=0, duration=3.25), "this server: did not run"),
        (events.Lost(address=("::1", 7), time=0, first=5, last=7), "[::1]:7: lost beats 5 to 7"),
        (events.Lost(address=("::1", 7), time=0, first=5, last=5), "[::1]:7: lost beat 5"),
        (
            events.Recovered(address=("::1", 7), time=0, state="down", duration=185, timeout=5),
            "[::1]:7: back, was down for 3 min",
        ),
        (
            events.Down(
                address=("::1", 7),
                time=0,
                cause="silence",
                silence=5.04,
                timeout=5,
                received=9,
                expected=10,
            ),
            "[::1]:7: down, silent for 5.0 s; 1 of 10 beats lost",
        ),
    ],
)
def test_an_event_has_a_text(event: events.Event, text: str) -> None:
    assert _fleet.event_line(event).partition(" ")[2].partition(" ")[2].startswith(text)


@unix
def test_watch_keeps_up_with_ten_thousand_clients_on_a_terminal() -> None:
    with following("--expect", "ghost", terminal=True) as watch:
        port = int(watch.screen.until(r".*Listening on .*:(\d+);.*")[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as clients:
            seq = 0
            shown = None
            while shown is None or shown[1] != "10000":
                seq += 1
                for client in range(10_000):
                    beat = f"beat;i=60000;b={client + 1:x};id=client-{client} {seq}"
                    clients.sendto(beat.encode(), ("127.0.0.1", port))
                shown = watch.screen.until(r".*127\.0\.0\.1:\d+  (\d+) clients: .*")
        watch.screen.until(r".*and \d+ more.*")
        watch.type("\x03")
        ended = watch.ended()
    assert ended.code == 1
    assert any("ghost" in line and "never heard" in line for line in ended.screen)
    drawn = "\n".join(ended.screen).split("clients: ")
    # A frame of 24 lines would scroll.
    assert all(frame.count("\n") <= 24 for frame in drawn[1:-1])


# beat


def test_beat_sends_beats_and_says_goodbye(server: HeartbeatServer) -> None:
    ended = run("udpulse", "beat", address(server), "-n", "api", "-c", 3, "-i", "20ms", "-v")
    assert ended.code == 0
    assert [line.partition(" beat ")[2] for line in ended.screen[:3]] == [
        "1 sent",
        "2 sent",
        "3 sent",
    ]
    assert ended.screen[3:] == ["6 datagrams sent, goodbyes included"]
    assert next_event(server, events.Stopped).name == "api"


@unix
def test_ctrl_c_is_the_normal_end_of_beat(server: HeartbeatServer) -> None:
    with Program("udpulse", "beat", address(server)) as beat:
        next_event(server, events.Up)
        beat.notes.until("Beating to .*")
        ended = beat.interrupted()
    assert ended.code == 0
    next_event(server, events.Stopped)


CHILD = "import os, signal, sys; "


@pytest.mark.parametrize(
    ("code", "exit_code", "error"),
    [
        ("sys.exit(0)", 0, None),
        ("sys.exit(3)", 3, "exit_3"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", 139, "SIGSEGV", marks=unix),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", 143, "SIGTERM", marks=unix),
    ],
)
def test_beat_reports_how_a_command_ended(
    server: HeartbeatServer, code: str, exit_code: int, error: str | None
) -> None:
    words = ["beat", address(server), "-n", "job", "--", sys.executable, "-c", CHILD + code]
    assert run("udpulse", *words).code == exit_code
    event = next_event(server, events.Failed, events.Stopped)
    assert (event.name, getattr(event, "error", None)) == ("job", error)


def test_a_command_that_cannot_be_started_has_failed(
    server: HeartbeatServer, tmp_path: Path
) -> None:
    ended = run("udpulse", "beat", address(server), "--", str(tmp_path / "missing"))
    assert (ended.code, ended.screen) == (127, [])
    assert ended.notes[0].endswith("missing: No such file or directory")
    event = next_event(server, events.Failed)
    assert isinstance(event, events.Failed)
    assert event.error == "not_found"


@unix
def test_a_file_that_cannot_be_run_has_failed(server: HeartbeatServer, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("")
    assert run("udpulse", "beat", address(server), "--", str(tmp_path / "text")).code == 126
    event = next_event(server, events.Failed)
    assert isinstance(event, events.Failed)
    assert event.error == "cannot_run"


@unix
def test_beat_forwards_a_signal_and_the_end_that_it_asked_for_is_orderly(
    server: HeartbeatServer,
) -> None:
    child = "print('ready', flush=True); signal.pause()"
    words = ["beat", address(server), "--", sys.executable, "-c", CHILD + child]
    with Program("udpulse", *words) as beat:
        beat.screen.until("ready")
        beat.send(signal.SIGTERM)
        assert beat.ended().code == 143
    next_event(server, events.Stopped)


@unix
def test_a_signal_to_beat_and_its_command_is_an_orderly_end(server: HeartbeatServer) -> None:
    child = "signal.signal(2, signal.SIG_DFL); print('ready', flush=True); signal.pause()"
    words = ["beat", address(server), "--", sys.executable, "-c", CHILD + child]
    with Program("udpulse", *words, terminal=True) as beat:
        beat.screen.until("ready")
        beat.type("\x03")
        assert beat.ended().code == 130
    assert isinstance(next_event(server, events.Stopped, events.Failed), events.Stopped)


@unix
def test_ctrl_c_reaches_a_command_once(server: HeartbeatServer) -> None:
    # A handler would wait for the end of `input` if the signal came right before it.
    child = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
signal.sigwait([signal.SIGINT])
print("got", flush=True)
input()
print("again" if signal.SIGINT in signal.sigpending() else "once", flush=True)
sys.exit(5)
"""
    words = ["beat", address(server), "--", sys.executable, "-c", "import signal, sys" + child]
    with Program("udpulse", *words, terminal=True) as beat:
        beat.screen.until("ready")
        beat.type("\x03")
        beat.screen.until(".*got")
        beat.type("\n")
        beat.screen.until("once")
        assert beat.ended().code == 5


def test_one_beat_from_cron_declares_when_the_next_comes(server: HeartbeatServer) -> None:
    words = ["--once", "--name", "backup", "--every", "1d", "--grace", "1h"]
    assert run("udpulse", "beat", address(server), *words).code == 0
    next_event(server, events.Up)
    peer = server.peer("backup")
    assert peer is not None
    assert (peer.interval, peer.timeout, peer.received) == (86400, 90000, 1)
    assert server.counters.goodbyes == 0


ONCE = ["--once", "--name", "job", "--every", "1d"]


def test_one_beat_that_cannot_be_sent_is_a_local_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["beat", "255.255.255.255", *ONCE]) == 3
    assert capsys.readouterr().err.startswith("Cannot send to 255.255.255.255:12000: ")


def test_one_beat_to_a_host_without_an_address_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["beat", "no.such.host.invalid", *ONCE]) == 2
    assert "no.such.host.invalid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["beat", "--"], "there is no command after --;"),
        (["beat", "--every", "1d"], "--every is for --once;"),
        (["beat", "--once", "--every", "1d"], "--once needs --every and --name:"),
        (["beat", *ONCE, "--count", "2"], "--count is not for --once;"),
        (["beat", *ONCE, "--", "true"], "--once takes no command;"),
        (["beat", "--name", "a b"], "--name must be"),
        (["beat", "--loss", "lab"], "--loss: 'lab' is not a share;"),
        (["beat", "--json", "--", "true"], "--json: not with a command,"),
        (["watch", "--every", "1s"], "--every: only with --json;"),
        (["watch", "--detector", "x"], "--detector: 'x' is not one of"),
        (["echo", "--loss", "1", "--uplink-loss", "1"], "--loss is short for --uplink-loss;"),
    ],
)
def test_bad_input_is_named(
    capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    assert main(words) == 2
    assert error in capsys.readouterr().err


# echo


@unix
def test_echo_says_what_happened_to_each_packet() -> None:
    words = ["--loss", "30%", "--seed", "7", "--downlink-corruption", "1", "--uplink-delay", "1ms"]
    with Program("udpulse", "echo", "127.0.0.1:0", "-v", *words) as echo:
        port = echo.listening()
        report = udpulse.ping("127.0.0.1", port, count=20, interval=0.001, timeout=1)
        echo.send(signal.SIGTERM)
        ended = echo.ended()
    lost = [line for line in ended.screen if line.endswith(" B: uplink lost; no reply")]
    assert ended.code == 0
    assert len(lost) == 20 - report.corrupt > 0
    assert f"20 packets: {20 - len(lost)} replied, {len(lost)} dropped" in ended.screen
    assert f"uplink: {len(lost)} lost" in ended.screen


def test_a_fate_has_a_line() -> None:
    downlink = Link(duplication=1, corruption=1)
    with EchoServer(port=0, loss=LossPattern([0, 1]), downlink=downlink, seed=1) as server:
        udpulse.ping(*server.address, count=2, timeout=0.2)
        fates: list[Fate] = [next(server), next(server)]
    texts = [_fates.path_line(fate).partition(" #")[2] for fate in fates]
    first = "1 64 B: downlink duplicated, corrupted; replied 2 times, first after "
    assert texts[0].startswith(first)
    assert texts[0].endswith(", 2 of them corrupted")
    assert texts[1] == "2 64 B: uplink lost; no reply"


@unix
def test_echo_shows_counters_on_a_terminal() -> None:
    with Program("udpulse", "echo", "127.0.0.1:0", "--loss", "1", terminal=True) as echo:
        port = int(echo.screen.until(r".*Listening on .*:(\d+);.*")[1])
        udpulse.ping("127.0.0.1", port, count=1, timeout=0.01)
        echo.screen.until(r".*dropped +1 +.*/s.*")
        echo.type("\x03")
        ended = echo.ended()
    assert ended.code == 0
    assert any("1 packet: 0 replied, 1 dropped" in line for line in ended.screen)


# relay


@unix
def test_a_relay_says_what_happened_to_each_packet() -> None:
    with EchoServer(port=0) as server:
        rules = ["drop:nth=2-3,value=50696e67", "delay:min_size=9000,delay=1ms"]
        words = [f"127.0.0.1:{server.address[1]}", "-v"]
        words += [word for rule in rules for word in ("--uplink-rules", rule)]
        with Program("udpulse", "relay", "127.0.0.1:0", *words) as relay:
            udpulse.ping("127.0.0.1", relay.listening(), count=2, timeout=0.5)
            relay.send(signal.SIGTERM)
            ended = relay.ended()
    assert ended.code == 0
    texts = [line.partition("#")[2] for line in ended.screen[:3]]
    assert texts[0].startswith("1 64 B uplink: relayed after ")
    assert texts[1].startswith("1 64 B downlink: relayed after ")
    assert texts[2] == "2 64 B uplink: lost (rule 0); dropped"
    assert ended.screen[3:] == ["3 packets: 2 relayed, 1 dropped", "uplink: 1 lost"]


def test_json_lines_of_a_relay_are_read_back() -> None:
    with EchoServer(port=0) as server:
        words = ["127.0.0.1:0", f"127.0.0.1:{server.address[1]}", "--json", "--downlink-loss", "1"]
        words += ["--max-clients", "1"]
        with Program("udpulse", "relay", *words) as relay:
            start = relay.screen.until(r'\{"event":"start",.*"address":"127\.0\.0\.1:(\d+)".*')
            udpulse.ping("127.0.0.1", int(start[1]), count=1, timeout=0.01)
            relay.screen.until(r'\{"event":"fate",.*"way":"downlink",.*')
            # Another client ends the first one's session.
            udpulse.ping("127.0.0.1", int(start[1]), count=1, timeout=0.01)
            relay.screen.until(r'\{"event":"fate",.*"way":"downlink",.*')
            ended = relay.interrupted()
    assert ended.code == 0
    run = jsonlines.load(io.StringIO("\n".join(ended.screen)))
    assert isinstance(run.result, list)
    ways = [(fate.way, fate.outcome) for fate in run.result if isinstance(fate, Fate)]
    assert ways == [("uplink", "relayed"), ("downlink", "lost")] * 2
    assert run.counters["dropped"] == run.truth["downlink"]["lost"] == 2
    (end,) = [event for event in run.result if isinstance(event, events.SessionEnded)]
    assert (end.reason, end.uplink, end.downlink) == ("evicted", 1, 1)
    assert _fates.path_line(end).endswith(
        f":{end.client[1]} session ended, another client needed its place: 1 packet up, 1 down"
    )


# lines of JSON


def test_json_lines_of_watch_and_beat_are_read_back() -> None:
    with following("--json", "--expect", "ghost") as watch:
        start = watch.screen.until(r'\{"event":"start",.*"address":"127\.0\.0\.1:(\d+)".*')
        words = ["-n", "api", "-c", "2", "-i", "20ms", "--json"]
        sent = run("udpulse", "beat", f"127.0.0.1:{start[1]}", *words)
        watch.screen.until(r'\{"event":"peer","kind":"stopped",.*"name":"api",.*')
        followed = watch.interrupted()
    assert (sent.code, followed.code) == (0, 1)
    beats = jsonlines.read(io.StringIO("\n".join(sent.screen)))
    assert isinstance(beats, list)
    assert [beat.seq for beat in beats if isinstance(beat, udpulse.Beat)] == [1, 2]
    changes = jsonlines.read(io.StringIO("\n".join(followed.screen)))
    assert isinstance(changes, list)
    assert [type(change) for change in changes] == [events.Up, events.Stopped]


def test_json_lines_of_echo_have_each_fate() -> None:
    with Program("udpulse", "echo", "127.0.0.1:0", "--json", "--loss", "1") as echo:
        start = echo.screen.until(r'\{"event":"start",.*"address":"127\.0\.0\.1:(\d+)".*')
        udpulse.ping("127.0.0.1", int(start[1]), count=2, timeout=0.01)
        echo.screen.until(r'\{"event":"fate",.*"number":2,.*')
        ended = echo.interrupted()
    assert ended.code == 0
    fates = jsonlines.read(io.StringIO("\n".join(ended.screen)))
    assert isinstance(fates, list)
    assert [fate.uplink for fate in fates if isinstance(fate, Fate)] == [("lost",), ("lost",)]


def test_echo_writes_the_packets_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "fates.csv"
    with Program("udpulse", "echo", "127.0.0.1:0", "--csv", str(path)) as echo:
        port = echo.listening()
        udpulse.ping("127.0.0.1", port, count=2, timeout=10)
        ended = echo.interrupted()
    assert ended.code == 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["1", "2"]
