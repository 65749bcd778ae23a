"""Random faults under load, one round for each kind whose turn it is; `make chaos` plays more of them.

`make test` plays a fourth of the kinds by commit number, `make test-long` (and pytest alone) all of them.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos.kinds import KINDS

SEED = 20261122
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(1500)
def test_nothing_is_lost_whatever_dies(tmp_path, my_turn):
    """On two suites beside each other, in processes that have a disk of their own to fill."""
    kinds = my_turn("chaos", sorted(KINDS))
    told, command = tmp_path / "chaos.json", [sys.executable, "-m", "tests.faults.chaos", "--stages", "2"]
    command += ["--kinds", ",".join(kinds), "--rounds", str(len(kinds)), "--seed", str(SEED), "--report", str(told)]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stdout + played.stderr
    report = json.loads(told.read_text())
    assert report["violations"] == []
    assert {kind: row["rounds"] for kind, row in report["kinds"].items()} == dict.fromkeys(kinds, 1)


def test_all_kinds_are_at_least_thirty():
    assert len(KINDS) >= 30
