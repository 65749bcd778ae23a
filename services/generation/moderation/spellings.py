"""Spellings in which a Latin term hides: one word of it cut by a space, or with two inner letters swapped. Pure."""

from collections.abc import Collection, Iterator

from services.generation.moderation.ordinary import Texts

_CUT_FROM = 4
"""Letters from which on a word is found in two pieces, each of two letters or more."""
_SWAPPED_FROM = 6
"""Letters from which on a word is found with two inner letters swapped; shorter ones become other words."""


def hidden(term: Texts, apart: Collection[Texts], syllables: Collection[str]) -> Iterator[Texts]:
    """Return the spellings of a term with one word hidden.

    `apart` has the pairs of words that are never the pieces of one: "hero in" is no heroin, and "blow job" is a term of
    its own. A word among `syllables` is pinyin, of which a piece means something else, and stays whole.
    """
    for place, word in enumerate(term):
        if word.isalpha() and word not in syllables:
            for pieces in (*_cut(word), *_swapped(word)):
                if pieces not in apart:
                    yield (*term[:place], *pieces, *term[place + 1 :])


def _cut(word: str) -> Iterator[Texts]:
    if len(word) >= _CUT_FROM:
        yield from ((word[:end], word[end:]) for end in range(2, len(word) - 1))


def _swapped(word: str) -> Iterator[Texts]:
    if len(word) >= _SWAPPED_FROM:
        for first in range(1, len(word) - 2):
            if word[first] != word[first + 1]:
                yield (word[:first] + word[first + 1] + word[first] + word[first + 2 :],)
