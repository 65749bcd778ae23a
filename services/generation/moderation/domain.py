"""Rules of the first moderation step: terms found in a text, however it is dressed up. Pure.

It knows words, not meanings: what a list does not name is not found. Signs or words that merely meet are no term; the
lists name the ordinary words by which that is seen (`ordinary.py`).
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from services.generation.moderation.han import Han
from services.generation.moderation.latin import Latin
from services.generation.moderation.ordinary import Excuses, Ordinary, Texts
from services.generation.moderation.reading import Reader
from services.generation.moderation.spellings import hidden

_PINYIN_FROM = 3
"""Signs from which on a term is found wholly in pinyin. Two syllables mean too much: zhidu is 制毒 and 制度."""


@dataclasses.dataclass(frozen=True)
class Term:
    """A forbidden word or phrase by its units, and its category."""

    category: str
    units: Texts
    is_signs: bool
    """It has Chinese signs, so it is found inside a text that has no spaces between words."""


class Rules:
    """A compiled set of terms. `version` names its exact content and is stored with every verdict."""

    def __init__(
        self,
        terms: Iterable[Term],
        version: str,
        *,
        reader: Reader,
        ordinary: Sequence[Ordinary] = (),
        pinyin: Mapping[str, Sequence[str]] | None = None,
        look_alikes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.version = version
        self._reader = reader
        self._terms = list(terms)
        self._ranks = {name: rank for rank, name in enumerate(dict.fromkeys(term.category for term in self._terms))}
        self._excuses = [Excuses(term.units, ordinary) for term in self._terms]
        syllables = _syllables(pinyin or {})
        numbered = list(enumerate(self._terms))
        apart = {word.units for word in ordinary} | {term.units for term in self._terms}
        self._latin = Latin(
            {number: _forms(term, syllables) for number, term in numbered},
            {number: hidden(term.units, apart, pinyin or {}) for number, term in numbered if not term.is_signs},
        )
        signs = {number: term.units for number, term in numbered if term.is_signs}
        self._han = Han(signs, pinyin or {}, look_alikes or {})

    def category(self, text: str) -> str:
        """Return the category of a term that the text contains, empty when it contains none.

        Of several categories it is the one that stands first in the lists. The time is proportional to the length.
        """
        units = self._reader.read(text)
        found = {
            self._terms[match.term].category
            for match in itertools.chain(self._latin.find(units), self._han.find(units))
            if not (match.places and self._excuses[match.term].hold(units, match.places))
        }
        return min(found, key=self._ranks.__getitem__, default="")


def _syllables(pinyin: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the syllables of each sign."""
    found: dict[str, list[str]] = {}
    for syllable, signs in pinyin.items():
        for sign in signs:
            found.setdefault(sign, []).append(syllable)
    return found


def _forms(term: Term, syllables: Mapping[str, Sequence[str]]) -> list[Texts]:
    """Return the ways to write a term in Latin letters: itself, or its pinyin where each sign has some."""
    if not term.is_signs:
        return [term.units]
    if len(term.units) < _PINYIN_FROM or not all(sign in syllables for sign in term.units):
        return []
    return list(itertools.product(*(syllables[sign] for sign in term.units)))
