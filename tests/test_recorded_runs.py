"""`udpulse read` and `udpulse plot`, on runs recorded as JSON lines."""

import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import udpulse
from udpulse import jsonlines
from udpulse.cli import main


def recorded(running: jsonlines.Running, path: Path) -> None:
    """Record a run."""
    with path.open("w") as file:
        jsonlines.write(running, file)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A recorded run of three probes with one loss."""
    path = tmp_path / "run.jsonl"
    with udpulse.EchoServer(port=0, loss=udpulse.impair.LossPattern([0, 1, 0])) as server:
        recorded(udpulse.PingClient(*server.address, count=3, timeout=0.3), path)
    return path


def test_a_run_is_read_back(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(run)]) == 0
    with run.open() as file:
        report = jsonlines.read(file)
    assert capsys.readouterr().out == f"{report}\n"


def test_thresholds_hold_for_a_recorded_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(run), "--max-loss", "50%"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["read", str(run), "--max-loss", "10%"]) == 1
    assert capsys.readouterr().err == "loss 33.3% is above 10%\n"


def test_a_recorded_sweep_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    with udpulse.EchoServer(port=0) as server:
        port = server.address[1]
        targets = [("127.0.0.1", port), ("127.0.0.2", port)]
        recorded(udpulse.PingSweep(targets, count=1, timeout=0.2), path)
    assert main(["read", str(path)]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"127.0.0.1:{port}  1/1  loss 0%")
    assert second.startswith(f"127.0.0.2:{port}  0/1  loss 100%")
    assert last == "2 targets: 1 alive, 1 dead"


def test_recorded_beats_are_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    with udpulse.HeartbeatServer(port=0) as server:
        recorded(udpulse.HeartbeatClient(*server.address, count=2, interval=0.01), path)
    assert main(["read", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("beat ")[2] for line in lines] == ["1 sent", "2 sent"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it is empty"),
        ("{}\n", "line 1 has no 'event'"),
        ("no run\n", "line 1 is not a line of a run"),
    ],
)
def test_a_file_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, error: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)
    for words in (["read", str(path)], ["plot", str(path), "-o", str(tmp_path / "run.svg")]):
        assert main(words) == 2
        assert error in capsys.readouterr().err


def test_a_run_that_was_cut_off_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run.read_text().splitlines(keepends=True)
    run.write_text("".join(lines[:-1]))
    assert main(["read", str(run)]) == 2
    assert "cut off" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_a_run_is_drawn(run: Path, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"run.{ending}"
    assert main(["plot", str(run), "-o", str(picture)]) == 0
    starts = {"svg": b"<svg", "png": b"\x89PNG", "html": b"<!doctype html>"}
    assert picture.read_bytes()[:15].lower().startswith(starts[ending].lower())


def test_a_picture_of_another_kind_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main(["plot", str(run), "-o", str(tmp_path / "run.bmp")]) == 2
    assert ".svg, .png or .html" in capsys.readouterr().err


def test_the_kinds_of_lines_are_the_schema_s(run: Path) -> None:
    kinds = [json.loads(line)["event"] for line in io.StringIO(run.read_text())]
    assert kinds == ["start", "probe", "probe", "probe", "summary"]


def test_the_end_of_a_server_is_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    server = udpulse.EchoServer(port=0, loss=1.0)
    with path.open("w") as file, ThreadPoolExecutor() as pool:
        writing = pool.submit(jsonlines.write, server, file)
        while not server.running:
            time.sleep(0.001)
        udpulse.ping(*server.address, count=2, timeout=0.01)
        while server.counters.received < 2:
            time.sleep(0.001)
        server.stop()
        writing.result()
    assert main(["read", str(path)]) == 0
    assert capsys.readouterr().out.endswith("2 packets: 0 replied, 2 dropped\nuplink: 2 lost\n")
    assert main(["read", str(path), "--max-loss", "1%"]) == 2
    assert "are for pings" in capsys.readouterr().err


def test_beats_have_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    with udpulse.HeartbeatServer(port=0) as server:
        recorded(udpulse.HeartbeatClient(*server.address, count=1), path)
    assert main(["plot", str(path), "-o", str(tmp_path / "run.svg")]) == 2
    assert "has no picture" in capsys.readouterr().err


@pytest.mark.parametrize("member", ["started", "state"])
def test_a_run_without_a_member_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], member: str
) -> None:
    lines = [json.loads(line) for line in run.read_text().splitlines()]
    for line in lines:
        if member in line:
            line[member] = None
    run.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert main(["read", str(run)]) == 2
    assert "is not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stream", "words", "code"),
    [
        ("stdin", ["read", "-"], 2),
        ("stdout", ["ping", "127.0.0.1:9", "-c", "1", "--json"], 3),
    ],
)
def test_a_closed_stream_is_told_in_a_line(stream: str, words: list[str], code: int) -> None:
    start = f"import sys; sys.{stream} = None; from udpulse.cli import main"
    script = f"{start}; sys.exit(main({words}))"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr.count("\n")) == (code, 1)
