"""Who may knock at media's door."""

import asyncio
import ssl

import httpx
import pytest

from deploy.envoy import routes
from services.generation.files.tables import FileRow
from services.runtime import caller, ids
from tests.support import generation, rpc, uploads
from tests.support.uploads import picture


def reason(answer):
    return next(row["reason"] for row in answer.json()["details"] if "reason" in row)


@pytest.mark.parametrize("peer", ["generation", "billing", "worker", "operator", "media"])
async def test_only_the_edge_is_let_in(gate, peer):
    async with gate.client(peer) as other:
        answer = await other.post("/v1/files", content=picture(), headers=gate.customer())
        assert (answer.status_code, reason(answer)) == (403, "PEER_NOT_ALLOWED")
        assert (await other.get("/v1/nothing")).status_code == 403


async def test_another_authority_is_let_nowhere(gate):
    async with gate.client("edge", "other") as stranger:
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            await stranger.get("/v1/files/fil_1/content", headers=gate.customer())


@pytest.mark.parametrize(
    "headers",
    [{}, {caller.HEADER: ""}, {caller.HEADER: "forged"}, {caller.HEADER: "a.b.c"}, {"authorization": "Bearer x"}],
)
async def test_without_a_callers_token_nothing_is_served(gate, headers):
    async with gate.client() as edge:
        for answer in (
            await edge.post("/v1/files", content=picture(), headers=headers),
            await edge.get("/v1/files/fil_1/content", headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"], reason(answer)) == (401, 16, "TOKEN_INVALID")


async def test_a_token_of_another_service_or_of_yesterday_is_refused(gate, clock):
    async with gate.client() as edge:
        other = {caller.HEADER: rpc.caller_token("billing")}
        old = {caller.HEADER: rpc.caller_token("generation", lifetime_seconds=-1)}
        assert reason(await edge.get("/v1/files/fil_1/content", headers=other)) == "TOKEN_INVALID"
        assert reason(await edge.get("/v1/files/fil_1/content", headers=old)) == "TOKEN_EXPIRED"


async def test_two_tokens_are_none(gate):
    async with gate.client() as edge:
        token = rpc.caller_token("generation")
        answer = await edge.get("/v1/files/fil_1/content", headers=[(caller.HEADER, token), (caller.HEADER, token)])
        assert reason(answer) == "TOKEN_INVALID"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/files"),
        ("PUT", "/v1/files"),
        ("POST", "/v1/videos/vid_1/content"),
        ("GET", "/metrics"),
    ],
)
async def test_another_path_is_not_found(gate, edge, verb, path):
    answer = await edge.request(verb, path)
    assert (answer.status_code, answer.json()["code"], reason(answer)) == (404, 5, "NOT_FOUND")
    assert answer.headers["x-request-id"] == "req_of_the_edge"


async def test_a_strangers_request_id_is_not_taken(gate):
    async with gate.client("generation") as other:
        answer = await other.get("/v1/files", headers={caller.REQUEST_ID: "mine"})
        assert answer.headers["x-request-id"] != "mine"
    async with gate.client() as edge:
        answer = await edge.get("/v1/files", headers={caller.REQUEST_ID: "two words"})
        assert answer.headers["x-request-id"].startswith("req_")


async def test_another_organizations_content_does_not_exist(gate, edge):
    file = (await edge.post("/v1/files", content=picture())).json()
    theirs = gate.customer(organization=ids.new("org"), project=ids.new("prj"), account=ids.new("acc"))
    answer = await edge.get(f"/v1/files/{file['id']}/content", headers=theirs)
    assert (answer.status_code, answer.json()["code"], reason(answer)) == (404, 5, "NOT_FOUND")


async def test_a_stopped_generation_service_is_said(gate, edge):
    await gate.house.stop()
    answer = await edge.get("/v1/files/fil_1/content")
    assert (answer.status_code, answer.json()["code"], reason(answer)) == (503, 14, "PEER_UNAVAILABLE")


async def test_the_edge_tells_check_the_scope_that_media_asks_for(gate):
    """A token bears the scope that stands in the edge's table of plain routes; media has a table of its own."""
    guarded = [route for route in routes.plain_methods() if route.gate != "OPEN"]
    assert guarded
    async with gate.client() as edge:
        for route in guarded:
            path, others = route.path.replace("{id}", "fil_1"), [scope for scope in rpc.SCOPES if scope != route.scope]
            for scopes, refused in (((route.scope,), False), (others, True)):
                answer = await edge.request(route.verb, path, headers=gate.customer(scopes=scopes))
                assert (answer.status_code == 403) is refused, (route.name, scopes)


async def test_an_upload_goes_on_when_the_token_that_began_it_ends(postgres, clock, tmp_path, profile):
    async with (
        generation.house(postgres, clock, tmp_path, profile, tokens=clock) as house,
        uploads.gate(house, tokens=clock) as gate,
        gate.client() as edge,
    ):
        mine, body = gate.customer(clock=clock, lifetime_seconds=30), picture()
        slow = await gate.begin({**mine, "content-length": str(len(body))}, body[:-1])
        async with asyncio.timeout(60):
            while not await house.rows(FileRow):
                await asyncio.sleep(0)
        clock.advance(31)
        slow.writer.write(body[-1:])
        status, file = await slow.answer()
        assert (status, file["state"]) == (200, "READY")
        late = await edge.get(f"/v1/files/{file['id']}/content", headers=mine)
        assert (late.status_code, reason(late)) == (401, "TOKEN_EXPIRED")
