"""Latin letters as the syllables of pinyin that they may spell: `yin`, `y i n`, `yin2`, `y1n`, `shipin`. Pure."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from services.generation.moderation.reading import Gap, Unit

_LONGEST = 6
"""Letters of the longest syllable of pinyin: zhuang."""
_TONES = "12345"
_LETTERS = str.maketrans("0134@$!|", "oieaasii")


class Token(NamedTuple):
    """A unit as it may be read, and the place of the first unit of the text that it is made of."""

    unit: Unit
    place: int


def tokens(units: Sequence[Unit], known: Collection[str]) -> list[Token]:
    """Return the units of a text, with letters apart joined and words cut where that gives syllables that are known."""
    found: list[Token] = []
    place = 0
    while place < len(units):
        texts, end = _read(units, place, known)
        gaps = [units[place].gap, *[Gap.NONE] * (len(texts) - 1)]
        is_sign = units[place].is_sign
        found += [Token(Unit(text, gap, is_sign), place) for text, gap in zip(texts, gaps, strict=True)]
        place = end
    return found


def _read(units: Sequence[Unit], place: int, known: Collection[str]) -> tuple[list[str], int]:
    """Return what stands at a place, as syllables where it is some, and the place behind it."""
    unit = units[place]
    if unit.is_sign:
        return [unit.text], place + 1
    for end in range(_reach(units, place), place + 1, -1):
        text = "".join(part.text for part in units[place:end]).translate(_LETTERS)
        if text in known:
            return [text], end
    toneless = unit.text.rstrip(_TONES)  # the last digit is a letter or a tone: s3 is se, and yin2 is yin
    syllables = _cut(unit.text.translate(_LETTERS), known) or _cut(toneless.translate(_LETTERS), known)
    return syllables or [unit.text], place + 1


def _reach(units: Sequence[Unit], place: int) -> int:
    """Return the place behind the last unit that can belong to one syllable: letters apart, with no clause's end."""
    end = place + 1
    while end < len(units) and end - place < _LONGEST and _is_apart(units[end - 1], units[end]):
        end += 1
    return end


def _is_apart(former: Unit, unit: Unit) -> bool:
    return not unit.is_sign and unit.gap < Gap.HARD and 1 in (len(former.text), len(unit.text))


def _cut(text: str, known: Collection[str]) -> list[str]:
    """Return the syllables that a word is made of, without remainder; nothing when it is not."""
    last: dict[int, str] = {0: ""}
    for end in range(1, len(text) + 1):
        for size in range(min(_LONGEST, end), 0, -1):
            if end - size in last and text[end - size : end] in known:
                last[end] = text[end - size : end]
                break
    return list(_back(last, len(text)))[::-1] if text and len(text) in last else []


def _back(last: dict[int, str], end: int) -> Iterator[str]:
    while end:
        yield last[end]
        end -= len(last[end])
