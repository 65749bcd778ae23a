"""JSON bodies and queries against the contract: a field that the method does not have there is refused by name.

The edge's transcoder drops unknown fields of a body silently; on routes that cost money a field that is
dropped changes a price. Of a query it takes too much: fields of the body, and one that the path
holds already, which it replaces.
"""

import functools
import importlib
import json
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

import filmgate
from services.auth import errors

MAX_BODY_BYTES = 64 * 1024
DEEPEST = 32
_WRAPPED = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
_SCALARS = frozenset(
    {f"google.protobuf.{name}Value" for name in _WRAPPED}
    | {"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"}
)
"""Messages that JSON writes as one value."""
_VERBS = ("get", "put", "post", "delete", "patch")


def load() -> None:
    """Import every contract of the suite, so that each method's request type is known."""
    for root in map(Path, filmgate.__path__):
        for path in root.rglob("*_pb2.py"):
            importlib.import_module(".".join(["filmgate", *path.relative_to(root).with_suffix("").parts]))


def check(method: str, raw: bytes) -> None:
    """Raise BODY_INVALID or UNKNOWN_FIELD unless `raw` is JSON of the method's request, or empty.

    What is no JSON object at all, has a name twice, is nested beyond 32 or holds a text that is no Unicode (half a
    surrogate pair, in a name or a value) is invalid. Types of values are left to the transcoder, but for objects,
    inside of which a name could hide, and for null in a list, which it drops silently.
    """
    if not raw:
        return
    body = parse(raw)
    found = shape(method)
    if found is None:  # the edge knows a method that this process does not: nothing can be checked
        raise errors.AUTHORIZER_UNAVAILABLE(retry_after=1)
    message, hidden = found
    _walk(body, message, "", hidden)


def check_query(method: str, path: str) -> None:
    """Raise UNKNOWN_FIELD for a query beside a body that holds all fields, and for one that names a field of the path.

    Otherwise what the access log shows would not be what was done, and codes and prompts would stand in addresses.
    """
    query = path.partition("?")[2]
    found = _binding(method) if query else None
    if found is None:
        return
    all_in_body, in_path = found
    for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if all_in_body or name.partition(".")[0] in in_path:
            raise errors.UNKNOWN_FIELD(field=f"?{name}")


@functools.cache
def _binding(method: str) -> tuple[bool, frozenset[str]] | None:
    """Return (whether the body holds every field, the fields of the path); None for a method that is no RPC."""
    try:
        found: MethodDescriptor = descriptor_pool.Default().FindMethodByName(method)
    except KeyError:
        return None
    rule = found.GetOptions().Extensions[annotations_pb2.http]
    path = next((text for verb in _VERBS if (text := getattr(rule, verb))), "")
    return rule.body == "*", frozenset(_path_fields(path))


def parse(raw: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises BODY_INVALID."""
    if len(raw) > MAX_BODY_BYTES:
        raise errors.BODY_INVALID(fault="it is over 64 KiB")
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in raw:  # only an escape can hold half a surrogate pair, a text that no message or log can hold (F4)
            json.dumps(body, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise errors.BODY_INVALID(fault="it is nested too deeply") from None
    except ValueError:
        raise errors.BODY_INVALID(fault="it cannot be read as JSON in UTF-8 with each name once") from None
    if not isinstance(body, dict):
        raise errors.BODY_INVALID(fault="it is not an object")
    if _is_deeper(body, DEEPEST):  # where the parser gives up is another depth in each Python
        raise errors.BODY_INVALID(fault="it is nested too deeply")
    return body


def _is_deeper(value: dict[str, Any] | list[Any], levels: int) -> bool:
    """Whether an object or array holds others below so many levels; itself is the first."""
    inside = value.values() if isinstance(value, dict) else value
    return any(isinstance(inner, dict | list) and (levels == 1 or _is_deeper(inner, levels - 1)) for inner in inside)


@functools.cache
def shape(method: str) -> tuple[Descriptor, frozenset[str]] | None:
    """Return the message that a method's body is, and its fields that come from the path; None for an unknown one."""
    try:
        found: MethodDescriptor = descriptor_pool.Default().FindMethodByName(method)
    except KeyError:
        return None
    rule = found.GetOptions().Extensions[annotations_pb2.http]
    if rule.body and rule.body != "*":
        inner = found.input_type.fields_by_name[rule.body].message_type
        return (inner, frozenset()) if inner is not None else None
    binding = _binding(method)
    return found.input_type, binding[1] if binding else frozenset()


def _path_fields(path: str) -> Iterable[str]:
    for part in path.split("{")[1:]:
        yield part.split("}")[0].split("=")[0]


def _walk(value: dict[str, Any], message: Descriptor, path: str, hidden: frozenset[str]) -> None:
    fields, seen = _fields(message), set()
    for name, inner in value.items():
        dotted = f"{path}.{name}" if path else name
        field = fields.get(name)
        if field is None or (not path and field.name in hidden):
            raise errors.UNKNOWN_FIELD(field=dotted or '""')
        if field.name in seen:
            raise errors.BODY_INVALID(fault=f"{dotted} is there twice")
        seen.add(field.name)
        _walk_value(inner, field, dotted)


def _walk_value(value: Any, field: FieldDescriptor, path: str) -> None:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        _walk_map(value, inner, path)
        return
    for index, item in enumerate(value if field.is_repeated and isinstance(value, list) else [value]):
        where = f"{path}[{index}]" if field.is_repeated else path
        if isinstance(item, dict) and inner is not None and inner.full_name not in _SCALARS:
            _walk(item, inner, where, frozenset())
        elif isinstance(item, dict | list) or (item is None and isinstance(value, list)):
            raise errors.BODY_INVALID(fault=f"{where} is of another type")


def _walk_map(value: Any, entry: Descriptor, path: str) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise errors.BODY_INVALID(fault=f"{path} is not an object")
    for name, item in value.items():
        _walk_value(item, entry.fields_by_name["value"], f"{path}.{name}")


@functools.cache
def _fields(message: Descriptor) -> dict[str, FieldDescriptor]:
    """The fields of a message by both names that the transcoder takes."""
    return {name: field for field in message.fields for name in (field.name, field.json_name)}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name is there twice")
    return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
