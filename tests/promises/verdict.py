"""The pytest plugin of one mutant's run: only the tests that bear its ids run, and each id's first red one is noted.

FILMGATE_MUTANT_IDS="CARRY-1.1 AICC-1.1" FILMGATE_MUTANT_VERDICT=verdict.json pytest -p tests.promises.verdict ...
"""

import asyncio
import json
import os
from pathlib import Path

import grpc
import pytest

from deploy.local.client import Refused
from tests.promises.notes import SHOWN

SERVER_FAULT = 500
BROKEN = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}


def is_assertion(fault: BaseException) -> bool:
    """Whether a test failed by what it asserts, and not because the mutant is no running program.

    A refusal by the product where the test needs an answer counts as well, a server's own error does not.
    """
    if isinstance(fault, Refused):
        return fault.status < SERVER_FAULT
    if isinstance(fault, grpc.aio.AioRpcError):
        return fault.code() not in BROKEN
    return isinstance(fault, AssertionError | pytest.fail.Exception | asyncio.TimeoutError)


class Verdict:
    """Gathers, by id, the tests that turned red by assertion and those that failed otherwise."""

    def __init__(self, ids: list[str], path: Path) -> None:
        self._ids, self._path = ids, path
        self.red: dict[str, str] = {}
        self.odd: dict[str, str] = {}
        self.ran = 0

    def _wanted(self, item: pytest.Item) -> list[str]:
        return [id for id in item.stash.get(SHOWN, []) if id in self._ids]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the runs that show one of the ids."""
        others = [item for item in items if not self._wanted(item)]
        items[:] = [item for item in items if self._wanted(item)]
        config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what can tell nothing new."""
        if all(id in self.red for id in self._wanted(item)):
            pytest.skip("each of its ids is red already")
        self.ran += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo) -> None:
        """Note why a test failed, or that the collection did."""
        fault = call.excinfo.value if call.excinfo else None
        if not isinstance(node, pytest.Item) or fault is None:
            self.odd["collection"] = f"{node.nodeid}: {fault!r}"[:300]
            return
        for id in self._wanted(node):
            if call.when == "call" and is_assertion(fault):
                self.red.setdefault(id, node.nodeid)
            else:
                self.odd.setdefault(id, f"{node.nodeid}: {type(fault).__name__}: {fault}"[:300])

    def pytest_sessionfinish(self) -> None:
        """Write the verdict."""
        self._path.write_text(json.dumps({"red": self.red, "odd": self.odd, "ran": self.ran}), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Take the ids from the environment."""
    ids = os.environ["FILMGATE_MUTANT_IDS"].split()
    config.pluginmanager.register(Verdict(ids, Path(os.environ["FILMGATE_MUTANT_VERDICT"])), "promises-verdict")
