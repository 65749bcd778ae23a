"""Rates that a run prints at its end, whatever it captures: `innocent: 500 of 500 allowed`. A pytest plugin.

Under pytest-xdist a worker sends its lines with its last message; the process that prints gathers them.
"""

from typing import Any

import pytest

_KEY = "rates"


class Rates:
    """The lines of one run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Note a line for the end of the run."""
        self.lines.append(line)

    def pytest_testnodedown(self, node: Any) -> None:
        """Take over the lines of a worker of xdist."""
        self.lines += getattr(node, "workeroutput", {}).get(_KEY, [])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand the lines of a worker to the process that prints."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_KEY] = self.lines

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was noted."""
        if self.lines:
            terminalreporter.section("rates")
            for line in self.lines:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Register the gatherer of this run."""
    rates = Rates()
    config.pluginmanager.register(rates, _KEY)


@pytest.fixture
def rates(request: pytest.FixtureRequest) -> Rates:
    """Where a test notes a rate for the end of the run."""
    return request.config.pluginmanager.get_plugin(_KEY)
