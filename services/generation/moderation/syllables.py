"""Latin letters as the syllables of pinyin that they may spell: `yin`, `y i n`, `yin2`, `y1n`, `shipin`. Pure."""

from collections.abc import Collection, Iterator, Sequence

from services.generation.moderation.reading import Gap, Unit

_MAX_LENGTH = 6
"""Letters of the longest syllable of pinyin: zhuang."""
_TONES = "12345"
_LETTERS = str.maketrans("0134@$!|", "oieaasii")

Token = tuple[Unit, int]
"""A unit as it may be read, and the place of the first unit of the text that it is made of."""


def tokens(units: Sequence[Unit], known: Collection[str]) -> list[Token]:
    """Return the units of a text, with letters apart joined and words cut where that gives syllables that are known."""
    found: list[Token] = []
    place = 0
    while place < len(units):
        unit = units[place]
        texts, end = ([], place + 1) if unit.is_sign else _read(units, place, known)
        if texts:
            gaps = (unit.gap, *[Gap.NONE] * (len(texts) - 1))
            found += [(Unit(text, gap, False), place) for text, gap in zip(texts, gaps, strict=True)]
        else:
            found.append((unit, place))
        place = end
    return found


def _read(units: Sequence[Unit], place: int, known: Collection[str]) -> tuple[list[str], int]:
    """Return the syllables that stand at a place, empty where it is none, and the place behind what was read."""
    for end in range(_reach(units, place), place + 1, -1):
        text = "".join(part.text for part in units[place:end]).translate(_LETTERS)
        if text in known:
            return [text], end
    text = units[place].text
    if text.isalpha():
        return _cut(text, known), place + 1
    toneless = text.rstrip(_TONES)  # the last digit is a letter or a tone: s3 is se, and yin2 is yin
    return _cut(text.translate(_LETTERS), known) or _cut(toneless.translate(_LETTERS), known), place + 1


def _reach(units: Sequence[Unit], place: int) -> int:
    """Return the place behind the last unit that can belong to one syllable: letters apart, with no clause's end."""
    end = place + 1
    while end < len(units) and end - place < _MAX_LENGTH and _is_apart(units[end - 1], units[end]):
        end += 1
    return end


def _is_apart(former: Unit, unit: Unit) -> bool:
    return not unit.is_sign and unit.gap < Gap.HARD and 1 in (len(former.text), len(unit.text))


def _cut(text: str, known: Collection[str]) -> list[str]:
    """Return the syllables that a word is made of, without remainder; nothing when it is not."""
    last = {0: ""}  # the last syllable of a row of them, by the place behind it; the longest where there are several
    reach = 0
    for start in range(len(text)):
        if start > reach:
            return []  # most words end here after a letter or two
        if start in last:
            for end in range(start + 1, min(start + _MAX_LENGTH, len(text)) + 1):
                if text[start:end] in known:
                    last.setdefault(end, text[start:end])
                    reach = max(reach, end)
    return list(_back(last, len(text)))[::-1] if text and len(text) in last else []


def _back(last: dict[int, str], end: int) -> Iterator[str]:
    while end:
        yield last[end]
        end -= len(last[end])
