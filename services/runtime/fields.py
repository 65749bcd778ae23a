"""Checks of a request before its method runs: required fields, limits, and forms that nobody may send.

What a field must be stands in the contract: google.api.field_behavior REQUIRED and filmgate.privacy.v1.limits.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from filmgate.privacy.v1 import elements_pb2
from services.runtime import errors

Fault = tuple[str, str]
_REQUIRED = field_behavior_pb2.FieldBehavior.Value("REQUIRED")
_REQUEST_ID = re.compile(r"[!-~]{1,255}")
_PRESENT = "be given"
_DEPTH = 32
_MAX_ITEMS = 1000  # where the contract names no max_items


def check(message: Message) -> None:
    """Raise FIELD_REQUIRED or FIELD_INVALID, naming the first fault and listing up to 20."""
    faults = list(itertools.islice(_faults(message, "", _DEPTH), 20))
    violations = [(field, f"{field} must {limit}.") for field, limit in faults]
    for field, limit in faults:
        if limit == _PRESENT:
            raise errors.FIELD_REQUIRED(field=field, violations=violations)
    for field, limit in faults:
        raise errors.FIELD_INVALID(field=field, limit=limit, violations=violations)


def fill_request_id(message: Message, keys: list[str]) -> None:
    """Put the Idempotency-Key into `request_id` where the request has one.

    Raises FIELD_INVALID for a second key, a key that differs from the field, or one that is not 1 to 255 printable
    ASCII characters without spaces.
    """
    field = message.DESCRIPTOR.fields_by_name.get("request_id")
    if field is None or field.type != FieldDescriptor.TYPE_STRING:
        return
    given = {*keys, *([message.request_id] if message.request_id else [])}  # type: ignore[attr-defined]
    if len(given) > 1:
        raise errors.FIELD_INVALID(field="request_id", limit="equal the Idempotency-Key")
    for value in given:
        if not _REQUEST_ID.fullmatch(value):
            raise errors.FIELD_INVALID(field="request_id", limit="be 1 to 255 printable ASCII characters")
        message.request_id = value  # type: ignore[attr-defined]


def _faults(message: Message, path: str, depth: int) -> Iterator[Fault]:
    if depth == 0:
        yield path, "not be nested so deeply"
        return
    if own := _FORMS.get(message.DESCRIPTOR.full_name):
        yield from ((path, fault) for fault in own(message))
        return
    for field, required, limits in _plan(message.DESCRIPTOR):
        name = f"{path}.{field.name}" if path else field.name
        if required and not _present(message, field):
            yield name, _PRESENT
        elif field.is_repeated:
            yield from _repeated_faults(message, field, limits, name, depth)
        elif not field.has_presence or message.HasField(field.name):
            yield from _value_faults(getattr(message, field.name), field, limits, name, depth)


def _repeated_faults(message: Message, field: FieldDescriptor, limits: Any, name: str, depth: int) -> Iterator[Fault]:
    values = getattr(message, field.name)
    most = limits.max_items if limits is not None and limits.HasField("max_items") else _MAX_ITEMS
    if len(values) > most:
        yield name, f"have at most {most} items"
        return
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key_field, value_field = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for key in values:
            yield from _value_faults(key, key_field, None, name, depth)
            yield from _value_faults(values[key], value_field, limits, name, depth)
        return
    for index, value in enumerate(values):
        yield from _value_faults(value, field, limits, f"{name}[{index}]", depth)


def _value_faults(value: Any, field: FieldDescriptor, limits: Any, name: str, depth: int) -> Iterator[Fault]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        yield from _faults(value, name, depth - 1)
    elif field.type == FieldDescriptor.TYPE_STRING:
        yield from (
            (name, fault) for fault in _text_faults(value, limits, given=field.has_presence or field.is_repeated)
        )
    elif field.type == FieldDescriptor.TYPE_ENUM:
        if field.enum_type is None or value not in field.enum_type.values_by_number:
            yield name, "be a known value"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from ((name, fault) for fault in _number_faults(value, limits))


def _text_faults(text: str, limits: Any, *, given: bool) -> Iterator[str]:
    """An empty text is none, unless it can be told from one that was not given."""
    if "\0" in text:  # PostgreSQL cannot store it
        yield "not contain a NUL character"
    if limits is None or not (text or (given and limits.min_length)):
        return
    if limits.HasField("max_length") and len(text) > limits.max_length:
        yield f"have at most {limits.max_length} characters"
    elif limits.HasField("min_length") and len(text) < limits.min_length:
        yield f"have at least {limits.min_length} characters"
    elif limits.pattern and not re.fullmatch(limits.pattern, text):
        yield f"match {limits.pattern}"


def _number_faults(number: float, limits: Any) -> Iterator[str]:
    if not math.isfinite(number):
        yield "be a finite number"
    elif limits is not None and limits.HasField("minimum") and number < limits.minimum:
        yield f"be at least {limits.minimum:.15g}"
    elif limits is not None and limits.HasField("maximum") and number > limits.maximum:
        yield f"be at most {limits.maximum:.15g}"


def _present(message: Message, field: FieldDescriptor) -> bool:
    if field.is_repeated:
        return len(getattr(message, field.name)) > 0
    if field.has_presence:
        return message.HasField(field.name) and (
            field.type != FieldDescriptor.TYPE_STRING or getattr(message, field.name) != ""
        )
    return bool(getattr(message, field.name) != field.default_value)


@functools.cache
def _plan(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, bool, Any], ...]:
    """What to check of a message type: each field, whether it is required, its limits."""
    plan = []
    extension: Any = elements_pb2.limits
    for field in descriptor.fields:
        options = field.GetOptions()
        limits = options.Extensions[extension] if options.HasExtension(extension) else None
        plan.append((field, _REQUIRED in options.Extensions[field_behavior_pb2.field_behavior], limits))
    return tuple(plan)


def _timestamp_faults(time: Any) -> Iterator[str]:
    """RFC 3339 knows the years 1 to 9999; beyond them a conversion fails."""
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799 or not 0 <= time.nanos <= 999_999_999:
        yield "be a time of the years 1 to 9999"


def _duration_faults(span: Any) -> Iterator[str]:
    wide = abs(span.seconds) > 315_576_000_000 or abs(span.nanos) > 999_999_999
    if wide or span.seconds * span.nanos < 0:
        yield "be a valid duration"


def _money_faults(money: Any) -> Iterator[str]:
    if not re.fullmatch("[A-Z]{3}", money.currency_code):
        yield "have a currency_code of three capital letters"
    if abs(money.nanos) > 999_999_999 or money.units * money.nanos < 0:
        yield "be a valid amount"


_FORMS: dict[str, Callable[[Any], Iterator[str]]] = {
    "google.protobuf.Timestamp": _timestamp_faults,
    "google.protobuf.Duration": _duration_faults,
    "google.type.Money": _money_faults,
}
