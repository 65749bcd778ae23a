"""Finds Latin terms, also where letters stand apart, are doubled or are written as digits and symbols. Pure.

A term begins where a word of the text begins and ends where one ends, but for a plural. Its words may be written as
one. Two words are not joined over punctuation; three and more are.
"""

import dataclasses
import functools
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from services.generation.moderation.ordinary import Texts
from services.generation.moderation.reading import Gap, Unit

_READ_AS = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "il", "*": "",
}  # fmt: skip
_SYMBOLS = frozenset("*!|")
"""Symbols that stand for a letter between two letters; a word of the text may begin or end at them too."""
_LONG = 3
"""From this many words on a term is found over punctuation."""
_IDLE = 2
"""Doubled letters, digits and symbols in a row that are passed over; the reader shortens longer rows of a letter."""
_PLURALS = ("", "s", "es")
_STEPS = 8192
"""How many steps of the search are cached. A step is some states and one letter, and no text of a user."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Letter:
    """A character, and how it follows the one before. One object stands for each kind: a fast key."""

    text: str
    is_first: bool = False
    """It begins a unit."""
    is_kept: bool = True
    """A word of a term may go on here."""
    is_hard: bool = False
    """Punctuation that ends a clause stands before it, and not merely between letters apart."""


_INNER = {text: Letter(text) for text in string.ascii_lowercase + string.digits + "@$*!|"}
"""The characters of a unit behind its first."""


class Found(NamedTuple):
    """An occurrence of a term: its number, and the places of its units where it is written plainly, else nothing."""

    term: int
    places: tuple[int, ...]


class _Node:
    """A place in the trie of all terms: `letter` leads here, `space` on to the next word, and `terms` end here."""

    __slots__ = ("children", "letter", "space", "terms")

    def __init__(self, letter: str = "") -> None:
        self.letter = letter
        self.children: dict[str, _Node] = {}
        self.space: _Node | None = None
        self.terms: list[int] = []


class _State(NamedTuple):
    """A way of reading the text as the beginning of a term."""

    node: _Node
    is_joined: bool = False
    """Words were joined over punctuation."""
    is_masked: bool = False
    """A `*` stood for a letter, which it may once in a term."""
    idle: int = 0
    """How many characters in a row led no further. Bounded, or a long text of such characters took quadratic time."""


class Latin:
    """All Latin terms, by their numbers."""

    def __init__(self, terms: Mapping[int, Iterable[Texts]], hidden: Mapping[int, Iterable[Texts]]) -> None:
        """Take the ways to write each term, and further spellings that are never its plain form (`spellings.py`)."""
        self._root = _Node()
        self._words: dict[int, list[Texts]] = {}
        for number, forms in terms.items():
            for words in forms:
                self._words.setdefault(number, []).append(words)
                self._add(words, number)
        for number, forms in hidden.items():
            for words in forms:
                self._add(words, number)
        self._first = {
            text: frozenset(_after(_State(self._root), letter, is_first=True)) for text, letter in _INNER.items()
        }
        self._step = functools.lru_cache(maxsize=_STEPS)(_step)
        self._starts = {first + second for first, node in self._root.children.items() for second in node.children}

    def find(self, units: Sequence[Unit]) -> Iterator[Found]:
        """Return the occurrences of terms in a text, in time proportional to its length."""
        letters, places = _letters(units)
        for start in self._begins(units):
            for number, end in self._from(start, letters):
                yield Found(number, self._places(number, places[start], places[end - 1], units))

    def _begins(self, units: Sequence[Unit]) -> Iterator[int]:
        """Return the positions in the letters of a text at which a term may begin."""
        start = 0
        for text, _, is_sign in units:
            if is_sign:
                continue
            if not text.isalpha():
                yield start
                yield from (start + n for n, former in enumerate(text, 1) if former in _SYMBOLS)
            elif len(text) == 1 or text[:2] in self._starts or text[0] == text[1]:
                yield start
            start += len(text)

    def _add(self, words: Texts, number: int) -> None:
        node = self._root
        for position, word in enumerate(words):
            if position:
                node.space = node.space or _Node()
                node = node.space
            for letter in word:
                node = node.children.setdefault(letter, _Node(letter))
        node.terms.append(number)

    def _from(self, start: int, letters: Sequence[Letter]) -> Iterator[tuple[int, int]]:
        """Return the terms that begin at a position, and the position behind each."""
        states = self._first[letters[start].text]
        position = start + 1
        while states:
            for state in states:
                for number in state.node.terms:
                    words = max(self._words[number], key=len)
                    if state.is_joined and len(words) < _LONG:
                        continue
                    if (end := _end(letters, position)) and _is_letters(letters[start:end]):
                        yield number, end
            if position == len(letters):
                return
            states = self._step(states, letters[position])
            position += 1

    def _places(self, number: int, first: int, last: int, units: Sequence[Unit]) -> tuple[int, ...]:
        """Return the places of a term's words in the text where each is written as it is in the list."""
        text = [unit.text for unit in units[first : last + 1]]
        for words in self._words[number]:
            if text[:-1] == list(words[:-1]) and text[-1] in [words[-1] + plural for plural in _PLURALS]:
                return tuple(range(first, last + 1))
        return ()


def _letters(units: Sequence[Unit]) -> tuple[list[Letter], list[int]]:
    """Return the characters of all Latin units, and the place of the unit of each."""
    found: list[Letter] = []
    places: list[int] = []
    is_alone = is_behind_sign = False
    for place, (text, gap, is_sign) in enumerate(units):
        if not is_sign:
            was_alone, is_alone = is_alone, len(text) == 1
            # A Chinese sign between two units ends a clause.
            found.append(_first(text[0], Gap.HARD if is_behind_sign else gap, was_alone + is_alone))
            found += [_INNER[letter] for letter in text[1:]]
            places += [place] * len(text)
        is_behind_sign = is_sign
    return found, places


@functools.cache
def _first(text: str, gap: Gap, alone: int) -> Letter:
    """Return the first letter of a unit. `alone`: how many of two units, this and the one before, are one letter."""
    is_kept = gap <= Gap.TIGHT or alone == 2 or (gap == Gap.SOFT and alone == 1)
    return Letter(text, is_first=True, is_kept=is_kept, is_hard=gap == Gap.HARD and alone < 2)


def _step(states: frozenset[_State], letter: Letter) -> frozenset[_State]:
    """Return the states behind one more letter."""
    return frozenset(new for state in _over(states, letter) for new in _after(state, letter, is_first=False))


def _over(states: Iterable[_State], letter: Letter) -> Iterator[_State]:
    """Carry states over to a letter: within a word of the term, and on to its next word."""
    for state in states:
        if letter.is_kept:
            yield state
        if state.node.space:
            yield _State(state.node.space, state.is_joined or letter.is_hard, state.is_masked, state.idle)


def _after(state: _State, letter: Letter, *, is_first: bool) -> Iterator[_State]:
    """Return the states behind a letter: read as itself or what it looks like, doubled, or passed over."""
    node, text = state.node, letter.text
    for reading in (text, *_READ_AS.get(text, "")):
        if reading in node.children:
            yield _State(node.children[reading], state.is_joined, state.is_masked)
    if is_first or letter.is_first:
        return
    if state.idle < _IDLE and (text.isdigit() or text in _SYMBOLS or node.letter in (text, *_READ_AS.get(text, ""))):
        yield state._replace(idle=state.idle + 1)
    if text == "*" and not state.is_masked:
        for child in node.children.values():
            yield _State(child, state.is_joined, is_masked=True)


def _end(letters: Sequence[Letter], position: int) -> int:
    """Return where the word that a term reached `position` in ends, with or without a plural; 0 when it goes on."""
    for plural in _PLURALS:
        end = position + len(plural)
        tail = letters[position:end]
        is_tail = all(letter.text == text and not letter.is_first for letter, text in zip(tail, plural, strict=False))
        is_end = end == len(letters) or (end < len(letters) and _is_edge(letters[end]))
        if is_tail and is_end:
            return end
    return 0


def _is_edge(letter: Letter) -> bool:
    """Say whether a word may end before this letter."""
    return letter.is_first or letter.text in _SYMBOLS


def _is_letters(letters: Sequence[Letter]) -> bool:
    """Say whether at least half are letters: a row of digits is no word."""
    return 2 * sum(letter.text.isalpha() for letter in letters) >= len(letters)
