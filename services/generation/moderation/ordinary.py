"""Ordinary words, by which a term is told from signs or words that merely meet: 路口 + 交通 is no 口交. Pure.

An ordinary word excuses an occurrence of a term that it cuts: it begins before the occurrence and ends inside it, or
begins inside and ends behind it. Two that do not overlap, one on either side, are needed, unless a word is marked as
enough by itself; one that holds the whole occurrence and more is always enough.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from services.generation.moderation.reading import Gap, Unit

Texts = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Ordinary:
    """An ordinary word or phrase by its units. `alone`: it excuses a term that it cuts without a partner."""

    units: Texts
    alone: bool = False


class _Cut(NamedTuple):
    """Where a word lies over a term: its first unit at `start`, `end` behind its last, in units of the term."""

    start: int
    end: int
    alone: bool = False


class Excuses:
    """The ordinary words that can cut one term, by the places where they can.

    A text is asked once for each place and not once for each word: lists name hundreds of words for one place.
    """

    def __init__(self, term: Texts, words: Iterable[Ordinary]) -> None:
        self._size = len(term)
        self._words: dict[tuple[int, int], dict[Texts, bool]] = {}
        for word in words:
            for place in _laid(word.units, term):
                known = self._words.setdefault(place, {})
                known[word.units] = word.alone or known.get(word.units, False)

    def hold(self, units: Sequence[Unit], places: Sequence[int]) -> bool:
        """Say whether ordinary words excuse the occurrence whose units stand at `places` of the text."""
        cuts = list(self._standing(units, places))
        if any(cut.start <= 0 and cut.end >= self._size for cut in cuts):
            return True
        if any(cut.alone and (cut.start < 0 or cut.end > self._size) for cut in cuts):
            return True
        left = [cut for cut in cuts if cut.start <= 0]
        right = [cut for cut in cuts if cut.start > 0]
        # The one whole part of the other side must still meet a word that reaches beyond the term.
        return any(a.end <= b.start and (a.start < 0 or b.end > self._size) for a in left for b in right)

    def _standing(self, units: Sequence[Unit], places: Sequence[int]) -> Iterator[_Cut]:
        """Return the cuts by words that stand in the text."""
        for (start, end), words in self._words.items():
            anchor = max(start, 0)
            first = places[anchor] - (anchor - start)
            for text in _texts(units, first, first + end - start):
                if text in words:
                    yield _Cut(start, end, words[text])


def _laid(word: Texts, term: Texts) -> Iterator[tuple[int, int]]:
    """Return where a word fits over a term, other than strictly inside it or as the term itself: its start and end."""
    size, length = len(term), len(word)
    for start in range(1 - length, size):
        end = start + length
        low, high = max(start, 0), min(end, size)
        is_inside = (start > 0 and end < size) or (start, end) == (0, size)
        if not is_inside and word[low - start : high - start] == term[low:high]:
            yield start, end


def _texts(units: Sequence[Unit], first: int, last: int) -> Iterator[Texts]:
    """Return what stands at some places of a text, and its singular; nothing when they are no one phrase.

    In a phrase nothing stands between Chinese signs, and spaces between words.
    """
    if first < 0 or last > len(units):
        return
    found = units[first:last]
    if all(unit.gap == Gap.NONE if unit.is_sign else unit.gap <= Gap.SOFT for unit in found[1:]):
        *body, final = (unit.text for unit in found)
        yield (*body, final)
        if final.endswith("s"):
            yield (*body, final[:-1])
