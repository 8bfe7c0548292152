"""Fails if comments, docstrings or documents have a word of `words.txt`; counts telling words.

The counts, per 1,000 words of comment and docstring, are those of "if", "what" and "where". Prose
that names conditions and things has many of the first and few of the others.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
COUNTED = ("if", "what", "where")


class Prose(NamedTuple):
    """A comment, docstring or paragraph, and the line where it starts."""

    line: int
    text: str


def blocks(lines: Iterable[tuple[int, str]]) -> Iterator[Prose]:
    """Join lines that follow each other; an empty one ends a block."""
    block: list[tuple[int, str]] = []
    for number, text in [*lines, (0, "")]:
        if block and (not text or number != block[-1][0] + 1):
            yield Prose(block[0][0], " ".join(text for _, text in block))
            block = []
        if text:
            block.append((number, text))


def of_rust(source: str) -> Iterator[Prose]:
    """Yield the comments, without those that only look so: an address in a string."""
    comment = re.compile(r"^(?:[^\"]|\"(?:[^\"\\]|\\.)*\")*?(?<!:)//[/!]? ?(.*)$")
    matches = ((number, comment.match(line)) for number, line in enumerate(source.splitlines(), 1))
    return blocks((number, match[1].strip()) for number, match in matches if match)


def of_python(source: str) -> Iterator[Prose]:
    """Yield the comments and docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    yield from blocks((token.start[0], token.string.lstrip("#! ")) for token in comments)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node) or ""
            lines = enumerate(doc.splitlines(), node.body[0].lineno)
            yield from blocks((number, line.strip()) for number, line in lines)


def of_shell(source: str) -> Iterator[Prose]:
    """Yield the comments that have a line of their own."""
    lines = ((number, line.strip()) for number, line in enumerate(source.splitlines(), 1))
    return blocks((number, line.lstrip("#: ")) for number, line in lines if line.startswith("#"))


def of_markdown(source: str) -> Iterator[Prose]:
    """Yield the paragraphs, without blocks of code."""
    text = re.sub(r"^```.*?^```", lambda code: re.sub(".", "", code[0]), source, flags=re.S | re.M)
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return blocks((number, line.lstrip("#*- ")) for number, line in lines)


KINDS = {
    ".rs": of_rust,
    ".py": of_python,
    ".toml": of_shell,
    ".yml": of_shell,
    "run": of_shell,
    ".md": of_markdown,
}


def main() -> None:
    """Report each use of a word of the list, and the counts."""
    lines = (ROOT / ".ci" / "words.txt").read_text("utf-8").splitlines()
    words = [re.compile(line, re.IGNORECASE) for line in lines if line and line[0] != "#"]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = total = 0
    counts = dict.fromkeys(COUNTED, 0)
    for name in listed.stdout.decode().splitlines():
        path = ROOT / name
        reader = KINDS.get(path.suffix or path.name)
        for prose in reader(path.read_text("utf-8")) if reader else ():
            for word in words:
                for match in word.finditer(prose.text):
                    found += 1
                    print(f"{name}:{prose.line}: {match[0]!r} in {prose.text[:80]!r}")
            if path.suffix != ".md":
                spoken = re.findall(r"[a-z']+", prose.text.lower())
                total += len(spoken)
                for counted in COUNTED:
                    counts[counted] += spoken.count(counted)
    shares = (f"{counted} {1000 * counts[counted] / total:.2f}" for counted in COUNTED)
    print(f"Per 1,000 of {total} words of comment: {', '.join(shares)}")
    if found:
        sys.exit(f"{found} uses of words that .ci/words.txt names")


if __name__ == "__main__":
    main()
