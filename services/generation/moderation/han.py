"""Finds terms with Chinese signs, also with one filler between two signs, and with signs in pinyin. Pure.

Spaces and symbols between signs do not matter. Punctuation that ends a clause is looked through only in a term of four
signs or more, and only where it cannot be the end of a clause: in two places, or behind the first or before the last
sign.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from services.generation.moderation.latin import Found
from services.generation.moderation.ordinary import Texts
from services.generation.moderation.reading import Gap, Unit

_FILLERS = frozenset("啊呀哦喔嗯哈嘿吧呢嘛哟噢唉丨丶丿亅乛灬々〇")
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
    """All terms with Chinese signs by their numbers. `pinyin` maps a syllable to the signs that are read so."""

    def __init__(self, terms: Mapping[int, Texts], pinyin: Mapping[str, Sequence[str]]) -> None:
        self._root = _Node()
        self._pinyin = pinyin
        for number, signs in terms.items():
            node = self._root
            for sign in signs:
                node = node.children.setdefault(sign, _Node())
            node.terms.append(number)

    def find(self, units: Sequence[Unit]) -> Iterator[Found]:
        """Return the occurrences of terms in a text, in time proportional to its length."""
        for start, unit in enumerate(units):
            if unit.text not in self._root.children and unit.text not in self._pinyin:
                continue
            states = [_State(node, (start,)) for node in self._children(self._root, unit)]
            position = start
            while states:
                for state in states:
                    is_found = any(units[place].is_sign for place in state.places) and _is_one(state)
                    yield from (Found(number, state.places) for number in state.node.terms if is_found)
                position += 1
                if position == len(units):
                    break
                states = [new for state in states for new in self._after(state, units[position], position)]

    def _after(self, state: _State, unit: Unit, position: int) -> Iterator[_State]:
        ends = state.ends
        if unit.gap == Gap.HARD and len(state.places) not in ends:
            ends = (*ends, len(state.places))
        for node in self._children(state.node, unit):
            yield _State(node, (*state.places, position), ends)
        if not state.is_filled and state.node.children and _is_filler(unit):
            yield _State(state.node, state.places, ends, is_filled=True)

    def _children(self, node: _Node, unit: Unit) -> Iterable[_Node]:
        """Return where a unit leads: as it is, or as a sign that is read so."""
        if unit.is_sign or unit.text not in self._pinyin:
            readings: Sequence[str] = (unit.text,)
        else:
            readings = (unit.text, *self._pinyin[unit.text])
        return [node.children[reading] for reading in readings if reading in node.children]


def _is_filler(unit: Unit) -> bool:
    return unit.text in _FILLERS if unit.is_sign else len(unit.text) == 1


def _is_one(state: _State) -> bool:
    """Say whether the signs belong together although punctuation stands between them."""
    size = len(state.places)
    if not state.ends:
        return True
    return size >= _LONG and (len(state.ends) > 1 or state.ends[0] in (1, size - 1))
