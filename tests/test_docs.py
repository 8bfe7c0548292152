"""The examples of the documents run as they stand."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
# What is a file of tests is run by test_plugin.py.
EXAMPLES = re.findall(r"^```python\n(?!# test_)(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_there_are_examples() -> None:
    assert EXAMPLES
