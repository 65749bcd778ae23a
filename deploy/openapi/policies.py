"""Which scope each method asks for, read from the tables `ACCESS` of the services' api.py without running them."""

import ast
from pathlib import Path


def scopes(services: Path) -> dict[str, str]:
    """Return the scope of each method that customers call, by its full name (filmgate.auth.v1.Keys.CreateKey).

    Reads services/<service>/<noun>/api.py. Raises ValueError for a ACCESS that is no plain table.
    """
    found: dict[str, str] = {}
    for file in sorted(services.glob("*/*/api.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == "ACCESS" for target in node.targets):
                service, noun = file.parts[-3], file.parts[-2]
                prefix = f"filmgate.{service}.v1.{noun.capitalize()}."
                found |= {prefix + name: scope for name, scope in _rows(node.value, file)}
    return found


def _rows(table: ast.expr, file: Path) -> list[tuple[str, str]]:
    if not isinstance(table, ast.Dict):
        raise ValueError(f"{file}: ACCESS is no table")
    rows = []
    for key, value in zip(table.keys, table.values, strict=True):
        if not isinstance(key, ast.Constant):
            raise ValueError(f"{file}: ACCESS has a method that is not written out")
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "CALLER":
            rows.append((str(key.value), str(ast.literal_eval(value.args[0]))))
    return rows
