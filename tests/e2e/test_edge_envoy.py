"""The real Envoy with the rendered configuration, stand-ins behind it: whatever a stranger sends gets the right answer,
and nothing of his that only we may say gets through."""

import asyncio
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.service.auth.v3 import external_auth_pb2

from deploy.envoy import contracts, routes
from filmgate.generation.v1 import videos_pb2
from services.runtime import errors
from tests.support.edge import CALLER_TOKEN, CHECK, DESCRIPTORS, Edge, fail, passed

GET_VIDEO = "filmgate.generation.v1.Videos/GetVideo"
WATCH_VIDEO = "filmgate.generation.v1.Videos/WatchVideo"
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """One Envoy for all; its home has a short path for the sake of the socket in it."""
    home = Path(tempfile.mkdtemp(prefix="fg-edge-"))
    running = Edge(home, requests_per_second=10_000)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home)


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    """A stranger, with his own connection."""
    with httpx.Client(base_url=edge.url, timeout=20, trust_env=False) as asking:
        yield asking


def refused(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, gRPC code and reason of a refusal, whose shape is checked on the way."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert body.keys() == {"code", "message", "details"}
    assert len(body["message"]) > 10
    infos = [row for row in body["details"] if row["@type"] == INFO]
    assert len(infos) == 1
    assert infos[0]["domain"] == "edge.filmgate"
    assert infos[0]["metadata"]["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"], infos[0]["reason"]


# What passes.


def test_a_call_reaches_its_method_with_what_only_we_say(edge, client):
    forged = {
        "grpc-timeout": "1n",
        "grpc-encoding": "gzip",
        "Grpc-Tags": "x",
        "trace-bin": "AAAA",
        "x-filmgate-caller": "forged",
        "X-Filmgate-Address": "203.0.113.9",
        "x_filmgate_caller": "forged",
        "x-forwarded-for": "203.0.113.9",
        "x-envoy-retry-on": "5xx",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-request-id": "mine",
        "authorization": "Bearer secret",
        "cookie": "a=b",
        "te": "trailers",
    }
    answer = client.get("/v1/videos/vid_1", headers={**forged, "traceparent": "00-1-1-01", "user-agent": "me/1"})
    assert answer.status_code == 200
    call = edge.calls[-1]
    assert (call.method, call.request.id) == (GET_VIDEO, "vid_1")
    assert call.headers["x-filmgate-caller"] == CALLER_TOKEN
    assert call.headers["x-filmgate-address"] == "127.0.0.1"
    assert call.headers["x-request-id"] == answer.headers["x-request-id"] != "mine"
    assert (call.headers["user-agent"], call.headers["traceparent"]) == ("me/1", "00-1-1-01")
    gone = (
        "grpc-encoding",
        "grpc-tags",
        "trace-bin",
        "cookie",
        "authorization",
        "x_filmgate_caller",
        "x-forwarded-for",
    )
    assert not set(gone) & call.headers.keys()
    assert not [name for name in call.headers if name.startswith("x-envoy-")]
    assert 9.5 < call.seconds <= 10.5


def test_check_is_told_the_route_and_never_by_the_client(edge, client):
    client.get("/v1/videos/vid_1", headers={"authorization": "Bearer secret", "x-filmgate-caller": "forged"})
    asked = edge.checks[-1].attributes
    assert dict(asked.context_extensions) == {
        "audience": "generation",
        "method": GET_VIDEO,
        "gate": "CORE",
        "strictness": "LENIENT",
        "timeout_seconds": "10",
    }
    assert asked.request.http.headers["authorization"] == "Bearer secret"
    assert not [name for name in asked.request.http.headers if name.startswith("x-filmgate")]


def test_check_reads_the_body_only_where_a_dropped_field_could_cost_money(edge, client):
    client.post("/v1/videos", json={"model": "m"})
    assert json.loads(edge.checks[-1].attributes.request.http.raw_body) == {"model": "m"}
    client.post("/v1/videos/vid_1:cancel", json={})
    assert not edge.checks[-1].attributes.request.http.raw_body


def test_check_can_add_the_caller_and_nothing_else(edge, client):
    async def generous(_context):
        return passed({"x-filmgate-caller": "real", "x-filmgate-address": "1.1.1.1", "host": "a", "grpc-timeout": "1n"})

    with edge.script(CHECK, generous):
        assert client.get("/v1/videos/vid_1").status_code == 200
    headers = edge.calls[-1].headers
    assert (headers["x-filmgate-caller"], headers["x-filmgate-address"]) == ("real", "127.0.0.1")


def test_each_method_gets_its_own_time(edge, client):
    seconds = {method.name: method.seconds for method in contracts.methods(DESCRIPTORS)}
    client.post("/v1/videos", json={}, headers={"grpc-timeout": "99H"})
    assert edge.calls[-1].seconds == pytest.approx(seconds["filmgate.generation.v1.Videos/CreateVideo"], abs=1)
    client.get("/v1/videos/vid_1:watch")
    assert edge.calls[-1].seconds == pytest.approx(seconds[WATCH_VIDEO], abs=1)


def test_the_idempotency_key_is_handed_on(edge, client):
    client.post("/v1/videos", json={"prompt": "x"}, headers={"Idempotency-Key": "order 7731"})
    assert edge.calls[-1].headers["idempotency-key"] == "order 7731"


def test_answers_show_every_field_and_none_of_grpc(client):
    answer = client.get("/v1/videos/vid_1")
    assert answer.json()["progress_percent"] == 0
    assert answer.json()["external_id"] == ""
    assert not [name for name in answer.headers if name.startswith("grpc-")]
    assert answer.headers["server"] == "filmgate"


def test_a_stream_comes_as_server_sent_events(client):
    answer = client.get("/v1/videos/vid_1:watch?after_sequence=7")
    assert answer.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
    assert [event["sequence"] for event in events] == ["1", "2"]


def test_every_published_method_is_reached_by_its_path(edge, client):
    for method in (*contracts.methods(DESCRIPTORS), *routes.plain_methods()):
        path = method.path.replace("{id}", "x_1")
        assert "{" not in path
        body = {"content": b"{}"} if method.verb in {"POST", "PATCH"} else {}
        answer = client.request(method.verb, path, **body)
        assert answer.status_code == 200, (method.name, answer.text)
        assert edge.calls[-1].method == (f"{method.verb} {path}" if method.plain else method.name)
        assert edge.checks[-1].attributes.context_extensions["method"] == method.name


def test_no_path_is_served_by_another_method_than_check_was_asked_about(edge, client):
    chance = random.Random(1)  # noqa: S311  the same paths each time
    roots = ["videos", "files", "keys", "policies", "sessions", "codes", "account", "wallet"]
    parts = [
        *("/", ":", "//", "?", "?a=b", "x", "*", "+", ";", "=", "@", ".", "..", "{id}", "%20", "%3A", "%2F", "%2f"),
        *("watch", "cancel", "revoke", "accept", "estimate", "refresh", "send", "content", "v1", *roots),
    ]
    for _ in range(1500):
        verb = chance.choice(["GET", "POST", "DELETE", "PATCH", "HEAD", "PUT"])
        path = f"/v1/{chance.choice(roots)}" + "".join(chance.choices(parts, k=chance.randint(0, 5)))
        before = len(edge.calls), len(edge.checks)
        answer = client.request(verb, path, content=b"{}" if verb in {"POST", "PATCH"} else b"")
        assert answer.status_code < 500, (verb, path)
        if len(edge.calls) > before[0] and "." in edge.calls[-1].method:
            assert len(edge.checks) == before[1] + 1
            assert edge.checks[-1].attributes.context_extensions["method"] == edge.calls[-1].method, (verb, path)


@pytest.mark.parametrize("text", ["x" * 300, "%e4%b8%ad", "a%2Fb", "..%2f..%2fetc", "a:b", "%20", "'--", "{id}", "*"])
def test_any_readable_id_reaches_its_method(edge, client, text):
    assert client.get(f"/v1/videos/{text}").status_code == 200
    assert edge.calls[-1].method == GET_VIDEO


# What is refused.

BODIES = [
    ("half", b'{"model":', 400, 3, "BODY_INVALID"),
    ("wrong type", b'{"prompt": 5}', 400, 3, "BODY_INVALID"),
    ("no UTF-8", b'{"prompt": "\xff"}', 400, 3, "BODY_INVALID"),
    ("half a surrogate", b'{"prompt": "\\ud800"}', 400, 3, "BODY_INVALID"),
    ("too deep", b"[" * 60_000, 400, 3, "BODY_INVALID"),
    ("a list", b"[1]", 400, 3, "BODY_INVALID"),
    ("too large", b'{"prompt": "' + b"x" * 70_000 + b'"}', 413, 11, "BODY_TOO_LARGE"),
]


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/sessions:refresh"])
@pytest.mark.parametrize(("body", "expected"), [(row[1], row[2:]) for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_that_cannot_be_read_is_refused(edge, client, path, body, expected):
    before = len(edge.calls)
    if path.endswith("refresh"):
        body = body.replace(b"prompt", b"refresh_token").replace(b"model", b"refresh_token")
    assert refused(client.post(path, content=body)) == expected
    assert len(edge.calls) == before


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/sessions:refresh"])
def test_a_large_body_of_unsaid_length_is_refused(client, path):
    assert refused(client.post(path, content=(b"x" * 8000 for _ in range(20)))) == (413, 11, "BODY_TOO_LARGE")


def test_the_largest_body_passes(client):
    frame = len(b'{"prompt":""}')
    assert client.post("/v1/videos", content=b'{"prompt":"' + b"x" * (65536 - frame) + b'"}').status_code == 200


UNREADABLE = ["%ff", "%c3%28", "%c0%af", "%ed%a0%80", "%f5%80%80%80", "a%0d%0ab", "%7f", "%zz", "%"]


@pytest.mark.parametrize("text", [*UNREADABLE, "%00"])
def test_a_path_that_is_no_text_is_refused(edge, client, text):
    before = len(edge.calls), len(edge.checks)
    answer = edge.raw(f"GET /v1/videos/{text} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert _body(answer)["details"][0]["reason"] == "REQUEST_MALFORMED"
    assert (len(edge.calls), len(edge.checks)) == before


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_query_that_is_no_text_is_refused(edge, text):
    answer = edge.raw(f"GET /v1/videos?page_token={text} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("query", ["nope=1", "page_size=abc", "state=NOPE", "page_size=99999999999", "created_after=x"])
def test_a_parameter_that_does_not_fit_is_refused(client, query):
    assert refused(client.get(f"/v1/videos?{query}")) == (400, 3, "REQUEST_MALFORMED")


UNKNOWN = [
    ("GET", "/"),
    ("GET", "/v2/videos"),
    ("GET", "/v1/videos/"),
    ("GET", "/v1/videos/vid_1/"),
    ("PUT", "/v1/videos"),
    ("OPTIONS", "/v1/videos"),
    ("POST", "/v1/videos/vid_1:nope"),
    ("TRACE", "/v1/videos"),
    ("POST", "/filmgate.billing.v1.Wallets/Authorize"),
    ("POST", "/filmgate.billing.v1.Wallets/GetWallet"),
    ("POST", "/filmgate.auth.v1.Accounts/FreezeAccount"),
    ("POST", "/envoy.service.auth.v3.Authorization/Check"),
    ("POST", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
]


@pytest.mark.parametrize(("verb", "path"), UNKNOWN)
def test_what_is_not_published_does_not_exist(edge, client, verb, path):
    before = len(edge.calls), len(edge.checks)
    answer = client.request(verb, path, content=b"{}" if verb == "POST" else b"")
    assert refused(answer) == (404, 5, "METHOD_UNKNOWN")
    assert (len(edge.calls), len(edge.checks)) == before


def test_head_is_answered_only_where_there_is_content(client):
    assert client.head("/v1/videos/vid_1").status_code == 404
    assert client.head("/v1/videos/vid_1/content").status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/grpc", "application/grpc+proto", "Application/gRPC", "application/grpc-web"]
)
@pytest.mark.parametrize("path", ["/filmgate.billing.v1.Wallets/GetWallet", "/v1/videos", "/v1/files"])
def test_grpc_is_refused_in_words_that_any_client_reads(edge, client, kind, path):
    before = len(edge.calls), len(edge.checks)
    answer = client.post(path, content=b"\0\0\0\0\0", headers={"content-type": kind, "te": "trailers"})
    assert refused(answer) == (415, 3, "PROTOCOL_UNSUPPORTED")
    assert (len(edge.calls), len(edge.checks)) == before


def test_a_grpc_client_gets_no_answer_of_a_service(edge):
    before = len(edge.calls)
    with grpc.insecure_channel(f"127.0.0.1:{edge.ports.edge_port}") as channel:
        call = channel.unary_unary("/filmgate.billing.v1.Wallets/GetWallet")
        with pytest.raises(grpc.RpcError):
            call(b"", timeout=5)
    assert len(edge.calls) == before


HEADERS = [{"a": "x" * 9000}, {f"a{number}": "x" for number in range(200)}, {"authorization": "Bearer " + "x" * 40_000}]


@pytest.mark.parametrize("headers", HEADERS, ids=["long", "many", "token"])
def test_too_much_of_headers_is_refused(client, headers):
    assert refused(client.get("/v1/videos/vid_1", headers=headers)) == (431, 11, "HEADERS_TOO_LARGE")


def test_a_path_that_is_too_long_is_refused(client):
    assert refused(client.get("/v1/videos/" + "x" * 20_000)) == (431, 11, "HEADERS_TOO_LARGE")
    assert refused(client.get("/v1/videos?page_token=" + "x" * 20_000)) == (431, 11, "HEADERS_TOO_LARGE")


def test_as_much_as_the_edge_lets_through_the_services_take(edge, client):
    assert client.get("/v1/videos/vid_1", headers={"a": "x" * 3500, "b": "x" * 3500}).status_code == 200
    assert client.get("/v1/files/" + "x" * 7000 + "/content").status_code == 200


def test_bytes_that_are_no_ascii_in_a_header_harm_nobody(client):
    for name in ("idempotency-key", "authorization", "user-agent", "traceparent", "x-anything"):
        assert client.get("/v1/videos/vid_1", headers={name: b"\xff\xfe"}).status_code == 200


GARBAGE = [
    b"\x16\x03\x01\x00garbage\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /v1/videos HTTP/1.0\r\n\r\n",
    b"GET /v1/videos HTTP/1.1\r\n\r\n",
    b"GET /v1/videos HTTP/1.1\r\nHost a\r\n\r\n",
    b"GET /v1/videos HTTP/1.1\r\nHost: a\r\nFoo: a\x00b\r\n\r\n",
    b"GET /v1/videos/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/videos#part HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/videos HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/videos HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/videos HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    b"GET /v1/videos HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_http_is_refused_in_the_same_shape(edge, data):
    before = len(edge.calls)
    answer = edge.raw(data)
    assert answer.startswith(b"HTTP/1.1 4")
    body = _body(answer)
    assert (body["code"], body["details"][0]["reason"]) == (3, "REQUEST_MALFORMED")
    assert f"x-request-id: {body['details'][0]['metadata']['request_id']}\r\n".encode() in answer
    assert len(edge.calls) == before


def _body(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


# Check, and the services, when they refuse or fail.


def test_a_denial_of_check_passes_as_it_is(edge, client):
    body = '{"code":7,"message":"100%REQ(a)% \\"no\\"","details":[]}'

    async def deny(_context):
        answer = external_auth_pb2.CheckResponse()
        answer.status.code = 7
        answer.denied_response.status.code = 403
        answer.denied_response.body = body
        for key, value in {"content-type": "application/json", "retry-after": "3"}.items():
            header = answer.denied_response.headers.add().header
            header.key, header.value = key, value
        return answer

    before = len(edge.calls)
    with edge.script(CHECK, deny):
        answers = [client.get("/v1/videos/vid_1"), client.get("/v1/files/fil_1/content")]
    for answer in answers:
        assert (answer.status_code, answer.text) == (403, body)
        assert answer.headers["retry-after"] == "3"
        assert answer.headers["content-type"] == "application/json"
    assert len(edge.calls) == before


def test_without_check_nobody_passes(edge, client):
    before = len(edge.calls)
    edge.halt("auth")
    try:
        assert refused(client.get("/v1/videos/vid_1")) == (503, 14, "AUTHORISER_UNAVAILABLE")
        assert refused(client.get("/v1/prices")) == (503, 14, "AUTHORISER_UNAVAILABLE")
        assert refused(client.post("/v1/files", content=b"x")) == (503, 14, "AUTHORISER_UNAVAILABLE")
    finally:
        edge.restart("auth")
    assert len(edge.calls) == before
    assert client.get("/v1/videos/vid_1").status_code == 200


def test_check_has_half_a_second(edge, client):
    async def never(_context):
        await asyncio.Event().wait()

    with edge.script(CHECK, never):
        began = time.monotonic()
        assert refused(client.get("/v1/videos/vid_1")) == (503, 14, "AUTHORISER_UNAVAILABLE")
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(("name", "path"), [("privacy", "/v1/policies"), ("media", "/v1/files/fil_1/content")])
def test_a_service_that_is_stopped_is_said_so_and_comes_back(edge, client, name, path):
    edge.halt(name)
    try:
        assert refused(client.get(path)) == (503, 14, "SERVICE_UNAVAILABLE")
    finally:
        edge.restart(name)
    assert client.get(path).status_code == 200


def test_a_service_that_does_not_answer_is_given_up(edge, client):
    async def never(_context):
        await asyncio.Event().wait()

    with edge.script(GET_VIDEO, never):
        assert refused(client.get("/v1/videos/vid_1")) == (504, 4, "SERVICE_TIMEOUT")


@pytest.mark.parametrize("path", ["/v1/videos/vid_1", "/v1/videos/vid_1:watch"])
def test_a_refusal_of_a_service_comes_as_json_with_its_reason(edge, client, path):
    kind = errors.Kind("TOO_MANY_OPEN_VIDEOS", grpc.StatusCode.RESOURCE_EXHAUSTED, "At most {limit} at once.")

    async def refuse(context):
        await fail(kind(limit=2, retry_after=2.5), "generation.filmgate", "req_1", context)

    with edge.script(GET_VIDEO, refuse), edge.script(WATCH_VIDEO, refuse):
        answer = client.get(path)
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "code": 8,
        "message": "At most 2 at once.",
        "details": [
            {
                "@type": INFO,
                "reason": "TOO_MANY_OPEN_VIDEOS",
                "domain": "generation.filmgate",
                "metadata": {"limit": "2", "request_id": "req_1"},
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "2.500s"},
        ],
    }


def test_a_peer_without_the_right_name_is_not_trusted(edge, client):
    certs = edge.settings.certificates
    kept = {end: (certs / f"privacy.{end}").read_bytes() for end in ("crt", "key")}
    edge.halt("privacy")
    try:
        for end in kept:
            (certs / f"privacy.{end}").write_bytes((certs / f"billing.{end}").read_bytes())
        edge.restart("privacy")
        assert refused(client.get("/v1/policies")) == (503, 14, "SERVICE_UNAVAILABLE")
    finally:
        edge.halt("privacy")
        for end, content in kept.items():
            (certs / f"privacy.{end}").write_bytes(content)
        edge.restart("privacy")
    assert client.get("/v1/policies").status_code == 200


# Uploads and downloads.


def test_an_upload_goes_to_media_as_it_is(edge, client):
    picture = b"\x89PNG" + b"x" * 300_000
    headers = {"content-type": "image/png", "authorization": "Bearer secret", "x-filmgate-caller": "forged"}
    assert client.post("/v1/files", content=picture, headers=headers).text == "content"
    call = edge.calls[-1]
    assert (call.method, call.request, call.headers["Content-Type"]) == ("POST /v1/files", len(picture), "image/png")
    assert call.headers["x-filmgate-caller"] == CALLER_TOKEN
    assert not {"Authorization", "grpc-timeout"} & call.headers.keys()
    assert not edge.checks[-1].attributes.request.http.raw_body


def test_an_upload_somewhat_too_large_is_left_to_media_and_a_far_larger_one_is_cut_off(client):
    largest = 32 * 2**20
    assert client.post("/v1/files", content=b"x" * (largest + 2**20)).status_code == 200
    assert refused(client.post("/v1/files", content=b"x" * (2 * largest + 1))) == (413, 11, "BODY_TOO_LARGE")


def test_a_range_is_asked_of_media(edge, client):
    assert client.get("/v1/files/fil_1/content", headers={"range": "bytes=0-3"}).status_code == 200
    assert edge.calls[-1].headers["Range"] == "bytes=0-3"


# Browsers, the log, the limit.


def test_a_web_page_may_call(edge, client):
    before = len(edge.calls), len(edge.checks)
    asks = {"origin": "https://a.example", "access-control-request-method": "POST"}
    answer = client.options("/v1/videos", headers=asks)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "idempotency-key" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert (len(edge.calls), len(edge.checks)) == before
    answer = client.get("/v1/videos", headers={"origin": "https://a.example"})
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_the_access_log_has_no_secrets(edge, client):
    answer = client.get("/v1/videos?external_id=private", headers={"authorization": "Bearer secret"})
    line = edge.logged(answer.headers["x-request-id"])
    assert (line["request"], line["status"], line["upstream"]) == ("GET /v1/videos", 200, "generation")
    assert line["route"] == "filmgate.generation.v1.Videos/ListVideos"
    answer = client.get("/v1/people/13800138000")
    line = edge.logged(answer.headers["x-request-id"])
    assert (line["request"], line["route"], line["status"]) == (None, "unknown", 404)
    text = edge.settings.access_log.read_text()
    assert not [secret for secret in ("private", "secret", "13800138000") if secret in text]


def test_the_admin_page_is_a_private_socket(edge):
    assert edge.settings.admin_socket.stat().st_mode & 0o077 == 0


def test_an_address_that_asks_too_often_has_to_wait():
    home = Path(tempfile.mkdtemp(prefix="fg-edge-"))
    hasty = Edge(home, requests_per_second=1)
    try:
        hasty.start()
        with httpx.Client(base_url=hasty.url, trust_env=False) as client:
            answers = [client.get("/v1/videos/vid_1") for _ in range(12)]
    finally:
        hasty.stop()
        shutil.rmtree(home)
    assert answers[0].status_code == 200
    limited = [answer for answer in answers if answer.status_code == 429]
    assert len(limited) >= 5
    assert refused(limited[0]) == (429, 8, "RATE_LIMITED")
    assert limited[0].headers["retry-after"] == "1"
    assert limited[0].json()["details"][1]["retry_delay"] == "1s"


def test_the_answer_of_a_method_is_json_as_the_contract_says(edge, client):
    async def full(_context):
        return videos_pb2.Video(id="vid_1", state=videos_pb2.Video.RUNNING, progress_percent=42)

    with edge.script(GET_VIDEO, full):
        answer = client.get("/v1/videos/vid_1").json()
    assert (answer["id"], answer["state"], answer["progress_percent"]) == ("vid_1", "RUNNING", 42)
