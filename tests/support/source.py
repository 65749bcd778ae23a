"""The suite's own source as syntax trees, for the tests that hold it to its architecture."""

import ast
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("auth", "billing", "generation", "privacy")
CODE = ("services", "deploy", "tests", "bench")


@dataclasses.dataclass(frozen=True)
class Source:
    """One Python file: its path from the root, its dotted name, its text and its tree."""

    path: str
    module: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.text.count("\n")

    @property
    def code_lines(self) -> int:
        """Number of lines that are neither blank, comment nor docstring."""
        told: set[int] = set()
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                told |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        written = (line.strip() for number, line in enumerate(self.text.splitlines(), 1) if number not in told)
        return sum(bool(line) and not line.startswith("#") for line in written)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Yield every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def attributes(self) -> Iterator[ast.Attribute]:
        """Yield every `something.name`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                yield node

    def strings(self) -> set[str]:
        """Return every string that stands in the code."""
        nodes = ast.walk(self.tree)
        return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield (line, dotted name) of every import. `from a import b` is `a.b` when b is a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                yield from ((node.lineno, _module(base, alias.name)) for alias in node.names)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.module if self.path.endswith("__init__.py") else self.module.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return f"{package}.{node.module}" if node.module else package


@functools.cache
def sources() -> tuple[Source, ...]:
    """Read every Python file of ours."""
    paths = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    return tuple(_read(path) for path in paths)


def below(*folders: str) -> Iterator[Source]:
    """Yield the files in folders, such as `services/runtime`."""
    for source in sources():
        if source.path.startswith(tuple(f"{folder}/" for folder in folders)):
            yield source


def nouns(service: str) -> set[str]:
    """Return the nouns of a service: its proto files that declare a gRPC service."""
    folder = ROOT / "protos" / "filmgate" / service / "v1"
    return {path.stem for path in folder.glob("*.proto") if "\nservice " in path.read_text()}


def _read(path: Path) -> Source:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Source(name, module, text, ast.parse(text, name))


@functools.cache
def _module(base: str, name: str) -> str:
    """`base.name` when that is a module of ours or generated, else `base`: what is imported then is a thing in it."""
    if base.startswith("filmgate") and name.endswith(("_pb2", "_pb2_grpc")):
        return f"{base}.{name}"
    place = ROOT.joinpath(*base.split("."), name)
    return f"{base}.{name}" if place.is_dir() or place.with_suffix(".py").is_file() else base
