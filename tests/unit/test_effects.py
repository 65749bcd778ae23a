"""The table of effects in docs/architecture.md says exactly what the services do to each other.

That nothing but clients.py knows another service's contract is held by test_architecture.py.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.source import ROOT, SERVICES, Source, below, nouns

PAGE = ROOT / "docs" / "architecture.md"
EFFECTS, QUESTIONS = "## Effects across services", "### Direct questions"
STUB = re.compile(r"(\w+)Stub")


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading; back quotes are dropped."""
    lines = PAGE.read_text().partition(f"{heading}\n")[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---")) + 1
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return table


def contracts() -> Iterator[tuple[str, str, set[str]]]:
    """Every gRPC service: (our service, its name, its methods)."""
    for service in SERVICES:
        for noun in nouns(service):
            text = (ROOT / "protos" / "filmgate" / service / "v1" / f"{noun}.proto").read_text()
            name = re.findall(r"^service (\w+)", text, re.MULTILINE)[0]
            yield service, name, set(re.findall(r"^  rpc (\w+)", text, re.MULTILINE))


def calls(source: Source) -> set[str]:
    """The RPCs that a file calls, such as `auth.Tokens.ListCallerKeys`: methods of the stubs that it makes."""
    stubs = {match[1] for node in source.attributes() if (match := STUB.fullmatch(node.attr))}
    called = {
        node.func.attr
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {
        f"{service}.{name}.{method}"
        for service, name, methods in contracts()
        if name in stubs
        for method in methods & called
    }


def clients(service: str) -> set[str]:
    return {
        call for source in below(f"services/{service}") if source.path.endswith("/clients.py") for call in calls(source)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_tables_name_every_call_to_another_service(service: str):
    effects = {row[3] for row in rows(EFFECTS) if row[0] == service}
    questions = {row[1] for row in rows(QUESTIONS) if row[0] == service}
    assert effects & questions == set()
    assert effects | questions == clients(service)


@pytest.mark.parametrize("service", SERVICES)
def test_every_effect_is_a_job(service: str):
    """Its kind is a string of the service's code, where it is enqueued and where its handler is."""
    kinds = {row[2] for row in rows(EFFECTS) if row[0] == service}
    strings = set().union(*(source.strings() for source in below(f"services/{service}")))
    assert kinds <= strings


def test_rows_are_whole():
    assert all(len(row) == 5 and all(row) for row in rows(EFFECTS))
    assert all(len(row) == 3 and all(row) for row in rows(QUESTIONS))
    assert len({tuple(row[:4]) for row in rows(EFFECTS)}) == len(rows(EFFECTS))
