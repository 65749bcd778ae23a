"""Visits every state that can be reached, breadth first, and remembers how: a trace to a fault is a shortest one."""

import dataclasses
import gc
from array import array
from collections.abc import Callable, Iterator

from tests.protocol.model import Machine, Packed
from tests.protocol.rules import Rules, Scope
from tests.protocol.state import State, told


class Violation(Exception):
    """What must never be, and the shortest way to it."""

    def __init__(self, what: str, trace: list[tuple[str, State]]) -> None:
        self.what, self.trace = what, trace
        steps = [f"{number:3} {name}\n    {told(state)}" for number, (name, state) in enumerate(trace)]
        super().__init__("\n".join([what, *steps]))

    @property
    def steps(self) -> list[str]:
        """The names of the steps that lead to it."""
        return [name for name, _ in self.trace[1:]]


@dataclasses.dataclass
class Explored:
    """All states of a scope, with the steps between them."""

    machine: Machine
    states: list[Packed]
    came_from: array
    came_by: list[str]
    edges: list[array]
    """For each state, those that follow it."""
    ends: list[int]
    """The states after which nothing can happen but faults."""
    names: set[str]
    """The steps that were taken."""

    @property
    def transitions(self) -> int:
        """How many there are."""
        return sum(map(len, self.edges))

    def trace(self, place: int) -> list[tuple[str, State]]:
        """Return the way to a state: (step, state), the first with an empty step."""
        way = []
        while place >= 0:
            way.append((self.came_by[place], self.machine.state(self.states[place])))
            place = self.came_from[place]
        return way[::-1]


Invariant = Callable[[Scope, State], Iterator[str]]


def explore(rules: Rules, scope: Scope, always: Invariant, at_the_end: Invariant) -> Explored:
    """Visit everything. Raises Violation for a state that breaks an invariant, an end that breaks `at_the_end`, or a
    state from which no good end can be reached."""
    gc.disable()  # nothing here is garbage before the end
    try:
        return _explore(Machine(rules, scope), scope, always, at_the_end)
    finally:
        gc.enable()


def _explore(machine: Machine, scope: Scope, always: Invariant, at_the_end: Invariant) -> Explored:
    first = machine.begin()
    seen = {first: 0}
    found = Explored(machine, [first], array("l", [-1]), [""], [], [], set())
    for place, state in enumerate(found.states):  # the list grows while it is walked: breadth first
        after, goes_on = array("l"), False
        for name, is_fault, next_state in machine.successors(state):
            if next_state == state:
                continue
            goes_on = goes_on or not is_fault
            number = seen.get(next_state)
            if number is None:
                number = seen[next_state] = len(found.states)
                found.states.append(next_state)
                found.came_from.append(place)
                found.came_by.append(name)
                found.names.add(name)
                for what in always(scope, machine.state(next_state)):
                    raise Violation(what, found.trace(number))
            after.append(number)
        found.edges.append(after)
        if not goes_on:
            found.ends.append(place)
            for what in at_the_end(scope, machine.state(state)):
                raise Violation(f"at the end: {what}", found.trace(place))
    _check_ends_are_reached(found)
    return found


def _check_ends_are_reached(found: Explored) -> None:
    """Walk backwards from the ends, all good by now: what is not met is left for ever without one."""
    before: list[array] = [array("l") for _ in found.states]
    for place, after in enumerate(found.edges):
        for number in after:
            before[number].append(place)
    met, todo = set(found.ends), list(found.ends)
    while todo:
        for place in before[todo.pop()]:
            if place not in met:
                met.add(place)
                todo.append(place)
    for place in range(len(found.states)):
        if place not in met:
            raise Violation("no end can be reached any more", found.trace(place))
