"""The whole suite from outside: every method asks who calls, and nothing that a stranger writes is our fault."""

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from deploy.envoy import contracts, routes
from deploy.local.client import Client
from deploy.local.suite import Suite
from tests.support.edge import DESCRIPTORS

PUBLISHED = [*contracts.methods(DESCRIPTORS), *routes.plain_methods()]
NATIVE = [method for method in PUBLISHED if not method.plain and not method.streaming]
PUBLIC_NAMES = {method.name for method in PUBLISHED}
TEXTS = [
    "",
    "x",
    "\0",
    "\u202e\U0001f600é",
    "'; --",
    "x" * 3000,
    "../../etc",
    "vid_" + "0" * 26,
    "null",
    "-1",
    "２",
    "%ff",
]
NUMBERS = [0, 1, -1, 2**31, -(2**31), 2**63, 10**30, 0.5, 1e308, "NaN", "Infinity", "7", True]
OTHERS = [None, [], {}, [[]], {"x": 1}, "text", 5, False]
TIMES = ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "yesterday", "", 5]
TRIES = 60
# Requests that are right but for a price that nothing has, so that a fault in one field reaches the method itself.
ORDER = {
    "model": "animatic",
    "prompt": "a quiet sea",
    "resolution": "480p",
    "duration_seconds": 2,
    "max_price": {"currency_code": "CNY", "nanos": 1000},
}
NEARLY = {
    "CreateVideo": ORDER,
    "EstimateVideo": ORDER,
    "SendCode": {"channel": "PHONE", "target": "+8613900000000", "purpose": "LOGIN"},
    "CreateSession": {"flow_id": "flw_" + "0" * 26, "code": "000000"},
    "Register": {"flow_id": "flw_" + "0" * 26, "code": "000000", "birth_date": {"year": 1990, "month": 1, "day": 1}},
    "CreateKey": {"display_name": "name"},
    "AcceptPolicy": {"version": 1, "sha256": "0" * 64, "language": "en"},
    "RefreshSession": {"refresh_token": "fgr_" + "0" * 43},
}


def _all_methods() -> Iterator[str]:
    pool = descriptor_pool.Default()
    for name in ("auth", "billing", "generation", "privacy"):
        for file in sorted(method.name for method in PUBLISHED):
            if file.startswith(f"filmgate.{name}.") and not file.endswith(
                ("UploadFile", "DownloadFile", "DownloadVideo", "GetPage", "GetPagePart", "GetDocument")
            ):
                service = pool.FindServiceByName(file.partition("/")[0])
                yield from (f"{service.full_name}/{method.name}" for method in service.methods)


@pytest.mark.parametrize("method", PUBLISHED, ids=lambda method: f"{method.verb} {method.path}")
async def test_whoever_calls_is_asked_who_he_is(guest, method):
    body = {"content": b"{}"} if method.verb in {"POST", "PATCH"} else {}
    answer = await guest.http.request(method.verb, method.path.replace("{id}", "x"), **body)
    if method.gate == "OPEN":
        assert answer.status_code in {200, 400, 404}
    else:
        assert answer.status_code == 401
        assert method.verb == "HEAD" or answer.json()["code"] == 16


@pytest.mark.parametrize("method", sorted(set(_all_methods())))
async def test_behind_the_edge_too_whoever_calls_is_asked_who_he_is(suite, method):
    """With the edge's own certificate and no caller token: what is not public is refused."""
    certs = suite.home / "certs"
    pem = [(certs / file).read_bytes() for file in ("ca.crt", "edge.key", "edge.crt")]
    service = method.split(".")[1]
    options = [("grpc.ssl_target_name_override", service)]
    address = f"127.0.0.1:{suite.ports.of(service)}"
    async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*pem), options) as channel:
        call, code = channel.unary_stream(f"/{method}")(b"", timeout=5), grpc.StatusCode.OK
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            code = error.code()
    gates = {row.name: row.gate for row in PUBLISHED}
    if gates.get(method) == "OPEN":
        assert code in {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    else:
        assert code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@pytest.mark.parametrize("method", sorted(set(_all_methods())))
async def test_no_method_is_reached_by_its_grpc_name(customer, method):
    answer = await customer.http.post(f"/{method}", content=b"{}", headers=_bearer(customer))
    assert (answer.status_code, answer.json()["code"]) == (404, 5)


@pytest.mark.parametrize("method", NATIVE, ids=lambda method: method.name)
async def test_nothing_that_is_written_into_a_request_is_a_fault_of_ours(customer, method):
    chance = random.Random(method.name)  # noqa: S311  the same requests each time
    message = descriptor_pool.Default().FindMethodByName(method.name.replace("/", ".")).input_type
    for _ in range(TRIES):
        path, query, body = method.path, [], None
        if "{id}" in path:
            path = path.replace(
                "{id}", chance.choice(["x", "vid_" + "0" * 26, "x" * 300, "%e4%b8%ad", "a%2Fb", "%20", "'"])
            )
        if method.verb in {"POST", "PATCH"}:
            body = json.dumps(_body(method.name.partition("/")[2], message, chance)).encode()
        else:
            fields = [field for field in message.fields if field.name != "id" and field.message_type is None]
            query = [
                (field.name, str(chance.choice(TEXTS[:11] + NUMBERS))) for field in fields if chance.random() < 0.5
            ]
        answer = await customer.http.request(
            method.verb, path, params=query or None, content=body, headers=_bearer(customer)
        )
        assert answer.status_code < 500, (method.verb, path, query, body, answer.text)
        if answer.is_error and answer.status_code != 431:
            details = answer.json()["details"]
            assert len([row for row in details if row["@type"].endswith("ErrorInfo")]) == 1, (body, answer.text)


def _body(method: str, message: Descriptor, chance: random.Random) -> dict[str, Any]:
    """Wild, of the right types, or right but for a field or two."""
    style = chance.choice(["wild", "typed", "near", "near"])
    if style != "near":
        return _object(message, chance, 0.3 if style == "wild" else 0.0)
    fields = chance.sample(list(message.fields), min(len(message.fields), chance.choice([0, 1, 1, 2])))
    return NEARLY.get(method, {}) | {field.name: _value(field, chance, 0.1) for field in fields if field.name != "id"}


def _object(message: Descriptor, chance: random.Random, wild: float) -> dict[str, Any]:
    """A JSON object with some of a message's fields; `wild` is the share of values of another type."""
    names = [field for field in message.fields if field.name != "id" or chance.random() < wild]
    return {field.name: _value(field, chance, wild) for field in names if chance.random() < 0.6}


def _value(field: FieldDescriptor, chance: random.Random, wild: float) -> Any:
    if chance.random() < wild:
        return chance.choice(OTHERS)
    if field.is_repeated:
        return [_one(field, chance, wild) for _ in range(chance.choice([0, 1, 2, 50]))]
    return _one(field, chance, wild)


def _one(field: FieldDescriptor, chance: random.Random, wild: float) -> Any:
    if field.message_type is not None:
        known = field.message_type.full_name.startswith("google.protobuf.")
        return chance.choice(TIMES) if known else _object(field.message_type, chance, wild)
    if field.enum_type is not None:
        return chance.choice([*field.enum_type.values_by_name, 99, -1, *(["NOPE"] if wild else [])])
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(TEXTS)
    whole = field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
    return chance.choice(NUMBERS if wild else [0, 1, -1, 7, 2**31 - 1, -(2**31)] if whole else [0, 0.5, -1e308, "NaN"])


def _bearer(client: Client) -> dict[str, str]:
    return {"authorization": f"Bearer {client.session}"}


async def test_what_the_edge_is_told_by_a_service_says_the_same_request_id(customer, suite: Suite):
    answer = await customer.http.get("/v1/videos/vid_x", headers=_bearer(customer))
    assert answer.status_code == 404
    assert answer.json()["details"][0]["metadata"]["request_id"] == answer.headers["x-request-id"]
    assert len(answer.headers.get_list("x-request-id")) == 1


PLAIN = ["/docs", "/docs/x.js", "/openapi.json", "/v1/files/x/content", "/v1/videos/x/content"]
STRANGE = [
    {"content-encoding": "gzip"},
    {"content-encoding": "br"},
    {"expect": "200-ok"},
    {"sec-websocket-key1": "x"},
    {"upgrade": "websocket", "connection": "upgrade"},
    {"range": "bytes=9-1", "if-range": "\u00ff".encode()},
    {"accept-encoding": "gzip;q=x, \u00ff".encode()},
    {"a": "x" * 7500},
]


@pytest.mark.parametrize("path", PLAIN)
async def test_nothing_that_a_stranger_sends_is_a_fault_of_media(guest, path):
    """S3: each answer is that of the path, or a refusal in the one shape."""
    for headers in STRANGE:
        for body in (b"", b"no gzip", gzip.compress(bytes(1_000_000))):
            answer = await guest.http.request("GET", path, content=body, headers=headers)
            assert answer.status_code < 500, (headers, answer.text)
            if answer.is_error:
                _shape(answer)
            if body:
                assert answer.status_code in {400, 431}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_an_encoded_upload_is_refused_before_anybody_is_asked(customer, coding):
    for credential in ("x", customer.credential):
        headers = {"authorization": f"Bearer {credential}", "content-encoding": coding}
        answer = await customer.http.post("/v1/files", content=gzip.compress(bytes(1_000_000)), headers=headers)
        assert (answer.status_code, _shape(answer)) == (415, "CONTENT_ENCODING_UNSUPPORTED")


def _shape(answer) -> str:
    """The reason of a refusal, whose shape is checked on the way."""
    status = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    (info,) = (row for row in status["details"] if row["@type"].endswith("google.rpc.ErrorInfo"))
    assert info["metadata"]["request_id"] == answer.headers["x-request-id"]
    return str(info["reason"])
