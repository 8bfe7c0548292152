"""Copies the docstrings of the compiled module into its stub; the types there are written by hand.

`python .ci/stubs.py` rewrites `python/udpulse/_core.pyi`, without any comments; with `--check` it
only fails if that would change it. Needs ruff and the package, built from this checkout. (`maturin
generate-stubs` writes docstrings, too, but widens literals to `str` and drops most other types.)
"""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from types import EllipsisType, WrapperDescriptorType

from udpulse import _core

STUB = Path(__file__).parent.parent / "python" / "udpulse" / "_core.pyi"


def document(node: ast.Module | ast.ClassDef, owner: object, depth: int = 1) -> None:
    """Give each class and function in `node` the docstring of its counterpart in `owner`."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            thing = inspect.getattr_static(owner, child.name, None)
            if isinstance(child, ast.ClassDef):
                document(child, thing, depth + 1)
            # Neither the old docstring nor the ellipsis of a body that has none.
            body = [part for part in child.body if not is_constant(part)]
            if doc := docstring(child.name, thing):
                margin = depth * "    "
                end = "\n" + margin if "\n" in doc else ""
                body.insert(0, constant(indent(doc, margin).lstrip() + end))
            child.body = body or [constant(...)]


def constant(value: str | EllipsisType) -> ast.Expr:
    """Return a statement that is only a constant."""
    return ast.Expr(ast.Constant(value))


def is_constant(statement: ast.stmt) -> bool:
    """Return whether a statement is only a constant."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def docstring(name: str, thing: object) -> str | None:
    """Return the docstring of `thing`, or None if it is only that of a slot of CPython."""
    if isinstance(thing, staticmethod):
        thing = thing.__func__
    if name == "__new__" or isinstance(thing, WrapperDescriptorType) or not thing.__doc__:
        return None
    return inspect.cleandoc(thing.__doc__)


def main() -> None:
    """Update or check the stub."""
    old = STUB.read_text("utf-8")
    stub = ast.parse(old)
    document(stub, _core)
    formatter = ["ruff", "format", "--stdin-filename", str(STUB)]
    formatted = subprocess.run(
        formatter, input=ast.unparse(stub), stdout=subprocess.PIPE, check=True, encoding="utf-8"
    )
    if sys.argv[1:] != ["--check"]:
        STUB.write_text(formatted.stdout, "utf-8")
    elif formatted.stdout != old:
        sys.exit(f"{STUB} is stale: run `python {sys.argv[0]}`")


if __name__ == "__main__":
    main()
