"""Finds Latin terms, also where letters stand apart, are doubled or are written as digits and symbols. Pure.

A term begins where a word of the text begins and ends where one ends, but for a plural. Its words may be written as
one. Two words are not joined over punctuation; three and more are.
"""

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


class Letter(NamedTuple):
    """One character of the text: the gap before it, whether it is a unit by itself, and its unit's place."""

    text: str
    gap: Gap
    is_alone: bool
    place: int


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
        self._starts = {first + second for first, node in self._root.children.items() for second in node.children}

    def find(self, units: Sequence[Unit]) -> Iterator[Found]:
        """Return the occurrences of terms in a text, in time proportional to its length."""
        letters = _letters(units)
        for start, letter in enumerate(letters):
            if letter.gap != Gap.NONE or (start and letters[start - 1].text in _SYMBOLS):
                word = units[letter.place].text
                if len(word) == 1 or not word.isalpha() or word[:2] in self._starts or word[0] == word[1]:
                    yield from self._from(start, letters, units)

    def _add(self, words: Texts, number: int) -> None:
        node = self._root
        for position, word in enumerate(words):
            if position:
                node.space = node.space or _Node()
                node = node.space
            for letter in word:
                node = node.children.setdefault(letter, _Node(letter))
        node.terms.append(number)

    def _from(self, start: int, letters: Sequence[Letter], units: Sequence[Unit]) -> Iterator[Found]:
        states = {_State(self._root)}
        for position in range(start, len(letters)):
            if position > start:
                states = _over(states, letters[position - 1], letters[position])
            states = {new for state in states for new in _after(state, letters[position], is_first=position == start)}
            if not states:
                return
            for state in states:
                for number in state.node.terms:
                    words = max(self._words[number], key=len)
                    if state.is_joined and len(words) < _LONG:
                        continue
                    if (end := _end(letters, position + 1)) and _is_letters(letters[start:end]):
                        yield Found(number, self._places(number, letters[start].place, letters[end - 1].place, units))

    def _places(self, number: int, first: int, last: int, units: Sequence[Unit]) -> tuple[int, ...]:
        """Return the places of a term's words in the text where each is written as it is in the list."""
        text = [unit.text for unit in units[first : last + 1]]
        for words in self._words[number]:
            if text[:-1] == list(words[:-1]) and text[-1] in [words[-1] + plural for plural in _PLURALS]:
                return tuple(range(first, last + 1))
        return ()


def _letters(units: Sequence[Unit]) -> list[Letter]:
    """Return the characters of all Latin units; a Chinese sign between two of them ends a clause."""
    found: list[Letter] = []
    for place, unit in enumerate(units):
        if not unit.is_sign:
            gap = Gap.HARD if place and units[place - 1].is_sign else unit.gap
            is_alone = len(unit.text) == 1
            found += [Letter(text, Gap.NONE if n else gap, is_alone, place) for n, text in enumerate(unit.text)]
    return found


def _over(states: Iterable[_State], former: Letter, letter: Letter) -> set[_State]:
    """Carry states over the gap between two letters: within a word of the term, and on to its next word."""
    found: set[_State] = set()
    are_alone = former.is_alone and letter.is_alone
    for state in states:
        if letter.gap <= Gap.TIGHT or are_alone or (letter.gap == Gap.SOFT and (former.is_alone or letter.is_alone)):
            found.add(state)
        if state.node.space:
            is_joined = state.is_joined or (letter.gap == Gap.HARD and not are_alone)
            found.add(_State(state.node.space, is_joined, state.is_masked, state.idle))
    return found


def _after(state: _State, letter: Letter, *, is_first: bool) -> Iterator[_State]:
    """Return the states behind a letter: read as itself or what it looks like, doubled, or passed over."""
    node, text = state.node, letter.text
    for reading in (text, *_READ_AS.get(text, "")):
        if reading in node.children:
            yield _State(node.children[reading], state.is_joined, state.is_masked)
    if is_first or letter.gap != Gap.NONE:
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
        is_tail = all(
            letter.text == text and letter.gap == Gap.NONE for letter, text in zip(tail, plural, strict=False)
        )
        is_end = end == len(letters) or (end < len(letters) and _is_edge(letters[end]))
        if is_tail and is_end:
            return end
    return 0


def _is_edge(letter: Letter) -> bool:
    """Say whether a word may end before this letter."""
    return letter.gap != Gap.NONE or letter.text in _SYMBOLS


def _is_letters(letters: Sequence[Letter]) -> bool:
    """Say whether at least half are letters: a row of digits is no word."""
    return 2 * sum(letter.text.isalpha() for letter in letters) >= len(letters)
