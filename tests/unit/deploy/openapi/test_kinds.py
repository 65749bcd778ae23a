"""The generator on forms that our contracts do not have yet, and on contracts that make no document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google.rpc
import grpc_tools
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from openapi_spec_validator import validate

from deploy.openapi.document import document
from deploy.openapi.page import page

ROOT = Path(__file__).resolve().parents[4]
KINDS = ROOT / "tests" / "support" / "kinds.proto"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Callable[[str, str], dict[str, Any]]:
    """Makes the document of kinds.proto, with one text in it replaced by another."""

    def make(old: str = "", new: str = "", scopes: dict[str, str] | None = None) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("kinds")
        text = KINDS.read_text()
        assert old in text
        (folder / "kinds.proto").write_text(text.replace(old, new) if old else text)
        google_protos = Path(google.rpc.__path__[0]).parents[1]
        builtin = Path(grpc_tools.__file__).parent / "_proto"
        search = [f"-I{path}" for path in (folder, ROOT / "protos", google_protos, builtin)]
        described = folder / "kinds.pb"
        options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={described}"]
        files = ["kinds.proto", *(f"filmgate/{name}/v1/error_reason.proto" for name in ("auth", "edge"))]
        assert protoc.main(["protoc", *search, *options, *files]) == 0
        return document(descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes()), [], scopes or {})

    return make


@pytest.fixture(scope="module")
def kinds(written) -> dict[str, Any]:
    return written()


def schema(kinds: dict[str, Any], name: str) -> dict[str, Any]:
    return kinds["components"]["schemas"][name]


def field(kinds: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    return schema(kinds, name)["properties"][key]


def test_it_is_a_document(kinds):
    validate(kinds)
    assert "<!doctype html>" in page(kinds)


def test_what_is_not_published_is_not_in_it(kinds):
    assert kinds["paths"].keys() == {"/v1/boxes", "/v1/boxes/{box.id}", "/v1/boxes/{box.id}:change", "/v1/boxes:raw"}
    assert "Hide" not in json.dumps(kinds["paths"])


def test_each_binding_is_an_operation_with_a_name_of_its_own(kinds):
    first, second = kinds["paths"]["/v1/boxes/{box.id}"]["patch"], kinds["paths"]["/v1/boxes/{box.id}:change"]["post"]
    assert (first["operationId"], second["operationId"]) == ("UpdateBox", "UpdateBox_2")


def test_a_nested_field_of_the_path_is_not_in_the_body(kinds):
    first, second = kinds["paths"]["/v1/boxes/{box.id}"]["patch"], kinds["paths"]["/v1/boxes/{box.id}:change"]["post"]
    names = [row.get("name", row.get("$ref")) for row in first["parameters"]]
    assert names == ["box.id", "mask", "#/components/parameters/IdempotencyKey"]
    body = first["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert "id" not in schema(kinds, body)["properties"]
    whole = second["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert schema(kinds, whole)["properties"].keys() == {"box", "mask"}  # a header stands for request_id
    inner = schema(kinds, whole)["properties"]["box"]["$ref"].rpartition("/")[2]
    assert "id" not in schema(kinds, inner)["properties"]
    assert "labels" in schema(kinds, inner)["properties"]


def test_a_query_names_lists_and_the_fields_of_messages(kinds):
    rows = {row["name"]: row["schema"] for row in kinds["paths"]["/v1/boxes"]["get"]["parameters"]}
    assert rows.keys() == {"stuffs", "filter.words", "filter.after"}
    assert rows["stuffs"]["items"] == {"$ref": "#/components/schemas/Box.StuffInput"}
    words = rows["filter.words"]
    assert (words["type"], words["maxItems"]) == ("array", 4)
    assert (words["items"]["minLength"], words["items"]["maxLength"]) == (1, 5)
    assert rows["filter.after"]["format"] == "date-time"


def test_a_stream_comes_as_events_and_raw_bytes_as_they_are(kinds):
    stream = kinds["paths"]["/v1/boxes"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert stream["schema"]["properties"]["data"]["contentSchema"] == {"$ref": "#/components/schemas/Box"}
    assert kinds["paths"]["/v1/boxes:raw"]["get"]["responses"]["200"]["content"].keys() == {"*/*"}


def test_what_is_sent_differs_from_what_is_answered(kinds):
    sent, answered = schema(kinds, "BoxInput"), schema(kinds, "Box")
    assert "create_time" not in sent["properties"]
    assert answered["properties"]["create_time"]["readOnly"] is True
    assert answered["properties"]["id"]["readOnly"] is True
    assert sent["properties"]["secret"]["writeOnly"] is True
    assert sent["required"] == ["stuff", "uses", "corners"]
    always = {"id", "labels", "boxes", "stuff", "picture", "secret", "places", "uses", "corners"}
    assert set(answered["required"]) == always  # messages and oneofs are left out when they are not there
    assert sent["additionalProperties"] is False
    assert "additionalProperties" not in answered


def test_of_a_oneof_one_is_given(kinds):
    assert schema(kinds, "BoxInput")["not"] == {"anyOf": [{"required": ["round", "square"]}]}


def test_values_have_the_forms_of_json(kinds):
    assert field(kinds, "Box", "labels")["additionalProperties"] == {"type": "string"}
    labels = field(kinds, "BoxInput", "labels")
    assert (labels["maxProperties"], labels["additionalProperties"]["maxLength"]) == (3, 9)
    assert field(kinds, "Box", "boxes")["items"] == {"$ref": "#/components/schemas/Box"}
    assert field(kinds, "Box", "square")["type"] == "string"
    square = field(kinds, "BoxInput", "square")
    assert (square["type"], square["minimum"], square["maximum"]) == (["string", "integer"], 1, 500)
    assert field(kinds, "BoxInput", "uses")["minimum"] == 1  # zero is how the absent looks
    assert (field(kinds, "BoxInput", "corners")["minimum"], field(kinds, "BoxInput", "corners")["maximum"]) == (1, 8)
    assert schema(kinds, "Box.Stuff")["enum"] == ["STUFF_UNSPECIFIED", "WOOD"]
    assert schema(kinds, "Box.StuffInput")["enum"] == ["WOOD"]
    assert field(kinds, "Box", "life")["pattern"].endswith("s$")
    assert field(kinds, "Box", "weight")["type"] == ["number", "null"]
    assert field(kinds, "Box", "picture")["contentEncoding"] == "base64"
    assert field(kinds, "Box", "places")["items"]["type"] == "number"


def test_refusals_follow_from_the_method(kinds):
    listed = {
        row["reason"]
        for answer in kinds["paths"]["/v1/boxes"]["get"]["responses"].values()
        for row in answer.get("x-filmgate-reasons", [])
    }
    assert {"FULL", "FIELD_INVALID", "REQUEST_MALFORMED", "INTERNAL"} <= listed
    assert not {"TOKEN_INVALID", "FIELD_REQUIRED", "REQUEST_ID_REUSED"} & listed
    assert "Refuses" not in json.dumps(kinds["paths"]["/v1/boxes"]["get"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Refuses with FULL.", "Refuses with FULL and more.", "say once"),
        ("Refuses with FULL.", "Refuses with EMPTY.", "no reason EMPTY"),
        ("// RESOURCE_EXHAUSTED. No room.", "// No room.", "must begin with its code"),
        ('get: "/v1/boxes:raw"', 'get: "/v1/boxes"', "two methods"),
        ('patch: "/v1/boxes/{box.id}"', 'patch: "/v1/{box.id=boxes/*}"', "one segment"),
        ('patch: "/v1/boxes/{box.id}"', 'patch: "/v1/boxes/{box.nothing}"', "no field"),
        ('body: "box"', 'body: "mask2"', "no message mask2"),
        ("gate: OPEN", "gate: CORE", "does not go with the scope"),
    ],
)
def test_a_contract_that_cannot_be_told_is_refused(written, old, new, words):
    with pytest.raises(ValueError, match=words):
        written(old, new)
