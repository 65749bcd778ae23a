"""One OpenAPI operation for each way to call a published method."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from deploy.openapi.contract import Binding, Published, is_map
from deploy.openapi.reasons import Reason, Reasons, Traits
from deploy.openapi.schemas import REQUEST_ID, WELL_KNOWN, Schemas

REASONS, SCOPE, EVENT = "x-filmgate-reasons", "x-filmgate-scope", "x-filmgate-event"
REQUEST_ID_HEADER = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
RETRY_AFTER = {"retry-after": {"$ref": "#/components/headers/RetryAfter"}}
CHALLENGE = {"www-authenticate": {"$ref": "#/components/headers/Challenge"}}
HTTP_BODY = "google.api.HttpBody"
SEGMENT = r"^[0-9A-Za-z_-][0-9A-Za-z_.~-]*$"
"""Ids and names in a path. Whatever else stands there names nothing."""
READABLE = r"^[^\u0000-\u001f\u007f]*$"
_HEADINGS = {
    400: "The request is not right, or the state does not allow it.",
    401: "There is no credential, or it is not valid.",
    403: "The credential may not do this.",
    404: "There is no such thing, or it is another's.",
    409: "It collides with something that is there, or under way.",
    413: "The body is over the limit.",
    415: "gRPC is not spoken here, and no body may be compressed.",
    416: "The range lies outside of the content.",
    429: "Too much, or too often.",
    431: "The headers or the path are over the limit.",
    500: "A fault of ours, logged under the request id.",
    503: "A part of the service is stopped or starting: try again.",
    504: "It took too long: with the same Idempotency-Key a repeat is safe.",
}


class Operations:
    """Writes operations; `scopes` say for package.Service/Method which scope a credential needs."""

    def __init__(self, schemas: Schemas, reasons: Reasons, scopes: Mapping[str, str]) -> None:
        self._schemas, self._reasons, self._scopes = schemas, reasons, scopes

    def of(self, method: Published, binding: Binding, number: int) -> dict[str, Any]:
        """Return the operation of a method's binding; `number` counts its bindings from 0."""
        request = method.descriptor.input_type
        body = _body_field(request, binding)
        summary, _, rest = method.words.partition(". ")
        described: dict[str, Any] = {
            "operationId": method.descriptor.name + (f"_{number + 1}" if number else ""),
            "tags": [method.descriptor.containing_service.name],
            "summary": summary.rstrip("."),
        }
        if rest:
            described["description"] = rest
        name = method.descriptor.full_name
        described |= self.guarded(method.gate, self._scopes.get(name, ""))
        if parameters := [*self._path(request, binding), *self._query(request, binding), *_repeats(request)]:
            described["parameters"] = parameters
        if binding.body:
            described["requestBody"] = self._request(request, binding, body, number, method.descriptor.name)
        traits = _traits(method, binding, self._schemas)
        described["responses"] = {"200": self._answer(method), **refusals(self._reasons.of(traits))}
        return described

    def guarded(self, gate: str, scope: str) -> dict[str, Any]:
        """Return who may call. Raises ValueError when a gate asks for a credential and there is no scope, or not."""
        if (gate == "OPEN") == bool(scope):
            raise ValueError(f"a gate {gate} does not go with the scope {scope!r}")
        if gate == "OPEN":
            return {"security": []}
        return {"security": [{"api_key": [scope]}, {"session": []}], SCOPE: scope}

    def _path(self, request: Descriptor, binding: Binding) -> list[dict[str, Any]]:
        rows = []
        for path in binding.parameters:
            field = _find(request, path)
            schema = self._schemas.field(field, inputs=True)
            if field.type == FieldDescriptor.TYPE_STRING:
                schema = {**schema, "minLength": 1, "pattern": schema.get("pattern", SEGMENT)}
            rows.append(_parameter(path, "path", schema, required=True))
        return rows

    def _query(self, request: Descriptor, binding: Binding) -> list[dict[str, Any]]:
        """What neither path nor body holds, messages by their fields, as Envoy's transcoder takes it."""
        if binding.body == "*":
            return []
        rows = []
        for path, field in _leaves(request, ""):
            if path in binding.parameters or path.partition(".")[0] == binding.body or path == REQUEST_ID:
                continue
            needed = self._schemas.is_required(field) and "." not in path
            rows.append(_parameter(path, "query", _readable(self._schemas.field(field, inputs=True)), required=needed))
        return rows

    def _request(
        self, request: Descriptor, binding: Binding, body: Descriptor, number: int, name: str
    ) -> dict[str, Any]:
        """The body without what the path holds, and without the request id, for which a header stands."""
        inside = "" if binding.body == "*" else f"{binding.body}."
        omit = {path.removeprefix(inside) for path in binding.parameters if path.startswith(inside)}
        omit |= {REQUEST_ID} & set(body.fields_by_name.keys()) if not inside else set()
        if body.full_name == HTTP_BODY:
            return {"required": True, "content": {"*/*": {"schema": {}}}}
        own = f"{name}Body" + (str(number + 1) if number else "") if number or inside else ""
        schema = self._schemas.body(body, omit, own)
        found = self._schemas.components.get(schema.get("$ref", "").rpartition("/")[2], {})
        return {"required": bool(found.get("required")), "content": {"application/json": {"schema": schema}}}

    def _answer(self, method: Published) -> dict[str, Any]:
        kind = method.descriptor.output_type
        content: dict[str, Any]
        if kind.full_name == HTTP_BODY:
            content = {"*/*": {"schema": {"type": "string"}}}
        elif method.descriptor.server_streaming:
            event = self._schemas.output(kind)
            data = {"type": "string", "contentMediaType": "application/json", "contentSchema": event}
            words = f"One of the server-sent events: its `data` is a {kind.name} as JSON, on one line."
            schema = {"type": "object", "description": words, "properties": {"data": data}, "required": ["data"]}
            content = {"text/event-stream": {"schema": schema, EVENT: event}}
        else:
            content = {"application/json": {"schema": self._schemas.output(kind)}}
        return {"description": _described(self._schemas, kind), "headers": REQUEST_ID_HEADER, "content": content}


def refusals(reasons: Iterable[Reason], *, without_body: bool = False) -> dict[str, Any]:
    """Return the responses of an operation that may refuse so: one for each status, which names its reasons."""
    by_status: dict[int, list[Reason]] = {}
    for reason in reasons:
        by_status.setdefault(reason.status, []).append(reason)
    return {str(status): _refusal(status, rows, without_body) for status, rows in sorted(by_status.items())}


def _refusal(status: int, rows: list[Reason], without_body: bool) -> dict[str, Any]:
    lines = [f"- `{row.name}` ({row.domain}): {row.meaning}" for row in rows]
    headers = REQUEST_ID_HEADER | (RETRY_AFTER if status in (429, 503) else {}) | (CHALLENGE if status == 401 else {})
    answer: dict[str, Any] = {"description": "\n".join([_HEADINGS[status], "", *lines]), "headers": headers}
    if not without_body:
        named = {"properties": {"reason": {"enum": sorted({row.name for row in rows})}}, "required": ["reason"]}
        schema = {"$ref": "#/components/schemas/Error", "properties": {"details": {"contains": named}}}
        answer["content"] = {"application/json": {"schema": schema}}
    answer[REASONS] = [{"reason": row.name, "domain": row.domain} for row in rows]
    return answer


def _traits(method: Published, binding: Binding, schemas: Schemas) -> Traits:
    request = method.descriptor.input_type
    fields = [field for field in request.fields if field.name not in binding.parameters]
    return Traits(
        service=method.service,
        gate=method.gate,
        own=method.reasons,
        has_body=bool(binding.body),
        check_body=method.check_body,
        has_fields=bool(request.fields),
        has_required=any(schemas.is_required(field) for field in fields),
        has_query_rule=binding.body == "*" or bool(binding.parameters),
        is_paged="page_token" in request.fields_by_name,
        is_repeatable=REQUEST_ID in request.fields_by_name,
    )


def _parameter(name: str, where: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    words = schema.pop("description", "")
    row: dict[str, Any] = {"name": name, "in": where, **({"description": words} if words else {})}
    if required:
        row["required"] = True
    return {**row, "schema": schema}


def _readable(schema: dict[str, Any]) -> dict[str, Any]:
    """A text in an address has no control characters: the edge refuses it, however it is escaped."""
    if schema.get("type") == "array":
        return {**schema, "items": _readable(schema["items"])}
    free = schema.get("type") == "string" and not {"pattern", "format"} & schema.keys()
    return {**schema, "pattern": READABLE} if free else schema


def _repeats(request: Descriptor) -> list[dict[str, Any]]:
    return [{"$ref": "#/components/parameters/IdempotencyKey"}] if REQUEST_ID in request.fields_by_name else []


def _leaves(message: Descriptor, prefix: str) -> Iterable[tuple[str, FieldDescriptor]]:
    """Fields that a query can name, dotted: no map, no list of messages."""
    for field in message.fields:
        inner = field.message_type
        if inner is None or inner.full_name in WELL_KNOWN:
            yield f"{prefix}{field.name}", field
        elif not field.is_repeated and not is_map(field) and prefix.count(".") < 3:
            yield from _leaves(inner, f"{prefix}{field.name}.")


def _find(message: Descriptor, path: str) -> FieldDescriptor:
    """Return the field of a dotted path. Raises ValueError when there is none."""
    head, _, rest = path.partition(".")
    field = message.fields_by_name.get(head)
    if field is None or bool(rest) != (field.message_type is not None):
        raise ValueError(f"{message.full_name} has no field {path} for a path")
    return field if field.message_type is None else _find(field.message_type, rest)


def _body_field(request: Descriptor, binding: Binding) -> Descriptor:
    """Return the message that is the body. Raises ValueError for a field that is none."""
    if binding.body in ("", "*"):
        return request
    field = request.fields_by_name.get(binding.body)
    if field is None or field.message_type is None or field.is_repeated:
        raise ValueError(f"{request.full_name} has no message {binding.body} for a body")
    return field.message_type


def _described(schemas: Schemas, kind: Descriptor) -> str:
    return schemas.words(kind.full_name) if kind.full_name not in WELL_KNOWN else "Done; the answer is empty."
