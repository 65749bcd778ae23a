"""`make test-steady` plays what waits, so many times, and names what failed even once."""

import json
import subprocess
import sys

import pytest

from tests.support.repeat import WAITS
from tests.support.tiers import ROOT

TESTS = """
import asyncio, pytest

seen = {"begun": 0, "module": 0}

@pytest.fixture(scope="module")
def server():
    seen["module"] += 1
    yield seen

@pytest.fixture
def own():
    seen["begun"] += 1
    yield
    seen["begun"] -= 1

def test_one(server, own):
    assert (server["module"], server["begun"]) == (1, 1)

def test_now_and_then(server):
    server["turn"] = server.get("turn", 0) + 1
    assert server["turn"] != 2

def test_pure():
    assert False, "it does not wait, and is not played"
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_waits_is_played_so_many_times_and_each_failure_counts(tmp_path, workers):
    (tmp_path / "test_all.py").write_text(TESTS)
    notes = tmp_path / "notes"
    notes.mkdir()
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", "-p", "no:cacheprovider", str(tmp_path)]
    command += ["-p", "tests.support.repeat", "--times", "3", "--repeat-notes", str(notes)]
    command += ["-n", workers, "--dist", "loadfile"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "1 failed, 5 passed" in ran.stdout, ran.stdout + ran.stderr
    told = [json.loads(path.read_text()) for path in notes.iterdir()]
    assert {tuple(note["played"]) for note in told} == {("test_all.py::test_one", "test_all.py::test_now_and_then")}
    # Whichever worker had the file.
    assert [note["failed"] for note in told if note["failed"]] == [{"test_all.py::test_now_and_then": 1}]


@pytest.mark.parametrize(
    ("source", "waits"),
    [
        ("await until(lambda: done)", True), ("await until_refused(call, 60)", True), ("asyncio.timeout(60)", True),
        ("subprocess.run(command)", True), ("await stub.Make(request)", False), ("assert untilted", False),
    ],
)  # fmt: skip
def test_a_test_that_waits_is_known_by_its_words(source, waits):
    assert bool(WAITS.search(source)) == waits
