"""Mutants: small changes of the product, each of which breaks the clauses that it names (`mutants/*.yaml`).

At least one test that bears an id of a mutant must turn red by what it asserts. `make test` holds that each `old`
occurs exactly once in its file, and that each marked id has a mutant.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from tests.promises.clauses import HERE, ROOT, Mark

LISTS = HERE / "mutants"
"""The folder of the lists: one file a subject, and a file of another subject when one grows too long."""
SUITE = "tests/e2e/"
"""Tests below it start a suite."""
GENERATED_FROM = ("protos/", "deploy/envoy/", "deploy/openapi/", "deploy/protos.py")
"""Below these, and in a servicer's `api.py`, a change needs the generated code anew, as in the Makefile."""


@dataclasses.dataclass(frozen=True)
class Change:
    """In `file` the text `old`, which occurs there once, becomes `new`."""

    file: str
    old: str
    new: str

    @property
    def regenerates(self) -> bool:
        """Whether the generated code must be made anew."""
        path = Path(self.file)
        servicer = path.parts[0] == "services" and path.name == "api.py"
        return self.file.startswith(GENERATED_FROM) or servicer

    def count(self, root: Path) -> int:
        """Return how often `old` occurs in the file below `root`, 0 without the file."""
        path = root / self.file
        return path.read_text(encoding="utf-8").count(self.old) if path.is_file() else 0

    def apply(self, root: Path) -> None:
        """Make the change in the file below `root`."""
        text = (root / self.file).read_text(encoding="utf-8")
        (root / self.file).write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclasses.dataclass(frozen=True)
class Mutant:
    """Changes of the product, mostly one; `why` says what they break of the clauses `ids`."""

    name: str
    ids: tuple[str, ...]
    why: str
    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        """What a noted result belongs to: a mutant that was changed has no result yet."""
        whole = "\0".join(text for change in self.changes for text in dataclasses.astuple(change))
        return hashlib.sha256(whole.encode()).hexdigest()[:12]

    @property
    def regenerates(self) -> bool:
        """Whether the generated code must be made anew."""
        return any(change.regenerates for change in self.changes)

    def misfits(self, root: Path) -> list[str]:
        """Return a sentence for each change whose old text does not occur exactly once below `root`."""
        counts = [(change.file, change.count(root)) for change in self.changes]
        return [f"{self.name}: its old text occurs {times} times in {file}" for file, times in counts if times != 1]


def read(folder: Path = LISTS) -> list[Mutant]:
    """Read the mutants of all lists.

    Raises ValueError for a missing field, one too many, a name that stands twice, no change, no id, or no list at all.
    """
    found: dict[str, Mutant] = {}
    for path in sorted(folder.glob("*.yaml")):
        for mutant in _of_list(path):
            if mutant.name in found:
                raise ValueError(f"{path.name}: {mutant.name}: its name stands twice")
            found[mutant.name] = mutant
    if not found:
        raise ValueError(f"{folder}: holds no mutants")
    return list(found.values())


def _of_list(path: Path) -> Iterator[Mutant]:
    for row in yaml.safe_load(path.read_text(encoding="utf-8")):
        try:
            changes = tuple(Change(**change) for change in row["changes"])
            mutant = Mutant(**{**row, "ids": tuple(row["ids"]), "changes": changes})
        except (TypeError, KeyError) as fault:
            raise ValueError(f"{path.name}: {row.get('name', row)}: {fault}") from None
        if not changes or not mutant.ids or any(change.old == change.new for change in changes):
            raise ValueError(f"{path.name}: {mutant.name}: it changes or breaks nothing")
        yield mutant


def faults(mutants: Sequence[Mutant], marks: Sequence[Mark], root: Path = ROOT) -> list[str]:
    """Return what is wrong with the list: an old text that is not there once, an id without mark or without mutant."""
    found = [misfit for mutant in mutants for misfit in mutant.misfits(root)]
    broken = {id for mutant in mutants for id in mutant.ids}
    marked = {id for mark in marks for id in mark.ids}
    found += [f"{id}: a mutant names it, but no test bears it" for id in sorted(broken - marked)]
    found += [f"{id}: tests bear it, but no mutant breaks it" for id in sorted(marked - broken)]
    return found


def of(mutants: Sequence[Mutant]) -> dict[str, list[Mutant]]:
    """Return the mutants by the id that they break."""
    ids = dict.fromkeys(id for mutant in mutants for id in mutant.ids)
    return {id: [mutant for mutant in mutants if id in mutant.ids] for id in ids}


def tests_of(ids: Sequence[str], marks: Sequence[Mark]) -> list[str]:
    """Return the tests, as `file::function`, that bear one of the ids; those that start a suite come last."""
    found = {mark.test for mark in marks if set(mark.ids) & set(ids)}
    return sorted(found, key=lambda test: (test.startswith(SUITE), test))


def needs_suite(mutant: Mutant, marks: Sequence[Mark]) -> bool:
    """Say whether one of a mutant's ids is borne only by tests that start a suite."""
    return any(all(test.startswith(SUITE) for test in tests_of([id], marks)) for id in mutant.ids)


def chosen(mutants: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    """Return the mutants of the ids or of the names given, all when none is. Raises ValueError for an unknown one."""
    known = {id for mutant in mutants for id in mutant.ids} | {mutant.name for mutant in mutants}
    if odd := set(names) - known:
        raise ValueError(f"no mutant is called so or breaks it: {', '.join(sorted(odd))}")
    return [mutant for mutant in mutants if not names or {mutant.name, *mutant.ids} & set(names)]


def outcome(results: Mapping[str, str], own: Sequence[Mutant]) -> str:
    """Return `red` when every mutant of an id is red, else the first that is not: `green`, `invalid`, or `not run`."""
    for mutant in own:
        if (result := results.get(mutant.digest, "not run")) != "red":
            return f"{result}: {mutant.name}"
    return "red" if own else "no mutant"
