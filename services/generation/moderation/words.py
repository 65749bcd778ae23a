"""Reads the word lists: one folder per list, files `*.txt`, one line per term or line of ordinary words.

The form is told in docs/operations.md, "Word lists".
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from services.generation.moderation.domain import Rules, Term
from services.generation.moderation.ordinary import Ordinary
from services.generation.moderation.reading import Reader

_LINE = re.compile(r"([a-z_]+): (.+)")
_ORDINARY = "ordinary"
_TRADITIONAL = Path(__file__).parent / "traditional.txt"
_PINYIN = Path(__file__).parent / "pinyin.txt"
_SIGNS = Path(__file__).parent / "signs.txt"


def load(folder: Path, lists: tuple[str, ...]) -> Rules:
    """Read the lists that a profile names.

    Raises ValueError, with the file and the line, for a list that is missing or a line that is malformed.
    """
    pairs = [pair for line in _lines(_TRADITIONAL.read_text(encoding="utf-8")) for pair in line.split()]
    reader = Reader({pair[0]: pair[1] for pair in pairs})
    terms: list[Term] = []
    ordinary: list[Ordinary] = []
    digest = hashlib.sha256()
    for file in _files(folder, lists):
        text = _text(file)
        digest.update(text.encode())
        for number, line in _numbered(text):
            place = f"{file}, line {number}"
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{place}: not `category: term`: {line!r}")
            if match[1] == _ORDINARY:
                ordinary += [_ordinary(phrase.strip(), line, place, reader) for phrase in match[2].split(",")]
            else:
                terms.append(_term(match[1], match[2], line, place, reader))
    _check(terms, ordinary)
    version = f"words-{digest.hexdigest()[:12]}"
    return Rules(terms, version, reader=reader, ordinary=ordinary, pinyin=_table(_PINYIN), look_alikes=_look_alikes())


def _files(folder: Path, lists: tuple[str, ...]) -> Iterator[Path]:
    for name in lists:
        files = sorted((folder / name).glob("*.txt")) if name.isidentifier() else []
        if not files:
            raise ValueError(f"there is no word list {name!r} in {folder}")
        yield from files


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise ValueError(f"{file}: {fault}") from fault


def _lines(text: str) -> list[str]:
    return [line for _, line in _numbered(text)]


def _numbered(text: str) -> list[tuple[int, str]]:
    lines = enumerate(text.splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#")]


def _term(category: str, text: str, line: str, place: str, reader: Reader) -> Term:
    units = reader.read(text)
    if sum(len(unit.text) for unit in units) < 2:
        raise ValueError(f"{place}: not `category: term` with a term of at least two signs or letters: {line!r}")
    return Term(category, tuple(unit.text for unit in units), any(unit.is_sign for unit in units))


def _ordinary(phrase: str, line: str, place: str, reader: Reader) -> Ordinary:
    """Read one ordinary word; a bar at its beginning or end says that it is enough by itself."""
    bare = phrase.strip("|")
    units = tuple(unit.text for unit in reader.read(bare))
    if sum(len(unit) for unit in units) < 2 or "|" in bare:
        raise ValueError(
            f"{place}: not `ordinary: word, word|, |word`, each of at least two signs or letters: {line!r}"
        )
    return Ordinary(units, alone=bare != phrase)


def _check(terms: list[Term], ordinary: list[Ordinary]) -> None:
    """Raise ValueError for a word that is called both ordinary and a term: one of the two is a mistake."""
    for word in {term.units for term in terms} & {word.units for word in ordinary}:
        raise ValueError(f"{' '.join(word)!r} is a term and an ordinary word; take one of the two lines away")


def _table(file: Path) -> dict[str, list[str]]:
    """Read a file of lines `key: signs with spaces between`."""
    lines = _lines(file.read_text(encoding="utf-8"))
    return {key: signs.split() for key, _, signs in (line.partition(": ") for line in lines)}


def _look_alikes() -> dict[str, list[str]]:
    """Return, for each sign that looks like signs of the terms, those signs."""
    found: dict[str, list[str]] = {}
    for sign, others in _table(_SIGNS).items():
        for other in others:
            found.setdefault(other, []).append(sign)
    return found
