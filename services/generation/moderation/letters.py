"""Letters that are read as Latin ones: barred and hooked letters, small capitals, emblems, other alphabets. Pure.

What Unicode itself takes apart (accents, width, mathematical letters, letters in circles) is no matter of this table.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

_TABLE = Path(__file__).parent / "look_alikes.txt"
_SHAPES = "BARRED|CLOSED|DOTLESS|INVERTED|OPEN|REVERSED|SCRIPT|SIDEWAYS|TURNED"
_LATIN = re.compile(
    rf"LATIN (?:SMALL LETTER|CAPITAL LETTER|LETTER SMALL CAPITAL) (?:(?:{_SHAPES}) )*([A-Z])(?: WITH .*)?"
)
_EMBLEM = re.compile(r"NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER ([A-Z])")
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"
_SPELLED = re.compile(rf"[{_FLAG_LETTERS}]{{3,}}")
"""Two of these letters make a flag, and a flag is no word; from three on they spell one."""
_FIRST_FLAG_LETTER = 0x1F1E6


def table() -> dict[int, str]:
    """Return, for each letter that is read as a Latin one, the small Latin letter (between spaces for an emblem).

    An emblem stands apart from its neighbors, like an icon, so it never hides where the word beside it ends.
    """
    return dict(_named()) | dict(_drawn())


def spelled(text: str) -> str:
    """Return the text with rows of three or more regional indicators (the letters of flags) as Latin letters apart."""
    return _SPELLED.sub(lambda row: "".join(f" {chr(ord(sign) - _FIRST_FLAG_LETTER + 97)} " for sign in row[0]), text)


def _named() -> Iterator[tuple[int, str]]:
    for point in (*range(0x80, 0x2000), *range(0x2C60, 0x2C80), *range(0xA720, 0xAB70), *range(0x1F100, 0x1F200)):
        name = unicodedata.name(chr(point), "")
        if latin := _LATIN.fullmatch(name):
            yield point, latin[1].lower()
        elif emblem := _EMBLEM.fullmatch(name):
            yield point, f" {emblem[1].lower()} "


def _drawn() -> Iterator[tuple[int, str]]:
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line and line[0] != "#":
            letter, _, others = line.partition(": ")
            yield from ((ord(other), letter) for other in others)
