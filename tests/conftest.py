"""Fixtures only; what they are made of lies in tests/support."""

from collections.abc import Iterator

import hypothesis  # imported late, after failures, it would meet a defect of CPython 3.11 (gh-106905)
import pytest

from tests.support.clock import FakeClock
from tests.support.database import Server

pytest_plugins = ["tests.promises.plugin", "tests.support.rates", "tests.support.turns"]

# How long an example takes says how busy the machine is; speed is `make bench`'s.
hypothesis.settings.register_profile("filmgate", deadline=None)
hypothesis.settings.load_profile("filmgate")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The PostgreSQL of this run: `async with postgres.database("billing") as database`."""
    server = Server()
    yield server
    server.stop()
