"""`make protocol`: explores with more faults than the tests do, says how much that was, and what each mutation breaks.

`make protocol SCOPES=mutations` says only the last.
"""

import sys
import time

from tests.protocol import explorer, invariants, mutations
from tests.protocol.model import RIGHT
from tests.protocol.scopes import LARGE, SMALL


def main(names: list[str]) -> int:
    """Explore the scopes of these names, all without one; returns the exit status."""
    row = "{:10}{:>7}{:>13}{:>13}{:>10}"
    print(row.format("scope", "faults", "states", "transitions", "seconds"))
    states = transitions = 0
    begun = time.monotonic()
    for scope in LARGE:
        if names and scope.name not in names:
            continue
        start = time.monotonic()
        try:
            found = explorer.explore(RIGHT, scope, invariants.always, invariants.at_the_end)
        except explorer.Violation as violation:
            print(f"{scope.name}: {violation}")
            return 1
        seconds = f"{time.monotonic() - start:.1f}"
        print(row.format(scope.name, scope.faults, len(found.states), found.transitions, seconds), flush=True)
        states, transitions = states + len(found.states), transitions + found.transitions
    print(row.format("all", "", states, transitions, f"{time.monotonic() - begun:.1f}"))
    return 0


def tell_mutations() -> int:
    """Print what the explorer finds wrong with each mutation, and the shortest way to it; returns the exit status."""
    for name, rule in mutations.MUTATIONS.items():
        found = mutations.harm(mutations.without(rule))
        if found is None:
            print(f"{name}: nothing was found")
            return 1
        print(f"{name}: {found.what}\n    {'; '.join(found.steps)}", flush=True)
    return 0


if __name__ == "__main__":
    wanted = sys.argv[1:]
    if unknown := set(wanted) - {"mutations"} - {scope.name for scope in SMALL}:
        sys.exit(f"no such scope: {', '.join(sorted(unknown))}")
    sys.exit((wanted != ["mutations"] and main(wanted)) or tell_mutations())
