"""Runs each program in a terminal of its own and saves its screen as docs/screens/NAME.svg.

`python docs/screens.py` writes them; `--check` compares the words on each with those on the saved
one, whatever the numbers are. Needs Linux or macOS and the extra `dev`.
"""

import fcntl
import html
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "python"
SCREENS = HERE / "screens"

# A screen that takes longer hangs.
PATIENCE = 60.0

# Words about mishaps that may happen in any run.
NOISE = """
    all and busy confidence datagrams drop drops duplicates each host jitter late lost missed
    oops dropped outage outages paused pauses pending probe probes receive received reordered
    reply request silent slot slots suspect tenths this timed out with
"""

# The width of a character in rich's pictures, and the start of a text with blanks in front.
CHARACTER = 12.2
INDENTED = r'x="([\d.]+)"( y="[\d.]+" )textLength="([\d.]+)"([^>]*>)((?:&#160;)+)'

# The port that the screens show in place of a free one of this run.
SHOWN_PORT = "12000"


@dataclass(frozen=True)
class Scene:
    """A command and its screen."""

    #: The command as people type it; PORT is a free port.
    command: str
    #: The screen is taken when this matches its text, and Ctrl-C ends the command; by default at
    #: the end of the command.
    until: str | None = None
    #: Commands that run beside it; each starts when the one before has printed something.
    first: tuple[str, ...] = ()
    #: Commands that start when this one has printed something.
    then: tuple[str, ...] = ()
    #: A command whose output is the file run.jsonl.
    record: str | None = None
    #: The number of columns and lines.
    size: tuple[int, int] = (80, 24)


ECHO = "udpulse echo 127.0.0.1:PORT --loss 20% --downlink-delay Normal:8ms,2ms --seed 7"

SCENES = {
    "pinger_server": Scene(
        "python UDPPingerServer.py 127.0.0.1 PORT --seed 7",
        until=r"(?s)'PING 5 ",
        then=("python UDPPingerClient.py 127.0.0.1 PORT --count 5 --timeout 0.2",),
    ),
    "pinger_client": Scene(
        "python UDPPingerClient.py 127.0.0.1 PORT --count 5 --timeout 0.2",
        first=("python UDPPingerServer.py 127.0.0.1 PORT --seed 7",),
    ),
    "heartbeat_server": Scene(
        "python UDPHeartBeatServer.py 127.0.0.1 PORT",
        then=("python UDPHeartBeatClient.py 127.0.0.1 PORT --interval 0.1 --fail-at 9",),
    ),
    "heartbeat_client": Scene(
        "python UDPHeartBeatClient.py 127.0.0.1 PORT --interval 0.1 --fail-at 9",
        first=("python UDPHeartBeatServer.py 127.0.0.1 PORT",),
    ),
    "demo": Scene("udpulse demo", size=(80, 40)),
    "help": Scene("udpulse --help"),
    "ping": Scene(
        "udpulse ping 127.0.0.1:PORT --count 2000 --interval 20ms --timeout 100ms",
        until=r" \d{3} of 2000",
        first=(ECHO,),
    ),
    "ping_many": Scene(
        "udpulse ping 127.0.0.0/29:PORT 127.0.0.9:9 --rounds none -i 50ms -t 200ms",
        until=r"[5-9]\d\d probes",
        first=("udpulse echo 0.0.0.0:PORT --loss 10% --delay Uniform:1ms,4ms --seed 7",),
    ),
    "echo": Scene(
        "udpulse echo 127.0.0.1:PORT -v --loss 30% --downlink-duplication 20% --seed 7",
        until=r"(?s)#8.*",
        then=("udpulse ping 127.0.0.1:PORT --count 8 --interval 10ms",),
    ),
    "relay": Scene(
        "udpulse relay 127.0.0.2:PORT 127.0.0.1:PORT -v --uplink-loss 30% --seed 7",
        until=r"(?s)#8.*",
        first=("udpulse echo 127.0.0.1:PORT",),
        then=("udpulse ping 127.0.0.2:PORT --count 8 --interval 10ms",),
    ),
    "beat": Scene(
        "udpulse beat 127.0.0.1:PORT --name api --interval 100ms --verbose",
        until=r"beat 6",
        first=("udpulse watch 127.0.0.1:PORT --reply",),
    ),
    "watch": Scene(
        "udpulse watch 127.0.0.1:PORT --expect backup --grace 1s",
        until=r"(?s)backup +missing.*web-1 +down|web-1 +down.*backup +missing",
        then=(
            "udpulse beat 127.0.0.1:PORT --name api --interval 500ms",
            "udpulse beat 127.0.0.1:PORT --name db --interval 500ms",
            "udpulse beat 127.0.0.1:PORT --name web-1 --interval 100ms --fail-at 5",
        ),
    ),
    "read": Scene(
        "udpulse read run.jsonl --max-loss 10%",
        first=(ECHO,),
        record="udpulse ping 127.0.0.1:PORT --count 200 --interval 5ms --timeout 100ms --json",
    ),
}


@dataclass
class Terminal:
    """A program in a pseudo-terminal."""

    command: list[str]
    size: tuple[int, int]
    folder: Path
    process: "subprocess.Popen[bytes]" = field(init=False)
    screen: pyte.Screen = field(init=False)

    def __enter__(self) -> "Terminal":
        """Start the program."""
        columns, lines = self.size
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            self.command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        return self

    def __exit__(self, *_: object) -> None:
        """End the program."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)
        os.close(self._master)

    def read(self, until: str | None) -> None:
        """Read until the text of the screen matches or, without a pattern, to the end."""
        deadline = time.monotonic() + PATIENCE
        while until is None or not re.search(until, self.text()):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._master], [], [], left)[0]:
                raise TimeoutError(f"{' '.join(self.command)} shows:\n{self.text()}")
            try:
                output = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                output = b""
            if not output:
                if until is not None:
                    raise EOFError(f"{' '.join(self.command)} ended with:\n{self.text()}")
                return
            self._stream.feed(output)

    def text(self) -> str:
        """Return the text of the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def rows(self) -> Iterator[Text]:
        """Return the lines of the screen with their colours."""
        for number in range(len(self.text().splitlines())):
            cells = [self.screen.buffer[number][column] for column in range(self.screen.columns)]
            row = Text()
            for look, run in groupby(cells, style):
                row.append("".join(cell.data for cell in run), look)
            row.rstrip()
            yield row


def style(cell: pyte.screens.Char) -> str:
    """Return the style of a character."""
    words = [name for name in ("bold", "italics", "reverse") if getattr(cell, name)]
    words += [color(cell.fg)] if cell.fg != "default" else []
    words += ["on", color(cell.bg)] if cell.bg != "default" else []
    return " ".join(words).replace("italics", "italic")


def color(name: str) -> str:
    """Return rich's name of a colour of pyte."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    bright = name.removeprefix("bright")
    bright = "yellow" if bright == "brown" else bright
    return f"bright_{bright}" if name.startswith("bright") else bright


@dataclass(frozen=True)
class Stage:
    """The surroundings of the programs of a scene."""

    port: int
    folder: Path


def free_port() -> int:
    """Return a UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


@contextmanager
def started(command: str, stage: Stage, size: tuple[int, int]) -> Iterator[Terminal]:
    """Start a command."""
    with Terminal(words(command, stage), size, stage.folder) as terminal:
        yield terminal


def words(command: str, stage: Stage) -> list[str]:
    """Return the words of a command, the program as it is in this environment."""
    program, *arguments = command.replace("PORT", str(stage.port)).split()
    return [str(Path(sys.executable).parent / program), *arguments]


def play(scene: Scene) -> str:
    """Run a scene; return its screen as SVG."""
    with ExitStack() as stack:
        stage = Stage(free_port(), Path(stack.enter_context(tempfile.TemporaryDirectory())))
        for script in SCRIPTS.glob("UDP*.py"):
            (stage.folder / script.name).symlink_to(script)
        for command in scene.first:
            stack.enter_context(started(command, stage, (200, 50))).read(r"\S")
        if scene.record:
            with (stage.folder / "run.jsonl").open("wb") as file:
                recorder = words(scene.record, stage)
                subprocess.run(recorder, stdout=file, check=True, timeout=PATIENCE)
        terminal = stack.enter_context(started(scene.command, stage, scene.size))
        if scene.then:
            terminal.read(r"\S")
        for command in scene.then:
            stack.enter_context(started(command, stage, (200, 50)))
        terminal.read(scene.until)
        rows = list(terminal.rows())
    return svg(scene, rows, stage.port)


def svg(scene: Scene, rows: list[Text], port: int) -> str:
    """Draw a screen."""
    width = scene.size[0]
    with open(os.devnull, "w") as nothing:
        console = Console(record=True, width=width, file=nothing, force_terminal=True)
        shown = scene.command.replace("PORT", SHOWN_PORT)
        console.print(Text(f"$ {shown}", style="bold"), no_wrap=True, crop=False, soft_wrap=True)
        for row in rows:
            row.plain = row.plain.replace(str(port), SHOWN_PORT)
            console.print(row, no_wrap=True, overflow="ignore", crop=True)
    name = shown.split()[1] if shown.startswith("python") else " ".join(shown.split()[:2])
    text = console.export_svg(title=name, unique_id="screen")
    # The fonts of whoever looks at it: a picture loads nothing from elsewhere.
    text = re.sub(r"@font-face \{.*?\}", "", text, flags=re.DOTALL)
    return re.sub(INDENTED, moved, text)


def moved(match: re.Match[str]) -> str:
    """Return the start of an indented text, moved: some programs drop the blanks."""
    x, y, length, rest, blanks = match.groups()
    shift = blanks.count(";") * CHARACTER
    return f'x="{float(x) + shift:g}"{y}textLength="{float(length) - shift:g}"{rest}'


def shape(text: str) -> set[str]:
    """Return the words of a picture but those that depend on how busy this host is."""
    texts = re.findall(r"<text[^>]*>(.*?)</text>", text)
    found = {word for one in texts for word in re.findall(r"[a-z]{3,}", html.unescape(one).lower())}
    return found.difference(NOISE.split())


def main(arguments: list[str]) -> int:
    """Write or check the screens."""
    check = "--check" in arguments
    names = [word for word in arguments if not word.startswith("-")] or list(SCENES)
    stale = []
    for name in names:
        picture, path = play(SCENES[name]), SCREENS / f"{name}.svg"
        if not check:
            path.write_text(picture)
        elif not path.exists() or shape(path.read_text()) != shape(picture):
            stale.append(name)
            saved = shape(path.read_text()) if path.exists() else set()
            changed = sorted(saved ^ shape(picture))
            print(f"{path} differs: {' '.join(changed)}", file=sys.stderr)
    if stale:
        print(f"stale: {' '.join(stale)}; run docs/screens.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
