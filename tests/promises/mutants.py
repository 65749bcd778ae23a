"""Mutants: small changes of the product, each of which breaks the clauses that it names (`mutants.yaml`)."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.promises.clauses import HERE, ROOT, Mark

LIST = HERE / "mutants.yaml"
GENERATED_FROM = ("protos/", "deploy/envoy/", "deploy/openapi/", "deploy/protos.py")
"""Below these, and in a servicer's `api.py`, a change needs the generated code anew, as in the Makefile."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: in `file` the text `old`, which occurs there once, becomes `new`; `why` says what that breaks."""

    name: str
    ids: tuple[str, ...]
    file: str
    old: str
    new: str
    why: str

    @property
    def digest(self) -> str:
        """What a noted result belongs to: a mutant that was changed has no result yet."""
        whole = "\0".join((self.file, self.old, self.new))
        return hashlib.sha256(whole.encode()).hexdigest()[:12]

    @property
    def regenerates(self) -> bool:
        """Whether the generated code must be made anew."""
        path = Path(self.file)
        servicer = path.parts[0] == "services" and path.name == "api.py"
        return self.file.startswith(GENERATED_FROM) or servicer

    def apply(self, root: Path) -> str:
        """Change the file below `root` and return its text before. Raises ValueError where `old` is not there once."""
        path = root / self.file
        before = path.read_text(encoding="utf-8")
        if before.count(self.old) != 1:
            raise ValueError(f"{self.name}: its old text occurs {before.count(self.old)} times in {self.file}")
        path.write_text(before.replace(self.old, self.new), encoding="utf-8")
        return before


def read(path: Path = LIST) -> list[Mutant]:
    """Read the mutants. Raises ValueError for a missing field, one too many, a name that stands twice, no change."""
    found: dict[str, Mutant] = {}
    for row in yaml.safe_load(path.read_text(encoding="utf-8")):
        try:
            mutant = Mutant(**{**row, "ids": tuple(row["ids"])})
        except (TypeError, KeyError) as fault:
            raise ValueError(f"{path.name}: {row.get('name', row)}: {fault}") from None
        if mutant.name in found or mutant.old == mutant.new or not mutant.ids:
            raise ValueError(f"{path.name}: {mutant.name}: its name stands twice, or it changes or breaks nothing")
        found[mutant.name] = mutant
    return list(found.values())


def faults(mutants: Sequence[Mutant], marks: Sequence[Mark], root: Path = ROOT) -> list[str]:
    """Return what is wrong with the list: an old text that is not there once, an id without mark or without mutant."""
    found = []
    for mutant in mutants:
        path = root / mutant.file
        times = path.read_text(encoding="utf-8").count(mutant.old) if path.is_file() else 0
        if times != 1:
            found.append(f"{mutant.name}: its old text occurs {times} times in {mutant.file}")
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
    """Return the tests, as `file::function`, that bear one of the ids."""
    return sorted({mark.test for mark in marks if set(mark.ids) & set(ids)})


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
