"""Messages as JSON Schema 2020-12: what a client may send (inputs) and what the edge prints (outputs)."""

import itertools
from collections.abc import Collection
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from deploy.openapi import scalars
from deploy.openapi.contract import Contract, is_map, short_name
from deploy.openapi.elements import REMARK, Elements

BEHAVIOUR, LIMITS = "google.api.field_behavior", "filmgate.privacy.v1.limits"
REQUIRED, OUTPUT_ONLY, INPUT_ONLY, IDENTIFIER = 2, 3, 4, 8
"""Numbers of google.api.FieldBehavior."""
REQUEST_ID = "request_id"
"""The field that the header Idempotency-Key stands for."""
_P = "google.protobuf."
_SCALARS = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
_WRAPPED = [f"{_P}{kind}Value" for kind in _SCALARS]
WELL_KNOWN: dict[str, dict[str, Any]] = {
    f"{_P}Timestamp": {"type": "string", "format": "date-time"},
    f"{_P}Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
    f"{_P}FieldMask": {"type": "string"},
    f"{_P}Empty": {"type": "object"},
    f"{_P}Struct": {"type": "object"},
    f"{_P}Value": {},
    f"{_P}ListValue": {"type": "array"},
    f"{_P}Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
    "google.rpc.Status": {"$ref": "#/components/schemas/Error"},
}
"""Messages that JSON writes in a form of their own, and the one that has a schema of its own here."""
_DATE = {"year": (1, 9999), "month": (1, 12), "day": (1, 31)}
_WORDS = {
    "google.type.Money": "An amount of money; both parts have the same sign.",
    "google.type.Money.currency_code": "ISO 4217, three capital letters.",
    "google.type.Money.units": "Whole units of the currency.",
    "google.type.Money.nanos": "Billionths of a unit.",
    "google.type.Date": "A day of the calendar.",
    "google.type.Date.year": "Year.",
    "google.type.Date.month": "Month.",
    "google.type.Date.day": "Day of the month.",
}
"""Google's messages in words of ours, which fit a row."""


class Schemas:
    """Makes schemas and keeps those with a name; `components` holds them."""

    def __init__(self, contract: Contract, elements: Elements) -> None:
        self._contract, self._elements = contract, elements
        self.components: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, tuple[str, bool, frozenset[str]]] = {}

    def output(self, message: Descriptor) -> dict[str, Any]:
        """Return the schema of a message as the edge prints it: fields without presence are always there."""
        return self._named(message, inputs=False)

    def body(self, message: Descriptor, omit: Collection[str] = (), name: str = "") -> dict[str, Any]:
        """Return the schema of a request body without the dotted fields `omit`, under a name of its own or `name`."""
        return self._named(message, inputs=True, omit=frozenset(omit), name=name)

    def field(self, field: FieldDescriptor, *, inputs: bool, omit: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return the schema of one field: its form, limits, words and data element."""
        schema, words = self._container(field, inputs, omit), self.words(field.full_name)
        if words:
            schema["description"] = words
        if not inputs and {OUTPUT_ONLY, IDENTIFIER} & self.behaviors(field):
            schema["readOnly"] = True
        if inputs and INPUT_ONLY in self.behaviors(field):
            schema["writeOnly"] = True
        if remark := self._elements.remark(field):
            schema[REMARK] = remark
        return schema

    def behaviors(self, field: FieldDescriptor) -> set[int]:
        """Return the numbers of google.api.field_behavior of a field."""
        return set(self._contract.option(field.GetOptions(), BEHAVIOUR) or ())

    def is_required(self, field: FieldDescriptor) -> bool:
        """Say whether a request must give a field."""
        return REQUIRED in self.behaviors(field)

    def words(self, full_name: str) -> str:
        """Return the comment of a name, or our own words for one of google's."""
        return _WORDS.get(full_name) or self._contract.comment(full_name)

    def _named(
        self, message: Descriptor, *, inputs: bool, omit: frozenset[str] = frozenset(), name: str = ""
    ) -> dict[str, Any]:
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        if message.full_name in _WRAPPED:
            return self._wrapped(message.fields_by_name["value"], inputs)
        short = short_name(message)
        name = name or (short if not inputs or short.endswith("Request") else f"{short}Input")
        owner = (message.full_name, inputs, omit)
        if self._owners.setdefault(name, owner) != owner:
            raise ValueError(f"{message.full_name} and {self._owners[name][0]} would both be called {name}")
        if name not in self.components:
            self.components[name] = {}  # it may hold itself
            self.components[name] = self._object(message, inputs, omit)
        return {"$ref": f"#/components/schemas/{name}"}

    def _wrapped(self, value: FieldDescriptor, inputs: bool) -> dict[str, Any]:
        inner = scalars.taken(value, None, required=False) if inputs else scalars.printed(value)
        kinds = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
        return {**inner, "type": [*kinds, "null"]}

    def _object(self, message: Descriptor, inputs: bool, omit: frozenset[str]) -> dict[str, Any]:
        fields = [field for field in message.fields if field.name not in omit]
        if inputs:
            fields = [field for field in fields if OUTPUT_ONLY not in self.behaviors(field)]
        schema: dict[str, Any] = {"type": "object"}
        if words := self.words(message.full_name):
            schema["description"] = words
        schema["properties"] = {
            field.name: self.field(field, inputs=inputs, omit=_inner(omit, field.name)) for field in fields
        }
        # In an answer every field without presence is printed, be it empty.
        always = [field.name for field in fields if (self.is_required(field) if inputs else not field.has_presence)]
        if always:
            schema["required"] = always
        if inputs:
            schema |= {"additionalProperties": False, **_exclusive(message, fields)}
            _narrow(message.full_name, schema)
        return schema

    def _container(self, field: FieldDescriptor, inputs: bool, omit: frozenset[str]) -> dict[str, Any]:
        limits = self._contract.option(field.GetOptions(), LIMITS) if inputs else None
        least = 1 if inputs and self.is_required(field) else 0
        if field.message_type is not None and is_map(field):
            value = field.message_type.fields_by_name["value"]
            schema = {"type": "object", "additionalProperties": self._single(value, inputs, omit, limits)}
            return schema | _sized("Properties", least, limits)
        if field.is_repeated:
            schema = {"type": "array", "items": self._single(field, inputs, omit, limits)}
            return schema | _sized("Items", least, limits)
        return self._single(field, inputs, omit, limits)

    def _single(self, field: FieldDescriptor, inputs: bool, omit: frozenset[str], limits: Any) -> dict[str, Any]:
        if field.message_type is not None:
            owner = short_name(field.containing_type) if field.containing_type is not None else ""
            name = f"{short_name(field.message_type)}Of{owner}" if omit else ""
            return self._named(field.message_type, inputs=inputs, omit=omit, name=name)
        if field.enum_type is not None:
            return self._enum(field.enum_type, inputs)
        if not inputs:
            return scalars.printed(field)
        return scalars.taken(field, limits, required=self.is_required(field) and not field.is_repeated)

    def _enum(self, enum: EnumDescriptor, inputs: bool) -> dict[str, Any]:
        """An enum by its names. Nobody need send the first value, which stands for none."""
        name = short_name(enum) + ("Input" if inputs else "")
        owner = (enum.full_name, inputs, frozenset[str]())
        if self._owners.setdefault(name, owner) != owner:
            raise ValueError(f"{enum.full_name} and {self._owners[name][0]} would both be called {name}")
        values = [value.name for value in enum.values][1 if inputs else 0 :]
        lines = [f"- `{value}`: {self.words(f'{enum.full_name}.{value}')}" for value in values]
        words = "\n".join([self.words(enum.full_name), "", *lines])
        self.components[name] = {"type": "string", "enum": values, "description": words}
        return {"$ref": f"#/components/schemas/{name}"}


def _inner(omit: frozenset[str], name: str) -> frozenset[str]:
    """Return what of a message's inner one is omitted: `video.id` omits `id` of `video`."""
    return frozenset(path.removeprefix(f"{name}.") for path in omit if path.startswith(f"{name}."))


def _sized(what: str, least: int, limits: Any) -> dict[str, Any]:
    sizes: dict[str, Any] = {f"min{what}": least} if least else {}
    if limits is not None and limits.HasField("max_items"):
        sizes[f"max{what}"] = limits.max_items
    return sizes


def _exclusive(message: Descriptor, fields: list[FieldDescriptor]) -> dict[str, Any]:
    """Of a oneof at most one field may be given."""
    given = {field.name for field in fields}
    pairs = []
    for group in message.oneofs:
        names = [field.name for field in group.fields if field.name in given]
        pairs += [{"required": list(pair)} for pair in itertools.combinations(names, 2)]
    return {"not": {"anyOf": pairs}} if pairs else {}


def _narrow(full_name: str, schema: dict[str, Any]) -> None:
    """What services.runtime.fields and the services ask of google's messages, where a schema can say it."""
    properties = schema["properties"]
    if full_name == "google.type.Money":
        properties["currency_code"]["pattern"] = "^[A-Z]{3}$"
        properties["units"] |= {"pattern": "^[0-9]{1,12}$", "minimum": 0, "maximum": 10**12 - 1}
        properties["nanos"] |= {"minimum": 0, "maximum": 999_999_999}
        schema["required"] = ["currency_code"]
    if full_name == "google.type.Date":
        for name, (least, most) in _DATE.items():
            properties[name] |= {"minimum": least, "maximum": most}
        schema["required"] = list(_DATE)
