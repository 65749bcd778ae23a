"""The pytest side of the tiers: plays the groups whose turn it is, and notes how long each folder and group took.

`--turn all` (the default) plays everything, `--turn mine` what the commit's turn is, `--turn others` the groups that
`--turn mine` leaves out. `--tier-notes FILE` writes what was played, for `tests.support.play`.
"""

import collections
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support import tiers

GROUP, LEFT_OUT = "group", "left out"


class Notes:
    """Adds up what the tests took; with xdist the workers' reports arrive here too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, dict[str, float]] = collections.defaultdict(lambda: {"tests": 0, "seconds": 0.0})
        self._groups: dict[str, float] = collections.defaultdict(float)
        self._left_out: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of one test: its file's and its group's seconds."""
        row = self._files[report.nodeid.split("::")[0]]
        row["seconds"] += report.duration
        row["tests"] += report.when == "call"
        for name, value in report.user_properties:
            if name == GROUP:
                self._groups[str(value)] += report.duration
            if name == LEFT_OUT:
                self._left_out[str(value)] = None

    def pytest_sessionfinish(self) -> None:
        """Write the notes."""
        told = {"files": self._files, "groups": self._groups, "left_out": list(self._left_out)}
        self._path.write_text(json.dumps(told))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options that this module's head explains."""
    parser.addoption("--turn", choices=("all", "mine", "others"), default="all")
    parser.addoption("--tier-notes", type=Path, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Take notes where they are wanted; a worker of xdist has none of its own."""
    config.addinivalue_line("markers", "group(name): one of the cases of a table, for rotation; see tests/tiers.yaml")
    path = config.getoption("--tier-notes")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Notes(path), "tier-notes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the groups whose turn it is not. Raises UsageError for a group that has no time in tests/tiers.yaml."""
    plan, turn = tiers.read(), config.getoption("--turn")
    left_out = plan.left_out(tiers.commit_number()) if turn != "all" else []
    dropped = []
    for item in items:
        group = _group(item, plan)
        if group:
            item.user_properties.append((GROUP, group))
        if (turn == "mine" and group in left_out) or (turn == "others" and group not in left_out):
            dropped.append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


def _group(item: pytest.Item, plan: tiers.Plan) -> str:
    mark = item.get_closest_marker("group")
    if mark is None:
        return ""
    if len(mark.args) != 1 or mark.args[0] not in plan.groups:
        raise pytest.UsageError(f"{item.nodeid}: no group of tests/tiers.yaml: {mark.args}")
    return str(mark.args[0])


@pytest.fixture
def my_turn(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable:
    """Draws the share of a table that this commit plays, for a test that walks over a table by itself."""

    def draw(what: str, names: Sequence[str]) -> list[str]:
        commit = None if request.config.getoption("--turn") == "all" else tiers.commit_number()
        played = tiers.share(names, commit)
        for name in names:
            if name not in played:
                record_property(LEFT_OUT, f"{what} {name}")
        return played

    return draw
