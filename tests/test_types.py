"""The stub documents everything, and the program for the type checkers uses it."""

import ast
from pathlib import Path

import pytest
import typed_program

import udpulse
from udpulse import events, impair, reports

PROGRAM = ast.parse(Path(typed_program.__file__).read_text("utf-8"))
STUB = ast.parse(Path(udpulse.__file__).with_name("_core.pyi").read_text("utf-8"))


def named(tree: ast.AST) -> set[str]:
    """Return the names of attributes and of keyword arguments and patterns."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            names.add(node.arg)
        elif isinstance(node, ast.MatchClass):
            names.update(node.kwd_attrs)
    return names


def promised() -> set[str]:
    """Return the public names of the package, and of the members and options in the stub."""
    names = {*udpulse.__all__, *events.__all__, *impair.__all__, *reports.__all__}
    for node in ast.walk(STUB):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.update(argument.arg for argument in node.args.kwonlyargs)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names.update(part.name for part in node.body if isinstance(part, ast.FunctionDef))
    return {name for name in names if not name.startswith("_")}


def test_editors_have_a_docstring_to_show_for_everything() -> None:
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    scopes: list[ast.Module | ast.ClassDef] = [STUB]
    scopes += (part for part in STUB.body if isinstance(part, ast.ClassDef))
    public = [
        part
        for scope in scopes
        for part in scope.body
        if isinstance(part, definitions) and not part.name.startswith("_")
    ]
    assert [part.name for part in public if not ast.get_docstring(part)] == []
    assert len(public) > 300


def test_the_program_uses_everything() -> None:
    imported = {"events", "impair", "reports"}
    missing = promised() - named(PROGRAM) - imported
    assert missing == set(), f"typed_program.py has to use {sorted(missing)}"


def test_the_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    typed_program.main()
    assert "typed" in capsys.readouterr().out
