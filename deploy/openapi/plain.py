"""Operations of the published paths that are no RPC: plain.yaml, with what every operation has."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from deploy.envoy.contracts import Method
from deploy.openapi.operations import REQUEST_ID_HEADER, SEGMENT, Operations, refusals
from deploy.openapi.reasons import Reasons, Traits

TABLE = Path(__file__).with_name("plain.yaml")
MAX_ID_LENGTH = 300


def operations(routes: Iterable[Method], writer: Operations, reasons: Reasons) -> dict[str, dict[str, Any]]:
    """Return the path items of plain routes. Raises ValueError when the table and the routes do not match."""
    rows, listed = yaml.safe_load(TABLE.read_text()), list(routes)
    if odd := rows.keys() ^ {route.name for route in listed}:
        raise ValueError(f"plain.yaml and plain_routes.yaml differ in {', '.join(sorted(odd))}")
    items: dict[str, dict[str, Any]] = {}
    for route in listed:
        items.setdefault(route.path, {})[route.verb.lower()] = _operation(route, rows[route.name], writer, reasons)
    return items


def _operation(route: Method, row: dict[str, Any], writer: Operations, reasons: Reasons) -> dict[str, Any]:
    head = route.verb == "HEAD"
    name = route.name.partition("/")[2]
    described: dict[str, Any] = {
        "operationId": f"Head{name.removeprefix('Get')}" if head else name,
        "tags": [row["tag"]],
        "summary": row["summary"] + (": only its headers" if head else ""),
        "description": row["description"],
        **writer.guarded(route.gate, route.scope),
    }
    if parameters := [*_path(route.path), *row.get("parameters", [])]:
        described["parameters"] = parameters
    if "requestBody" in row:
        described["requestBody"] = row["requestBody"]
    own, has_body = tuple(row["reasons"]), "requestBody" in row
    traits = Traits(service=route.audience, gate=route.gate, own=own, transcoded=False, has_body=has_body)
    answers = {status: _answer(answer, head) for status, answer in row["responses"].items()}
    described["responses"] = {**answers, **refusals(reasons.of(traits), without_body=head)}
    return described


def _path(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH, "pattern": SEGMENT}
    return [{"name": name, "in": "path", "required": True, "schema": dict(schema)} for name in names]


def _answer(answer: dict[str, Any], head: bool) -> dict[str, Any]:
    kept = {key: value for key, value in answer.items() if not (head and key == "content")}
    return {**kept, "headers": {**REQUEST_ID_HEADER, **answer.get("headers", {})}}
