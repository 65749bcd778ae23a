"""The tool that counts promises: only a clause with a passing test may count."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import promises

TESTS = """
import pytest

@pytest.fixture
def broken():
    yield
    raise AssertionError

@pytest.mark.promise("CARRY-1.1", "AICC-1.1")
def test_passes(): pass

@pytest.mark.promise("CARRY-1.2")
def test_fails(): raise AssertionError

@pytest.mark.promise("CARRY-1.2b")
def test_ends_badly(broken): pass

@pytest.mark.promise("CARRY-1.2c")
@pytest.mark.skip
def test_is_skipped(): pass
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in a project of its own, as `make test` does in ours."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = promise(id)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.promises", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(promises.ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_list_holds_every_clause_once():
    found = promises.read()
    assert len(found) == 420
    documents = [promise.document for promise in found.values()]
    counts = {name: documents.count(name) for name in dict.fromkeys(documents)}
    assert counts == {"carry": 55, "aicc": 60, "kling": 141, "nexa": 65, "silicon": 99}
    assert all(promise.id.lower().startswith(promise.document) for promise in found.values())


@pytest.mark.parametrize("text", ["A-1 cap doc extra\n", "A-1 cap\n", "A-1 a.b d\nA-1 a.b d\n"])
def test_bad_list_is_refused(tmp_path: Path, text: str):
    (tmp_path / "list").write_text(text)
    with pytest.raises(ValueError, match=r"list:\d"):
        promises.read(tmp_path / "list")


def test_report_counts_a_clause_once_and_ends_with_the_total():
    lines = promises.report(promises.read(), {"a": ["CARRY-1.1"], "b": ["CARRY-1.1", "CARRY-1.1b", "GONE-1"]})
    assert lines[0] == "carry: 2 of 55"
    assert re.fullmatch(r"  account\.register_phone_code +CARRY-1\.1", lines[1])
    assert lines[-1] == "2 of 420"


def test_part_of_the_suite_replaces_only_what_it_ran():
    former = {"tests/a.py::one": ["A"], "tests/b.py::two": ["B"]}
    assert promises.merge(former, ["tests/b.py::two"], {}) == {"tests/a.py::one": ["A"]}
    assert promises.merge(former, ["tests/b.py::two"], {"tests/b.py::two": ["C"]})["tests/b.py::two"] == ["C"]


def test_only_tests_that_passed_in_every_phase_are_noted(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(TESTS)
    run(tmp_path)
    assert promises.noted(tmp_path) == {"test_it.py::test_passes": ["CARRY-1.1", "AICC-1.1"]}
    run(tmp_path, "-k", "fails")
    assert "test_it.py::test_passes" in promises.noted(tmp_path)
    (tmp_path / "test_it.py").rename(tmp_path / "test_other.py")
    assert promises.noted(tmp_path) == {}
    run(tmp_path)
    assert list(json.loads((tmp_path / promises.NOTED).read_text())) == ["test_other.py::test_passes"]


@pytest.mark.parametrize("mark", ['promise("CARRY-9999")', "promise", 'promise("CARRY-1.1", id="x")'])
def test_unknown_id_stops_the_collection(tmp_path: Path, mark: str):
    (tmp_path / "test_it.py").write_text(f"import pytest\n\n@pytest.mark.{mark}\ndef test_it(): pass\n")
    ran = run(tmp_path)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "tests/promises.txt" in ran.stdout + ran.stderr
