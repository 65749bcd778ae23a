"""Finds terms with Chinese signs, also with one filler between two, look-alikes, and signs in pinyin. Pure.

In a term of four signs or more the two signs of a pair (1 and 2, 3 and 4) may stand in either order.

Spaces and symbols between signs do not matter. Punctuation that ends a clause is looked through only in a term of four
signs or more, and only where it cannot be the end of a clause: in two places, or behind the first or before the last
sign.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.generation.moderation.latin import Found
from services.generation.moderation.ordinary import Texts
from services.generation.moderation.reading import Gap, Unit
from services.generation.moderation.syllables import Token, tokens

_FILLERS = frozenset("啊呀哦喔嗯哈嘿吧呢嘛哟噢唉丨丶丿亅乛灬々〇ロ")
"""Interjections and single strokes: between two signs of a term they say nothing."""
_LONG = 4


class _Node:
    """A place in the trie of all terms, and the terms that end there."""

    __slots__ = ("children", "terms")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.terms: list[int] = []


class _State(NamedTuple):
    """A way of reading the text as the beginning of a term."""

    node: _Node
    places: tuple[int, ...]
    ends: tuple[int, ...] = ()
    """Behind how many signs of the term punctuation stood."""
    is_filled: bool = False
    """The unit before was a filler."""


class Han:
    """All terms with Chinese signs by their numbers.

    `pinyin` maps a syllable, and `look_alikes` a sign, to the signs that it is read as besides itself.
    """

    def __init__(
        self,
        terms: Mapping[int, Texts],
        pinyin: Mapping[str, Sequence[str]],
        look_alikes: Mapping[str, Sequence[str]],
    ) -> None:
        self._root = _Node()
        self._pinyin = pinyin
        self._readings = {**pinyin, **look_alikes}
        for number, signs in terms.items():
            for order in _orders(signs):
                node = self._root
                for sign in order:
                    node = node.children.setdefault(sign, _Node())
                node.terms.append(number)
        # Looked up once for each unit of a text: most begin no term.
        self._first = {
            text: nodes
            for text in {*self._root.children, *self._readings}
            if (nodes := self._children(self._root, text))
        }

    def find(self, units: Sequence[Unit]) -> Iterator[Found]:
        """Return the occurrences of terms in a text, in time proportional to its length."""
        if not any(unit.is_sign for unit in units):
            return  # terms wholly in pinyin are found as Latin ones
        read = tokens(units, self._pinyin)
        for start, (unit, place) in enumerate(read):
            states = [_State(node, (place,)) for node in self._first.get(unit.text, ())]
            position = start
            while states:
                for state in states:
                    is_found = any(units[place].is_sign for place in state.places) and _is_one(state)
                    yield from (Found(number, state.places) for number in state.node.terms if is_found)
                position += 1
                if position == len(read):
                    break
                states = [new for state in states for new in self._after(state, read[position])]

    def _after(self, state: _State, token: Token) -> Iterator[_State]:
        unit, place = token
        ends = state.ends
        if unit.gap == Gap.HARD and len(state.places) not in ends:
            ends = (*ends, len(state.places))
        for node in self._children(state.node, unit.text):
            yield _State(node, (*state.places, place), ends)
        if not state.is_filled and state.node.children and _is_filler(unit):
            yield _State(state.node, state.places, ends, is_filled=True)

    def _children(self, node: _Node, text: str) -> list[_Node]:
        """Return where a unit leads: as it is, or as a sign that is read so."""
        readings = (text, *self._readings.get(text, ()))
        return [node.children[reading] for reading in readings if reading in node.children]


def _orders(signs: Texts) -> set[Texts]:
    """Return a term with the signs of each pair in either order; a short term as it is: 交口 is a word of its own."""
    if len(signs) < _LONG:
        return {signs}
    pairs = [signs[start : start + 2] for start in range(0, len(signs), 2)]
    return {tuple(itertools.chain(*order)) for order in itertools.product(*((pair, pair[::-1]) for pair in pairs))}


def _is_filler(unit: Unit) -> bool:
    return unit.text in _FILLERS if unit.is_sign else len(unit.text) == 1


def _is_one(state: _State) -> bool:
    """Say whether the signs belong together although punctuation stands between them."""
    size = len(state.places)
    if not state.ends:
        return True
    return size >= _LONG and (len(state.ends) > 1 or state.ends[0] in (1, size - 1))
