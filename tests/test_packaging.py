"""What is installed: the package, its types, the four programs."""

import importlib
import importlib.metadata
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import udpulse

SCRIPTS = ["UDPPingerServer", "UDPPingerClient", "UDPHeartBeatServer", "UDPHeartBeatClient"]
CHECKOUT = Path(__file__).parent.parent


def test_the_compiled_module_has_this_version() -> None:
    assert udpulse.__version__ == importlib.metadata.version("udpulse")


def test_all_public_names_exist_and_are_documented() -> None:
    for name in udpulse.__all__:
        assert getattr(udpulse, name).__doc__, name


def test_types_and_the_schema_are_shipped() -> None:
    package = files("udpulse")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_core.pyi").is_file()
    assert package.joinpath("schema.json").is_file()


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
def test_a_script_is_thin_and_lists_its_sources(name: str) -> None:
    text = (CHECKOUT / "python" / f"{name}.py").read_text()
    _, docstring, code = text.split('"""')
    assert len(code.splitlines()) <= 21
    places = re.findall(r"\S+/\S+\.(?:py|rs)", docstring)
    assert len(places) >= 5
    for place in places:
        assert (CHECKOUT / place).is_file(), place


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(
    ("copied", "missing"), [("the script", "udpulse"), ("the folder", "udpulse._core")]
)
def test_a_script_before_the_installation_says_how_to_install(
    name: str, copied: str, missing: str, tmp_path: Path
) -> None:
    checkout = CHECKOUT / "python"
    if copied == "the script":
        shutil.copy(checkout / f"{name}.py", tmp_path)
    else:
        compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        shutil.copytree(checkout, tmp_path, ignore=compiled, dirs_exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        # Without the installed packages.
        [sys.executable, "-S", str(tmp_path / f"{name}.py")],
        env=environment,
        capture_output=True,
        text=True,
    )
    reason = f"udpulse is not installed (No module named '{missing}')"
    fix = "run `pip install .` in its folder, the one with pyproject.toml"
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{name}.py: {reason}; {fix}\n"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_main_function_of_a_script_can_be_run_in_another_process(name: str) -> None:
    main = importlib.import_module(name).main
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(main, (["--help"],)) == 0
