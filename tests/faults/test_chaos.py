"""Random faults under load, one round for each kind; `make chaos` plays more of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos.kinds import KINDS, LONG

SEED = 20261122
PLAYED = sorted(set(KINDS) - LONG)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", [0, 1])
def test_nothing_is_lost_whatever_dies(half, tmp_path):
    """In a process of its own, which has a disk of its own to fill."""
    kinds, told = PLAYED[half::2], tmp_path / "chaos.json"
    command = [sys.executable, "-m", "tests.faults.chaos", "--kinds", ",".join(kinds), "--rounds", str(len(kinds))]
    command += ["--seed", str(SEED + 1000 * half), "--report", str(told)]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stdout + played.stderr
    report = json.loads(told.read_text())
    assert report["violations"] == []
    assert {kind: row["rounds"] for kind, row in report["kinds"].items()} == dict.fromkeys(kinds, 1)


def test_all_kinds_are_at_least_thirty():
    assert len(PLAYED) >= 30
