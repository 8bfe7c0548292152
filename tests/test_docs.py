"""The documents: their blocks run, their tables are complete, their links resolve."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

import udpulse
from udpulse import events, reports

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A block of code."""

    page: str
    line: int
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    """Return all blocks of a language."""
    return [
        Block(str(page.relative_to(ROOT)), text.count("\n", 0, match.start()) + 2, *match.groups())
        for page in PAGES
        for text in [page.read_text("utf-8")]
        for match in re.finditer(rf"^```({language})\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def name(block: Block) -> str:
    """Return the location of a block, for the name of its test."""
    return f"{block.page}:{block.line}"


def is_test_file(block: Block) -> bool:
    """Return whether a block is a file for pytest."""
    return block.text.startswith("# test_")


PYTHON = blocks("python")
# The test suite cannot install itself; `.ci/run readme` does.
SHELL = [block for block in blocks("sh") if not block.text.startswith("pip install")]


@pytest.mark.parametrize("block", [b for b in PYTHON if not is_test_file(b)], ids=name)
def test_a_block_of_python_runs(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    if "plots" in block.text:
        pytest.importorskip("matplotlib", reason="needs the extra plot")
    # An error shows the line of the page.
    source = "\n" * (block.line - 1) + block.text
    exec(compile(source, str(ROOT / block.page), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


@pytest.mark.parametrize("block", [b for b in PYTHON if is_test_file(b)], ids=name)
def test_a_block_that_is_a_test_file_passes(block: Block, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(block.text)
    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()
    assert list(outcomes) == ["passed"]


@pytest.mark.parametrize("block", SHELL, ids=name)
def test_a_block_of_shell_runs(block: Block, tmp_path: Path) -> None:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    subprocess.run(
        ["bash", "-ec", block.text],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=50,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in [anchor_of(heading) for heading in headings], target


def anchor_of(heading: str) -> str:
    """Return the anchor that forges give a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def text_of(page: str) -> str:
    """Return the text of a page of docs/."""
    return (ROOT / "docs" / page).read_text("utf-8")


def code_in(text: str) -> set[str]:
    """Return the words in code spans, including dots."""
    return {
        part for span in re.findall(r"`([^`\n]+)`", text) for part in re.findall(r"[\w.]+", span)
    }


def test_the_map_for_a_grader_is_right() -> None:
    text = text_of("lab.md").partition("| topic | file | look for |")[2]
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert len(rows) > 10
    for files, wanted in rows:
        for file in re.findall("`([^`]+)`", files):
            source = (ROOT / file).read_text("utf-8")
            for part in re.findall("`([^`]+)`", wanted):
                assert part in source, (file, part)


SCRIPTS = ["UDPPingerServer", "UDPPingerClient", "UDPHeartBeatServer", "UDPHeartBeatClient"]


def test_all_options_of_the_lab_are_listed() -> None:
    listed: dict[str, set[str]] = {}
    row = re.compile(r"^\| (?:`(\w+)\.py` )?\| `(--[a-z-]+)", re.MULTILINE)
    script = ""
    for match in row.finditer(text_of("lab.md")):
        script = match[1] or script
        listed.setdefault(script, set()).add(match[2])
    for script in SCRIPTS:
        main = __import__(script).main
        command = inspect.getmodule(main).command  # type: ignore[union-attr]
        assert listed[script] == {
            option for parameter in command.params for option in parameter.opts if option[0] == "-"
        }


def attributes(cls: type) -> list[str]:
    """Return the public attributes of a class, without its methods."""
    return [
        name
        for name in vars(cls)
        if not name.startswith("_") and not inspect.ismethoddescriptor(getattr(cls, name))
    ]


@pytest.mark.parametrize(
    "cls",
    [udpulse.PingReport, udpulse.Probe, udpulse.Fate, udpulse.Beat, udpulse.Peer]
    + [getattr(reports, name) for name in reports.__all__],
    ids=lambda cls: cls.__name__,
)
def test_all_numbers_are_explained(cls: type) -> None:
    explained = {part for word in code_in(text_of("numbers.md")) for part in word.split(".")}
    assert set(attributes(cls)) <= explained


def test_all_columns_are_explained() -> None:
    with udpulse.EchoServer(port=0) as echo, udpulse.HeartbeatServer(port=0) as fleet:
        report = udpulse.ping(*echo.address, count=1)
        tables = [report.columns(), echo.columns(), echo.columns("copies"), fleet.columns()]
    explained = code_in(text_of("numbers.md"))
    assert {column for table in tables for column in table} <= explained


def test_all_events_are_listed() -> None:
    others = text_of("ping.md") + text_of("relay.md") + text_of("stamp.md")
    listed = code_in(text_of("heartbeat.md").partition("## Events")[2] + others)
    assert set(events.__all__) <= listed


def test_all_steps_of_the_gate_are_listed() -> None:
    steps = re.findall(r"^#: (\w+) ", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", contributing, re.MULTILINE)
    assert listed == steps


def test_the_tests_that_show_guarantees_exist() -> None:
    named = set(re.findall(r"`((?:src|tests)/[\w/]+\.\w+)::(\w+)`", text_of("guarantees.md")))
    assert len(named) > 100
    for path, function in named:
        source = (ROOT / path).read_text("utf-8")
        assert re.search(rf"\b(?:fn|def) {function}\(", source), f"{path}::{function}"


@pytest.mark.skipif(sys.platform == "win32", reason="the comparison needs Linux")
def test_the_comparison_has_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benches" / "compare")
    titles = [work.title for work in importlib.import_module("works").WORKS]
    titles.append(importlib.import_module("loss").TITLE)
    assert re.findall(r"^## (.+)$", text_of("comparison.md"), re.MULTILINE) == titles
