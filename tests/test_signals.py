"""Ctrl-C ends a call that blocks, and an interrupted object stays usable."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

OBJECTS = {
    "EchoServer": "udpulse.EchoServer(port=0)",
    "HeartbeatClient": "udpulse.HeartbeatClient(*silent, interval=100)",
    "HeartbeatServer": "udpulse.HeartbeatServer(port=0)",
    "PingClient": "udpulse.PingClient(*silent, timeout=100)",
    "PingSweep": "udpulse.PingSweep([silent], timeout=100)",
    "StampReflector": "udpulse.StampReflector(port=0)",
}

CALLS = [
    "udpulse.ping(*silent, timeout=100)",
    "udpulse.ping_many([silent], timeout=100)",
]

SILENT = """
import socket, udpulse
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("127.0.0.1", 0))
silent = sink.getsockname()
"""

ITERATING = """
thing = {thing}
thing.start()
try:
    print("ready", flush=True)
    for _ in thing:
        pass
except KeyboardInterrupt:
    print("interrupted")
assert thing.running, "an interrupted wait leaves the object at work"
for _ in range(2):
    thing.stop()
    assert not thing.running
    thing.start()
"""

CALLING = """
def tell():
    sink.recv(100)
    print("ready", flush=True)

import threading
threading.Thread(target=tell).start()
try:
    {call}
except KeyboardInterrupt as error:
    report, = getattr(error, "reports", None) or [error.report]
    assert report.sent == report.pending >= 1
    print("interrupted")
assert udpulse.ping(*silent, count=1, timeout=0.01).lost == 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
@pytest.mark.parametrize(
    "code",
    [
        *(CALLING.format(call=call) for call in CALLS),
        *(ITERATING.format(thing=t) for t in OBJECTS.values()),
    ],
    ids=["ping", "ping_many", *OBJECTS],
)
def test_ctrl_c_ends_a_blocking_call(code: str) -> None:
    program = [sys.executable, "-c", SILENT + code]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
    assert process.returncode == 0


def test_a_running_object_does_not_delay_the_end_of_the_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        SILENT + "things = [udpulse.EchoServer(port=0), udpulse.HeartbeatServer(port=0),\n"
        "          udpulse.PingClient(*silent, count=None, timeout=1000),\n"
        "          udpulse.PingSweep([silent], timeout=1000),\n"
        "          udpulse.HeartbeatClient(*silent)]\n"
        "for thing in things: thing.start()\n"
    )
    assert subprocess.run([sys.executable, program], timeout=30).returncode == 0
