"""Pictures: their marks are the data, their texts do not overlap, and nothing is shared."""

import copy
import itertools
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal, cast
from xml.etree import ElementTree

import numpy as np
import pytest

import udpulse
from udpulse import EchoServer, Fate, PingClient, PingReport, Probe, events
from udpulse.impair import Link

pytest.importorskip("matplotlib", reason="needs the extra plot")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from udpulse import jsonlines, plots

START = 1_764_000_000.0
HOME = ("192.0.2.1", 9)
NOBODY = ("0.0.0.0", 0)

HOSTILE = [
    "$\\frac{x$",
    '<b>&"evil"</b>--><script>alert(1)</script>',
    "a\u202egnp.exe\nx\x1b[31m",
    "\u4e2d\u6587",
    "n" * 200,
    "Z" + "\u0351" * 100,
]

Verdict = Literal["answered", "late", "lost", "refused", "send_failed", "unreachable"]
VERDICTS: list[Verdict] = ["late", "lost", "refused", "send_failed", "unreachable"]


def report_of(
    count: int, *, loss: float = 0.1, rtt: float = 0.01, flows: int = 1, heavy: bool = False
) -> PingReport:
    """Return a report of probes at random, one each 10 ms; 40 to 59 are an outage."""
    chance = random.Random(count)
    probes = []
    for index in range(count):
        verdict: Verdict = "answered"
        if 40 <= index < 60:
            verdict = "lost"
        elif chance.random() < loss:
            verdict = chance.choice(VERDICTS)
        tail = chance.paretovariate(0.7) if heavy else chance.uniform(0.8, 1.2)
        replied = verdict in ("answered", "late")
        late = 1.0 if verdict == "late" else 0.0
        probe = Probe(
            seq=index // flows + 1,
            flow=index % flows,
            verdict=verdict,
            rtt=rtt * tail + late if replied else None,
            sent_at=START + index / 100,
        )
        probes.append(probe)
    return PingReport.from_probes(probes)


def found(figure: plots.Picture, gid: str) -> list[Any]:
    """Return the artists with an id."""
    return [artist for artist in figure.findobj() if artist.get_gid() == gid]


def xs(figure: plots.Picture, gid: str) -> list[float]:
    """Return the places of all marks with an id."""
    return [x for line in found(figure, gid) for x in line.get_xdata()]


def spans(figure: plots.Picture, gid: str) -> list[tuple[float, float]]:
    """Return the first and last x of each box with an id, once."""
    boxes = [path.vertices[:, 0] for marks in found(figure, gid) for path in marks.get_paths()]
    return sorted({(float(x.min()), float(x.max())) for x in boxes})


def overlaps(figure: plots.Picture) -> list[tuple[str, str]]:
    """Return the pairs of texts that overlap, or one with "edge" if it leaves the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    hidden = beyond(figure)
    shown = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible())
        if isinstance(text, Text) and text.get_text().strip() and id(text) not in hidden
    ]
    # Boxes of lines that touch are fine.
    boxes = [(name, box.padded(-1)) for name, box in shown]
    found = [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]
    width, height = figure.bbox.width, figure.bbox.height
    inside = [
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for _, box in boxes
    ]
    return found + [
        (name, "edge") for (name, _), fits in zip(boxes, inside, strict=True) if not fits
    ]


def beyond(figure: plots.Picture) -> set[int]:
    """Return the ids of the labels of ticks beyond the limits of their axes: they are not drawn."""
    found = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            margin = (high - low) * 1e-9
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - margin <= tick.get_loc() <= high + margin:
                    found |= {id(tick.label1), id(tick.label2)}
    return found


def fleet(names: Sequence[str]) -> list[events.Event]:
    """Return the events of clients that have trouble of all kinds."""
    listed: list[events.Event] = []
    for n, name in enumerate(names):
        at: dict[str, Any] = {"address": HOME, "name": name}
        up = START + n / 10
        listed.append(events.Up(time=up, **at))
        listed.append(events.Lost(time=up + 50, first=1, last=2, **at))
        if n % 2:
            down: dict[str, Any] = {"silence": 5.0, "timeout": 5.0, **at}
            listed.append(events.Suspect(time=up + 90, **down))
            listed.append(events.Down(time=up + 100, cause="silence", **down))
        if n % 4 == 1:
            back: dict[str, Any] = {"state": "down", "duration": 50.0, "timeout": 5.0, **at}
            listed.append(events.Recovered(time=up + 150, **back))
        if n % 3 == 0:
            listed.append(events.Stopped(time=up + 200, **at))
    listed.append(events.Missing(time=START + 60, address=NOBODY, name="db"))
    listed.append(events.Paused(time=START + 180, duration=30, address=NOBODY))
    listed.append(events.MassSilence(time=START + 190, silent=5, alive=9, address=NOBODY))
    return sorted(listed, key=lambda event: event.time)


FATES = [
    Fate(
        received_at=START + n / 100,
        client=HOME,
        number=0 if outcome in ("limited", "unanswerable") else n + 1,
        outcome=cast(Any, outcome),
        answer=b"",
        uplink=uplink,
        downlink=downlink,
        replies=int(outcome == "replied"),
        sent_at=START + n / 100 + 0.005 if outcome == "replied" else None,
    )
    for n, (outcome, uplink, downlink) in enumerate(
        [
            ("replied", (), ()),
            ("replied", ("duplicated", "corrupted"), ("lost", "held")),
            ("lost", ("lost",), ()),
            ("lost", ("queue_full",), ()),
            ("lost", (), ("queue_full",)),
            ("limited", (), ()),
            ("unanswerable", (), ()),
            ("delay_line_full", (), ()),
        ]
    )
]


LOSSY = [(60 + n, n / 100, 0.001 * (n + 1)) for n in range(60)]

PICTURES: dict[str, Callable[[], object]] = {
    "nothing": PingReport,
    "ten": lambda: report_of(10),
    "outage": lambda: report_of(1000),
    "fast": lambda: report_of(500, rtt=5e-6, heavy=True),
    "slow": lambda: report_of(500, rtt=2.0),
    "lost": lambda: PingReport.from_probes([lost(n) for n in range(100)]),
    "flows": lambda: report_of(640, flows=16),
    "many probes": lambda: report_of(plots.DOTS + 1, heavy=True),
    "three": lambda: [report_of(n, loss=loss, rtt=rtt) for n, loss, rtt in LOSSY[:3]],
    "sixty": lambda: [report_of(n, loss=loss, rtt=rtt) for n, loss, rtt in LOSSY],
    "empty": lambda: [PingReport(), PingReport()],
    "fleet": lambda: fleet([*HOSTILE, *(f"worker-{n}" for n in range(50))]),
    "no fleet": list,
    "fates": lambda: FATES,
}


def lost(number: int) -> Probe:
    """Return a lost probe."""
    return Probe(seq=number + 1, verdict="lost", sent_at=START + number)


@pytest.mark.parametrize("name", PICTURES)
def test_texts_do_not_overlap(name: str) -> None:
    assert overlaps(plots.of(PICTURES[name]())) == []


class TestReport:
    def test_each_probe_has_a_mark(self) -> None:
        report = report_of(1000)
        figure = report.plot()
        assert len(xs(figure, "values")) == report.answered
        for verdict in VERDICTS:
            marks = xs(figure, f"lane {verdict.replace('_', ' ')}")
            assert len(marks) == getattr(report, verdict) > 0
        times = [line.get_ydata() for line in found(figure, "values")]
        assert np.max(times) == pytest.approx((report.rtt.max or 0) * 1e3)

    def test_outages_are_where_they_were(self) -> None:
        report = report_of(1000)
        figure = report.plot()
        expected = [(outage.start - START, (outage.end or 0) - START) for outage in report.outages]
        assert any(start < 0.401 and end > 0.599 for start, end in expected)
        assert np.allclose(spans(figure, "outage"), expected)

    def test_pauses_are_marked(self, paused: PingReport) -> None:
        figure = paused.plot()
        assert paused.pauses
        began, unit = paused.started_at or 0, {"s": 1, "ms": 1e-3}
        shown = next(a.get_xlabel() for a in figure.axes if "time since" in a.get_xlabel())
        length = unit[shown.rsplit(" ", 1)[1]]
        expected = [((p.start - began) / length, (p.end - began) / length) for p in paused.pauses]
        assert np.allclose(spans(figure, "pause of this program"), sorted(expected))

    def test_an_outage_that_lasts_ends_with_the_last_probe(self) -> None:
        figure = plots.report(PingReport.from_probes([lost(n) for n in range(100)]))
        assert spans(figure, "outage") == [(0.0, 99.0)]

    def test_many_probes_are_shown_by_their_spread(self) -> None:
        report = report_of(plots.DOTS + 1)
        figure = report.plot()
        assert xs(figure, "values") == []
        labels = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
        assert any(label.startswith(f"lost {report.lost:,}\nup to ") for label in labels)
        assert {"min to max", "p10 to p90", "median"} <= set(labels)

    def test_the_differences_are_those_of_the_report(self) -> None:
        for report in (report_of(1000), report_of(640, flows=4)):
            steps = plots._variation(report)
            assert np.mean(steps) == pytest.approx(report.ipdv_abs_mean)

    def test_without_rows_distributions_remain(self) -> None:
        with EchoServer(port=0) as server:
            client = PingClient(*server.address, count=30, timeout=5, keep=0)
            list(client)
        figure = client.report().plot()
        assert [axes.get_xlabel().split(" in ")[0] for axes in figure.axes] == ["round-trip time"]
        (solid, dashed) = (
            figure.axes[0].get_lines()
            if client.report().kernel_rtt.count
            else (
                *figure.axes[0].get_lines(),
                None,
            )
        )
        assert solid.get_ydata()[-1] == 100
        assert dashed is None or dashed.get_linestyle() == "--"

    def test_flows_have_rows(self) -> None:
        report = report_of(640, flows=16)
        (medians,) = found(report.plot(), "median")
        expected = [(flow.rtt.median or 0) * 1e3 for flow in report.flows]
        assert np.allclose(medians.get_xdata(), expected)


@pytest.fixture
def paused() -> PingReport:
    """Return a report of a process that was stopped for a while."""
    script = """
import os, pickle, signal, sys, time, udpulse
server = udpulse.EchoServer(port=0)
server.start()
child = os.fork()
if child == 0:
    time.sleep(0.5)
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(os.getppid(), signal.SIGCONT)
    os._exit(0)
with udpulse.PingClient(*server.address, count=None, interval=0.01) as client:
    while not client.report().pauses:
        time.sleep(0.01)
report = client.report()
os.waitpid(child, 0)
sys.stdout.buffer.write(pickle.dumps(report))
"""
    if sys.platform == "win32":
        pytest.skip("needs signals")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    report = pickle.loads(ran.stdout)
    assert isinstance(report, PingReport)
    return report


class TestReports:
    def test_those_with_the_most_loss_come_first(self) -> None:
        lossy = [report_of(400 + n, loss=n / 10) for n in range(3)]
        figure = plots.reports(lossy)
        (ticks, *_) = figure.axes
        assert [label.get_text() for label in ticks.get_yticklabels()] == [
            "report 3",
            "report 2",
            "report 1",
        ]
        assert figure.table.count('scope="row"') == 3
        assert len(xs(figure, "lost")) == sum(report.lost for report in lossy)

    def test_of_many_some_have_rows(self) -> None:
        dead = PingReport.from_probes([lost(n) for n in range(10)])
        figure = plots.reports([report_of(30 + n) for n in range(50)] + [dead] * 50)
        assert len(figure.axes[0].get_yticklabels()) == plots.ROWS
        assert "100 targets, 50 without an answer" in figure.get_suptitle()
        assert figure.table.count('scope="row"') == 100

    def test_one_is_a_report(self) -> None:
        assert plots.reports([report_of(50)]).table == report_of(50)._repr_html_()


class TestTimeline:
    def test_states_are_segments(self) -> None:
        figure = plots.timeline(fleet(["a", "b"]), until=START + 1000)
        seconds = {
            state: [
                (start * 86400 - START, end * 86400 - START) for start, end in spans(figure, gid)
            ]
            for state, gid in ((state, f"state {state}") for state in plots.STATES)
        }
        assert np.allclose(seconds["up"], [(0, 200), (0.1, 90.1), (150.1, 1000)], atol=1e-3)
        assert np.allclose(seconds["suspect"], [(90.1, 100.1)], atol=1e-3)
        assert np.allclose(seconds["down"], [(100.1, 150.1)], atol=1e-3)
        assert np.allclose(seconds["stopped"], [(200, 1000)], atol=1e-3)
        assert np.allclose(seconds["missing"], [(60, 1000)], atol=1e-3)
        (pause,) = spans(figure, "server paused")
        assert np.allclose(np.array(pause) * 86400 - START, (150, 180), atol=1e-3)
        assert len(xs(figure, "mark lost beats")) == 2

    def test_trouble_comes_first(self) -> None:
        figure = plots.timeline(fleet(["a", "b", "c", "d"]), until=START + 1000)
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert labels == ["db", "d", "b", "a", "c"]

    def test_a_log_may_begin_in_a_state(self) -> None:
        at: dict[str, Any] = {"address": HOME, "name": "a"}
        back = events.Recovered(time=START, state="down", duration=60, timeout=5, **at)
        figure = plots.timeline([back], until=START + 60)
        ((start, end),) = spans(figure, "state down")
        assert (end - start) * 86400 == pytest.approx(60, abs=1e-3)

    def test_a_client_that_moves_keeps_its_row(self) -> None:
        there = ("192.0.2.2", 9)
        moved: list[events.Event] = [
            events.Up(address=HOME, time=START),
            events.Moved(address=there, time=START + 1, old=HOME),
        ]
        figure = plots.timeline(moved)
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["192.0.2.2:9"]


class TestFates:
    def test_each_thing_that_happened_has_a_lane(self) -> None:
        figure = plots.fates(FATES)
        lanes = {
            str(line.get_gid()).removeprefix("lane "): np.rint(line.get_xdata() / 10).tolist()
            for line in cast(Any, figure.axes[0].get_lines())
        }
        assert lanes == {
            "passed": [0],
            "duplicated": [1],
            "corrupted": [1],
            "held back": [1],
            "lost on the uplink": [2],
            "lost on the downlink": [1],
            "uplink queue full": [3],
            "downlink queue full": [4],
            "limited": [5],
            "unanswerable": [6],
            "delay line full": [7],
        }
        assert len(xs(figure, "values")) == 2

    def test_a_server_shows_why_it_did_not_answer(self) -> None:
        with EchoServer(port=0, max_rate=1) as server:
            udpulse.ping(*server.address, count=9, interval=0.001, timeout=0.1)
        assert len(xs(server.plot(), "lane limited")) == server.truth.limited > 0

    def test_a_server_shows_its_truth(self) -> None:
        uplink, downlink = Link(loss=0.2, duplication=0.1), Link(corruption=0.1)
        with EchoServer(port=0, uplink=uplink, downlink=downlink, seed=3) as server:
            udpulse.ping(*server.address, count=300, interval=0.001, timeout=0.2)
        truth = server.truth
        for figure in (server.plot(), plots.of(server), plots.of(server.fates())):
            assert len(xs(figure, "lane lost on the uplink")) == truth.uplink.lost > 0
            assert len(xs(figure, "lane duplicated")) == truth.uplink.duplicated > 0
            assert len(xs(figure, "lane corrupted")) > 0


def test_only_what_can_be_drawn_is() -> None:
    for thing in (7, None, [7], [report_of(10), 7], udpulse.PingClient("127.0.0.1")):
        with pytest.raises(
            TypeError, match=r"^thing must be a PingReport, an EchoServer, a Fit, a Run or an iter"
        ):
            plots.of(thing)


SHARED = """
import sys
import matplotlib
# Reading the backend by its key would import pyplot.
before = list(dict.items(matplotlib.rcParams))
from udpulse import EchoServer, PingReport, ping, plots
with EchoServer(port=0, loss=0.5, seed=1) as server:
    report = ping(*server.address, count=20, interval=0.001, timeout=0.1)
for ending in ("svg", "png", "html"):
    plots.save(report.plot(), sys.argv[1] + "/picture." + ending)
assert "matplotlib.pyplot" not in sys.modules
assert list(dict.items(matplotlib.rcParams)) == before
"""


def test_nothing_global_is_touched(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SHARED, str(tmp_path)], check=True)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


NONE = """
import sys
sys.modules["matplotlib"] = None
sys.modules["matplotlib.axes"] = None
import udpulse
print(udpulse.PingReport()._repr_html_())
try:
    udpulse.PingReport().plot()
except ImportError as error:
    print(error)
"""


def test_without_matplotlib_an_error_names_the_extra() -> None:
    ran = subprocess.run([sys.executable, "-c", NONE], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == ("pictures need matplotlib: pip install 'udpulse[plot]'")


def test_importing_the_package_imports_no_matplotlib() -> None:
    script = "import sys, udpulse; print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("False")


class TestSave:
    def test_equal_pictures_make_equal_files(self, tmp_path: Path) -> None:
        for ending in ("svg", "html", "png"):
            one, two = (tmp_path / f"{n}.{ending}" for n in "ab")
            plots.save(report_of(300).plot(), one)
            plots.save(report_of(300).plot(), two)
            assert one.read_bytes() == two.read_bytes()

    def test_an_svg_stands_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "a.svg"
        plots.save(plots.timeline(fleet(HOSTILE)), path)
        text = path.read_text("utf-8")
        root = ElementTree.fromstring(text)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
        assert used <= set(ids)
        assert not re.search(r"(href|src)=\"(?!#|data:image/png)", text)
        assert "<!--" not in text

    def test_pictures_of_one_page_share_no_id(self) -> None:
        one, two = (plots._svg(plots.report(report_of(count))) for count in (30, 31))
        ids = re.compile(r' id="([^"]+)"')
        assert not set(ids.findall(one)) & set(ids.findall(two))

    def test_a_page_escapes_names_and_loads_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "a.HTML"
        plots.save(plots.timeline(fleet(HOSTILE)), path)
        tags: list[str] = []
        texts: list[str] = []

        class Tags(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                tags.append(tag)
                assert not [name for name, _ in attrs if name in ("src", "onload")]

            def handle_data(self, data: str) -> None:
                texts.append(data)

        Tags().feed(path.read_text("utf-8"))
        assert not {"script", "b", "link", "iframe"} & set(tags)
        assert {"svg", "table", "caption"} <= set(tags)
        assert HOSTILE[1] in texts
        assert "default-src 'none'" in path.read_text("utf-8")

    def test_the_name_says_the_format(self, tmp_path: Path) -> None:
        with pytest.raises(
            ValueError, match=r"^path must end in \.svg, \.png or \.html, not 'a\.gif'$"
        ):
            plots.save(plots.timeline([]), tmp_path / "a.gif")
        with pytest.raises(OSError, match="No such file"):
            plots.save(plots.timeline([]), tmp_path / "none" / "a.svg")


class TestHtml:
    def test_it_has_the_numbers(self) -> None:
        report = report_of(640, flows=4)
        text = report._repr_html_()
        assert "<caption>640 probes</caption>" in text
        assert f"<td>{report.lost}</td>" in text
        assert text.count('<th scope="row">flow ') == 4
        for word in ("style", "color", "<script"):
            assert word not in text

    def test_it_escapes(self) -> None:
        report = udpulse.ping_many([("<i>.invalid", 9)], count=1, timeout=0.01)[0]
        assert "1 probe to &lt;i&gt;.invalid:9" in report._repr_html_()
        assert "<i>" not in report._repr_html_()
        assert "<i>" not in plots._svg(report.plot())

    def test_an_empty_report_says_so(self) -> None:
        assert "<caption>0 probes</caption>" in PingReport()._repr_html_()


def test_a_picture_is_shown_by_a_notebook() -> None:
    figure = plots.of(report_of(30))
    assert figure._repr_svg_().startswith("<svg role=")
    assert copy.copy(figure.table) == report_of(30)._repr_html_()


def test_the_picture_of_clients_ends_with_the_run() -> None:
    peer = udpulse.Peer(address=("127.0.0.1", 9), state="up", last_received_at=100.0, timeout=5.0)
    up = udpulse.events.Up(time=100.0, address=peer.address, name=None)
    changes: list[events.Event] = [up]
    run = jsonlines.Run("watch", {}, changes, ended_at=400.0, peers=[peer])
    left, right = plots.of(run).axes[0].get_xlim()
    assert (right - left) * 86_400 == pytest.approx(300)
