"""The edge when Check or a service refuses, is stopped, or does not answer; and when one client asks too much."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.service.auth.v3 import external_auth_pb2

from services.runtime import errors
from tests.support.edge import CHECK, GET_VIDEO, INFO, WATCH_VIDEO, Edge, fail, refused
from tests.support.pace import in_proportion


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
        assert refused(client.get("/v1/videos/vid_1")) == (503, 14, "AUTHORIZER_UNAVAILABLE")
        assert refused(client.get("/v1/prices")) == (503, 14, "AUTHORIZER_UNAVAILABLE")
        assert refused(client.post("/v1/files", content=b"x")) == (503, 14, "AUTHORIZER_UNAVAILABLE")
    finally:
        edge.restart("auth")
    assert len(edge.calls) == before
    assert client.get("/v1/videos/vid_1").status_code == 200


def test_check_has_half_a_second(edge, client):
    async def never(_context):
        await asyncio.Event().wait()

    with edge.script(CHECK, never):
        began = time.monotonic()
        assert refused(client.get("/v1/videos/vid_1")) == (503, 14, "AUTHORIZER_UNAVAILABLE")
        assert time.monotonic() - began < in_proportion(2)


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


def test_what_a_server_that_ends_did_not_begin_is_tried_again(edge, client):
    tries = []

    async def end(context):
        tries.append(context)
        if len(tries) == 1:
            await context.abort(grpc.StatusCode.CANCELLED)

    with edge.script(GET_VIDEO, end):
        answer = client.get("/v1/videos/vid_1")
    assert (answer.status_code, len(tries)) == (200, 2)


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
