"""What the edge lets through, how it arrives, and what it looks like on the way back."""

import json
import random

import pytest

from deploy.envoy import contracts, routes
from filmgate.generation.v1 import videos_pb2
from tests.support.edge import CALLER_TOKEN, CHECK, DESCRIPTORS, GET_VIDEO, WATCH_VIDEO, passed


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
    assert call.headers["user-agent"] == "me/1"
    assert "traceparent" not in call.headers, "a trace begins at the edge"
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
        "scope": "video.read",
    }
    assert asked.request.http.headers["authorization"] == "Bearer secret"
    assert not [name for name in asked.request.http.headers if name.startswith("x-filmgate")]


def test_check_reads_every_json_body_and_no_upload(edge, client):
    for path in ("/v1/videos", "/v1/videos/vid_1:cancel", "/v1/sessions:refresh"):
        client.post(path, json={"model": "m"})
        assert json.loads(edge.checks[-1].attributes.request.http.raw_body) == {"model": "m"}
    client.post("/v1/files", content=b"bytes")
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
        path = method.path.replace("{id}", "x_1").replace("{file}", "page.css")
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


def test_the_answer_of_a_method_is_json_as_the_contract_says(edge, client):
    async def full(_context):
        return videos_pb2.Video(id="vid_1", state=videos_pb2.Video.RUNNING, progress_percent=42)

    with edge.script(GET_VIDEO, full):
        answer = client.get("/v1/videos/vid_1").json()
    assert (answer["id"], answer["state"], answer["progress_percent"]) == ("vid_1", "RUNNING", 42)


def test_an_upload_goes_to_media_as_it_is(edge, client):
    picture = b"\x89PNG" + b"x" * 300_000
    headers = {"content-type": "image/png", "authorization": "Bearer secret", "x-filmgate-caller": "forged"}
    assert client.post("/v1/files", content=picture, headers=headers).text == "content"
    call = edge.calls[-1]
    assert (call.method, call.request, call.headers["Content-Type"]) == ("POST /v1/files", len(picture), "image/png")
    assert call.headers["x-filmgate-caller"] == CALLER_TOKEN
    assert not {"Authorization", "grpc-timeout"} & call.headers.keys()
    assert not edge.checks[-1].attributes.request.http.raw_body


def test_a_range_is_asked_of_media(edge, client):
    assert client.get("/v1/files/fil_1/content", headers={"range": "bytes=0-3"}).status_code == 200
    assert edge.calls[-1].headers["Range"] == "bytes=0-3"


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
    for path in ("/v1/keys/fg_live_u_mistaken", "/v1/files/13900139000/content", "/v1/videos/fgs_mistaken:watch"):
        line = edge.logged(client.get(path).headers["x-request-id"])
        assert line["request"].strip() == "GET"
        assert line["route"].startswith("filmgate.")
    for path in ("/v1/videos/vid_01M8023NG6FJ3VFHSDJ7XY2FY7", "/v1/videos/vid_01M8023NG6FJ3VFHSDJ7XY2FY7/content"):
        assert edge.logged(client.get(path).headers["x-request-id"])["request"] == f"GET {path}"
    text = edge.settings.access_log.read_text()
    words = ("private", "secret", "13800138000", "13900139000", "mistaken")
    assert not [word for word in words if word in text]


def test_the_admin_page_is_a_private_socket(edge):
    assert edge.settings.admin_socket.stat().st_mode & 0o077 == 0
