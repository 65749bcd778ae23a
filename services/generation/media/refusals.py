"""Writes failures as HTTP: the same JSON as the edge makes of a gRPC status."""

import json
import math
from collections.abc import Mapping
from typing import Any

import grpc
from aiohttp import web
from google.protobuf import json_format

from services.generation import errors
from services.runtime import errors as common
from services.runtime.errors import COMMON, Failure

_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_OWN_STATUS = {"UPLOAD_TOO_LARGE": 413, "RANGE_INVALID": 416}


def response(failure: Failure, request_id: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Write a failure, with its gRPC number as `code`, its words and its details."""
    status = common.to_status(failure, errors.DOMAIN, request_id)
    body = json_format.MessageToDict(status, preserving_proto_field_name=True)
    kind = failure.kind
    number = _OWN_STATUS.get(kind.reason) or _STATUS.get(kind.code.name, 500)
    after = {} if failure.retry_after is None else {"Retry-After": str(math.ceil(failure.retry_after))}
    headers = {**after, **(headers or {})}
    return web.Response(status=number, text=json.dumps(body), content_type="application/json", headers=headers)


def of(error: grpc.aio.AioRpcError) -> Failure:
    """Return the failure that generation refused with, PEER_UNAVAILABLE when it did not answer."""
    remote = common.of(error)
    kind = errors.KIND.kinds.get(remote.reason) or COMMON.get(remote.reason)
    if kind is None or kind.reason == "INTERNAL":
        return common.PEER_UNAVAILABLE(service="generation")
    metadata: dict[str, Any] = {key: text for key, text in remote.metadata.items() if key != "request_id"}
    return kind(retry_after=remote.retry_after, **metadata)
