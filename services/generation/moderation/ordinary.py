"""Ordinary words, by which a term is told from signs or words that merely meet: 路口 + 交通 is no 口交. Pure.

An ordinary word excuses an occurrence of a term that it cuts: it begins before the occurrence and ends inside it, or
begins inside and ends behind it. Two that do not overlap, one on either side, are needed, unless a word is marked as
enough by itself; one that holds the whole occurrence and more is always enough.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from services.generation.moderation.reading import Gap, Unit

Texts = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Ordinary:
    """An ordinary word or phrase by its units. `alone`: it excuses a term that it cuts without a partner."""

    units: Texts
    alone: bool = False


@dataclasses.dataclass(frozen=True)
class _Cut:
    """A word laid over a term: its first unit stands at `start`, and `end` is behind its last, in units of the term."""

    word: Ordinary
    start: int
    end: int


class Excuses:
    """The ordinary words that can cut one term, each at the places where it can."""

    def __init__(self, term: Texts, words: Iterable[Ordinary]) -> None:
        self._size = len(term)
        cuts = [cut for word in words for cut in _laid(word, term)]
        self._around = [cut for cut in cuts if cut.start <= 0 and cut.end >= self._size]
        self._left = [cut for cut in cuts if cut.start <= 0 and cut.end < self._size]
        self._right = [cut for cut in cuts if cut.start > 0 and cut.end >= self._size]

    def hold(self, units: Sequence[Unit], places: Sequence[int]) -> bool:
        """Say whether ordinary words excuse the occurrence whose units stand at `places` of the text."""
        if any(_stands(cut, units, places) for cut in self._around):
            return True
        left = [cut for cut in self._left if _stands(cut, units, places)]
        right = [cut for cut in self._right if _stands(cut, units, places)]
        if any(cut.word.alone and (cut.start < 0 or cut.end > self._size) for cut in (*left, *right)):
            return True
        # The one whole part of the other side must still meet a word that reaches beyond the term.
        return any(a.end <= b.start and (a.start < 0 or b.end > self._size) for a in left for b in right)


def _laid(word: Ordinary, term: Texts) -> Iterable[_Cut]:
    """Return the places where a word fits over a term, other than strictly inside it or as the term itself."""
    size, length = len(term), len(word.units)
    for start in range(1 - length, size):
        end = start + length
        low, high = max(start, 0), min(end, size)
        is_inside = (start > 0 and end < size) or (start, end) == (0, size)
        if not is_inside and word.units[low - start : high - start] == term[low:high]:
            yield _Cut(word, start, end)


def _stands(cut: _Cut, units: Sequence[Unit], places: Sequence[int]) -> bool:
    """Say whether the word of a cut stands in the text, with nothing between its own signs or spaces between words.

    An English phrase may stand in the plural.
    """
    anchor = max(cut.start, 0)
    first = places[anchor] - (anchor - cut.start)
    last = first + len(cut.word.units)
    if first < 0 or last > len(units):
        return False
    found = units[first:last]
    *body, final = (unit.text for unit in found)
    return (
        tuple(body) == cut.word.units[:-1]
        and final in (cut.word.units[-1], f"{cut.word.units[-1]}s")
        and all(unit.gap == Gap.NONE if unit.is_sign else unit.gap <= Gap.SOFT for unit in found[1:])
    )
