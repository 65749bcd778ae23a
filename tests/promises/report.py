"""What `make promises` prints: each clause proven, partial, absent, or recorded, by document and capability."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.promises import mutants as changes
from tests.promises.clauses import Mark, Promise
from tests.promises.mutants import Mutant
from tests.promises.notes import Note

STATES = ("proven", "partial", "absent", "recorded")
WIDTH = 44


@dataclasses.dataclass(frozen=True)
class State:
    """The state of one clause and, for partial, recorded, and a mark that does not count, a sentence."""

    state: str
    sentence: str = ""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that the states follow from."""

    promises: Mapping[str, Promise]
    recorded: Mapping[str, str]
    marks: Sequence[Mark]
    mutants: Sequence[Mutant]
    notes: Mapping[str, Note]
    results: Mapping[str, Mapping[str, Any]]
    """What runs of mutants noted, by id and digest."""


def states(evidence: Evidence) -> dict[str, State]:
    """Return the state of each clause.

    A marked one counts when every test that bears it passed, none was left out, and each of its mutants is red; it is
    proven when no mark of it says that something is missing.
    """
    own = changes.of(evidence.mutants)
    return {id: _state(id, evidence, own.get(id, [])) for id in evidence.promises}


def _state(id: str, evidence: Evidence, own: Sequence[Mutant]) -> State:
    marks = [mark for mark in evidence.marks if id in mark.ids]
    if not marks:
        return State("recorded", evidence.recorded[id]) if id in evidence.recorded else State("absent")
    if why := _doubt(id, evidence, marks, own):
        return State("absent", why)
    missing = "; ".join(dict.fromkeys(mark.part for mark in marks if mark.part))
    return State("partial", missing) if missing else State("proven")


def _doubt(id: str, evidence: Evidence, marks: Sequence[Mark], own: Sequence[Mutant]) -> str:
    """Say why a marked clause does not count; empty when it does."""
    for mark in marks:
        runs = [note for node, note in evidence.notes.items() if node.split("[")[0] == mark.test and id in note.ids]
        if not runs:
            return f"{mark.test} was not run"
        if not all(note.passed for note in runs):
            return f"{mark.test} did not pass"
    results = {digest: row["outcome"] for digest, row in evidence.results.get(id, {}).items()}
    outcome = changes.outcome(results, own)
    return "" if outcome == "red" else f"mutant {outcome}"


def lines(evidence: Evidence) -> Iterator[str]:
    """Write the report: a table by document and capability, the sentences, and the totals as the last lines."""
    found = states(evidence)
    for document in dict.fromkeys(promise.document for promise in evidence.promises.values()):
        own = [promise for promise in evidence.promises.values() if promise.document == document]
        yield _row(document.upper(), STATES, "of")
        yield from _capabilities(own, found)
        yield ""
    for state, title in (("partial", "Partial: what is missing"), ("recorded", "Recorded: software cannot decide it")):
        yield from _sentences(title, {id: row for id, row in found.items() if row.state == state})
    doubtful = {id: row for id, row in found.items() if row.state == "absent" and row.sentence}
    yield from _sentences("Marked, and does not count", doubtful)
    yield from _totals(evidence, found)


def _capabilities(own: Sequence[Promise], found: Mapping[str, State]) -> Iterator[str]:
    for capability in dict.fromkeys(promise.capability for promise in own):
        ids = [promise.id for promise in own if promise.capability == capability]
        shown = [id for id in ids if found[id].state in {"proven", "partial"}]
        yield _row(f"  {capability}", _counts(ids, found), len(ids), " ".join(shown))


def _counts(ids: Sequence[str], found: Mapping[str, State]) -> list[str]:
    return [str(sum(found[id].state == state for id in ids) or ".") for state in STATES]


def _row(title: str, cells: Sequence[str], whole: object, more: str = "") -> str:
    return f"{title:<{WIDTH}}{''.join(f'{cell:>10}' for cell in cells)}{whole:>6}  {more}".rstrip()


def _sentences(title: str, rows: Mapping[str, State]) -> Iterator[str]:
    if rows:
        yield f"{title} ({len(rows)})"
        yield from (f"  {id:<16} {row.sentence}" for id, row in rows.items())
        yield ""


def _totals(evidence: Evidence, found: Mapping[str, State]) -> Iterator[str]:
    yield _row("", STATES, "of")
    for document in dict.fromkeys(promise.document for promise in evidence.promises.values()):
        ids = [promise.id for promise in evidence.promises.values() if promise.document == document]
        yield _row(document, _counts(ids, found), len(ids))
    yield _row("all", _counts(list(found), found), len(found))
