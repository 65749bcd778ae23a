"""What the runs of tests and of mutants have noted below `.filmgate`."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.local.files import private_folder, write_private

NOTED = Path(".filmgate") / "promises.json"
"""Where a run notes how the marked tests ended, below the folder that it ran in."""
MUTANTS = Path(".filmgate") / "promises-mutants.json"
PROPERTY = "promise"
SHOWN = pytest.StashKey[list[str]]()
"""The ids that one item shows: those of its marks that belong to the document under whose profile it runs."""


@dataclasses.dataclass(frozen=True)
class Note:
    """How one marked test, under one profile, ended: the ids that it shows, and whether all its phases passed."""

    ids: tuple[str, ...]
    passed: bool


Notes = dict[str, Note]
"""By node id."""


def merge(former: Mapping[str, Note], ran: Iterable[str], new: Mapping[str, Note]) -> Notes:
    """Return what is noted after a run of a part of the tests: what ran is replaced, the rest stays."""
    kept = dict(former)
    for node in ran:
        kept.pop(node, None)
    return dict(sorted((kept | dict(new)).items()))


def noted(root: Path) -> Notes:
    """Return what former runs in `root` noted, less the tests whose file is gone; nothing when there was none."""
    notes = load(root / NOTED)
    return {
        node: Note(tuple(row["ids"]), row["passed"])
        for node, row in notes.items()
        if isinstance(row, dict) and (root / node.split("::")[0]).is_file()
    }


def load(path: Path) -> dict[str, Any]:
    """Read a file of notes; empty when there is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def write(path: Path, notes: Mapping[str, Any]) -> None:
    """Write a file of notes, for the owner's eyes."""
    private_folder(path.parent)
    write_private(path, json.dumps(notes, indent=1, ensure_ascii=False).encode())


class Notebook:
    """Gathers the outcome of the marked tests of one run. A test passes when setup, call and teardown all passed."""

    def __init__(self) -> None:
        self.ids: dict[str, tuple[str, ...]] = {}
        self.failed: set[str] = set()
        self.passed: set[str] = set()
        self.ran: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test; with xdist the workers' reports arrive here too."""
        self.ran.add(report.nodeid)
        ids = tuple(str(value) for name, value in report.user_properties if name == PROPERTY)
        if ids:
            self.ids[report.nodeid] = ids
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, unless this is a worker of xdist or nothing ran."""
        if hasattr(session.config, "workerinput") or not self.ran:
            return
        root, passed = session.config.rootpath, self.passed - self.failed
        new = {node: Note(ids, node in passed) for node, ids in self.ids.items()}
        notes = merge({} if _is_whole(session.config) else noted(root), self.ran, new)
        write(root / NOTED, {node: dataclasses.asdict(note) for node, note in notes.items()})


def _is_whole(config: pytest.Config) -> bool:
    """Whether this run covers all tests: no narrower path, no -k, no -m, no --deselect, no early end."""
    option = config.option
    narrowed = option.keyword or option.markexpr or option.deselect or getattr(option, "maxfail", 0)
    paths = {(config.invocation_params.dir / argument.split("::")[0]).resolve() for argument in config.args}
    return not narrowed and paths <= {config.rootpath, config.rootpath / "tests"}
