"""A client that holds every answer against the OpenAPI document, so that each test through Envoy is a test of it."""

import functools
import json
import re
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from deploy.local.client import JSON, Client, Refused

DOCUMENT = Path(__file__).resolve().parents[2] / "gen" / "openapi.json"
ANYWHERE = {"METHOD_UNKNOWN", "METHOD_NOT_ALLOWED"}
"""Reasons of paths and verbs that are none of the document's."""


class Undocumented(AssertionError):
    """An answer that the document does not have."""


class Witness(Client):
    """A customer who knows the document."""

    async def call(self, method: str, path: str, body: JSON | None = None, **headers: str) -> JSON:
        """As a client's; raises Undocumented for an answer that the operation does not have."""
        found = operation(method, path)
        try:
            answer = await super().call(method, path, body, **headers)
        except Refused as refused:
            if found is not None and refused.reason not in ANYWHERE:
                check_refusal(method, path, refused)
            raise
        if found is not None:
            check(found, "200", answer)
        return answer


@functools.cache
def document() -> dict[str, Any]:
    """The document."""
    return dict(json.loads(DOCUMENT.read_text()))


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation that a request is for, None when it is for none."""
    plain = path.partition("?")[0]
    for template, item in document()["paths"].items():
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/:]+", re.escape(template))
        if method.lower() in item and re.fullmatch(pattern, plain):
            return dict(item[method.lower()])
    return None


def check_refusal(method: str, path: str, refused: Refused) -> None:
    """Raise Undocumented unless the operation lists the reason under the status."""
    found = operation(method, path) or {"responses": {}}
    rows = found["responses"].get(str(refused.status), {}).get("x-filmgate-reasons", [])
    if refused.reason not in {row["reason"] for row in rows}:
        raise Undocumented(f"{method} {path} does not list {refused.status} {refused.reason}: {refused.body}")
    check(found, str(refused.status), refused.body)


def check(found: dict[str, Any], status: str, answer: Any) -> None:
    """Raise Undocumented unless a body is one of the operation's for that status."""
    schema = found["responses"][status].get("content", {}).get("application/json", {}).get("schema")
    if schema is not None and (fault := next(iter(_validator(json.dumps(schema)).iter_errors(answer)), None)):
        raise Undocumented(f"{found['operationId']} {status}: {fault}")


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({"components": document()["components"], **json.loads(schema)})
