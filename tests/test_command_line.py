"""The `udpulse` command: options, exit codes, lines."""

import json
import re
from pathlib import Path

import pytest

import udpulse
from udpulse.cli import _options, _parameters, main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and its output on stdout and stderr."""
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 0.25), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("1d", 86400), ("0.1", 0.1)],
)
def test_a_time_has_a_unit(text: str, value: float) -> None:
    assert _parameters.duration(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("host", ("host", 12000)),
        ("host:7", ("host", 7)),
        ("::1", ("::1", 12000)),
        ("[::1]:7", ("::1", 7)),
        ("[::1]", ("::1", 12000)),
    ],
)
def test_an_address_may_have_a_port(text: str, value: tuple[str, int]) -> None:
    assert _parameters.remote_address(text) == value


@pytest.mark.parametrize(
    "api",
    [
        udpulse.PingClient,
        udpulse.PingSweep,
        udpulse.EchoServer,
        udpulse.HeartbeatClient,
        udpulse.HeartbeatServer,
        udpulse.StampReflector,
        udpulse.impair.Link,
    ],
)
def test_every_option_has_a_help(api: type) -> None:
    command = _options.options_of(api)(lambda: None)
    options = command.__click_params__  # type: ignore[attr-defined]
    assert options
    assert all(option.help for option in options)


def test_word_options_offer_all_words() -> None:
    stub = Path(udpulse.__file__).with_name("_core.pyi").read_text("utf-8")
    found = re.findall(r"^        (\w+): Literal\[([^]]*)\]", stub, re.MULTILINE)
    words = {name: set(re.findall(r'"(.*?)"', values)) for name, values in found}
    given = {name: set(values) for name, values in _options.WORDS.items()}
    assert given == {name: values for name, values in words.items() if name in given}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the time, in seconds; None for no limit. More text.", "The time; none for no limit."),
        ("at most `resolve_every`, see `fates` (RFC 1191).", "At most --resolve-every, see fates"),
        ("whether to spin (1 to 2.5). `x` is more.", "Spin (1 to 2.5)."),
        ("whether a probe waits.", "Whether a probe waits."),
    ],
)
def test_a_help_is_the_first_sentence_in_words_of_the_shell(text: str, shown: str) -> None:
    assert _options.sentence(text, ["resolve_every"]).startswith(shown)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("udpulse pi", ["ping"]),
        ("udpulse ping --sch", ["--schedule"]),
        ("udpulse ping --schedule ", ["periodic", "poisson"]),
    ],
)
def test_a_shell_completes_commands_options_and_words(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    offered: list[str],
) -> None:
    monkeypatch.setenv("_UDPULSE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == [f"plain,{word}" for word in offered]


def test_targets_come_from_a_file_once_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with udpulse.EchoServer(port=0) as server:
        address = "{}:{}".format(*server.address)
        file = tmp_path / "hosts"
        file.write_text(f"\ufeff{address}  # ours\n\n# none\n{address}\nno.such.host.invalid\n")
        words = ["ping", "--file", str(file), address, "-c", "1", "--interval", "10ms"]
        code, out, err = run(capsys, *words)
        alive = run(capsys, *words, "--alive")[1]
        dead = run(capsys, *words, "--dead")[1]
    assert code == 1
    assert out.splitlines()[-1] == "2 targets: 1 alive, 1 dead"
    assert err.startswith("no.such.host.invalid:12000: ")
    assert (alive, dead) == (f"{address}\n", "no.such.host.invalid:12000\n")


def test_a_block_is_all_its_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer("127.0.0.2", port=0) as server:
        words = ["ping", f"127.0.0.0/30:{server.address[1]}", "--alive", "--interval", "10ms"]
        code, out, _ = run(capsys, *words)
    assert (code, out) == (0, f"127.0.0.2:{server.address[1]}\n")


def test_rounds_count_together(capsys: pytest.CaptureFixture[str]) -> None:
    loss = udpulse.impair.LossPattern([1, 0, 0])
    with udpulse.EchoServer(port=0, loss=loss) as server:
        words = ["ping", "{}:{}".format(*server.address), "-c", "1", "--rounds", "3"]
        words += ["-t", "500ms", "--interval", "100ms"]
        code, out, err = run(capsys, *words, "--max-loss", "50%")
        broken, _, err = run(capsys, *words, "--max-loss", "30%")
    assert (code, broken) == (0, 1)
    assert out.count("/1 ") == 3
    assert err.endswith("loss 33.3% is above 30%\n")


def test_a_statistic_of_too_few_replies_breaks_its_threshold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with udpulse.EchoServer(port=0) as server:
        words = ["ping", "{}:{}".format(*server.address), "-c", "3", "-i", "none"]
        assert run(capsys, *words, "--max-rtt", "30")[0] == 0
        code, _, err = run(capsys, *words, "--max-rtt", "p99=30")
    assert (code, err) == (1, "too few replies for p99\n")


def test_json_is_all_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer(port=0, loss=udpulse.impair.LossPattern([0, 1])) as server:
        address = "{}:{}".format(*server.address)
        words = ["-t", "50ms", "-i", "none", "-c", "2", "--json", "--max-loss", "10%"]
        code, out, err = run(capsys, "ping", address, *words)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["start", "probe", "probe", "summary"]
    assert lines[-1]["lost"] == 1
    assert (code, err) == (1, "loss 50% is above 10%\n")


def test_json_of_many_targets(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer(port=0) as server:
        address = "{}:{}".format(*server.address)
        words = ["-c", "1", "--interval", "10ms", "--json"]
        code, out, err = run(capsys, "ping", address, "no.such.host.invalid", *words)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["target"] for line in lines if line["event"] == "summary"] == [
        address,
        "no.such.host.invalid:12000",
    ]
    assert code == 1
    assert err.startswith("no.such.host.invalid:12000: ")


def test_csv_has_a_line_per_target(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    with udpulse.EchoServer(port=0) as server:
        address = "{}:{}".format(*server.address)
        words = ["-c", "2", "--interval", "10ms", "--csv", str(file)]
        run(capsys, "ping", address, "no.such.host.invalid", *words)
        run(capsys, "ping", address, *words[:-1], str(tmp_path / "one.csv"))
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 3
    header, first, second = [line.split(",") for line in file.read_text().splitlines()]
    assert dict(zip(header, first, strict=True))["sent"] == "2"
    assert second[0] == "no.such.host.invalid:12000"


def test_a_late_reply_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer(port=0, delay=0.2) as server:
        words = ["-c", "1", "-t", "20ms", "--linger", "3s", "--timestamps", "user"]
        address = "{}:{}".format(*server.address)
        _, out, _ = run(capsys, "ping", address, *words)
    lines = out.splitlines()
    assert lines[0] == "seq 1: lost"
    assert re.fullmatch(r"seq 1: \d{3,}\.\d+ ms late, after its verdict", lines[1])


def test_ping_shows_each_probe_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer(port=0, loss=udpulse.impair.LossPattern([0, 1, 0])) as server:
        address = "{}:{}".format(*server.address)
        words = ["ping", address, "-c", "3", "-i", "none", "-t", "500ms"]
        code, out, _ = run(capsys, *words)
        broken, _, notes = run(capsys, *words, "--max-loss", "10%")
    lines = out.splitlines()
    assert code == 0
    assert [line.partition(":")[0] for line in lines[:3]] == ["seq 1", "seq 2", "seq 3"]
    assert lines[1] == "seq 2: lost"
    assert lines[3] == f"3 probes to {address}: 2 answered, 1 lost"
    assert broken == 1
    # A busy host has notes about itself.
    assert notes.endswith("loss 33.3% is above 10%\n")


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "ping", "127.0.0.1:9", "-c", "1", "-t", "100ms")
    assert code == 1
    assert out.startswith("seq 1: ")
    assert err.endswith("  udpulse echo 0.0.0.0:9\n")


def test_a_hint_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    # With so little room the token is cut off.
    with udpulse.EchoServer(port=0, max_size=20) as server:
        words = ["ping", "{}:{}".format(*server.address), "-c", "1", "-t", "300ms"]
        _, out, err = run(capsys, *words)
        _, _, notes = run(capsys, *words, "--json")
    assert (out + err).count("use a size of 0") == notes.count("use a size of 0") == 1


def test_no_name_resolves(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "ping", "no.such.host.invalid")[0] == 2
    assert run(capsys, "ping", "no.such.host.invalid", "no.other.invalid")[0] == 2


def test_a_port_in_use_is_a_local_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer(port=0) as server:
        code, _, err = run(capsys, "echo", "{}:{}".format(*server.address))
    assert code == 3
    assert "Address already in use" in err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["ping"], "there is no target; --help shows the usage"),
        (["ping", "h", "--timeout", "5x"], "--timeout: '5x' is not a time;"),
        (["ping", "h", "--timeout", "-1"], "--timeout must be above 0"),
        (["ping", "h", "i", "--precise"], "--precise: only for one target;"),
        (["ping", "h", "--schedule", "x"], "--schedule: 'x' is not one of 'periodic', 'poisson'"),
        (["ping", "--file", "/no/such"], "--file: '/no/such': No such file or directory"),
        (["ping", "h", "--every", "1"], "--every: only with --json;"),
        (["ping", "h", "--alive", "--json"], "--alive: not with --json, which prints all;"),
        (["ping", "10.0.0.0/8"], "udpulse: '10.0.0.0/8' has 16777216 hosts; at most 65536"),
        (["ping", "h:99999"], "udpulse: 'h:99999' is not an address; give HOST:PORT"),
        (["echo", "--uplink-loss", "2"], "--uplink-loss must be a probability"),
        (["echo", "--loss", "Gilbert:p=1"], "'Gilbert:p=1' is not a model;"),
        (["echo", "--loss", "Uniform:1ms,2ms"], "--loss must be a probability"),
        (["echo", "--uplink-loss", "Uniform:1ms,2ms"], "--uplink-loss must be a probability"),
        (["ping", "h", "--max-loss", "101%"], "'101%' is not a share from 0 to 1"),
        (["ping", "\x1b[31m.invalid", "-c", "1"], "cannot resolve host \\x1b[31m.invalid"),
        (["ping", "h", "--max-rtt", "p0.5=1s"], "--max-rtt: 'p0.5' is not a statistic;"),
        (["ping", "h", "--max-rtt", "-1"], "--max-rtt: '-1' is not a time above 0"),
        (["ping", "h", "--json", "--every", "0"], "--every: '0' is not a time above 0"),
        (["echo", "--loss", "GilbertElliott"], "--loss: 'GilbertElliott': missing 1 required"),
        (["echo", "--loss", "LossPattern:a=1"], "'LossPattern:a=1': LossPattern has no a"),
        (["echo", "--uplink-rules", "drop:nth=0"], "'drop:nth=0': nth must be a number from 1,"),
        (["echo", "--uplink-rules", "lose"], "'lose': action must be 'drop', 'delay',"),
        (["echo", "--uplink-rules", "drop:value=x"], "'drop:value=x': non-hexadecimal number"),
        (["plot"], "FILE is missing; --help shows the usage"),
    ],
)
def test_bad_input_is_named(
    capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert error in err


def test_lines_of_many_targets_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    with udpulse.EchoServer(port=0) as server:
        address = "{}:{}".format(*server.address)
        _, out, _ = run(capsys, "ping", address, "no.such.host.invalid", "-t", "200ms")
    *lines, _ = out.splitlines()
    assert len({line.index("  loss ") for line in lines}) == 1
