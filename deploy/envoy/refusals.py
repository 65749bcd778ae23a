"""Envoy's own refusals in the shape of a converted gRPC status: rendered from refusals.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.envoy.routes import SET, TYPE

TABLE = Path(__file__).with_name("refusals.yaml")
RPC = "type.googleapis.com/google.rpc."
DOMAIN = "edge.filmgate"
REQUEST_ID = "%REQ(X-REQUEST-ID)%"
EARLY_ID = "edge-%START_TIME(%s%6f)%-%CONNECTION_ID%"
"""Stands for the request id where a request failed before it got one; the access log has it too."""


def rows() -> list[dict[str, Any]]:
    """The table."""
    return list(yaml.safe_load(TABLE.read_text()))


def local_reply_config(upload_limit_bytes: int) -> dict[str, Any]:
    """What Envoy's connection manager needs to speak as we do."""
    words = {"{detail}": "%LOCAL_REPLY_BODY%", "{upload}": f"{upload_limit_bytes // 2**20} MiB"}
    return {"mappers": [_mapper(variant, words) for row in rows() for variant in _variants(row)]}


def _variants(row: dict[str, Any]) -> list[dict[str, Any]]:
    """An early refusal may still find an id, when it was the body that broke the protocol."""
    if not row.get("early"):
        return [row]
    return [{**row, "when": f'({row["when"]}) && request.id != ""', "early": False}, row]


def _mapper(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    condition = {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": f"{TYPE}extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": row["when"],
        },
    }
    mapper: dict[str, Any] = {"filter": {"extension_filter": condition}, "body_format_override": _body(row, words)}
    if "status" in row:
        mapper["status_code"] = row["status"]
    if row.get("early"):
        mapper["headers_to_add"] = [{"header": {"key": "x-request-id", "value": EARLY_ID}, "append_action": SET}]
    return mapper


def _body(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    if "reason" not in row:
        return {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}
    identity = {"request_id": EARLY_ID if row.get("early") else REQUEST_ID}
    details: list[dict[str, Any]] = [
        {"@type": f"{RPC}ErrorInfo", "reason": row["reason"], "domain": DOMAIN, "metadata": identity}
    ]
    if "retry_delay" in row:
        details.append({"@type": f"{RPC}RetryInfo", "retry_delay": row["retry_delay"]})
    message = row["message"].replace("%", "%%")
    for mark, value in words.items():
        message = message.replace(mark, value)
    return {
        "json_format": {"code": row["code"], "message": message, "details": details},
        "content_type": "application/json",
    }
