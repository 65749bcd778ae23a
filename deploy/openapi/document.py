"""The whole OpenAPI 3.1 document, the same for the same contracts: paths, schemas, refusals, data elements."""

from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pb2

from deploy.envoy.contracts import Method
from deploy.openapi import plain
from deploy.openapi.contract import Contract
from deploy.openapi.elements import TABLE as ELEMENTS
from deploy.openapi.elements import Elements
from deploy.openapi.operations import Operations
from deploy.openapi.reasons import Reasons, table
from deploy.openapi.schemas import Schemas

FRAME = Path(__file__).with_name("frame.yaml")
EXAMPLES = Path(__file__).with_name("examples.yaml")
REASONS = "x-filmgate-reasons"


def document(
    described: descriptor_pb2.FileDescriptorSet, routes: list[Method], scopes: dict[str, str]
) -> dict[str, Any]:
    """Write the document of a descriptor set and the plain routes beside it. Raises ValueError for a contract that
    OpenAPI or the edge cannot serve."""
    contract = Contract(described)
    elements = Elements(contract)
    schemas, reasons = Schemas(contract, elements), Reasons(contract)
    operations = Operations(schemas, reasons, scopes)
    whole = yaml.safe_load(FRAME.read_text())
    paths = _paths(contract, operations)
    for path, item in (plain.operations(routes, operations, reasons) if routes else {}).items():
        paths.setdefault(path, {}).update(item)
    whole["tags"] = _tags(whole["tags"], contract, paths)
    order = [tag["name"] for tag in whole["tags"]]
    whole["paths"] = dict(sorted(paths.items(), key=lambda row: _place(row[1], row[0], order)))
    whole["components"]["schemas"] |= dict(sorted(schemas.components.items()))
    _exemplify(whole)
    whole[REASONS] = table(reasons.rows.values())
    whole[ELEMENTS] = elements.rows
    return dict(whole)


def _paths(contract: Contract, operations: Operations) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for method in contract.published():
        for number, binding in enumerate(method.bindings):
            item = paths.setdefault(binding.path, {})
            if binding.verb in item:
                raise ValueError(f"{binding.verb.upper()} {binding.path} leads to two methods")
            item[binding.verb] = operations.of(method, binding, number)
    return paths


def _tags(first: list[dict[str, str]], contract: Contract, paths: dict[str, Any]) -> list[dict[str, str]]:
    """The tags that are used: those of the frame in its order, then others, with the comments of their services."""
    used = {tag for item in paths.values() for operation in item.values() for tag in operation["tags"]}
    words = {
        service.name: contract.comment(f"{file.package}.{service.name}")
        for file in contract.files
        for service in file.service
    }
    rows = [row for row in first if row["name"] in used]
    rows += [{"name": name} for name in sorted(used - {row["name"] for row in rows})]
    return [{"description": words.get(row["name"], ""), **row} for row in rows]


def _place(item: dict[str, Any], path: str, order: list[str]) -> tuple[int, str]:
    return min(order.index(operation["tags"][0]) for operation in item.values()), path


def _exemplify(whole: dict[str, Any]) -> None:
    """Give schemas and paths their examples. Those of schemas that this document lacks are left out."""
    examples = yaml.safe_load(EXAMPLES.read_text())
    for name, example in examples["schemas"].items():
        if name in whole["components"]["schemas"]:
            whole["components"]["schemas"][name]["examples"] = [example]
    for path, item in whole["paths"].items():
        known = [examples["ids"][part] for part in path.split("/") if part in examples["ids"]]
        for parameter in (row for operation in item.values() for row in operation.get("parameters", [])):
            if known and parameter.get("in") == "path":
                parameter["example"] = known[0]
