"""The scripts of examples/, on loopback."""

import re
import subprocess
import sys
from pathlib import Path

import peers
from programs import Program, run

from udpulse import EchoServer, HeartbeatClient, HeartbeatServer
from udpulse.events import Up
from udpulse.impair import LossPattern

EXAMPLES = Path(__file__).parent.parent / "examples"


def script(name: str) -> str:
    """Return the path of an example."""
    return str(EXAMPLES / name)


def target(server: EchoServer | HeartbeatServer) -> str:
    """Return an address in the form that the examples read."""
    return "{}:{}".format(*server.address)


def test_thirty_percent() -> None:
    ended = run(script("thirty_percent.py"), 1000)
    assert (ended.code, ended.notes) == (0, [])
    measured = re.fullmatch(
        r"(\d+) of 1000 pings lost; the server says that it dropped (\d+)", ended.screen[0]
    )
    assert measured
    assert measured[1] == measured[2]
    assert [line.rpartition(" is ")[0] for line in ended.screen[2:]] == [
        "30.00% (the lab's text)",
        "36.36% (4 of 11)",
    ]


def test_loss_bursts() -> None:
    with EchoServer(port=0, loss=LossPattern([False, True, True, False])) as server:
        ended = run(script("loss_bursts.py"), *server.address, 1.0)
    assert ended.code == 0
    summary = ended.screen.index(next(line for line in ended.screen if " probes to " in line))
    assert summary > 0
    for burst in ended.screen[:summary]:
        assert re.fullmatch(r"[\d:]{8}  2 lost in a row", burst)


def test_many_targets(silent: peers.Address) -> None:
    with EchoServer(port=0) as server:
        silent_target = "{}:{}".format(*silent)
        ended = run(script("many_targets.py"), target(server), silent_target)
    assert (ended.code, ended.notes) == (0, [])
    _, worst, best = (line.split() for line in ended.screen)
    assert worst == [silent_target, "100.0%", "-", "-"]
    assert best[:2] == [target(server), "0.0%"]


def test_watch_paths(silent: peers.Address) -> None:
    with HeartbeatServer(port=0) as fleet, EchoServer(port=0) as server:
        ended = run(script("watch_paths.py"), target(fleet), target(server), target(server))
        names = {event.name for event in fleet.next_batch() if isinstance(event, Up)}
    assert (ended.code, ended.notes) == (0, [])
    assert ended.screen == [f"{target(server)} 100 of 100 answered"] * 2
    assert names == {"watcher"}


def test_follow_fleet() -> None:
    with Program(script("follow_fleet.py"), "127.0.0.1", 0) as program:
        port = int(program.screen.until(r"listening on 127.0.0.1 (\d+)")[1])
        to = ("127.0.0.1", port)
        with HeartbeatClient(*to, name="stops", interval=0.05):
            program.screen.until(r"[\d:]{8}  stops  up")
            with HeartbeatClient(*to, name="crashes", interval=0.05, fail_at=8):
                program.screen.until(r"[\d:]{8}  crashes  DOWN \(silence\): silent for \d\.\d s")
        program.screen.until(r"[\d:]{8}  stops  stopped")
        ended = program.interrupted()
    assert (ended.code, ended.notes) == (0, [])
    shown = [line.split("  ")[1:] for line in ended.screen[1:]]
    assert ["crashes", "up"] in shown
    assert ["stops", "up"] in shown


def test_test_my_client() -> None:
    pytester = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*pytester, script("test_my_client.py")], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout


def test_each_example_has_a_test() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tests
