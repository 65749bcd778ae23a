"""Plain standard engineering English: an old word of words.yaml stands nowhere that it is looked for.

The review of 2026-11-30 counted 236 docstrings that began with "Answer", 49 limits called MOST_ or LONGEST_, and names
such as Bell, Floor and Shelf that no engineer elsewhere knows.
"""

import ast
import dataclasses
import fnmatch
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("services", "deploy", "protos", "tests", "bench", "docs", "profiles")
FILES = ("README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", "pyproject.toml")
SUFFIXES = ("", ".py", ".proto", ".md", ".yaml", ".toml", ".js", ".css", ".json", ".sh", ".txt", ".lua")
SKIPPED = ("docs/decisions.md", "tests/lints/words.yaml")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A row of words.yaml."""

    old: str
    new: str
    where: str
    sample: str
    allowed: tuple[str, ...] = ()

    def found(self, file: str, text: str) -> Iterator[int]:
        """Yield the lines in which the word stands where it may not."""
        if any(fnmatch.fnmatch(file, pattern) for pattern in self.allowed):
            return
        if self.where == "anywhere":
            word = re.compile(rf"\b(?:{self.old})\b")
            yield from (number for number, line in enumerate(text.splitlines(), 1) if word.search(line))
        elif file.endswith(".py"):
            pieces = _names(text) if self.where == "names" else _first_words(text)
            yield from (line for line, piece in pieces if re.fullmatch(self.old, piece))


WORDS = [Word(**{**row, "allowed": tuple(row.get("allowed", ()))})
         for row in yaml.safe_load((ROOT / "tests/lints/words.yaml").read_text())]  # fmt: skip


def _names(text: str) -> Iterator[tuple[int, str]]:
    """Yield each identifier, and its parts in lower case (`bell` of `ring_bell`, `Bell` of `RingBell`)."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            parts = re.findall(r"[A-Z]?[a-z]+", token.string)
            yield from {(token.start[0], piece) for piece in (token.string, *parts)}


def _first_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first word of each docstring, those of constants too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, (re.findall(r"\w+", node.value.value) or [""])[0]


def _texts() -> list[str]:
    """Return the names of all texts of ours, from the project's root."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + [ROOT / name for name in FILES]
    named = [path.relative_to(ROOT).as_posix() for path in found if path.is_file() and path.suffix in SUFFIXES]
    return sorted(name for name in named if not any(fnmatch.fnmatch(name, pattern) for pattern in SKIPPED))


def test_no_old_word_is_left():
    faults = []
    for file in _texts():
        text = (ROOT / file).read_text("utf-8")
        faults += [f"{file}:{line}: {word.old}, say {word.new}" for word in WORDS for line in word.found(file, text)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.new)
def test_the_sample_is_caught(word):
    assert list(word.found("sample.py", word.sample)) == [1]


def test_what_is_allowed_is_used():
    """A file that no longer needs its exception loses it."""
    files = _texts()
    for word in WORDS:
        bare = dataclasses.replace(word, allowed=())
        for pattern in word.allowed:
            named = fnmatch.filter(files, pattern)
            assert any(list(bare.found(file, (ROOT / file).read_text("utf-8"))) for file in named), (word.old, pattern)
