"""The document is what the contracts, routes, policies and error catalogs say, and sound by its own rules."""

import copy
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from jsonschema import Draft202012Validator
from openapi_pydantic.v3.v3_1 import OpenAPI
from openapi_spec_validator import validate
from referencing import Registry, Resource

from deploy.envoy import contracts, refusals, routes
from deploy.openapi import reasons
from deploy.openapi.document import document
from deploy.openapi.policies import scopes
from filmgate.privacy.v1 import elements_pb2
from services.auth.check.answers import HTTP_STATUS
from services.generation.media import refusals as media
from services.runtime import errors
from services.runtime.caller import CALLER
from tests.support.cases import each

ROOT = Path(__file__).resolve().parents[4]
SET = ROOT / "gen" / "filmgate.pb"
WHOLE: dict[str, Any] = json.loads((ROOT / "gen" / "openapi.json").read_text())
SCHEMAS = WHOLE["components"]["schemas"]
POOL = descriptor_pool.Default()
PUBLISHED = [*contracts.methods(SET), *routes.plain_methods()]
RPCS = {(method.verb.lower(), method.path): method.name for method in contracts.methods(SET)}
SERVICES = ("auth", "billing", "generation", "privacy")
IN_VIDEO = {"START_DEADLINE_PASSED", "GENERATION_FAILED", "LABEL_FAILED", "VIDEO_CANCELLED"}
"""What only `Video.error` says."""
BETWEEN_SERVICES = {
    "auth": {"PEER_NOT_ALLOWED"},
    "billing": {
        "PEER_NOT_ALLOWED", "REQUEST_ID_REUSED", "REQUEST_IN_PROGRESS", "FIELD_REQUIRED", "BALANCE_TOO_LOW",
        "PRICE_ABOVE_MAX", "TOO_MANY_OPEN_VIDEOS", "WALLET_PARKED", "PRICE_UNKNOWN", "HOLD_BARRED", "HOLD_DIFFERS",
    },
    "generation": {"PEER_NOT_ALLOWED"},
    "privacy": {"PEER_NOT_ALLOWED", "REQUEST_ID_REUSED", "REQUEST_IN_PROGRESS", "NOT_FOUND", "POLICY_VERSION_EXISTS"},
    "edge": {"METHOD_UNKNOWN", "METHOD_NOT_ALLOWED"},
}  # fmt: skip
"""What no published operation answers: refusals between services or to the operator, and paths that are none."""

for _path in sorted((ROOT / "gen" / "filmgate").rglob("*_pb2.py")):
    importlib.import_module(".".join(_path.relative_to(ROOT / "gen").with_suffix("").parts))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Verb, path and operation."""
    for path, item in WHOLE["paths"].items():
        yield from ((verb, path, operation) for verb, operation in item.items())


OPERATIONS = list(operations())
NAMES = [operation["operationId"] for _, _, operation in OPERATIONS]
ofall = each(("verb", "path", "operation"), OPERATIONS, ids=NAMES)


def made() -> dict[str, Any]:
    described = descriptor_pb2.FileDescriptorSet.FromString(SET.read_bytes())
    return document(described, routes.plain_methods(), scopes(ROOT / "services"))


def test_it_is_what_the_contracts_say_today_and_the_same_each_time():
    assert json.dumps(made()) == json.dumps(made()) == json.dumps(WHOLE)


def test_two_validators_find_it_sound():
    validate(WHOLE)
    OpenAPI.model_validate(WHOLE)


@each("name", SCHEMAS)
def test_every_schema_is_json_schema(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


def _broken(change: str) -> dict[str, Any]:
    whole = copy.deepcopy(WHOLE)
    order = whole["paths"]["/v1/videos"]["post"]
    match change:
        case "a response without a description":
            del order["responses"]["200"]["description"]
        case "a parameter nowhere":
            whole["paths"]["/v1/videos/{id}"]["get"]["parameters"][0]["in"] = "nowhere"
        case "a type that is none":
            whole["components"]["schemas"]["Video"]["properties"]["id"]["type"] = "strin"
        case "an operation twice":
            order["operationId"] = "GetVideo"
        case "a path parameter that is not described":
            del whole["paths"]["/v1/videos/{id}"]["get"]["parameters"]
        case "no title":
            del whole["info"]["title"]
    return whole


@pytest.mark.parametrize(
    "change",
    [
        "a response without a description", "a parameter nowhere", "a type that is none", "an operation twice",
        "a path parameter that is not described", "no title",
    ],
)  # fmt: skip
def test_the_validators_would_see(change):
    with pytest.raises(Exception):  # noqa: B017  each library has errors of its own
        validate(_broken(change))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def test_every_reference_leads_somewhere_and_every_part_is_used():
    used = set(_references(WHOLE))
    parts = {f"#/components/{kind}/{name}" for kind in WHOLE["components"] for name in WHOLE["components"][kind]}
    assert used <= parts
    assert {name for name in parts - used if "/securitySchemes/" not in name} == set()


def test_it_has_the_edges_paths_and_no_other():
    told = {(verb.upper(), path) for verb, path, _ in OPERATIONS}
    assert told == {(method.verb, method.path) for method in PUBLISHED}
    assert len(NAMES) == len(set(NAMES)) == len(PUBLISHED)


@ofall
def test_it_says_who_may_call(verb, path, operation):
    method = next(row for row in PUBLISHED if (row.verb.lower(), row.path) == (verb, path))
    if method.gate == "OPEN":
        assert operation["security"] == []
        return
    scope = operation["x-filmgate-scope"]
    assert operation["security"] == [{"api_key": [scope]}, {"session": []}]
    if (verb, path) in RPCS:
        service, noun = POOL.FindServiceByName(method.service).file.name.split("/")[1::2]
        policy = importlib.import_module(f"services.{service}.{noun.removesuffix('.proto')}.api").ACCESS
        assert policy[method.name.partition("/")[2]] == CALLER(scope)


def test_it_says_of_medias_own_paths_who_may_call():
    from services.generation.config import MediaSettings
    from services.generation.media.app import Media
    from services.generation.media.downloads import Downloads
    from services.generation.media.reference import Reference
    from services.generation.media.uploads import Uploads

    settings: Any = MediaSettings()
    nothing: Any = None
    parts = Uploads(nothing, nothing, settings), Downloads(nothing, nothing, settings), Reference(settings.public_url)
    served = Media(*parts, nothing, settings)._routes
    told = {(verb.upper(), path): operation for verb, path, operation in OPERATIONS if (verb, path) not in RPCS}
    assert told.keys() == {(verb, path) for verb, path, _, _ in served}
    for verb, path, policy, _ in served:
        scope = told[verb, path].get("x-filmgate-scope")
        assert policy == (CALLER(scope) if scope else None)


def _reasons(operation: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    for status, answer in operation["responses"].items():
        yield from ((row["domain"], row["reason"], int(status)) for row in answer.get("x-filmgate-reasons", []))


TABLE = {(row["domain"], row["reason"]): row for row in WHOLE["x-filmgate-reasons"]}


@pytest.mark.parametrize("service", ["edge", *SERVICES])
def test_every_reason_is_in_the_table_and_where_it_may_be_answered(service):
    enum = POOL.FindEnumTypeByName(f"filmgate.{service}.v1.ErrorReason")
    names = {value.name for value in enum.values[1:]}
    assert {name for domain, name in TABLE if domain == f"{service}.filmgate"} == names
    answered = {
        name
        for _, _, operation in OPERATIONS
        for domain, name, _ in _reasons(operation)
        if domain == f"{service}.filmgate"
    }
    assert names - answered == BETWEEN_SERVICES[service] | (IN_VIDEO if service == "generation" else set())


@ofall
def test_each_refusal_stands_under_its_status_and_in_its_schema(verb, path, operation):
    for status, answer in operation["responses"].items():
        rows = answer.get("x-filmgate-reasons")
        if rows is None:
            assert int(status) < 400
            continue
        assert all(TABLE[row["domain"], row["reason"]]["status"] == int(status) for row in rows)
        assert all(f"`{row['reason']}` ({row['domain']})" in answer["description"] for row in rows)
        if verb != "head":
            contains = answer["content"]["application/json"]["schema"]["properties"]["details"]["contains"]
            assert contains["properties"]["reason"]["enum"] == sorted({row["reason"] for row in rows})


@pytest.mark.parametrize("service", SERVICES)
def test_the_comments_of_the_reasons_say_the_codes_of_the_catalogs(service):
    module = importlib.import_module(f"services.{service}.errors")
    kinds = (getattr(module, "CATALOG", None) or module.KIND).kinds
    for name, kind in {**errors.COMMON, **kinds}.items():
        assert TABLE[f"{service}.filmgate", name]["code"] == kind.code.name, name


def test_the_edges_reasons_have_the_codes_and_words_of_its_table():
    from google.rpc import code_pb2

    for row in refusals.rows():
        if "reason" in row:
            told = TABLE["edge.filmgate", row["reason"]]
            assert code_pb2.Code.Value(told["code"]) == row["code"], row["reason"]
            assert told["status"] == row.get("status", told["status"])


def test_a_code_has_one_status_wherever_it_is_answered():
    from google.rpc import code_pb2

    assert {code_pb2.Code.Name(code): status for code, status in HTTP_STATUS.items()}.items() <= reasons.STATUS.items()
    assert media._STATUS.items() <= reasons.STATUS.items()
    for name, status in media._OWN_STATUS.items():
        assert TABLE["generation.filmgate", name]["status"] == status


def _request_fields(message: Descriptor, hidden: set[str]) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in message.fields:
        behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field.name not in hidden | {"request_id"} and field_behavior_pb2.OUTPUT_ONLY not in behavior:
            yield field.name, field


def _told(operation: dict[str, Any], message: Descriptor) -> dict[str, tuple[dict[str, Any], bool]]:
    """Schema of each field of a request, and whether it is needed, wherever it stands."""
    rows = [row for row in operation.get("parameters", []) if "$ref" not in row and row["in"] != "header"]
    told = {row["name"]: (row["schema"], row.get("required", False)) for row in rows}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        schema = SCHEMAS[body["$ref"].rpartition("/")[2]]
        told |= {name: (inner, name in schema.get("required", ())) for name, inner in schema["properties"].items()}
    return told


RPC_OPERATIONS = [row for row in OPERATIONS if row[:2] in RPCS]


@each(("verb", "path", "operation"), RPC_OPERATIONS, ids=lambda row: row[2]["operationId"])
def test_every_field_of_a_request_is_there_with_its_limits_and_its_element(verb, path, operation):
    method = POOL.FindMethodByName(RPCS[verb, path].replace("/", "."))
    told = _told(operation, method.input_type)
    fields = dict(_request_fields(method.input_type, set()))
    assert told.keys() == fields.keys()
    for name, field in fields.items():
        schema, needed = told[name]
        options = field.GetOptions()
        required = field_behavior_pb2.REQUIRED in options.Extensions[field_behavior_pb2.field_behavior]
        assert needed == required, field.full_name
        element = elements_pb2.Element.Name(options.Extensions[elements_pb2.element])
        assert schema["x-filmgate-element"]["element"] == element
        _check_limits(schema, options.Extensions[elements_pb2.limits], field)


def _check_limits(schema: dict[str, Any], limits: Any, field: FieldDescriptor) -> None:
    if field.is_repeated:
        assert schema["maxItems"] == limits.max_items
        schema = schema["items"]
    for name, key in (("max_length", "maxLength"), ("minimum", "minimum"), ("maximum", "maximum")):
        if limits.HasField(name):
            assert schema[key] == getattr(limits, name), (field.full_name, name)
    if limits.HasField("min_length"):
        assert schema["minLength"] == max(1, limits.min_length), field.full_name
    if limits.pattern:
        assert f"(?:{limits.pattern})" in schema["pattern"]


@each(("verb", "path", "operation"), RPC_OPERATIONS, ids=lambda row: row[2]["operationId"])
def test_the_idempotency_key_stands_where_a_request_has_an_id(verb, path, operation):
    method = POOL.FindMethodByName(RPCS[verb, path].replace("/", "."))
    header = {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", [])
    assert header == ("request_id" in method.input_type.fields_by_name)
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    assert bool(rule.body) == ("requestBody" in operation)


def test_every_field_of_an_answer_is_explained_and_names_its_element():
    for name, schema in SCHEMAS.items():
        for key, inner in schema.get("properties", {}).items():
            if name in {"Error", "ErrorInfo", "BadRequest", "RetryInfo"}:
                continue
            assert inner["description"], (name, key)
            google = name.removesuffix("Input") in {"Money", "Date"}  # one leaf, whose element stands where it is used
            assert google or inner["x-filmgate-element"]["element"] in WHOLE["x-filmgate-elements"], (name, key)


def test_the_elements_are_told_in_words():
    values = POOL.FindEnumTypeByName("filmgate.privacy.v1.Element").values[1:]
    assert list(WHOLE["x-filmgate-elements"]) == [value.name for value in values]
    for value in values:
        rule, told = value.GetOptions().Extensions[elements_pb2.rule], WHOLE["x-filmgate-elements"][value.name]
        assert (told["sensitivity"] == "sensitive personal data") == rule.sensitive
        assert (told["sensitivity"] == "not personal data") == (rule.legal_basis == "none")
        assert told["category"] == (rule.category or "none")
        if rule.retention_days:
            assert str(rule.retention_days) in told["retention"]
        if rule.keep_days:
            assert str(rule.keep_days) in told["erasure"]


def _strict(node: Any) -> Any:
    """The schemas without room for what they do not name."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _strict(value) for key, value in node.items()}
    return {"additionalProperties": False, **made} if "properties" in made and "type" in made else made


STRICT = Registry().with_resource(
    "urn:it", Resource.from_contents({**_strict(WHOLE), "$schema": "https://json-schema.org/draft/2020-12/schema"})
)
EXAMPLES = [(name, example) for name, schema in SCHEMAS.items() for example in schema.get("examples", ())]


@each(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_fits_its_schema_and_nothing_beside_it(name, example):
    reference = {"$ref": f"urn:it#/components/schemas/{name}"}
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(reference, registry=STRICT, format_checker=checker).validate(example)


def test_every_body_and_every_resource_has_an_example():
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in OPERATIONS
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    answers = {
        content["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in OPERATIONS
        for media_type, content in operation["responses"]["200"].get("content", {}).items()
        if media_type == "application/json" and "$ref" in content["schema"]
    }
    assert bodies | answers <= {name for name, _ in EXAMPLES}


def test_a_request_that_is_shown_is_one_that_the_contract_reads():
    from google.protobuf import json_format, message_factory

    for name, example in EXAMPLES:
        if name.endswith("Request"):
            service = next(row for row in SERVICES if _message(f"filmgate.{row}.v1.{name}"))
            kind = message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"filmgate.{service}.v1.{name}"))
            json_format.ParseDict(example, kind())


def _message(name: str) -> bool:
    try:
        POOL.FindMessageTypeByName(name)
    except KeyError:
        return False
    return True


def test_it_names_no_other_host():
    hosts = set(re.findall(r"https?://([a-z0-9.-]+)", json.dumps(WHOLE)))
    assert hosts <= {"films.example"}
    assert WHOLE["servers"] == [{"url": "/"}]


def test_the_guide_leads_to_the_page():
    guide = (ROOT / "docs" / "api.md").read_text()
    assert "`/docs`" in guide
    assert "`/openapi.json`" in guide
