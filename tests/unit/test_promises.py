"""The tool that counts promises: a clause counts when every test that bears it passed, under its document's profile."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises import clauses, mutants, notes, report
from tests.promises.clauses import Mark, Promise
from tests.promises.mutants import Change, Mutant
from tests.promises.notes import Note

TESTS = """
import pytest
from services.runtime import profile as profiles
from tests.support.profiles import used

@pytest.fixture
def broken():
    yield
    raise AssertionError

@pytest.mark.promise("CARRY-1.1", "CARRY-1.1b", "AICC-1.1")
def test_passes(profile): used(profile)

@pytest.mark.promise("CARRY-1.2")
def test_fails(profile): raise AssertionError

@pytest.mark.promise("CARRY-1.2b")
def test_ends_badly(profile, broken): pass

@pytest.mark.promise("CARRY-1.2c")
@pytest.mark.skip
def test_is_skipped(profile): pass

@pytest.mark.promise("CARRY-1.2d")
def test_takes_no_profile(): pass

@pytest.mark.promise("KLING-P8.1")
def test_builds_another_profile(profile): used(profiles.load("default"))

def test_is_not_marked(profile): used(profiles.load("kling")), used(profile)
"""
PATHS = f"{clauses.ROOT}:{clauses.ROOT / 'gen'}"
OUTCOMES = {
    "test_it.py::test_passes[aicc]": Note(("AICC-1.1",), True),
    "test_it.py::test_passes[carry]": Note(("CARRY-1.1", "CARRY-1.1b"), True),
    "test_it.py::test_fails[carry]": Note(("CARRY-1.2",), False),
    "test_it.py::test_ends_badly[carry]": Note(("CARRY-1.2b",), False),
    "test_it.py::test_is_skipped[carry]": Note(("CARRY-1.2c",), False),
    "test_it.py::test_builds_another_profile[kling]": Note(("KLING-P8.1",), False),
}


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in a project of its own, as `make test` does in ours."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = promise(id)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.promises.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PATHS, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_list_holds_every_clause_once():
    found = clauses.read()
    assert len(found) == 431
    documents = [promise.document for promise in found.values()]
    counts = {name: documents.count(name) for name in dict.fromkeys(documents)}
    assert counts == {"carry": 57, "aicc": 60, "kling": 147, "nexa": 65, "silicon": 102}
    assert all(promise.id.lower().startswith(promise.document) for promise in found.values())


def test_what_software_cannot_decide_is_57_clauses_of_the_list():
    found = clauses.recorded()
    assert len(found) == 57
    assert found.keys() <= clauses.read().keys()
    assert all("; to record: " in sentence for sentence in found.values())


@pytest.mark.parametrize("text", ["A-1 cap doc extra\n", "A-1 cap\n", "A-1 a.b d\nA-1 a.b d\n"])
def test_bad_list_is_refused(tmp_path: Path, text: str):
    (tmp_path / "list").write_text(text)
    with pytest.raises(ValueError, match=r"list:\d"):
        clauses.read(tmp_path / "list")


def test_a_marked_test_runs_once_under_each_document_and_shows_only_its_ids(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(TESTS)
    ran = run(tmp_path)
    assert notes.noted(tmp_path) == OUTCOMES
    assert "take the fixture `profile`" in ran.stdout
    assert "shows a clause of kling, but builds a part under profile default" in ran.stdout
    assert "4 passed, 1 skipped, 2 errors" in ran.stdout


def test_part_of_the_suite_replaces_only_what_it_ran(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(TESTS)
    run(tmp_path)
    run(tmp_path, "-k", "fails")
    assert notes.noted(tmp_path) == OUTCOMES
    (tmp_path / "test_it.py").write_text(TESTS.replace("raise AssertionError", "pass"))
    run(tmp_path, "-k", "fails")
    assert notes.noted(tmp_path)["test_it.py::test_fails[carry]"].passed
    (tmp_path / "test_it.py").rename(tmp_path / "test_other.py")
    assert notes.noted(tmp_path) == {}
    run(tmp_path)
    assert {node.split("::")[0] for node in json.loads((tmp_path / notes.NOTED).read_text())} == {"test_other.py"}


@pytest.mark.parametrize(
    "mark",
    ['promise("CARRY-9999")', "promise", 'promise("CARRY-1.1", id="x")', 'promise("CARRY-1.1", part=" ")'],
)
def test_unknown_id_stops_the_collection(tmp_path: Path, mark: str):
    (tmp_path / "test_it.py").write_text(f"import pytest\n\n@pytest.mark.{mark}\ndef test_it(): pass\n")
    ran = run(tmp_path)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_it" in ran.stdout + ran.stderr


def test_marks_are_read_from_the_source_and_stand_above_functions(tmp_path: Path):
    path = tmp_path / "tests" / "test_it.py"
    path.parent.mkdir()
    path.write_text(
        '@pytest.mark.promise("A-1", "A-2", part="not b")\n@pytest.mark.promise("A-3")\ndef test_it(): ...\n'
    )
    assert clauses.marks(tmp_path) == [
        Mark("tests/test_it.py::test_it", ("A-1", "A-2"), "not b"),
        Mark("tests/test_it.py::test_it", ("A-3",), ""),
    ]
    path.write_text('MARK = pytest.mark.promise("A-1")\n\n@MARK\ndef test_it(): ...\n')
    with pytest.raises(ValueError, match="elsewhere"):
        clauses.marks(tmp_path)


PROMISES = {id: Promise(id, "a.b" if id < "A-5" else "a.c", "a") for id in ("A-1", "A-2", "A-3", "A-4", "A-5")}
MARKS = [Mark("t.py::test_one", ("A-1", "A-2"), ""), Mark("t.py::test_two", ("A-2",), "half of it is missing")]
BREAKS = Mutant("it breaks", ("A-1", "A-2"), "it does", (Change("f.py", "old", "new"),))
GOOD = report.Evidence(
    promises=PROMISES,
    recorded={"A-3": "only a record"},
    marks=MARKS,
    mutants=[BREAKS],
    notes={"t.py::test_one[x-a]": Note(("A-1", "A-2"), True), "t.py::test_two": Note(("A-2",), True)},
    results={id: {BREAKS.digest: {"outcome": "red"}} for id in ("A-1", "A-2")},
)


def state(id: str, **changes: object) -> report.State:
    return report.states(dataclasses.replace(GOOD, **changes))[id]


def test_a_clause_is_proven_by_whole_marks_only():
    assert state("A-1") == report.State("proven")
    assert state("A-2") == report.State("partial", "half of it is missing")
    assert state("A-3") == report.State("recorded", "only a record")
    assert state("A-4") == report.State("absent")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"notes": {}}, "t.py::test_one was not run"),
        ({"notes": {**GOOD.notes, "t.py::test_one[y-a]": Note(("A-1",), False)}}, "t.py::test_one did not pass"),
        ({"results": {}}, "mutant not run: it breaks"),
        ({"results": {"A-1": {BREAKS.digest: {"outcome": "green"}}}}, "mutant green: it breaks"),
        ({"results": {"A-1": {"of another text": {"outcome": "red"}}}}, "mutant not run: it breaks"),
        ({"mutants": []}, "mutant no mutant"),
    ],
)
def test_one_test_or_mutant_that_speaks_against_a_clause_takes_it_from_the_count(changes: dict, why: str):
    assert state("A-1", **changes) == report.State("absent", why)


def test_the_report_ends_with_the_totals():
    lines = list(report.lines(GOOD))
    assert lines[0].split() == ["A", "proven", "partial", "absent", "recorded", "of"]
    assert lines[1].split() == ["a.b", "1", "1", "1", "1", "4", "A-1", "A-2"]
    assert lines[-1].split() == ["all", "1", "1", "2", "1", "5"]
    assert "  A-2              half of it is missing" in lines


def test_each_mutant_still_fits_and_each_marked_clause_has_one():
    assert mutants.faults(mutants.read(), clauses.marks()) == []


def test_a_mutant_that_no_longer_fits_is_found(tmp_path: Path):
    (tmp_path / "f.py").write_text("old old")
    assert mutants.faults([BREAKS], MARKS, tmp_path) == ["it breaks: its old text occurs 2 times in f.py"]
    (tmp_path / "f.py").write_text("an old one")
    assert mutants.faults([dataclasses.replace(BREAKS, ids=("A-1", "A-9"))], MARKS, tmp_path) == [
        "A-9: a mutant names it, but no test bears it",
        "A-2: tests bear it, but no mutant breaks it",
    ]
    BREAKS.changes[0].apply(tmp_path)
    assert (tmp_path / "f.py").read_text() == "an new one"


def test_a_mutant_needs_a_suite_when_only_such_tests_bear_one_of_its_ids():
    unit, suite = (
        Mark("tests/unit/test_a.py::test_a", ("A-1",), ""),
        Mark("tests/e2e/test_b.py::test_b", ("A-1", "A-2"), ""),
    )
    assert mutants.needs_suite(BREAKS, [unit, suite])
    assert not mutants.needs_suite(dataclasses.replace(BREAKS, ids=("A-1",)), [unit, suite])
    assert mutants.tests_of(["A-1"], [suite, unit]) == [unit.test, suite.test]


CHANGE = {"file": "f", "old": "a", "new": "b"}


@pytest.mark.parametrize(
    "row", [{}, {"ids": [], "why": "", "changes": [CHANGE]}, {"ids": ["A-1"], "why": "", "changes": []}]
)
def test_a_mutant_without_a_field_or_an_id_is_refused(tmp_path: Path, row: dict):
    (tmp_path / "list.yaml").write_text(json.dumps([{"name": "a mutant", **row}]))
    with pytest.raises(ValueError, match="a mutant"):
        mutants.read(tmp_path)


def test_the_mutants_of_all_lists_are_read_and_a_name_stands_once(tmp_path: Path):
    with pytest.raises(ValueError, match="holds no mutants"):
        mutants.read(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(
            json.dumps([{"name": name, "ids": ["A-1"], "why": "", "changes": [CHANGE]}])
        )
    assert [mutant.name for mutant in mutants.read(tmp_path)] == ["a", "b"]
    (tmp_path / "c.yaml").write_text((tmp_path / "a.yaml").read_text())
    with pytest.raises(ValueError, match=r"c\.yaml: a: its name stands twice"):
        mutants.read(tmp_path)


VERDICTS = """
import asyncio, grpc, pytest
from deploy.local.client import Refused

@pytest.mark.promise("CARRY-1.1", "AICC-1.1")
def test_asserts(profile): assert profile.name == "aicc"

@pytest.mark.promise("CARRY-1.1")
def test_would_tell_nothing_new(profile): open("ran", "w")

@pytest.mark.promise("CARRY-1.2")
def test_is_no_running_program(profile): raise TypeError

@pytest.mark.promise("CARRY-1.2b")
def test_waits_in_vain(profile): raise TimeoutError

@pytest.mark.promise("CARRY-1.2c")
def test_expects_a_refusal(profile):
    with pytest.raises(ValueError): pass

@pytest.mark.promise("CARRY-3.1")
def test_bears_no_id_of_the_mutant(profile): open("ran", "w")
"""


def test_only_an_assertion_turns_a_clause_red(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(VERDICTS)
    ids = "CARRY-1.1 AICC-1.1 CARRY-1.2 CARRY-1.2b CARRY-1.2c"
    told = {"FILMGATE_MUTANT_IDS": ids, "FILMGATE_MUTANT_VERDICT": str(tmp_path / "verdict")}
    run(tmp_path, "-p", "tests.promises.verdict", **told)
    found = json.loads((tmp_path / "verdict").read_text())
    assert found["red"].keys() == {"CARRY-1.1", "CARRY-1.2b", "CARRY-1.2c"}
    assert found["odd"].keys() == {"CARRY-1.2"}
    assert found["ran"] == 5
    assert not (tmp_path / "ran").exists()
