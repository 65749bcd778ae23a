"""Promises: which clauses of the five documents have a passing test.

As a pytest plugin it checks the ids in `@pytest.mark.promise("CARRY-1.2c")` and notes what passed in
`.filmgate/promises.json`. As a command (`make promises`) it prints what that file holds, by document and capability.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from deploy.local.files import private_folder, write_private

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests" / "promises.txt"
NOTED = Path(".filmgate") / "promises.json"
"""Where a run notes what passed, below the folder that it ran in."""
PROPERTY = "promise"

Shown = dict[str, list[str]]
"""The promises that a test shows, by the test's node id. Only tests that passed are in it."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """One clause: its id, the capability that it asks for, and the document that makes it."""

    id: str
    capability: str
    document: str


def read(path: Path = LIST) -> dict[str, Promise]:
    """Read the promises by id, in their order. Raises ValueError for a bad line or an id that stands twice."""
    found: dict[str, Promise] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if len(words) != 3 or words[0] in found:
            raise ValueError(f"{path.name}:{number}: not `ID capability document` with a new id")
        found[words[0]] = Promise(*words)
    return found


def report(promises: dict[str, Promise], shown: Shown) -> list[str]:
    """Write the lines of `make promises`: by document, by capability, and `N of 420` as the last."""
    covered = {id for ids in shown.values() for id in ids if id in promises}
    lines: list[str] = []
    for document in dict.fromkeys(promise.document for promise in promises.values()):
        own = [promise for promise in promises.values() if promise.document == document]
        lines.append(f"{document}: {sum(promise.id in covered for promise in own)} of {len(own)}")
        for capability in dict.fromkeys(promise.capability for promise in own):
            ids = [promise.id for promise in own if promise.capability == capability and promise.id in covered]
            if ids:
                lines.append(f"  {capability:<44} {' '.join(ids)}")
    return [*lines, f"{len(covered)} of {len(promises)}"]


def merge(former: Shown, ran: Iterable[str], shown: Shown) -> Shown:
    """Answer what is noted after a run of a part of the tests: what ran is replaced, the rest stays."""
    kept = dict(former)
    for node in ran:
        kept.pop(node, None)
    return dict(sorted((kept | shown).items()))


def noted(root: Path) -> Shown:
    """Answer what former runs in `root` noted, less the tests whose file is gone; nothing when there was none."""
    try:
        notes = dict(json.loads((root / NOTED).read_text()))
    except FileNotFoundError:
        return {}
    return {node: ids for node, ids in notes.items() if (root / node.split("::")[0]).is_file()}


class Notebook:
    """Gathers the outcome of the marked tests of one run. A test counts when setup, call and teardown all passed."""

    def __init__(self) -> None:
        self.ids: Shown = {}
        self.failed: set[str] = set()
        self.passed: set[str] = set()
        self.ran: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test; with xdist the workers' reports arrive here too."""
        self.ran.add(report.nodeid)
        ids = [str(value) for name, value in report.user_properties if name == PROPERTY]
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
        shown = {node: ids for node, ids in self.ids.items() if node in self.passed - self.failed}
        root = session.config.rootpath
        notes = merge({} if _is_whole(session.config) else noted(root), self.ran, shown)
        private_folder((root / NOTED).parent)
        write_private(root / NOTED, json.dumps(notes, indent=1).encode())


def pytest_configure(config: pytest.Config) -> None:
    """Open the notebook of this run; a run that only collects has none."""
    if not config.option.collectonly:
        config.pluginmanager.register(Notebook(), "promises-notebook")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand each marked test its ids. Raises UsageError for an id that no document holds: a mark must mean a clause."""
    promises = read()
    for item in items:
        for mark in item.iter_markers("promise"):
            unknown = [id for id in mark.args if id not in promises]
            if unknown or not mark.args or mark.kwargs:
                raise pytest.UsageError(
                    f"{item.nodeid}: not in tests/promises.txt: {unknown or 'a mark without an id'}"
                )
            item.user_properties.extend((PROPERTY, id) for id in mark.args)


def _is_whole(config: pytest.Config) -> bool:
    """Whether this run covers all tests: no narrower path, no -k, no -m, no --deselect, no early end."""
    option = config.option
    narrowed = option.keyword or option.markexpr or option.deselect or getattr(option, "maxfail", 0)
    paths = {(config.invocation_params.dir / argument.split("::")[0]).resolve() for argument in config.args}
    return not narrowed and paths <= {config.rootpath, config.rootpath / "tests"}


def main() -> int:
    """Print the covered promises; says so when no run has noted any."""
    if not (ROOT / NOTED).exists():
        sys.stdout.write("No run has noted anything yet: `make test` does.\n")
    sys.stdout.write("\n".join(report(read(), noted(ROOT))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
