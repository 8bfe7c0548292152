"""The command lines: bad input, interruption, closed pipes, the demo."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import peers
import pytest
from programs import Program

import UDPHeartBeatClient
import UDPHeartBeatServer
import UDPPingerClient
import UDPPingerServer
import udpulse
import udpulse.cli
from udpulse._printable import printable
from udpulse.cli import _text
from udpulse.cli import main as udpulse_main

PYTHON = Path(__file__).parent.parent / "python"
SCRIPTS = ["UDPPingerServer", "UDPPingerClient", "UDPHeartBeatServer", "UDPHeartBeatClient"]
MAINS = {
    "UDPPingerServer": UDPPingerServer.main,
    "UDPPingerClient": UDPPingerClient.main,
    "UDPHeartBeatServer": UDPHeartBeatServer.main,
    "UDPHeartBeatClient": UDPHeartBeatClient.main,
    "udpulse": udpulse_main,
}

A_COUNT = "is not a count; give a whole number, 1 or more"
SECONDS = "is not a number of seconds; give a number above 0, such as 1.5"
A_PROBABILITY = "is not a probability; give a number from 0 to 1, such as 0.3 for 30%"

NO_HOST = "is not a host; the host comes first, then the port:"

BAD_INPUT = [
    ("UDPPingerServer", ["12001"], f"HOST: '12001' {NO_HOST} 0.0.0.0 12001"),
    ("UDPPingerServer", ["70000"], f"HOST: '70000' {NO_HOST} 0.0.0.0 12000"),
    ("UDPHeartBeatServer", ["0"], f"HOST: '0' {NO_HOST} 0.0.0.0 0"),
    ("UDPPingerClient", ["12000"], f"HOST: '12000' {NO_HOST} 127.0.0.1 12000"),
    ("UDPHeartBeatClient", ["70000", "1"], f"HOST: '70000' {NO_HOST} 127.0.0.1 12000"),
    ("UDPPingerClient", ["localhost:9"], f"HOST: 'localhost:9' {NO_HOST} localhost 9"),
    ("UDPPingerClient", [":9"], f"HOST: ':9' {NO_HOST} 127.0.0.1 9"),
    ("UDPPingerClient", ["127.1"], "HOST must be a name or a full address such as 127.0.0.1"),
    ("UDPHeartBeatServer", ["0x7f.1"], "HOST must be a name or a full address such as 127.0.0.1"),
    (
        "UDPPingerServer",
        ["", "70000"],
        "PORT: '70000' is not a port; give a whole number from 0 to 65535",
    ),
    ("UDPPingerServer", ["--loss", "2"], f"--loss: '2' {A_PROBABILITY}"),
    ("UDPPingerServer", ["--loss", "30%"], f"--loss: '30%' {A_PROBABILITY}"),
    (
        "UDPPingerServer",
        ["--seed", "-1"],
        "--seed: '-1' is not a seed; give a whole number, 0 or more",
    ),
    ("UDPPingerServer", ["no.such.host.invalid"], "cannot resolve host no.such.host.invalid: "),
    (
        "UDPPingerServer",
        ["--no-such-option"],
        "there is no option '--no-such-option'; --help shows the usage",
    ),
    (
        "UDPPingerClient",
        ["127.0.0.1", "70000"],
        "PORT: '70000' is not a port; give a whole number from 1 to 65535",
    ),
    ("UDPPingerClient", ["127.0.0.1", "x"], "PORT: 'x' is not a port"),
    ("UDPPingerClient", ["127.0.0.1", "-1"], "'-1' is neither an option nor a port"),
    ("UDPPingerClient", ["--port", "1"], "PORT is given without '--port'; --help shows the usage"),
    ("UDPPingerClient", ["no.such.host.invalid"], "cannot resolve host no.such.host.invalid: "),
    ("UDPPingerClient", ["--count", "-1"], f"--count: '-1' {A_COUNT}"),
    ("UDPPingerClient", ["--count", "1.5"], f"--count: '1.5' {A_COUNT}"),
    (
        "UDPPingerClient",
        ["--count"],
        "option '--count' requires an argument; --help shows the usage",
    ),
    ("UDPPingerClient", ["--count", "9" * 20], f"--count must be 1 to 2**64 - 1, not {'9' * 20}"),
    ("UDPPingerClient", ["--timeout", "abc"], f"--timeout: 'abc' {SECONDS}"),
    ("UDPPingerClient", ["--timeout", "nan"], f"--timeout: 'nan' {SECONDS}"),
    (
        "UDPPingerClient",
        ["--timeout", "1e300"],
        "--timeout must be above 0 and below 9.2e9 seconds, not 1e+300",
    ),
    (
        "UDPPingerClient",
        ["a", "1", "b"],
        "got unexpected extra argument (b); --help shows the usage",
    ),
    ("UDPHeartBeatServer", ["--timeout", "0"], f"--timeout: '0' {SECONDS}"),
    ("UDPHeartBeatServer", ["--timeuot", "1"], "there is no option '--timeuot', but --timeout; "),
    ("UDPHeartBeatServer", ["--reply=yes"], "option '--reply' does not take a value"),
    ("UDPHeartBeatClient", ["--interval", "-1"], f"--interval: '-1' {SECONDS}"),
    ("UDPHeartBeatClient", ["--fail-at", "0"], f"--fail-at: '0' {A_COUNT}"),
    ("UDPHeartBeatClient", ["--fail-chance", "1.1"], f"--fail-chance: '1.1' {A_PROBABILITY}"),
    ("UDPHeartBeatClient", ["--format", "{x}"], "--format must be a text whose only braces are"),
    ("udpulse", ["bogus"], "no such command 'bogus'; --help shows the usage"),
]


@pytest.mark.parametrize(("name", "arguments", "text"), BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(
    name: str, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert MAINS[name](arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    program = name if name == "udpulse" else f"{name}.py"
    assert shown.err.startswith(f"{program}: {text}")


@pytest.mark.parametrize("name", ["UDPPingerServer", "UDPHeartBeatServer"])
def test_a_port_in_use_is_one_line_and_exit_code_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with udpulse.EchoServer(port=0) as server:
        host, port = server.address
        assert MAINS[name]([host, str(port)]) == 2
    reason = f"cannot bind {host}:{port}: Address already in use"
    hint = "is another server running? give another port, such as 0.0.0.0 12001"
    assert capsys.readouterr().err == f"{name}.py: {reason}; {hint}\n"


@pytest.mark.parametrize("name", MAINS)
def test_help_shows_usage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for option in ("-h", "--help"):
        assert MAINS[name]([option]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].startswith("Usage: ")


def test_options_may_stand_among_the_arguments(
    silent: peers.Address, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [silent[0], "--count", "1", str(silent[1]), "--timeout", "0.01"]
    assert UDPPingerClient.main(arguments) == 0
    assert capsys.readouterr().out.startswith("1: Request timed out\n")


def test_the_servers_help_states_the_labs_loss(capsys: pytest.CaptureFixture[str]) -> None:
    UDPPingerServer.main(["--help"])
    assert "36.36%" in capsys.readouterr().out


def test_udpulse_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert udpulse_main([]) == 0
    assert "demo" in capsys.readouterr().out
    assert udpulse_main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("udpulse ")


def exit_code(name: str) -> int:
    """Return the exit code of a script ended by Ctrl-C."""
    return 0 if "Server" in name else 130


def address(name: str, silent: peers.Address) -> list[str]:
    """Return an address: a free port for a server, a silent server for a client."""
    host, port = ("127.0.0.1", 0) if "Server" in name else silent
    return [host, str(port)]


def test_a_file_is_a_subcommand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greet.py").write_text(
        '"""`udpulse greet`: say hello."""\n'
        "import click\n"
        "from udpulse.cli._run import Command\n"
        "@click.command(cls=Command)\n"
        "def command():\n"
        "    return lambda: print('hello') or 0\n"
    )
    monkeypatch.setattr(udpulse.cli, "__path__", [*udpulse.cli.__path__, str(tmp_path)])
    assert udpulse_main(["--help"]) == 0
    assert re.search(r"\n  greet +Say hello\.\n", capsys.readouterr().out)
    assert udpulse_main(["greet"]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_the_help_imports_no_subcommand() -> None:
    script = (
        "import sys; from udpulse.cli import main; main(['--help']);"
        "heavy = {'matplotlib', 'numpy', 'rich'};"
        "heavy |= {'udpulse.cli.ping', 'udpulse.fits', 'udpulse.presets'};"
        "sys.exit(f'imported: {heavy & sys.modules.keys()}' if heavy & sys.modules.keys() else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


# Options with which a script runs until it is interrupted, and the note that it then prints.
LONG = {
    "UDPPingerServer": [],
    "UDPPingerClient": ["--timeout=0.01", "--count=1000000"],
    "UDPHeartBeatServer": [],
    "UDPHeartBeatClient": ["--fail-chance=0", "--interval=60"],
}
NOTES = {
    "UDPPingerServer": "Received 0 packets, dropped 0",
    "UDPPingerClient": "Packet loss rate: 100%",
    "UDPHeartBeatServer": "Listening on 127.0.0.1:\\d+; Ctrl-C ends it",
    "UDPHeartBeatClient": "Sent 1 heartbeat",
}


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_ends_a_script_with_a_summary(name: str, again: bool, silent: peers.Address) -> None:
    with Program(f"{name}.py", *address(name, silent), *LONG[name]) as program:
        assert (program.notes if "Server" in name else program.screen).next()
        ended = program.interrupted(again=again)
    assert ended.code == exit_code(name)
    assert any(re.fullmatch(NOTES[name], note) for note in ended.notes)
    assert "Traceback" not in "\n".join(ended.notes)


# Runs a program in a terminal of its own, whose keyboard and screen are stdin and stdout.
TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudoterminals")
@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_in_a_terminal(name: str, silent: peers.Address) -> None:
    script = [sys.executable, str(PYTHON / f"{name}.py"), *address(name, silent), *LONG[name]]
    terminal, pipe = [sys.executable, "-c", TERMINAL, *script], subprocess.PIPE
    with subprocess.Popen(terminal, stdin=pipe, stdout=pipe, bufsize=0) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        shown, _ = process.communicate(b"\x03")
    assert process.returncode == exit_code(name)
    assert re.search(NOTES[name].encode(), first + shown)
    assert b"Traceback" not in shown


def test_a_closed_pipe_ends_a_script_quietly(silent: peers.Address) -> None:
    host, port = silent
    script = str(PYTHON / "UDPPingerClient.py")
    program = [sys.executable, script, host, str(port), "--timeout=0.01"]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert "Error" not in err


def test_a_reply_that_the_terminal_cannot_show_is_escaped() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        host, port = server.getsockname()
        program = [
            sys.executable,
            str(PYTHON / "UDPPingerClient.py"),
            host,
            str(port),
            "--count=1",
            "--timeout=30",
        ]
        environment = os.environ | {"PYTHONIOENCODING": "ascii"}
        with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment) as process:
            _, client = server.recvfrom(1024)
            server.sendto("pöng".encode(), client)
            assert process.stdout is not None
            assert process.stdout.readline() == b"p\\xf6ng\n"
        assert process.returncode == 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_during_an_import_leaves_no_traceback(name: str, tmp_path: Path) -> None:
    # A module that the program imports interrupts it.
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    program = [sys.executable, str(PYTHON / f"{name}.py")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert ended.stderr == ""
    assert ended.returncode == exit_code(name)


# Runs a script again and again, interrupted at its first line, at its second and so on, until it
# ends or waits for datagrams. Lines of the script and of udpulse count, and calls inside click.
INTERRUPTER = """
import linecache, pathlib, runpy, signal, sys, click, udpulse
script, code, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = script
ours, clicks = (str(pathlib.Path(module.__file__).parent) for module in (udpulse, click))
first = open(script).read().partition("import sys")[0].count("\\n") + 1
turn, count, done = 0, 0, False

def blocked():
    return sys.platform != "win32" and signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

def trace(frame, event, _):
    global count, done, where
    name, line = frame.f_code.co_filename, frame.f_lineno
    if not (name == script and line >= first or name.startswith((ours, clicks))):
        return trace if name == script else None
    counted = "call" if name.startswith(clicks) else "line"
    # Python 3.10 loses an error in a __repr__ that it calls for another error.
    if event == counted and frame.f_code.co_name != "__repr__":
        count += 1
        if "in server:" in linecache.getline(name, line):
            done, count = True, turn
        if count == turn:
            where = f"{name}:{line}"
            done |= signal.getsignal(signal.SIGINT) is signal.SIG_IGN or blocked()
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
    return trace

while not done:
    turn, count = turn + 1, 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    sys.settrace(trace)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        assert count == turn
        assert done or end.code == int(code), (where, end.code)
print("lines:", turn)
"""

# Options with which a client ends soon.
SHORT = {
    "UDPPingerServer": [],
    "UDPPingerClient": ["--count=1", "--timeout=0.01"],
    "UDPHeartBeatServer": [],
    "UDPHeartBeatClient": ["--count=1", "--fail-chance=0"],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_at_any_line_leaves_no_traceback(name: str, silent: peers.Address) -> None:
    script, code = str(PYTHON / f"{name}.py"), str(exit_code(name))
    arguments = [*address(name, silent), *SHORT[name]]
    program = [sys.executable, "-c", INTERRUPTER, script, code, *arguments]
    ended = subprocess.run(program, capture_output=True, text=True)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert int(ended.stdout.rpartition("lines: ")[2]) > 100


def test_the_demo_shows_both_sides_of_both_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    assert udpulse_main(["demo"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    # A typical loss of 4 of 11.
    assert shown.out.count("Request timed out") in (3, 4)
    for line in [
        r"server \| b'PING 1 \d+\.\d+'",
        r"server \| Oops, dropped it!",
        r"client \| \d+: Request timed out",
        r"client \| from 127\.0\.0\.1: time=0\.\d{6}",
        r"client \| min: 0\.\d{6}, max: 0\.\d{6}, avg: 0\.\d{6}",
        r"client \| Packet loss rate: [\d.]+%",
        r"client \| Sending 1",
        r"server \| Running fine at b'1' \(-?\d\.\d{6} s\)",
        r"server \| Lost \d heartbeats?: \d",
        r"client \| Failing at 10",
        r"server \| Looks like the client has failed at 10",
        r"server \| Received \d of 9 heartbeats, [\d.]+% lost one way",
    ]:
        assert re.search(f"^{line}$", shown.out, re.MULTILINE), line


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.5, "50%"),
        (1 / 3, "33.3%"),
        (4 / 11, "36.4%"),
        (1, "100%"),
        (0.00001, "0.001%"),
        (0.9999, "99.99%"),
    ],
)
def test_rates_have_no_needless_decimal(share: float, text: str) -> None:
    assert _text.percent(share) == text


def test_replies_cannot_command_the_terminal() -> None:
    assert printable(b"\x1b[2J\r\nA\xff") == r"\x1b[2J\r\nA\xff"
    assert printable("PING 1 straße".encode()) == "PING 1 straße"
