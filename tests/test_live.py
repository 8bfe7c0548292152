"""The live screens: their content, their size and their end."""

import fcntl
import io
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import peers
import pytest
from programs import PATIENCE
from rich.console import Console

import udpulse
from udpulse import EchoServer, PingReport, Probe
from udpulse.cli._follow import Signals, follow
from udpulse.cli._ping_screens import ManyTargets, OneTarget
from udpulse.cli._record import record
from udpulse.cli._strip import ASCII, UNICODE, Cell, Glyphs, Scale, Strip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")

VERDICTS = {".": "answered", "x": "lost", "r": "refused", "u": "unreachable", "l": "late"}
LOST = "\N{MULTIPLICATION SIGN}"
VERDICTS |= {"s": "send_failed", "?": "pending"}


def report(story: str, *, interval: float = 1.0, start: int = 1) -> PingReport:
    """Return a report with one probe per character of a story."""
    return PingReport.from_probes(
        Probe(
            seq=seq,
            verdict=(verdict := VERDICTS[character]),  # type: ignore[arg-type]
            sent_at=1e9 + seq * interval,
            rtt={"answered": 0.01, "late": 3.0}.get(verdict),
        )
        for seq, character in enumerate(story, start)
    )


def one(report: PingReport, glyphs: Glyphs = UNICODE, **settings: Any) -> OneTarget:
    """Return the screen about a client with this report."""
    values = {"count": None, "duration": None, **settings}
    client: Any = SimpleNamespace(report=lambda: report, **values)
    return OneTarget(client, lambda report: ["nobody is there"], glyphs)


def drawn(view: OneTarget | ManyTargets, width: int = 80, height: int = 24) -> list[str]:
    """Return the lines of a screen."""
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(view.render(width, height))
    return [line.rstrip() for line in console.export_text().splitlines()]


def strip_of(lines: list[str]) -> str:
    """Return the glyphs on a screen."""
    found = [re.fullmatch(r"\d\d:\d\d:\d\d (.*)", line) for line in lines]
    return "".join(match[1] for match in found if match)


@pytest.mark.parametrize(("glyphs", "strip"), [(UNICODE, f"▁{LOST}RULS▁·"), (ASCII, "_XRULS_'")])
def test_each_verdict_has_a_glyph_of_its_own(glyphs: Glyphs, strip: str) -> None:
    lines = drawn(one(report(".xruls.?"), glyphs))
    assert strip_of(lines) == strip
    legend = next(line for line in lines if "1 lost" in line)
    assert "1 refused" in legend
    assert "1 send failed" in legend


def test_a_late_reply_revises_its_glyph() -> None:
    view = one(report(".x."))
    assert strip_of(drawn(view)) == f"▁{LOST}▁"
    later = report(".l.")
    view.client = SimpleNamespace(report=lambda: later, count=None, duration=None)  # type: ignore[assignment]
    assert strip_of(drawn(view)) == "▁L▁"


def test_fast_probes_share_glyphs() -> None:
    # 2000 probes in 2 s are at most 60 glyphs; two of ten probes are lost.
    lines = drawn(one(report(".......xx." * 200, interval=0.001)))
    strip = strip_of(lines)
    assert 30 <= len(strip) <= 60
    assert set(strip) <= set("1234")
    assert any("each 64 probes" in line for line in lines)


def test_a_strip_outlives_what_a_report_drops() -> None:
    strip = Strip()
    strip.add(report("x.x.x").columns(), 0)
    strip.add(report("...", start=6).columns(), 5)
    assert [cell.verdict for _, cell in strip.last(8)] == ["lost", None] * 2 + ["lost"] + [None] * 3
    assert len(strip.last(3)) == 3


def test_a_scale_ignores_noise_and_outliers() -> None:
    assert Scale.of([1e6, 1.1e6]).level(1.1e6) <= 1
    scale = Scale.of([*range(1000, 2000), 1e9])
    assert (scale.level(1000), scale.level(2000), scale.level(1e9)) == (0, 7, 7)


def test_the_figures_are_those_of_the_report() -> None:
    lines = drawn(one(report("....x" * 40)))
    figures = dict(re.findall(r"^(last|all) \d+ +(\S+)", "\n".join(lines), re.MULTILINE))
    assert figures == {"last": "20%", "all": "20%"}
    assert "15-26.1%" in "".join(lines)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 5), (200, 60)])
def test_a_screen_fits(width: int, height: int) -> None:
    views: list[OneTarget | ManyTargets] = [
        one(report(".x" * 5000, interval=0.1)),
        one(report(".x" * 50), count=1000),
        one(report("." * 50), duration=60.0),
        ManyTargets(lambda: [report(".x.")] * 500, 3, lambda _: "some reason " * 9),
    ]
    for view in views:
        lines = drawn(view, width, height)
        assert max(map(len, lines)) <= width
        if height >= 10:
            assert len(lines) <= height


def test_the_targets_in_most_trouble_come_first() -> None:
    stories = ["....", "xxxx", "x...", "????", "xx.."]
    view = ManyTargets(lambda: [report(story) for story in stories], 4, lambda _: "")
    lines = drawn(view)
    assert [line.split()[1:3] for line in lines[1:6]] == [
        ["100%", "0/4"],
        ["50%", "2/4"],
        ["25%", "3/4"],
        ["0%", "4/4"],
        ["-", "0/4"],
    ]
    assert lines[6] == "5 targets: 3 alive, 1 dead, 1 not decided"
    assert drawn(view, height=5)[2] == "and 4 targets in less trouble"


@pytest.mark.parametrize(("glyphs", "end"), [(UNICODE, "…"), (ASCII, "~")])
def test_the_end_of_a_line_that_is_cut_is_marked(glyphs: Glyphs, end: str) -> None:
    many = ManyTargets(lambda: [report("xx")], 2, lambda _: "some reason " * 9, glyphs)
    lines = [*drawn(many, 80), *drawn(one(report("rrruuusss"), glyphs), 30)]
    assert {len(line) for line in lines if line.endswith(end)} == {80, 30}


@pytest.mark.parametrize("name", ["日本語の長いサーバー名.example", "server.example"])
def test_names_of_any_width_are_aligned(name: str) -> None:
    values = {"loss": None, "rtt": PingReport().rtt, "answered": 0, "sent": 0}
    targets: Any = [SimpleNamespace(target=(host, 7), **values) for host in (name, "a")]
    for width in (80, 50):
        _, *rows = ManyTargets(lambda: targets, 1, lambda _: "").rows(targets, width)
        assert len({row.cell_len for row in rows}) == 1


def test_a_cell_of_several_probes() -> None:
    counts = [0] * len(udpulse.VERDICTS)
    counts[udpulse.VERDICTS.index("answered")] = 9
    counts[udpulse.VERDICTS.index("lost")] = 1
    cell = Cell(counts, 9e6, 0)
    assert (cell.mean_ns, cell.tenths, cell.verdict) == (1e6, 1, None)
    both = cell + cell
    assert (both.mean_ns, both.tenths, sum(both.counts)) == (1e6, 1, 20)


#: The command, in a session that owns its terminal: Ctrl-C reaches only that.
PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from udpulse.cli import main
sys.exit(main())
"""


def plain(output: str) -> list[str]:
    """Return lines without escape sequences."""
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", output).replace("\r", "").split("\n")


class Terminal:
    """A command that runs in a pseudo-terminal of its own."""

    def __init__(self, *words: str, **environment: str) -> None:
        import pty

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        names = ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE")
        # A key that sends a signal would drop output that the command writes meanwhile.
        settings = termios.tcgetattr(slave)
        settings[3] |= termios.NOFLSH
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment},
        )
        os.close(slave)
        self.taken = ""
        os.set_blocking(self._master, False)

    def until(self, pattern: str) -> None:
        """Read until a pattern occurs in the output since the last one."""
        deadline = time.monotonic() + PATIENCE
        seen = len(self.taken)
        while not re.search(pattern, self.taken[seen:]):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.taken[-2000:]!r}"
            assert self._read(deadline), f"it ended without {pattern!r}: {self.taken[-2000:]!r}"

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._master, key.encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            assert time.monotonic() < deadline
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        import select

        if not select.select([self._master], [], [], max(deadline - time.monotonic(), 0))[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux: nobody has the other end open any more
            return False
        self.taken += data.decode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        """Kill the command."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextmanager
def terminal(*words: str, **environment: str) -> Iterator[Terminal]:
    """Run a command in a terminal."""
    command = Terminal(*words, **environment)
    try:
        yield command
    finally:
        command.close()


@pytest.fixture
def far_end() -> Iterator[str]:
    """The address of an echo server."""
    with udpulse.EchoServer(port=0) as server:
        yield "{}:{}".format(*server.address)


def test_ctrl_c_ends_a_screen_with_the_summary(far_end: str) -> None:
    with terminal("ping", far_end, "-i", "20ms") as command:
        command.until(r"all \d+ +0%")
        command.press("\x03")
        assert command.end() == 0
    screen, _, rest = command.taken.rpartition("\x1b[?25h")  # the cursor is shown again
    assert "\x1b[?25l" in screen
    assert re.search(rf"\d+ probes? to {far_end}: \d+ answered.*\r\nloss 0 %", rest)
    # The strip stays.
    assert strip_of(plain(rest))


def test_sigquit_shows_the_summary_so_far(far_end: str) -> None:
    with terminal("ping", far_end, "-i", "20ms") as command:
        command.until(r"all \d+")
        command.press("\x1c")
        command.until(r"probes? to .*answered")
        command.until(r"all \d+")
        command.process.send_signal(signal.SIGTERM)
        assert command.end() == 0
    assert len(re.findall(" probes? to ", command.taken)) == 2


def test_many_targets_have_a_table(far_end: str) -> None:
    with terminal("ping", far_end, "127.0.0.1:9", "-c", "2") as command:
        assert command.end() == 0
    last = plain(command.taken.rpartition("\x1b[?25h")[2])
    assert [line.split()[:2] for line in last if line][-3:] == [
        ["127.0.0.1:9", "100%"],
        [far_end, "0%"],
        ["2", "targets:"],
    ]


def test_no_color_leaves_the_colours_out(far_end: str) -> None:
    with terminal("ping", far_end, "-c", "3", "-i", "50ms", NO_COLOR="1") as command:
        assert command.end() == 0
    assert "\x1b[?25l" in command.taken
    colours = re.findall(r"\x1b\[(?:\d;)?(?:3\d|38;[\d;]+)m", command.taken)
    assert colours == []


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_moves_no_cursor_gets_lines(far_end: str, kind: str) -> None:
    with terminal("ping", far_end, "-c", "3", "-i", "10ms", TERM=kind) as command:
        assert command.end() == 0
    assert "\x1b" not in command.taken
    assert "seq 3: " in command.taken


def test_a_screen_of_another_encoding_is_ascii(far_end: str) -> None:
    settings = {"PYTHONIOENCODING": "latin-1"}
    with terminal("ping", far_end, "-c", "3", "-i", "50ms", **settings) as command:
        assert command.end() == 0
    assert command.taken.isascii()
    assert "\\u" not in command.taken


def test_a_quiet_screen_is_the_summary(far_end: str) -> None:
    with terminal("ping", far_end, "-q", "-c", "3", "-i", "10ms") as command:
        assert command.end() == 0
    assert command.taken.startswith(f"3 probes to {far_end}: 3 answered")


def test_a_second_ctrl_c_aborts() -> None:
    signals = Signals()
    signals.orderly = True
    signals.end(signal.SIGINT)
    assert signals.ended
    with pytest.raises(KeyboardInterrupt):
        signals.end(signal.SIGINT)


def test_ctrl_c_ends_a_start_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("Ctrl-C is ignored")

    class Starting:
        __enter__ = start

        def __exit__(self, *_: object) -> None: ...

    starting: Any = Starting()
    with pytest.raises(KeyboardInterrupt):
        follow(starting, print, lambda: "")
    monkeypatch.setattr("udpulse.jsonlines.write_controlled", start)
    with pytest.raises(KeyboardInterrupt):
        record(EchoServer(port=0), None, lambda: "")


@pytest.mark.parametrize("words", [[], ["--json"], ["--rounds", "none"]], ids=str)
def test_ended_before_any_result(words: list[str]) -> None:
    with peers.open_socket() as sink:
        sink.settimeout(PATIENCE)
        address = "{}:{}".format(*sink.getsockname())
        with terminal("ping", address, "-t", "100", *words) as command:
            sink.recv(100)
            command.process.send_signal(signal.SIGTERM)
            assert command.end() == 130


def test_json_on_a_terminal_ends_with_the_summary(far_end: str) -> None:
    with terminal("ping", far_end, "-i", "20ms", "--json") as command:
        command.until('"event":"probe"')
        command.press("\x1c")
        command.until("probes? to ")
        command.press("\x03")
        assert command.end() == 0
    assert '"event":"summary"' in command.taken
    assert "\x1b" not in command.taken
