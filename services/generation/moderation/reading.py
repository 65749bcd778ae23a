"""A text as moderation reads it: folded, cut to units, with what stands between two units. Pure.

A unit is one Chinese sign, or one run of Latin letters and digits. Width, case, accents, invisible characters, the
look-alike letters (`letters.py`) and the script of Chinese signs (traditional or simplified) do not matter.
"""

import enum
import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from services.generation.moderation import letters

_LETTERS = letters.table()
_KEPT = "\n\t\r"
_PLANES = (range(0x20000), range(0xE0000, 0xE1000))
"""Where Unicode has marks and invisible characters; the planes between hold signs only."""
_DROPPED: dict[int, None] = {
    point: None
    for plane in _PLANES
    for point in plane
    if unicodedata.category(chr(point)) in ("Mn", "Me", "Cf", "Cc") and chr(point) not in _KEPT
} | dict.fromkeys((0x115F, 0x1160))  # the fillers of Hangul are letters for Unicode, and cannot be seen

_BARE = _DROPPED | {0xFEE0 + point: point for point in range(0x21, 0x7F)}
"""Marks, and full-width forms (U+FF01 to U+FF5E) as ASCII. NFKC reads those forms so too, but it is slow where it has
something to change, and in most Chinese texts there is nothing else."""

_HAN = r"\u3005\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u3126"
_SQUARE = r"(?<![\u30a1-\u30ff])\u30ed(?![\u30a1-\u30ff])"
"""ㄦ and ロ, two phonetic letters that look like 儿 and 口; ロ only where it is no part of a Japanese word."""
_UNIT = re.compile(rf"([a-z0-9@$]+(?:(?<=[a-z])[*!|](?=[a-z])[a-z0-9@$]+)*|[{_HAN}]|{_SQUARE})")
_APOSTROPHE = re.compile(r"['’](?<=[a-z].)(?=[a-z])")  # the rare sign first: the search skips to it
_STRETCHED = re.compile(r"([a-z])\1\1+")
_CLAUSE_END = re.compile(r"[.,;:!?。、\n\r]")
_ONE_DOT = "."


class Gap(enum.IntEnum):
    """What stands before a unit, from nothing to the end of a clause."""

    NONE = 0
    TIGHT = 1  # one symbol, as the hyphen of "wi-fi"
    SOFT = 2  # spaces or symbols
    HARD = 3  # punctuation that ends a clause, or the end of a line


class Unit(NamedTuple):
    """One Chinese sign (`is_sign`) or one run of Latin letters and digits, and the gap before it."""

    text: str
    gap: Gap
    is_sign: bool


class Reader:
    """Reads texts. `simplified` maps traditional signs to their simplified form."""

    def __init__(self, simplified: Mapping[str, str]) -> None:
        self._letters = _DROPPED | _LETTERS | {ord(old): new for old, new in simplified.items()}

    def read(self, text: str) -> list[Unit]:
        """Return the units of a text, in their order. The first one's gap is HARD."""
        parts = _UNIT.split(self._fold(text))
        texts, between = parts[1::2], parts[2:-1:2]
        gaps = (_COMMON[part] if part in _COMMON else _gap(part) for part in between)
        are_signs = [not text.isascii() for text in texts]
        return list(map(Unit, texts, (Gap.HARD, *gaps), are_signs))

    def _fold(self, text: str) -> str:
        """Take away what dresses a text up. Marks go first: normalizing long runs of them takes quadratic time."""
        bare = text.translate(_BARE)
        plain = bare.lower() if bare.isascii() else self._simplify(bare)
        return _STRETCHED.sub(r"\1\1", _APOSTROPHE.sub("", plain))

    def _simplify(self, text: str) -> str:
        """Read letters as Latin ones, and Chinese signs as simplified ones."""
        bare = unicodedata.normalize("NFKC", text)
        # Letters are read before folding and after: a capital (Η) looks like another letter than its small one (η).
        latin = letters.spelled(bare).translate(_LETTERS).casefold()
        return unicodedata.normalize("NFKD", latin).translate(self._letters)


def _gap(between: str) -> Gap:
    if not between:
        return Gap.NONE
    if len(between) == 1 and (between == _ONE_DOT or not _CLAUSE_END.match(between)):
        return Gap.SOFT if between.isspace() or between.isalpha() else Gap.TIGHT
    if between[0].isspace() and between.strip() == _ONE_DOT:
        return Gap.SOFT  # a full stop has no space before it
    return Gap.HARD if _CLAUSE_END.search(between) else Gap.SOFT


_COMMON = {between: _gap(between) for between in ("", " ", "-", ",", ", ", ". ", "。")}
"""The gaps of most texts. No cache keeps others: Arabic prose is one long gap, and a user's text outlives no call."""
