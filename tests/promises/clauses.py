"""The clauses of the five documents, and which tests say that they show one."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
LIST = HERE / "clauses.txt"
RECORDED = HERE / "recorded.yaml"
FIELDS = 3


@dataclasses.dataclass(frozen=True)
class Promise:
    """One clause: its id, the capability that it asks for, and the document that makes it, which names its profile."""

    id: str
    capability: str
    document: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """One `@pytest.mark.promise(...)`: the test that bears it, as `file::function`, and what it does not show."""

    test: str
    ids: tuple[str, ...]
    part: str
    """What is missing to the clause; empty when the test shows the whole clause."""


def read(path: Path = LIST) -> dict[str, Promise]:
    """Read the clauses by id, in their order. Raises ValueError for a bad line or an id that stands twice."""
    found: dict[str, Promise] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if len(words) != FIELDS or words[0] in found:
            raise ValueError(f"{path.name}:{number}: not `ID capability document` with a new id")
        found[words[0]] = Promise(*words)
    return found


def recorded(path: Path = RECORDED) -> dict[str, str]:
    """Read the clauses that software cannot decide: by id, a sentence that says what is recorded instead."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {id: f"cannot decide {row['cannot']}; to record: {row['instead']}" for row in rows for id in row["ids"]}


def marks(root: Path = ROOT) -> list[Mark]:
    """Read all marks below `root`/tests from the source, so that a test which did not run is known too.

    Raises ValueError for a mark that is no decorator of a function or whose words are not literals.
    """
    return [mark for path in sorted((root / "tests").rglob("*.py")) for mark in _of_file(root, path)]


def _of_file(root: Path, path: Path) -> Iterator[Mark]:
    text = path.read_text(encoding="utf-8")
    if "mark.promise" not in text:
        return
    tree, seen = ast.parse(text), 0
    for function in tree.body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in filter(_is_mark, function.decorator_list):
                seen += 1
                yield _mark(f"{path.relative_to(root)}::{function.name}", call)
    if seen != sum(map(_is_mark, ast.walk(tree))):
        raise ValueError(f"{path.relative_to(root)}: a promise mark stands elsewhere than above a test function")


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise"


def _mark(test: str, call: ast.expr) -> Mark:
    assert isinstance(call, ast.Call)
    ids = tuple(ast.literal_eval(argument) for argument in call.args)
    words = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    return Mark(test, ids, words.get("part", ""))
