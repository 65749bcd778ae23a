"""The contracts keep their own rules: every name explained, every request bounded, every method placed.

Read from the descriptor set that `make protos` wrote, comments included.
"""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from deploy.envoy import contracts, refusals, routes
from filmgate.edge.v1 import edge_pb2, error_reason_pb2
from filmgate.privacy.v1 import elements_pb2
from services.runtime import errors
from tests.support.cases import each

ROOT = Path(__file__).resolve().parents[2]
SET = ROOT / "gen" / "filmgate.pb"
SERVICES = ("auth", "billing", "generation", "privacy")
OURS = [file for file in descriptor_pb2.FileDescriptorSet.FromString(SET.read_bytes()).file if "filmgate" in file.name]

for _file in OURS:
    importlib.import_module(_file.name.replace("/", ".").replace(".proto", "_pb2"))
POOL = descriptor_pool.Default()

# Lists that are short by nature: they answer all they have.
UNPAGED = {
    "filmgate.auth.v1.Tokens.ListCallerKeys",
    "filmgate.billing.v1.Prices.ListPrices",
}

# What is read of the API itself has no version.
REFERENCE = {"/docs", "/docs/{file}", "/openapi.json"}

# Open to every certificate: the method itself looks up which service account the certificate stands for.
ANY_PEER = {"filmgate.auth.v1.Tokens.Exchange"}


def methods() -> list[MethodDescriptor]:
    """Every method of the suite."""
    found = [POOL.FindFileByName(file.name) for file in OURS]
    return [method for file in found for service in file.services_by_name.values() for method in service.methods]


METHODS = methods()
NAMES = [method.full_name for method in METHODS]


def request_fields(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """The fields of a request and of our own messages in it."""
    for field in message.fields:
        yield field
        inner = field.message_type
        if inner and inner.full_name.startswith("filmgate.") and inner.full_name not in seen and not _is_map(field):
            yield from request_fields(inner, seen | {inner.full_name})


def _behavior(field: FieldDescriptor) -> list[int]:
    return list(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def test_the_descriptor_set_is_that_of_the_protos():
    names = {str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto")}
    assert {file.name for file in OURS} == names


@each("file", OURS, ids=lambda file: file.name)
def test_every_name_is_explained(file):
    explained = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
    assert [name for path, name in _names(file) if path not in explained] == []


def _names(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Path in the source info (field numbers of descriptor.proto) and name of all that needs a comment."""
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        yield from (((6, index, 2, i), f"{service.name}.{method.name}") for i, method in enumerate(service.method))
    for index, message in enumerate(file.message_type):
        yield from _message_names((4, index), message, message.name)
    for index, enum in enumerate(file.enum_type):
        yield from _enum_names((5, index), enum, enum.name)
    yield from (((7, index), extension.name) for index, extension in enumerate(file.extension))


def _message_names(path, message, name) -> Iterator[tuple[tuple[int, ...], str]]:
    if message.options.map_entry:
        return
    yield path, name
    yield from (((*path, 2, index), f"{name}.{field.name}") for index, field in enumerate(message.field))
    for index, inner in enumerate(message.nested_type):
        yield from _message_names((*path, 3, index), inner, f"{name}.{inner.name}")
    for index, enum in enumerate(message.enum_type):
        yield from _enum_names((*path, 4, index), enum, f"{name}.{enum.name}")


def _enum_names(path, enum, name) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    yield from (((*path, 2, index), f"{name}.{value.name}") for index, value in enumerate(enum.value))


@each("method", METHODS, ids=NAMES)
def test_every_request_field_says_whether_it_is_needed(method):
    fields = list(request_fields(method.input_type))
    assert [field.full_name for field in fields if not _behavior(field)] == []
    required = field_behavior_pb2.REQUIRED
    # Zero would count as missing where a required number may be zero.
    zeros = {FieldDescriptor.CPPTYPE_BOOL, FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
    assert [
        field.full_name
        for field in fields
        if required in _behavior(field) and field.cpp_type in zeros and not field.has_presence
    ] == []


@each("method", METHODS, ids=NAMES)
def test_every_request_is_bounded(method):
    for field in request_fields(method.input_type):
        if field_behavior_pb2.OUTPUT_ONLY in _behavior(field):
            continue
        limits = field.GetOptions().Extensions[elements_pb2.limits]
        if field.type == FieldDescriptor.TYPE_STRING:
            assert limits.max_length, field.full_name
        if field.is_repeated and not _is_map(field):
            assert limits.max_items, field.full_name
        if limits.pattern:
            re.compile(limits.pattern)


@each("method", [row for row in METHODS if row.name.startswith("List")], ids=lambda row: row.full_name)
def test_lists_come_in_pages(method):
    if method.full_name in UNPAGED:
        assert not set(method.input_type.fields_by_name), "what can be filtered can grow: page it"
        return
    asked, answered = method.input_type.fields_by_name, method.output_type.fields_by_name
    assert {"page_size", "page_token"} <= set(asked.keys())
    rows = [field for field in answered.values() if field.is_repeated]
    assert answered["next_page_token"].type == FieldDescriptor.TYPE_STRING
    assert [field.number for field in rows] == [1]


STARTING = [row for row in METHODS if re.match(r"Create(?!Session)|Register", row.name)]


@each("method", STARTING, ids=lambda row: row.full_name)
def test_what_starts_something_can_be_repeated_safely(method):
    field = method.input_type.fields_by_name["request_id"]
    assert field.GetOptions().Extensions[elements_pb2.limits].max_length == 255


@each("method", METHODS, ids=NAMES)
def test_what_is_published_says_how_the_edge_treats_it(method):
    options = method.GetOptions()
    assert options.HasExtension(annotations_pb2.http) == options.HasExtension(edge_pb2.edge)
    if not options.HasExtension(edge_pb2.edge):
        return
    edge = options.Extensions[edge_pb2.edge]
    assert edge.gate
    assert edge.strictness
    assert method.server_streaming or edge.timeout_seconds <= 60
    assert edge.check_body == bool(options.Extensions[annotations_pb2.http].body)
    assert not method.client_streaming


def test_every_path_leads_to_one_method():
    published = [*contracts.methods(SET), *routes.plain_methods()]
    ways = [(method.verb, re.sub(r"\{[^}]*\}", "{}", method.path)) for method in published]
    assert len(ways) == len(set(ways))
    assert all(method.path.startswith("/v1/") or method.path in REFERENCE for method in published)


def test_a_path_names_fields_of_its_request():
    for method in contracts.methods(SET):
        request = POOL.FindMethodByName(method.name.replace("/", ".")).input_type
        assert set(re.findall(r"\{([^}=]*)", method.path)) <= set(request.fields_by_name.keys()), method.name


@pytest.mark.parametrize("service", SERVICES)
def test_the_reasons_of_a_service_hold_the_common_ones(service):
    reasons = POOL.FindEnumTypeByName(f"filmgate.{service}.v1.ErrorReason").values_by_name
    assert {*errors.COMMON, "ERROR_REASON_UNSPECIFIED"} <= set(reasons.keys())
    first = POOL.FindEnumTypeByName("filmgate.auth.v1.ErrorReason").values_by_name
    assert [reasons[name].number for name in errors.COMMON] == [first[name].number for name in errors.COMMON]


def test_the_edge_refuses_for_every_reason_of_its_enum_and_no_other():
    told = {row["reason"] for row in refusals.rows() if "reason" in row}
    assert told == set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


@each("method", METHODS, ids=NAMES)
def test_every_method_is_placed_in_a_policy(method):
    service = method.containing_service
    package, noun = service.file.name.split("/")[1], Path(service.file.name).stem
    policy = importlib.import_module(f"services.{package}.{noun}.api").ACCESS
    assert policy.keys() == {row.name for row in service.methods}
    kind, options = policy[method.name].kind, method.GetOptions()
    if options.HasExtension(edge_pb2.edge):
        gate = options.Extensions[edge_pb2.edge].gate
        assert kind == ("PUBLIC" if gate == edge_pb2.Edge.OPEN else "CALLER")
    else:
        assert kind in {"SERVICE", "STAFF", "CALLER"} or method.full_name in ANY_PEER


def test_no_policy_is_left_over():
    nouns = {(file.name.split("/")[1], Path(file.name).stem) for file in OURS if file.service}
    homes = {(path.parts[-3], path.parts[-2]) for path in (ROOT / "services").glob("*/*/api.py")}
    assert homes - {("auth", "check")} == nouns  # Check speaks Envoy's contract, not ours
