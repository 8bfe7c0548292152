"""The four scripts against plain-socket programs as found in the wild, and with each other."""

import re
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import cycle

import peers
import pytest
from programs import Ended, Program, beats, failed, pings, run, shapes, shown

# Servers on a free port of loopback, and clients that drop nothing at random.
HERE = "127.0.0.1"
ping_server = partial(Program, "UDPPingerServer.py", HERE, 0)
ping_client = partial(run, "UDPPingerClient.py", HERE)
beat_server = partial(Program, "UDPHeartBeatServer.py", HERE, 0, "--timeout", 0.3)
beat_client = partial(run, "UDPHeartBeatClient.py", HERE)
QUICK = ("--interval", 0.001, "--fail-chance", 0)

# Packets lost with --seed 7: eight of one client, and the first of each of eight clients.
LOST_OF_ONE = [False, True, False, False, False, False, True, False]
LOST_OF_EIGHT = [False, False, False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("sockets", "lost"),
    [(1, LOST_OF_ONE), (8, LOST_OF_EIGHT)],
    ids=["one socket", "new sockets"],
)
def test_the_ping_server_answers_and_drops_like_the_labs(sockets: int, lost: list[bool]) -> None:
    with ping_server("--seed", 7) as server, peers.open_sockets(sockets) as clients:
        to = (HERE, server.listening())
        for seq, client in zip(range(1, len(lost) + 1), cycle(clients), strict=False):
            client.sendto(f"Ping {seq} {time.time()}".encode(), to)
        # It may show packets before their replies leave, but not a later one.
        server.screen.until(rf"b'PING {len(lost)} .*")
        packets = shown(server, to[1])
        replies = [reply for client in clients for reply in peers.waiting(client)]
    assert [dropped for _, dropped in packets] == lost
    assert [line for line, dropped in packets if not dropped] == [repr(r) for r in replies]
    for seq, (line, _) in enumerate(packets, 1):
        assert re.fullmatch(rf"b'PING {seq} \d{{10}}\.\d+'", line)


@pytest.mark.parametrize(
    ("options", "share"),
    [((), 4 / 11), (("--loss", 0.3), 0.3), (("--loss", 0), 0.0), (("--loss", 1), 1.0)],
    ids=["lab", "0.3", "0", "1"],
)
def test_the_ping_server_drops_its_share_and_shows_each(
    options: tuple[str | float, ...], share: float
) -> None:
    count, row = 4400, 100
    messages = [b"PING %d" % seq for seq in range(count)]
    replies: list[bytes] = []
    with ping_server("--seed", 1, *options) as server, peers.open_socket() as udp:
        port = server.listening()
        udp.connect((HERE, port))
        # Send no more at a time than a receive buffer holds.
        for start in range(0, count, row):
            for message in messages[start : start + row]:
                udp.send(message)
            server.screen.until(re.escape(repr(messages[start + row - 1])))
            replies += peers.waiting(udp)
        packets = shown(server, port)
        replies += peers.waiting(udp)
    assert [line for line, _ in packets] == [repr(message) for message in messages]
    assert [line for line, dropped in packets if not dropped] == [repr(r) for r in replies]
    # Four standard deviations tell 4 of 11 from 30 %; the seed makes the result repeatable.
    bound = 4 * (share * (1 - share) / count) ** 0.5
    assert abs((count - len(replies)) / count - share) <= bound


def test_the_ping_server_accepts_any_bytes() -> None:
    with ping_server("--loss", 0) as server, peers.open_socket() as udp:
        # A connected socket receives only from the server's own port.
        udp.connect((HERE, server.listening()))
        for message in peers.ODD:
            reply = message[:1024].upper()
            udp.send(message)
            assert udp.recv(2048) == reply
            assert server.screen.next() == repr(reply)


def test_ctrl_c_is_the_normal_end_of_the_ping_server() -> None:
    with ping_server("--loss", 1) as server:
        peers.beat(server.listening(), ["Ping 1", "Ping 2"])
        server.screen.until("b'PING 2'")
        ended = server.interrupted()
    assert (ended.code, len(ended.notes)) == (0, 2)


UPPER = ["PING 1 T", "PING 2 T", "PING 3 T"]
# Other systems than Linux do not show datagrams from another port.
STRAY = ("", "3 datagrams .*") if peers.PORTABLE else ("2 datagrams .*", "6 datagrams .*")
SERVERS: dict[str, tuple[peers.Rule, list[str | None], str]] = {
    "lab": (peers.lab([4, 3, 10]), [UPPER[0], None, UPPER[2]], ""),
    "lab, all dropped": (peers.lab([0, 3]), [None] * 2, ""),
    "same case": (peers.same_case, ["Ping 1 T", "Ping 2 T", "Ping 3 T"], ""),
    "damaged": (peers.damaged, [None] * 2, "2 replies .*"),
    "quoted": (peers.quoted, [f"1: You said ping {n} T!" for n in (1, 2, 3)], ""),
    "Hello client 1": (peers.greeting, ["Hello client 1"] * 3, ""),
    "pong": (peers.pong, ["pong"] * 3, ""),
    "Pong n": (peers.numbered_pong(), ["Pong 1", "Pong 2", "Pong 3"], ""),
    "Pong of another": (peers.numbered_pong(shift=1), [None] * 2, "2 datagrams .*"),
    "late": (peers.late(1), [None, *UPPER[1:]], "1 reply came late"),
    "all late": (peers.late(1, 2, 3), [None] * 3, "2 replies came late"),
    "twice": (peers.twice(1, 2), [*UPPER], "2 replies .*"),
    "from another port": (peers.from_another_port, [None] * 2, STRAY[0]),
    "after strangers": (peers.after_strangers, [*UPPER], STRAY[1]),
    # If foreign datagrams extended the wait, it would last until this server answers.
    "chatty": (peers.chatty, [None] * 2, r"\d+ datagrams .*"),
}


@pytest.mark.parametrize(("rule", "replies", "notes"), SERVERS.values(), ids=SERVERS)
def test_the_ping_client_with_servers_of_all_kinds(
    rule: peers.Rule, replies: list[str | None], notes: str
) -> None:
    # Each lost ping costs its timeout; a long one outlasts the pauses of a busy host.
    timeout = 30 if all(replies) else 1 if any(replies) else 0.3
    with peers.Server(rule) as server:
        ended = ping_client(server.port, "--count", len(replies), "--timeout", timeout)
    assert shapes(ended.screen) == pings(replies)
    assert re.fullmatch(notes, "\n".join(ended.notes))
    assert ended.code == 0


def test_the_ping_client_sends_and_reports_what_the_lab_asks_for() -> None:
    before = time.time()
    with peers.Server(peers.lab([10] * 10)) as server:
        ended = ping_client(server.port)
    assert len({sender for _, sender in server.heard}) == 1
    assert [int(message.split()[1]) for message in server.messages] == list(range(1, 11))
    assert all(re.fullmatch(r"Ping \d+ \d{10}\.\d{6}", message) for message in server.messages)
    # The times are truncated to microseconds.
    sent = [float(message.split()[2]) for message in server.messages]
    times = [before - 1e-6, *sent, time.time()]
    assert times == sorted(times)
    rtts = [float(line.rpartition("=")[2]) for line in ended.screen[1:20:2]]
    least, most, mean = map(float, re.findall(r"\d+\.\d{6}", ended.screen[20]))
    assert (least, most) == (min(rtts), max(rtts))
    assert mean == pytest.approx(sum(rtts) / 10, abs=2e-6)


def test_the_ping_client_reports_a_closed_port_once() -> None:
    with peers.nobody() as port:
        ended = ping_client(port, "--count", 3, "--timeout", 0.2)
    note = f"127.0.0.1 answered that nothing listens on port {port}"
    assert ended == Ended(0, pings([None] * 3), [note])


def test_ctrl_c_ends_the_ping_client_with_a_summary() -> None:
    with (
        peers.Server(peers.lab([4, 0])) as server,
        Program("UDPPingerClient.py", HERE, server.port, "--timeout", 50) as client,
    ):
        client.screen.until("from .*")
        ended = client.interrupted()
    assert ended.code == 130
    assert shapes(ended.notes) == ["min: T, max: T, avg: T", "Packet loss rate: 0%"]


AGAIN = "The client has started again at"
STORIES = {
    "lab": ("1 2 4", "1;2;Lost 1 heartbeat: 3;4", (5, 3, 4)),
    "one beat": ("24", "24", (25, 1, 1)),
    "from 0": ("0 1 2", "0;1;2", (3, 3, 3)),
    "from anywhere": ("41 42", "41;42", (43, 2, 2)),
    "row lost": ("1 5", "1;Lost 3 heartbeats: 2, 3, 4;5", (6, 2, 5)),
    "late": ("1 3 4 2", "1;Lost 1 heartbeat: 2;3;4;Late heartbeat: 2", (5, 4, 4)),
    "twice": ("1 2 2 3", "1;2;2;3", (4, 3, 3)),
    "stands still": ("7 7 7", "7;7;7", (8, 1, 1)),
    "falls": ("3 5 4 6", "3;Lost 1 heartbeat: 4;5;Late heartbeat: 4;6", (7, 4, 4)),
    "falls again": ("3 5 4 4", "3;Lost 1 heartbeat: 4;5;Late heartbeat: 4;4", (6, 3, 3)),
    "below the first": ("5 4 6", "5;4;6", (7, 2, 2)),
    "far below the first": ("500 10 11 501", "500;10;11;501", (502, 2, 2)),
    "restart at 1": ("5 7 1 2", f"5;Lost 1 heartbeat: 6;7;{AGAIN} 1;1;2", (3, 2, 2)),
    "restart at 0": ("5 0 2", f"5;{AGAIN} 0;0;Lost 1 heartbeat: 1;2", (3, 2, 3)),
}


def test_the_heartbeat_server_shows_the_story_of_a_client() -> None:
    stories = [*((name, *story, 1) for name, story in STORIES.items())]
    stories.append(("new sockets", *STORIES["lab"], 3))
    with ExitStack() as stack:
        # They start, wait for their timeouts and end together.
        servers = [stack.enter_context(beat_server()) for _ in stories]
        ports = [server.listening() for server in servers]
        for port, (_, sent, _, _, sockets) in zip(ports, stories, strict=True):
            peers.beat(port, sent.split(), sockets=sockets)
        for server, (name, _, story, end, _) in zip(servers, stories, strict=True):
            ended = server.ended()
            assert ended.screen == [*beats(story), *failed(*end)], name
            assert ended.code == 0, name


@pytest.mark.parametrize("at", [0, 1, 3], ids=["first", "between", "last"])
def test_a_greeting_is_shown_and_does_not_count(at: int) -> None:
    greeting = "Client connected at 12:00:01"
    sent = ["1", "2", "4"]
    with beat_server() as server:
        peers.beat(server.listening(), [*sent[:at], greeting, *sent[at:]])
        ended = server.ended()
    story = beats("1;2;Lost 1 heartbeat: 3;4")
    shown = [line for line in ended.screen if greeting not in line]
    assert shown == [*story, *failed(5, 3, 4)]
    assert shapes(ended.screen)[-3 if at == 3 else at] == f"Running fine at b'{greeting}' (T s)"


@pytest.mark.parametrize("step", [0, -1000], ids=["stands still", "falls"])
@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "time alone"])
def test_a_beat_is_shown_whatever_its_time(step: int, numbered: bool) -> None:
    numbers = ["1 ", "2 ", "3 "] if numbered else [""] * 3
    sent = [f"{number}{1486420330 + step * n}.5" for n, number in enumerate(numbers)]
    with beat_server() as server:
        peers.beat(server.listening(), sent)
        ended = server.ended()
    shown = numbers if numbered else sent
    assert shapes(ended.screen[:3]) == [
        f"Running fine at b'{text.strip()}' (T s)" for text in shown
    ]
    assert len(ended.screen) == 5


def test_the_heartbeat_server_reads_any_format(monkeypatch: pytest.MonkeyPatch) -> None:
    # A host whose local time is not UTC.
    monkeypatch.setenv("TZ", "LAB-05:30")
    zone = timezone(timedelta(hours=5, minutes=30))
    forms = [
        *((template, True, True) for template in peers.NUMBER_AND_TIME),
        *((template, True, False) for template in peers.NUMBER),
        *((template, False, True) for template in peers.TIME),
    ]
    options = ("--keep-running", "--timeout", 60)
    with beat_server(*options) as server, peers.open_sockets(len(forms)) as clients:
        to = (HERE, server.listening())
        for client, (template, numbered, timed) in zip(clients, forms, strict=True):
            message = peers.written(template, datetime.now(zone) - timedelta(seconds=100))
            client.sendto(message.encode(), to)
            shown = r"Running fine at (b.+?)(?: \((-?\d+\.\d{6}) s\))?"
            match = re.fullmatch(rf".*:\d+ {shown}", server.screen.next() or "")
            assert match is not None, template
            assert match[1] == repr(b"7" if numbered else message.encode())
            assert (match[2] is not None) == timed, template
            # This test may take up to a minute.
            assert not timed or 100 <= float(match[2]) < 160, template


def test_loss_is_not_shown_if_beats_have_no_numbers() -> None:
    with beat_server() as server:
        peers.beat(server.listening(), ["Heartbeat 1486420330.5"] * 3)
        *screen, first, second = server.ended().screen
    assert shapes(screen) == ["Running fine at b'Heartbeat 1486420330.5' (T s)"] * 3
    assert first == "Looks like the client has failed"
    assert "lost" not in second


def test_other_datagrams_are_ignored_counted_and_noted() -> None:
    with beat_server() as server:
        peers.beat(server.listening(), [*peers.NEITHER, "1", *peers.NEITHER, "2"])
        ended = server.ended()
    assert ended.screen == [*beats("1;2"), *failed(3, 2, 2)]
    assert any(note.startswith("Ignored b''") for note in ended.notes)
    assert any(f"{2 * len(peers.NEITHER)} datagrams ignored" in note for note in ended.notes)


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is set up on Linux only")
def test_the_heartbeat_server_follows_the_first_host() -> None:
    with beat_server() as server, peers.open_socket("127.0.0.2") as stranger:
        to = (HERE, server.listening())
        peers.beat(to[1], ["1"])
        stranger.sendto(b"50", to)
        peers.beat(to[1], ["2"])
        ended = server.ended()
    assert ended.screen == [*beats("1;2"), *failed(3, 2, 2)]


def test_a_goodbye_ends_the_heartbeat_server_and_is_not_a_failure() -> None:
    end = ["The client has said goodbye", "Received 2 of 2 heartbeats, 0% lost one way"]
    story = ["hb 1", "hb 2", "hb;s=bye 3", "hb;s=bye 4"]
    with beat_server() as server:
        peers.beat(server.listening(), story)
        ended = server.ended()
    assert (ended.screen, ended.code) == ([*beats("1;2"), *end], 0)
    with beat_server("--keep-running", "--by-host") as server:
        peers.beat(server.listening(), [*story, "hb 5"])
        server.screen.until(".* Running fine at b'5'")
        back = ["The client is back at 5", "Running fine at b'5'"]
        assert server.screen.taken == [HERE + " " + line for line in (*beats("1;2"), *end, *back)]


def test_two_clients_of_a_server_that_keeps_running() -> None:
    with beat_server("--keep-running") as server, peers.open_sockets(2) as clients:
        to = (HERE, server.listening())
        labels = [f"127.0.0.1:{peers.port_of(client)} " for client in clients]
        for client, seq in zip(clients * 2, (b"1", b"7", b"2", b"9"), strict=True):
            client.sendto(seq, to)
        for _ in clients:
            server.screen.until(".* lost one way")
        # The server goes on after a failure.
        clients[0].sendto(b"3", to)
        server.screen.until(f"{labels[0]}Running fine at b'3'")
        ended = server.interrupted()
    first, second = (
        [line.removeprefix(label) for line in ended.screen if line.startswith(label)]
        for label in labels
    )
    assert len(first) + len(second) == len(ended.screen)
    assert first[:4] == [*beats("1;2"), *failed(3, 2, 2)]
    assert second == [*beats("7;Lost 1 heartbeat: 8;9"), *failed(10, 2, 3)]
    assert ended.code == 0


def test_by_host_new_sockets_are_one_client() -> None:
    with beat_server("--keep-running", "--by-host") as server:
        peers.beat(server.listening(), ["1", "2", "4"], sockets=3)
        server.screen.until(".* lost one way")
    story = [*beats("1;2;Lost 1 heartbeat: 3;4"), *failed(5, 3, 4)]
    assert server.ended().screen == [f"127.0.0.1 {line}" for line in story]


def test_a_declared_name_is_shown_if_the_server_keeps_running() -> None:
    options = ("--keep-running", "--timeout", 60)
    with beat_server(*options) as server, peers.open_socket() as client:
        to, label = (HERE, server.listening()), f"127.0.0.1:{peers.port_of(client)}"
        for beat in ("hb;id=web-0 1", "hb;id=\N{RIGHT-TO-LEFT OVERRIDE}2J;i=60000 1"):
            client.sendto(beat.encode(), to)
        server.screen.until(r".*\\u202e2J Running fine at b'1'")
        ended = server.interrupted()
    assert ended.screen[0] == f"{label} web-0 Running fine at b'1'"
    assert f"{label} web-0 Received 1 of 1 heartbeat, 0% lost one way" in ended.notes


def test_an_announced_silence_and_a_stall_are_shown() -> None:
    sent = [
        "hb;s=ok;i=100 1",
        "hb;s=busy;u=60000;i=100 2",
        "hb;s=ok;i=100 3",
        "hb;s=stalled;i=100 4",
    ]
    with beat_server("--keep-running", "--by-host") as server:
        peers.beat(server.listening(), [*sent, "hb;s=bye 5"])
        server.screen.until(".* lost one way")
        lines = [line.removeprefix(f"{HERE} ") for line in server.screen.taken]
    story = "1;The client is busy for 60 s;2;The client is back at 3;3;The client has stalled;4"
    end = ["The client has said goodbye", "Received 4 of 4 heartbeats, 0% lost one way"]
    assert lines == [*beats(story), *end]


@pytest.mark.parametrize(
    ("ports", "noted"),
    [([1, 1, 1], False), ([1, 2, 3], False), ([1, 2, 1], True), ([1, 2, 1, 2, 1], True)],
)
def test_two_clients_of_one_host_cause_a_hint_at_keep_running(
    ports: list[int], noted: bool
) -> None:
    note = "Two clients on 127.0.0.1? --keep-running follows each of them"
    with beat_server() as server, peers.open_sockets(3) as clients:
        to = (HERE, server.listening())
        for seq, port in enumerate(ports, 1):
            clients[port - 1].sendto(b"%d" % seq, to)
        ended = server.ended()
    assert ended.notes.count(note) == noted
    assert ended.screen[-1].endswith("0% lost one way")


@pytest.mark.parametrize("reply", [True, False])
def test_the_heartbeat_server_answers_if_asked_to(reply: bool) -> None:
    with peers.open_socket() as client:
        with beat_server(*(["--reply"] if reply else [])) as server:
            client.connect((HERE, server.listening()))
            client.send("Heartbeat 1 ß\n".encode())
            server.ended()
        assert peers.waiting(client) == ["HEARTBEAT 1 ß\n".encode()] * reply


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ([], r"Heartbeat {seq} \d{10}\.\d{6}"),
        (["--format", "{seq},{time}"], r"{seq},\d{10}\.\d{6}"),
        (["--format", "{seq}"], "{seq}"),
        (["--format", "PING {seq} {ms}"], r"PING {seq} \d{13}"),
        (["--format", "PING"], "PING"),
    ],
    ids=["lab", "csv", "number", "ms", "neither"],
)
def test_the_heartbeat_client_sends_its_format(options: list[str], pattern: str) -> None:
    with peers.Server() as server:
        ended = beat_client(server.port, *QUICK, "--count", 3, *options)
    assert ended == Ended(0, ["Sending 1", "Sending 2", "Sending 3"], [])
    assert len({sender for _, sender in server.heard}) == 1
    for seq, message in enumerate(server.messages, 1):
        assert re.fullmatch(pattern.replace("{seq}", str(seq)), message)
    assert len(server.messages) == 3


@pytest.mark.parametrize(
    ("place", "form"), [("{ctime}", "%a %b %d %H:%M:%S %Y"), ("{datetime}", "%Y-%m-%d %H:%M:%S.%f")]
)
def test_the_heartbeat_client_writes_local_times_that_our_server_reads(
    place: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "LAB-05:30")
    options = (*QUICK, "--count", 1, "--format", f"{{seq}}\t{place}")
    before = datetime.now(timezone(timedelta(hours=5, minutes=30))).replace(microsecond=0)
    with peers.Server() as server:
        beat_client(server.port, *options)
    sent = datetime.strptime(server.messages[0], f"1\t{form}").replace(tzinfo=before.tzinfo)
    # This test may take up to a minute.
    assert before <= sent < before + timedelta(minutes=1)
    with beat_server() as listening:
        beat_client(listening.listening(), *options)
        line = listening.screen.next() or ""
    match = re.fullmatch(r"Running fine at b'1' \((.+) s\)", line)
    assert match is not None
    assert 0 <= float(match[1]) < 60


def test_the_heartbeat_client_fails_at_the_given_beat() -> None:
    with peers.Server() as server:
        ended = beat_client(server.port, "--interval", 0.01, "--fail-at", 3, "--format", "{seq}")
    assert ended == Ended(0, ["Sending 1", "Sending 2", "Failing at 3"], [])
    assert server.messages == ["1", "2"]


def test_the_heartbeat_client_fails_at_a_random_beat() -> None:
    with peers.Server() as server:
        runs = [beat_client(server.port, "--interval", 0.001, "--seed", n) for n in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    for ended in runs:
        *sent, last = ended.screen
        assert sent == [f"Sending {seq}" for seq in range(1, len(sent) + 1)]
        assert last == f"Failing at {len(sent) + 1}"
        assert ended.code == 0


@pytest.mark.parametrize(("loss", "least", "most"), [(0, 40, 40), (0.5, 1, 39), (1, 0, 0)])
def test_the_heartbeat_client_skips_beats(loss: float, least: int, most: int) -> None:
    options = (*QUICK, "--count", 40, "--format", "{seq}", "--seed", 7, "--loss", loss)
    heard = []
    for _ in range(2):
        with peers.Server() as server:
            ended = beat_client(server.port, *options)
        assert ended.screen == [f"Sending {seq}" for seq in range(1, 41)]
        heard.append(server.messages)
    assert heard[0] == heard[1]
    assert least <= len(heard[0]) <= most


def test_our_ping_pair() -> None:
    with ping_server("--seed", 7) as server:
        port = server.listening()
        client = ping_client(port, "--count", 8)
        packets = shown(server, port)
    replies = [None if lost else f"PING {seq} T" for seq, lost in enumerate(LOST_OF_ONE, 1)]
    assert shapes(client.screen) == pings(replies)
    assert [dropped for _, dropped in packets] == [reply is None for reply in replies]
    arrived = [f"b'{line}'" for line in client.screen if line.startswith("PING")]
    assert arrived == [line for line, dropped in packets if not dropped]


def test_our_heartbeat_pair_shows_the_screens_of_the_lab() -> None:
    # With this seed, the third beat is skipped.
    options = ("--interval", 0.05, "--fail-at", 5, "--loss", 0.2, "--seed", 3)
    with beat_server("--timeout", 1) as server:
        client = beat_client(server.listening(), *options)
        ended = server.ended()
    assert client.screen == [*(f"Sending {seq}" for seq in range(1, 5)), "Failing at 5"]
    seen = [f"Running fine at b'{seq}' (T s)" for seq in (1, 2, 4)]
    seen.insert(2, "Lost 1 heartbeat: 3")
    assert shapes(ended.screen) == [*seen, *failed(5, 3, 4)]
    assert (client.code, ended.code) == (0, 0)
