"""A pytest plugin of `make test-steady`: plays each test that waits for a process or a clock several times over.

`-p tests.support.repeat --times 10 [--shard 1/4] [--repeat-notes FOLDER]`. The other tests are left out. The
repetitions follow each other, so that what a module or a session has started stays. Each worker of xdist writes a note
of its own.
"""

import collections
import inspect
import json
import os
import re
import zlib
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

FIXTURES = {"suite", "traced", "attack", "server", "fresh_triton", "connection", "studio", "gate", "watch"}
"""What stands for processes and streams that a test waits for."""
WAITS = re.compile(
    r"\b(until(_\w+)?|stays|steps|wait_for|timeout|create_task|ensure_future|gather|TaskGroup|Popen|subprocess|to_thread"
    r"|monotonic|perf_counter|threading)\b"
)
"""Words in the source of a test that waits, or that runs something beside itself."""
APART = {"tests/faults/test_chaos.py": "make chaos ROUNDS=200 plays it"}


def waits(item: pytest.Item) -> bool:
    """Whether a test waits for a process or a clock, by its fixtures and its source."""
    if item.nodeid.split("::")[0] in APART or not isinstance(item, pytest.Function):
        return False
    return bool(FIXTURES & set(item.fixturenames) or WAITS.search(inspect.getsource(item.function)))


def in_shard(item: pytest.Item, shard: str) -> bool:
    """Whether a test's file falls to a shard, `1/4` to `4/4`."""
    number, of = map(int, shard.split("/"))
    return zlib.crc32(item.nodeid.split("::")[0].encode()) % of == number - 1


class Repeat:
    """Repeats the chosen tests, and counts how often each failed."""

    def __init__(self, times: int, shard: str, folder: Path | None) -> None:
        self._times, self._shard, self._folder = times, shard, folder
        self._chosen: list[str] = []
        self._failed: collections.Counter[str] = collections.Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what does not wait, and what falls to another shard."""
        chosen = [item for item in items if waits(item) and in_shard(item, self._shard)]
        dropped = [item for item in items if item not in set(chosen)]
        config.hook.pytest_deselected(items=dropped)
        items[:], self._chosen = chosen, [item.nodeid for item in chosen]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Play a test so many times. Between two times only what belongs to the test alone is torn down."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        given = list(item.user_properties)
        for number in range(self._times):
            item.user_properties[:] = given
            last = number == self._times - 1
            runtestprotocol(item, nextitem=nextitem if last else item.parent, log=True)  # type: ignore[arg-type]
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a failure in setup, call or teardown."""
        self._failed[report.nodeid] += report.failed

    def pytest_sessionfinish(self) -> None:
        """Write the notes: what was played here or by other workers, and what failed here how often."""
        if self._folder and self._chosen:  # the process that only hands out tests has chosen none
            failed = {node: count for node, count in self._failed.items() if count}
            file = self._folder / f"{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}.json"
            file.write_text(json.dumps({"played": self._chosen, "failed": failed}))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options that this module's head names."""
    parser.addoption("--times", type=int, default=10)
    parser.addoption("--shard", default="1/1")
    parser.addoption("--repeat-notes", type=Path, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Repeat."""
    of = config.getoption
    config.pluginmanager.register(Repeat(of("--times"), of("--shard"), of("--repeat-notes")), "repeat")
