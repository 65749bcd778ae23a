"""Single values as JSON Schema: what the edge takes of a number, a text or bytes, and what it prints."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field

from deploy.openapi import numbers

DIGITS = 10**18 - 1
"""A 64-bit number without a limit is promised to be taken up to 18 digits."""
_SMALL = {
    **dict.fromkeys((Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32), ("int32", -(2**31), 2**31 - 1)),
    **dict.fromkeys((Field.TYPE_UINT32, Field.TYPE_FIXED32), ("int64", 0, 2**32 - 1)),
}
_BIG = {
    **dict.fromkeys((Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64), ("int64", -DIGITS)),
    **dict.fromkeys((Field.TYPE_UINT64, Field.TYPE_FIXED64), ("uint64", 0)),
}
_FLOAT = {Field.TYPE_DOUBLE: "double", Field.TYPE_FLOAT: "float"}


def printed(field: Field) -> dict[str, Any]:
    """Return the schema of a value in an answer."""
    if field.type in _SMALL:
        return {"type": "integer", "format": _SMALL[field.type][0]}
    if field.type in _BIG:
        sign = "-?" if _BIG[field.type][1] else ""
        return {"type": "string", "format": _BIG[field.type][0], "pattern": f"^{sign}[0-9]{{1,20}}$"}
    return _plain(field)


def taken(field: Field, limits: Any, *, required: bool) -> dict[str, Any]:
    """Return the schema of a value in a request, as services.runtime.fields checks it with these limits."""
    if field.type == Field.TYPE_STRING:
        return _text(limits, required, given=field.has_presence or field.is_repeated)
    least, most = _bound(limits, "minimum"), _bound(limits, "maximum")
    if field.type in _SMALL:
        form, low, high = _SMALL[field.type]
        low, high = max(low, _whole(least, low)), min(high, _whole(most, high))
        return {"type": "integer", "format": form, "minimum": low, "maximum": high} | _not_zero(required, low)
    if field.type in _BIG:
        form, low = _BIG[field.type]
        low, high = _whole(least, low), _whole(most, DIGITS)
        if required and low == 0:
            low = 1
        expression = numbers.pattern(low, high)
        return {"type": ["string", "integer"], "format": form, "pattern": expression, "minimum": low, "maximum": high}
    schema = _plain(field)
    if field.type in _FLOAT:
        schema |= {"minimum": least} if least is not None else {}
        schema |= {"maximum": most} if most is not None else {}
    return schema


def _plain(field: Field) -> dict[str, Any]:
    """What is taken as it is printed."""
    if field.type in _FLOAT:
        return {"type": "number", "format": _FLOAT[field.type]}
    if field.type == Field.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type == Field.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return {"type": "string"}


def _text(limits: Any, required: bool, given: bool) -> dict[str, Any]:
    """A text that need not be given may be empty, whatever its limits say, unless that can be told from none."""
    schema: dict[str, Any] = {"type": "string"}
    least = max(1 if required else 0, limits.min_length if limits is not None and (required or given) else 0)
    if least:
        schema["minLength"] = least
    if limits is not None and limits.HasField("max_length"):
        schema["maxLength"] = limits.max_length
    if limits is not None and limits.pattern:
        schema["pattern"] = f"^(?:{limits.pattern})$" if least else f"^(?:{limits.pattern})?$"
    return schema


def _bound(limits: Any, name: str) -> float | None:
    return getattr(limits, name) if limits is not None and limits.HasField(name) else None


def _whole(bound: float | None, otherwise: int) -> int:
    return otherwise if bound is None else int(bound)


def _not_zero(required: bool, low: int) -> dict[str, Any]:
    """A required number without presence may not be zero: zero is how its absence looks."""
    if not required or low > 0:
        return {}
    return {"minimum": 1} if low == 0 else {"not": {"const": 0}}
