"""Reads the word lists: one folder per list, one file per language, `category: term` per line."""

import hashlib
import re
from pathlib import Path

from services.generation.moderation.domain import Rules, Term, compact

_LINE = re.compile(r"([a-z_]+): (.+)")


def load(folder: Path, lists: tuple[str, ...]) -> Rules:
    """Read the lists that a profile names. Raises ValueError for a list that is missing or a line that is malformed."""
    terms: list[Term] = []
    digest = hashlib.sha256()
    for name in lists:
        files = sorted((folder / name).glob("*.txt")) if name.isidentifier() else []
        if not files:
            raise ValueError(f"there is no word list {name!r} in {folder}")
        for file in files:
            text = file.read_text(encoding="utf-8")
            digest.update(text.encode())
            terms += [_term(line, file.name) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return Rules(terms, f"words-{digest.hexdigest()[:12]}")


def _term(line: str, file: str) -> Term:
    match = _LINE.fullmatch(line.strip())
    if match is None or not compact(match.group(2)):
        raise ValueError(f"{file}: not `category: term`: {line!r}")
    return Term(match.group(1), match.group(2))
