"""Meshes: plans, causes, engines, and four hosts in network namespaces."""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hosts
import numpy as np
import pytest

import udpulse
from udpulse import PingReport, Probe
from udpulse.cli import main
from udpulse.meshes import Mesh, MeshReport, Pending, Threads, mesh, release
from udpulse.meshes._plan import by_group, plan

NAMES = ["a", "b", "c", "d"]


def report_of(answered: int, lost: int, rtt: float = 0.001) -> PingReport:
    # Not in bursts, which widen the interval of the loss.
    total = answered + lost
    verdicts = ["lost" if lost and seq * 7 % total < lost else "answered" for seq in range(total)]
    return PingReport.from_probes(
        Probe(
            seq=seq,
            sent_at=1000.0 + seq,
            verdict=verdict,  # type: ignore[arg-type]
            rtt=rtt if verdict == "answered" else None,
        )
        for seq, verdict in enumerate(verdicts, 1)
    )


GOOD, LOSSY, LOST = report_of(50, 0), report_of(30, 20), report_of(0, 50)
SLOW = report_of(50, 0, rtt=0.1)


def made_of(bad: Mapping[tuple[str, str], PingReport], **options: Any) -> MeshReport:
    pairs = [(a, b) for a in NAMES for b in NAMES if a != b]
    return MeshReport(tuple(NAMES), {pair: bad.get(pair, GOOD) for pair in pairs}, **options)


def found(report: MeshReport) -> list[tuple[str, tuple[str, ...], str]]:
    return [(cause.kind, cause.names, cause.trouble) for cause in report.causes]


@pytest.mark.parametrize("number", [2, 3, 7, 12])
def test_a_full_plan_has_each_pair_once_in_rounds_of_disjoint_pairs(number: int) -> None:
    names = [f"h{n:02}" for n in range(number)]
    pairs = plan(names)
    assert Counter(pairs) == Counter({(a, b): 1 for a in names for b in names if a != b})
    half = number // 2
    for start in range(0, len(pairs), half):
        assert len({host for pair in pairs[start : start + half] for host in pair}) == 2 * half


def test_a_plan_with_peers_meets_all_others_in_as_few_visits_as_possible() -> None:
    names = [f"h{n}" for n in range(31)]
    met: set[tuple[str, str]] = set()
    for visit in range(5):
        pairs = plan(names, peers=6, visit=visit)
        assert Counter(sender for sender, _ in pairs) == dict.fromkeys(names, 6)
        assert not met & set(pairs)
        met |= set(pairs)
    assert len(met) == 31 * 30


def test_a_host_that_joins_changes_few_pairs_of_a_plan() -> None:
    names = [f"h{n}" for n in range(50)]
    before, after = set(plan(names, peers=5)), set(plan([*names, "new"], peers=5))
    assert len(before - after) <= 50


def test_a_large_mesh_has_a_limit_of_peers() -> None:
    assert len(plan([f"h{n}" for n in range(101)])) == 101 * 20


def test_groups_meet_inside_and_one_host_of_each_other() -> None:
    names = ["a1", "a2", "a3", "b1", "b2"]
    pairs = list(by_group(names, {name: name[0] for name in names}))
    inside = {pair for pair in pairs if pair[0][0] == pair[1][0]}
    assert len(inside) == 6 + 2
    between = set(pairs) - inside
    assert between == {
        *(("a1", "b1"), ("b1", "a1"), ("a2", "b2"), ("b2", "a2"), ("a3", "b1"), ("b1", "a3"))
    }
    assert len(pairs) == len(set(pairs))


def test_causes_are_rows_columns_crosses_blocks_and_cells() -> None:
    row = {("b", other): LOSSY for other in "acd"}
    column = {(other, "b"): LOSSY for other in "acd"}
    assert found(made_of({})) == []
    assert found(made_of(row)) == [("sender", ("b",), "loss")]
    assert found(made_of(column)) == [("receiver", ("b",), "loss")]
    assert found(made_of({**row, **column})) == [("host", ("b",), "loss")]
    assert found(made_of({("a", "c"): LOSSY})) == [("path", ("a", "c"), "loss")]
    both = {("a", "c"): LOSSY, ("c", "a"): LOSSY}
    assert found(made_of(both)) == [("both ways", ("a", "c"), "loss")]
    sites = {"a": "x", "b": "x", "c": "y", "d": "y"}
    block = {(p, q): LOSSY for p in NAMES for q in NAMES if sites[p] != sites[q]}
    assert found(made_of(block, groups=sites)) == [("groups", ("x", "y"), "loss")]


def test_a_dead_host_and_a_slow_path_are_two_causes() -> None:
    cross = {(p, q): LOST for p in NAMES for q in NAMES if p != q and "d" in (p, q)}
    report = made_of({**cross, ("a", "b"): SLOW})
    assert found(report) == [("host", ("d",), "lost"), ("path", ("a", "b"), "delay")]
    assert report.state("a", "d") == "lost"
    assert "host d, in both directions: nothing gets through (6 cells)" in str(report)


def test_max_rtt_and_max_loss_decide_which_cells_are_bad() -> None:
    assert found(made_of({("a", "b"): SLOW}, max_rtt=0.2)) == []
    assert found(made_of({("a", "b"): LOSSY}, max_loss=0.5)) == []


def test_matrices_have_senders_as_rows_and_no_diagonal() -> None:
    report = made_of({("a", "c"): LOSSY})
    assert report.loss.shape == (4, 4)
    assert np.isnan(np.diag(report.loss)).all()
    assert report.loss[0, 2] == pytest.approx(0.4)
    assert report.loss[2, 0] == 0
    assert report.loss_low[0, 2] < 0.4 < report.loss_high[0, 2]
    assert report.n[0, 2] == 50
    assert report.p50[0, 1] == pytest.approx(0.001)
    assert report.total.sent == 12 * 50


def test_pictures_tell_the_four_states_without_colour() -> None:
    pairs = {("a", "b"): GOOD, ("b", "a"): LOST, ("a", "c"): LOSSY}
    report = MeshReport(("a", "b", "c", "<d>\x9b"), pairs, unreachable={"<d>\x9b": "gone"})
    text = str(report).splitlines()
    assert [line.split()[2:] for line in text[3:5]] == [["·", "40", "!"], ["#", "?", "!"]]
    picture = report.svg()
    for sign in ("·", "40", "!", "#", "?"):
        assert f">{sign}</text>" in picture
    assert "<d>" not in picture
    assert "\x9b" not in picture + str(report)
    assert "&lt;d&gt;\\x9b" in picture


def test_a_large_mesh_has_one_character_per_cell() -> None:
    names = tuple(f"h{number:02}" for number in range(20))
    pairs = {(a, b): GOOD for a in names for b in names if a != b}
    pairs["h00", "h19"] = LOSSY
    lines = str(MeshReport(names, pairs)).splitlines()
    assert lines[2] == " 1 h00  " + 18 * "·" + "4"


def test_addresses_of_this_host_measure_each_other() -> None:
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    report = mesh(addresses, count=5, rate=500)
    assert report.hosts == tuple(addresses)
    assert {report.state(*pair) for pair in report.cells()} == {"measured"}
    assert report.total.answered == 6 * 5
    assert udpulse.mesh is mesh


def test_stamp_finds_the_direction_of_a_loss() -> None:
    report = mesh(["127.0.0.1", "127.0.0.2"], protocol="stamp", count=5, rate=500)
    assert report.total.answered == 10
    assert report.loss[0, 1] == 0
    assert report.protocol == "stamp"


class Recorded(Threads):
    """Threads that note who works at the same time, and whose third host never ends its work."""

    def __init__(self, addresses: list[str], hangs: str = "") -> None:
        super().__init__(addresses)
        self.hangs = hangs
        self.at_work: Counter[str] = Counter()
        self.most = 0

    def submit(self, host: str, work: Callable[..., Any], /, *arguments: Any) -> Pending[Any]:
        if host == self.hangs and work.__name__ == "measure":
            return Future()
        if work.__name__ != "measure":
            return super().submit(host, work, *arguments)
        both = (host, arguments[1][0])
        self.at_work.update(both)
        self.most = max(self.most, *self.at_work.values())
        pending = super().submit(host, work, *arguments)
        pending.add_done_callback(lambda _: self.at_work.subtract(both))
        return pending


def test_no_host_is_in_two_measurements_at_the_same_time() -> None:
    engine = Recorded([f"127.0.0.{number}" for number in range(1, 7)])
    report = mesh(engine, count=3, rate=500)
    assert len(report.reports) == 30
    assert engine.most == 1


def test_a_host_that_hangs_is_given_up_and_the_others_are_measured() -> None:
    engine = Recorded(["127.0.0.1", "127.0.0.2", "127.0.0.3"], hangs="127.0.0.2")
    report = mesh(engine, count=2, rate=500, timeout=0.1, host_timeout=0.1)
    assert list(report.unreachable) == ["127.0.0.2"]
    states = {pair: report.state(*pair) for pair in report.cells()}
    assert {state for (a, _), state in states.items() if a != "127.0.0.2"} == {"measured"}
    assert {state for (a, _), state in states.items() if a == "127.0.0.2"} == {"unreachable"}


class Interrupted(Threads):
    """Threads whose fourth measurement meets Ctrl-C."""

    measurements = 0

    def submit(self, host: str, work: Callable[..., Any], /, *arguments: Any) -> Pending[Any]:
        self.measurements += work.__name__ == "measure"
        if self.measurements == 4:
            raise KeyboardInterrupt
        return super().submit(host, work, *arguments)


def test_an_interrupted_visit_keeps_its_measurements() -> None:
    with pytest.raises(KeyboardInterrupt) as error:
        mesh(Interrupted(["127.0.0.1", "127.0.0.2", "127.0.0.3"]), count=2, rate=500)
    # Of three hosts only two can measure: the third measurement has ended, too.
    assert len(error.value.report.reports) == 3  # type: ignore[attr-defined]


def test_a_host_without_a_responder_is_unreachable_both_ways() -> None:
    # No host of this machine has this address.
    report = mesh(["127.0.0.1", "127.0.0.2", "198.18.30.1"], count=2, rate=500)
    assert list(report.unreachable) == ["198.18.30.1"]
    assert report.state("127.0.0.1", "198.18.30.1") == "unreachable"
    assert report.state("127.0.0.1", "127.0.0.2") == "measured"


def test_responders_live_from_start_to_stop() -> None:
    with Mesh(["127.0.0.1", "127.0.0.2"], count=2, rate=500) as running:
        first, second = running.visit(), running.visit()
        targets = [
            {report.address for report in visit.reports.values()} for visit in (first, second)
        ]
        assert targets[0] == targets[1]
    dead = udpulse.ping(*next(iter(targets[0])) or ("", 1), count=1, timeout=0.2)
    assert dead.refused == 1
    with pytest.raises(udpulse.NotStartedError):
        running.visit()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"protocol": "icmp"}, "protocol must be 'ping' or 'stamp'"),
        ({"count": 0}, "count must be 1 or more"),
        ({"rate": 0}, "rate must be above 0"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"port": 65536}, "port must be 0 to 65535"),
        ({"peers": 0}, "peers must be 1 or more"),
        ({"max_loss": 2}, "max_loss must be a share"),
        ({"hosts": ["127.0.0.1"]}, "two or more"),
        ({"hosts": ["127.0.0.1", "host.example"]}, "addresses of this host"),
        ({"hosts": ["127.0.0.1", "::1"]}, "all IPv4 or all IPv6"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Mesh(**options)


def test_the_command_prints_a_matrix_and_judges(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "hosts.txt"
    file.write_text("127.0.0.1 left # one\n127.0.0.2 right\n")
    picture = tmp_path / "mesh.svg"
    options = ["--file", str(file), "-c", "3", "--rate", "20", "--svg", str(picture)]
    assert main(["mesh", *options]) == 0
    assert "2 hosts, 2 of 2 paths, 6 probes" in capsys.readouterr().out
    assert picture.read_text().startswith("<svg ")
    assert main(["mesh", *options, "--json", "--max-rtt", "1ms", "--max-rtt", "p99=1ns"]) == 1
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines[:3]] == ["mesh", "cell", "cell"]
    assert lines[0]["groups"] == {"127.0.0.1": "left", "127.0.0.2": "right"}
    assert "too few replies for p99" in err
    assert main(["mesh", "127.0.0.1", "--scheduler", "tcp://127.0.0.1:1"]) == 2


# Runs in the namespace of the scheduler: carries out the lines of stdin, prints reports.
DRIVER = """
import json, sys
from distributed import Client
from udpulse.meshes import Dask, Mesh

file, relayed, through = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Relayed(Dask):
    detour = False

    def submit(self, host, work, /, *arguments):
        if self.detour and host == relayed and arguments[1][0] == TARGET:
            arguments = (arguments[0], (arguments[0], through), *arguments[2:])
        return super().submit(host, work, *arguments)

ADDRESSES = {f"198.18.10.{n}": f"198.18.20.{n}" for n in range(1, 10)}
TARGET = "198.18.20.3"
with Client(scheduler_file=file, set_as_default=False) as client:
    engine = Relayed(client, ADDRESSES)
    with Mesh(engine, port=9000, count=20, rate=200, timeout=0.3, host_timeout=3) as mesh:
        for line in sys.stdin:
            word, number = line.split()
            client.wait_for_workers(int(number), timeout=30)
            engine.detour = word == "detour"
            print(json.dumps(mesh.visit().to_dict()), flush=True)
"""

RELAY = """
import sys
from udpulse import Relay
from udpulse.impair import Link

listen = (sys.argv[1], int(sys.argv[3]))
with Relay(sys.argv[2], 9000, listen=listen, uplink=Link(loss=0.5), seed=1):
    print("1", flush=True)
    sys.stdin.read()
"""


def causes(report: Any) -> list[tuple[str, list[str], str]]:
    return [(cause["kind"], cause["names"], cause["trouble"]) for cause in report["causes"]]


def states(report: Any) -> dict[tuple[str, str], str]:
    return {(cell["sender"], cell["receiver"]): cell["state"] for cell in report["cells"]}


def test_four_hosts_with_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All faults in one test: the scheduler and four workers take seconds to start."""
    pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_LOGGING__DISTRIBUTED", "critical")
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    file = str(tmp_path / "scheduler.json")
    with hosts.bridged(5) as net, ExitStack() as ended:
        control, data = net.control, net.data

        def run(number: int, *arguments: str) -> Any:
            name = net.hosts[number - 1]
            command = ["ip", "netns", "exec", name, sys.executable, *arguments]
            return ended.enter_context(hosts.running(*command))

        def worker(number: int) -> Any:
            at = ["--host", control(number), "--scheduler-file", file, "--nthreads", "1"]
            return run(
                number,
                *("-m", "distributed.cli.dask_worker", *at, "--no-nanny", "--no-dashboard"),
            )

        run(
            5,
            *("-m", "distributed.cli.dask_scheduler", "--host", control(5), "--port", "0"),
            *("--scheduler-file", file, "--no-dashboard"),
        )
        workers = {number: worker(number) for number in (1, 2, 3)}
        driver = run(5, "-c", DRIVER, file, control(1), "9001")

        def visit(word: str, number: int) -> Any:
            driver.stdin.write(f"{word} {number}\n")
            driver.stdin.flush()
            return hosts.read_json(driver)

        three = visit("measure", 3)
        assert three["hosts"] == [control(number) for number in (1, 2, 3)]
        workers[4] = worker(4)
        healthy = visit("measure", 4)
        assert healthy["hosts"] == [control(number) for number in (1, 2, 3, 4)]
        assert set(states(healthy).values()) == {"measured"}
        assert causes(healthy) == []

        relay = run(1, "-c", RELAY, data(1), data(3), "9001")
        assert hosts.read_json(relay) == 1
        assert causes(visit("detour", 4)) == [("path", [control(1), control(3)], "loss")]

        hosts.ip("-n", net.hosts[1], "link", "set", "data", "down")
        assert causes(visit("measure", 4)) == [("host", [control(2)], "lost")]
        hosts.ip("-n", net.hosts[1], "link", "set", "data", "up")

        idle = threading.Event()

        def disturb() -> None:
            while not idle.wait(0.05):
                os.kill(workers[3].pid, signal.SIGSTOP)
                idle.wait(0.3)
                os.kill(workers[3].pid, signal.SIGCONT)

        busy = threading.Thread(target=disturb)
        busy.start()
        report = visit("measure", 4)
        idle.set()
        busy.join()
        assert report["busy"] == [control(3)]
        assert causes(report) == []

        os.kill(workers[4].pid, signal.SIGSTOP)
        report = visit("measure", 4)
        os.kill(workers[4].pid, signal.SIGCONT)
        assert list(report["unreachable"]) == [control(4)]
        others = {pair: state for pair, state in states(report).items() if control(4) not in pair}
        assert set(others.values()) == {"measured"}


def test_release_stops_the_responders_of_one_mesh_only() -> None:
    with (
        Mesh(["127.0.0.1", "127.0.0.2"], count=1, rate=500) as one,
        Mesh(["127.0.0.1", "127.0.0.2"], count=1, rate=500) as other,
    ):
        one.visit()
        other.visit()
        release(one._name)
        assert other.visit().total.answered == 2
