"""The pytest plugin behind `@pytest.mark.promise("CARRY-1.2c")`.

A test that bears ids of several documents runs once under the profile of each, by the fixture `profile`, and shows in
each run only the ids of that document. One that does not take the fixture fails. What passed is noted in
`.filmgate/promises.json`, by which `make promises` counts.
"""

from collections.abc import Iterator

import pytest

from services.runtime import profile as profiles
from services.runtime.profile import Profile
from tests.promises import clauses
from tests.promises.notes import PROPERTY, SHOWN, Notebook
from tests.support.profiles import expecting

PROMISES = clauses.read()


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> Profile:
    """The rules that a test runs under: its document's where it shows a clause, else the default."""
    return profiles.load(getattr(request, "param", "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Open the notebook of this run; a run that only collects has none."""
    if not config.option.collectonly:
        config.pluginmanager.register(Notebook(), "promises-notebook")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test once per document. With a suite all tests of one profile come together: a start takes long."""
    ids = [id for mark in metafunc.definition.iter_markers("promise") for id in mark.args]
    documents = sorted({PROMISES[id].document for id in ids if id in PROMISES})
    if documents and "profile" in metafunc.fixturenames:
        scope = "session" if "suite" in metafunc.fixturenames else "function"
        metafunc.parametrize("profile", documents, indirect=True, scope=scope)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand each marked test the ids that it shows. Raises UsageError for a mark that means no clause."""
    for item in items:
        marks = list(item.iter_markers("promise"))
        for mark in marks:
            _check(item, mark)
        if marks:
            ids = [id for mark in marks for id in mark.args if PROMISES[id].document == _document(item)]
            item.stash[SHOWN] = ids
            item.user_properties.extend((PROPERTY, id) for id in ids)


def _check(item: pytest.Item, mark: pytest.Mark) -> None:
    unknown = [id for id in mark.args if id not in PROMISES]
    if unknown or not mark.args:
        raise pytest.UsageError(
            f"{item.nodeid}: not in tests/promises/clauses.txt: {unknown or 'a mark without an id'}"
        )
    part = mark.kwargs.get("part", "-")
    if mark.kwargs.keys() - {"part"} or not isinstance(part, str) or not part.strip():
        raise pytest.UsageError(f"{item.nodeid}: a mark takes ids and `part`, a sentence that says what is missing")


def _document(item: pytest.Item) -> str:
    """Return the name of the profile that an item is parametrized with; empty when it takes none."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("profile", "")) if callspec else ""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Expect the document's profile of whatever a marked test builds."""
    with expecting(_document(item) if item.stash.get(SHOWN, []) else ""):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a marked test that does not run under the profile of its document."""
    if item.stash.get(SHOWN, ["-"]) == []:
        pytest.fail("bears a promise and does not run under its document's profile: take the fixture `profile`", False)
