"""What Envoy is told: pass with an identity, or a refusal in the shape that every error body has."""

import functools
import json
import math

from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2
from envoy.type.v3 import http_status_pb2
from google.protobuf import json_format, struct_pb2
from google.rpc import code_pb2, status_pb2

from services.auth.check.domain import Principal
from services.auth.errors import DOMAIN
from services.runtime import caller, errors

HTTP_STATUS = {
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ABORTED: 409,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DEADLINE_EXCEEDED: 504,
}
"""As the transcoder converts a gRPC status; anything else is 500."""
MAX_RESPONSES = 4096
"""Responses that are remembered; the one that was not asked for the longest goes first."""
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def passed(token: str = "", who: Principal | None = None) -> external_auth_pb2.CheckResponse:
    """Let a call pass; with a token the credential stays at the edge and the token goes on in its place.

    A token is given again for 10 s, and its response with it: do not change it.
    """
    return _passed(token, who.account if who else "", who.id if who else "")


@functools.lru_cache(MAX_RESPONSES)
def _passed(token: str, account: str, credential: str) -> external_auth_pb2.CheckResponse:
    allowed = external_auth_pb2.OkHttpResponse()
    if token:
        allowed.headers.append(_header(caller.HEADER, token))
        allowed.headers_to_remove.append("authorization")
    else:
        allowed.headers_to_remove.append(caller.HEADER)
    told = _told(account, credential) if account else None
    return external_auth_pb2.CheckResponse(status=status_pb2.Status(), ok_response=allowed, dynamic_metadata=told)


def refused(failure: errors.Failure, request_id: str, who: Principal | None = None) -> external_auth_pb2.CheckResponse:
    """Refuse a call with the body that the transcoder would make of the same failure of a service."""
    status = errors.to_status(failure, DOMAIN, request_id)
    number = HTTP_STATUS.get(status.code, 500)
    headers = [_header("content-type", "application/json")]
    if number == 401:
        headers.append(_header("www-authenticate", 'Bearer realm="filmgate"'))
    if failure.retry_after is not None:
        headers.append(_header("retry-after", str(math.ceil(failure.retry_after))))
    denied = external_auth_pb2.DeniedHttpResponse(
        status=http_status_pb2.HttpStatus(code=number), headers=headers, body=_body(status)
    )
    code = status_pb2.Status(code=status.code)
    told = _told(who.account, who.id) if who else None
    return external_auth_pb2.CheckResponse(status=code, denied_response=denied, dynamic_metadata=told)


def _told(account: str, credential: str) -> struct_pb2.Struct:
    """Whose call it is, for the edge's access log: account, and key or session, by their ids."""
    values = {"account": account, "credential": credential}
    return struct_pb2.Struct(fields={key: struct_pb2.Value(string_value=value) for key, value in values.items()})


def _body(status: status_pb2.Status) -> str:
    body = json_format.MessageToDict(
        status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _header(key: str, value: str) -> base_pb2.HeaderValueOption:
    return base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=key, value=value), append_action=_OVERWRITE)
