"""`make promises` prints the state of every clause, `make promises-mutants` tries the mutants.

python -m tests.promises
python -m tests.promises mutants [ID or name of a mutant ...]
"""

import sys
import time
from pathlib import Path

from tests.promises import clauses, killing, mutants, notes, report
from tests.promises.clauses import ROOT


def evidence(root: Path = ROOT) -> report.Evidence:
    """Gather what the report follows from: the lists, the source of the tests, and what runs have noted."""
    return report.Evidence(
        promises=clauses.read(),
        recorded=clauses.recorded(),
        marks=clauses.marks(root),
        mutants=mutants.read(),
        notes=notes.noted(root),
        results=notes.load(root / notes.MUTANTS),
    )


def print_report() -> int:
    """Print the report; says so when no run has noted anything."""
    known = evidence()
    for command, there in (("make test", known.notes), ("make promises-mutants", known.results)):
        if not there:
            print(f"Nothing is noted yet of `{command}`, so no clause counts.")
    print("\n".join(report.lines(known)))
    return 0


def try_mutants(names: list[str]) -> int:
    """Try the mutants of the ids given, or all; 1 when an id stayed green or a mutant is no running program."""
    marks, known = clauses.marks(), mutants.read()
    if faults := mutants.faults(known, marks):
        print("\n".join(faults))
        return 1
    began = time.monotonic()
    results = killing.run(mutants.chosen(known, names), marks, _say)
    left = [
        f"  {id} ({result.mutant.name}): {outcome}: {seen}"
        for result in results
        for id, (outcome, seen) in result.outcomes.items()
        if outcome != "red"
    ]
    ids = {id for result in results for id in result.outcomes}
    print("\n".join(["Not red:", *left] if left else []))
    print(f"{len(results)} mutants, {len(ids)} ids, {len(left)} not red, {time.monotonic() - began:.0f} s")
    return 1 if left else 0


def _say(result: killing.Result) -> None:
    told = " ".join(f"{id}:{outcome}" for id, (outcome, _) in result.outcomes.items())
    print(f"{result.seconds:5.0f} s  {result.mutant.name}: {told}", flush=True)


def main() -> int:
    """Read the command line."""
    match sys.argv[1:]:
        case []:
            return print_report()
        case ["mutants", *names]:
            return try_mutants(names)
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main())
