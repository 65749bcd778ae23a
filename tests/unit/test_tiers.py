"""Lines and turns: what plays at which commit, and that a folder over its line fails its tier."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from tests.support import play, tiers
from tests.support.play import Played
from tests.support.tiers import ROOT, Part, Plan, Tier

ROOMS = Part("rooms", ("tests",), 2, 10.0, {"tests/unit": 100.0, "tests/unit/auth": 40.0, "tests/a/test_b.py": 10.0})
LONG = Part("left-out", ("--turn", "others"), 2, 10.0, {})
ALL = Part("all-rooms", ("tests",), 1, 10.0, {"tests": 500.0})
NOTHING = {"files": {}, "groups": {}, "left_out": []}


def plan(quick: float, groups: dict[str, float] | None = None) -> Plan:
    """A plan whose `make test` takes 10 seconds of lint and 75 of tests."""
    room = dataclasses.replace(ROOMS, whole="all-rooms")
    found = {
        "test": Tier("test", quick, 2 * quick, 10.0, (room,)),
        "long": Tier("long", quick, 2 * quick, 0.0, (LONG, ALL)),
    }
    return Plan(found, groups or {}, ("all-rooms",))


def test_the_real_file_lists_every_test_and_fits_into_its_minutes():
    real = tiers.read()
    left = [name for name in real.rotating() if name not in real.groups]
    seconds = real.tiers["test"].seconds - sum(real.groups[name] * 3 / 8 for name in real.rotating())
    assert (left, seconds <= real.tiers["test"].quick * 60) == ([], True), "groups are too short to make room"
    assert real.tiers["long"].seconds <= real.tiers["long"].quick * 60
    assert (real.tiers["test"].slow, real.tiers["long"].slow) == (25, 30)
    once = real.parts("all", 1)
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]
    assert [file for file in files if not any(part.folder(file) for part in once)] == []


def test_the_longest_folder_that_holds_a_test_has_it():
    nodes = [
        "tests/unit/auth/keys/test_api.py::test_x",
        "tests/unit/authors/test_y.py::test",
        "tests/a/test_b.py::t[a/b]",
    ]
    assert [ROOMS.folder(node) for node in nodes] == ["tests/unit/auth", "tests/unit", "tests/a/test_b.py"]
    assert ROOMS.folder("tests/new/test_z.py::test") == ""


def test_nothing_rotates_until_the_line_is_reached_and_then_the_longest_do():
    groups = {"short": 8.0, "long": 40.0, "longer": 60.0}
    assert plan(85 / 60, groups).rotating() == []
    assert plan(84 / 60, groups).rotating() == ["longer"]
    assert plan(60 / 60, groups).rotating() == ["longer", "long"]
    assert plan(1 / 60, groups).rotating() == ["longer", "long", "short"]


def test_each_group_plays_at_every_fourth_commit_and_all_without_a_number():
    one = plan(1 / 60, {f"group-{number}": 20.0 for number in range(6)})
    for first in range(9):
        played = [set(one.groups) - set(one.left_out(commit)) for commit in range(first, first + tiers.TURNS)]
        assert set.union(*played) == set(one.groups)
        assert sum(map(len, played)) == len(one.groups)
    assert one.left_out(None) == []


def test_a_share_of_a_table_is_a_fourth_and_four_are_all():
    names = [f"kind-{number}" for number in range(32)]
    shares = [tiers.share(names, commit) for commit in range(100, 104)]
    assert [len(one) for one in shares] == [8] * 4
    assert sorted(name for one in shares for name in one) == sorted(names)
    assert tiers.share(names, None) == names


def test_a_part_plays_only_where_something_is_left_for_it():
    assert [part.name for part in plan(99).parts("long", 7)] == ["all-rooms"]
    assert [part.name for part in plan(1 / 60, {"a": 9.0, "b": 8.0}).parts("long", 7)] == ["left-out", "all-rooms"]
    assert [part.name for part in plan(99).parts("test", 7)] == ["rooms"]
    assert [part.name for part in plan(99).parts("test", None)] == ["all-rooms"]
    assert [part.name for part in plan(99).parts("all", 7)] == ["all-rooms"]


@pytest.mark.parametrize(
    ("seconds", "probe", "verdict"),
    [(189.0, 10.0, ""), (191.0, 10.0, "OVER ITS LINE"), (378.0, 20.0, ""), (191.0, 5.0, "OVER ITS LINE")],
)
def test_a_folder_is_held_against_its_line_by_the_speed_of_the_machine(seconds, probe, verdict):
    files = {"tests/unit/test_x.py": {"tests": 3, "seconds": seconds}}
    lines, sound = play.table(plan(99), [Played(ROOMS, 0, 60.0, probe, **{**NOTHING, "files": files})])
    row = next(line for line in lines if line.startswith("tests/unit"))
    assert row.split()[1] == "3"
    assert row.split()[3:] == ["190", *verdict.split()]
    assert sound == (verdict == "")


def test_a_group_has_a_line_and_a_folder_without_one_fails():
    played = Played(ROOMS, 0, 60.0, 10.0, **{**NOTHING, "groups": {"table": 100.0}})
    assert play.table(plan(99, {"table": 50.0}), [played])[1]
    assert not play.table(plan(99, {"table": 48.0}), [played])[1]
    lost = Played(ROOMS, 0, 60.0, 10.0, **{**NOTHING, "files": {"tests/new/test_z.py": {"tests": 1, "seconds": 0.0}}})
    lines, sound = play.table(plan(99), [lost])
    assert not sound
    assert any("tests/new/test_z.py" in line and "NO LINE" in line for line in lines)


@pytest.fixture
def history(tmp_path):
    """A repository of three commits."""

    def git(*words, cwd=tmp_path / "one"):
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True)

    (tmp_path / "one").mkdir()
    git("init", "-q")
    for number in range(3):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    git("clone", "-q", "--depth", "1", f"file://{tmp_path / 'one'}", str(tmp_path / "shallow"))
    return tmp_path


def test_the_number_of_a_commit_is_known_only_with_its_history(history):
    (history / "none").mkdir()
    assert [tiers.commit_number(history / name) for name in ("one", "shallow", "none")] == [3, None, None]


def test_pytest_plays_only_the_groups_whose_turn_it_is_and_notes_what_it_took(tmp_path):
    """In a process of its own, over a file of tests that knows four groups."""
    written = "".join(f"@pytest.mark.group('g{n}')\ndef test_{n}(): pass\n" for n in range(4))
    (tmp_path / "test_all.py").write_text(f"import pytest\n{written}def test_rest(my_turn): my_turn('kind', 'abcd')\n")
    (tmp_path / "conftest.py").write_text(
        "from tests.support import tiers, turns\n"
        "from tests.support.turns import *\n"
        "part = tiers.Part('rooms', (), 2, 1.0, {'tests': 1000.0})\n"
        "tier = tiers.Tier('test', 1.0, 2.0, 0.0, (part,))\n"
        "tiers.read = lambda: tiers.Plan({'test': tier}, {f'g{n}': 100.0 for n in range(4)}, ())\n"
        "tiers.commit_number = lambda: 6\n"
    )
    played = {"all": {"g0", "g1", "g2", "g3"}, "mine": {"g2"}, "others": {"g0", "g1", "g3"}}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
    for turn, passed, left in (("all", 5, 0), ("mine", 2, 3), ("others", 3, 0)):
        notes = tmp_path / "notes.json"
        wanted = [*command, "--turn", turn, "--tier-notes", str(notes)]
        ran = subprocess.run(wanted, cwd=ROOT, capture_output=True, text=True, check=False)
        assert re.search(rf"\b{passed} passed", ran.stdout), ran.stdout + ran.stderr
        told = json.loads(notes.read_text())
        assert sum(row["tests"] for row in told["files"].values()) == passed
        assert len(told["left_out"]) == left
        assert set(told["groups"]) == played[turn]
