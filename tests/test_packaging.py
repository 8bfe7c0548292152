"""What is installed: the package, its types, the four programs."""

import importlib
import importlib.metadata
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import udpulse

SCRIPTS = ["UDPPingerServer", "UDPPingerClient", "UDPHeartBeatServer", "UDPHeartBeatClient"]
CHECKOUT = Path(__file__).parent.parent


def test_the_compiled_half_is_that_of_this_version() -> None:
    assert udpulse.__version__ == importlib.metadata.version("udpulse")


def test_all_that_is_promised_is_there() -> None:
    for name in udpulse.__all__:
        assert getattr(udpulse, name).__doc__, name


def test_types_are_shipped() -> None:
    package = files("udpulse")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_core.pyi").is_file()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_imported(name: str) -> None:
    assert callable(importlib.import_module(name).main)


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("how", ["by path", "as a module"])
@pytest.mark.parametrize("where", ["in the checkout", "beside the scripts", "elsewhere"])
def test_a_script_runs_from_any_directory(name: str, how: str, where: str, tmp_path: Path) -> None:
    script = CHECKOUT / "python" / f"{name}.py"
    program = [str(script)] if how == "by path" else ["-m", name]
    directory = {
        "in the checkout": CHECKOUT,
        "beside the scripts": script.parent,
        "elsewhere": tmp_path,
    }[where]
    ended = subprocess.run(
        [sys.executable, *program, "--help"], cwd=directory, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"Usage: {name}.py" in ended.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_thin(name: str) -> None:
    assert len((CHECKOUT / "python" / f"{name}.py").read_text().splitlines()) <= 15
