"""What aiohttp does before and behind media's handlers: nothing is decoded, and every answer has the one shape (S3)."""

import gzip
import json
import zlib

import pytest
from aiohttp import web

from services.generation.config import MediaSettings
from services.generation.media import server
from tests.support import rpc, uploads

MEBIBYTE = 2**20


def shape(headers, body) -> str:
    """The reason of a refusal, whose shape is checked on the way."""
    status = json.loads(body)
    assert headers["content-type"].startswith("application/json")
    assert status.keys() == {"code", "message", "details"}
    (info,) = (row for row in status["details"] if row["@type"].endswith("google.rpc.ErrorInfo"))
    assert info["metadata"]["request_id"] == headers["x-request-id"]
    return info["reason"]


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: media", *headers, "", ""]).encode()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """1 MiB of gzip that stands for 1 GiB of zeros; its one block, repeated, with no end."""
    packer = zlib.compressobj(wbits=31)
    first, again = (packer.compress(bytes(MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    packed = first + again * 1030
    assert MEBIBYTE <= len(packed) < 1.1 * MEBIBYTE
    return packed


async def test_a_bomb_is_read_as_it_was_sent(house, bomb):
    """1 MiB of gzip stands for 1 GiB; the handler sees the bytes that came over the wire, and no more."""
    seen = []

    async def count(request: web.Request) -> web.Response:
        seen.append(sum([len(chunk) async for chunk in request.content.iter_any()]))
        return web.Response()

    application = web.Application(client_max_size=0)
    application.router.add_post("/", count)
    settings = rpc.settings("media", MediaSettings, generation_address="127.0.0.1:1", media_port=0)
    serving = server.Server(application, settings)
    await serving.start()
    try:
        asked = uploads.Gate(house, settings, serving.port)
        for coding in ("gzip", "deflate", "br", "zstd"):
            async with asked.client() as client:
                answer = await client.post("/", content=bomb, headers={"content-encoding": coding})
            assert answer.status_code == 200
    finally:
        await serving.drain(1)
    assert seen == [len(bomb)] * 4


async def test_an_encoded_upload_is_refused_and_nothing_stays(gate, edge):
    for coding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x"):
        for body in (b"no gzip", gzip.compress(bytes(100_000)), zlib.compress(bytes(100_000))):
            answer = await edge.post("/v1/files", content=body, headers={"content-encoding": coding})
            assert (answer.status_code, shape(answer.headers, answer.content)) == (400, "UPLOAD_MALFORMED"), coding
    assert await gate.left() == (0, [])


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_an_encoded_body_where_none_belongs_harms_nothing(edge, verb):
    for path in ("/docs", "/docs/x.js", "/openapi.json", "/v1/files/x/content", "/v1/videos/x/content"):
        for coding in ("gzip", "deflate", "br", "zstd"):
            answer = await edge.request(verb, path, content=b"no gzip", headers={"content-encoding": coding})
            assert answer.status_code in {200, 404}, (path, coding)
            if answer.status_code == 404 and verb == "GET":
                assert shape(answer.headers, answer.content) == "NOT_FOUND"


UNREADABLE = [
    b"\x16\x03\x01\x00garbage\r\n\r\n",
    head("GET /docs", "Sec-WebSocket-Key1: x"),
    head("GET /docs", "Content-Length: -5"),
    head("GET /docs", "Content-Length: 5", "Transfer-Encoding: chunked"),
    head("GET /docs", "Transfer-Encoding: gzip"),
    head("GET /docs", "no colon"),
    head("GET /docs", "a: b\x01c"),
    head("GET /docs", "a: " + "x" * 9000),
    head("GET /docs", *(f"a{number}: x" for number in range(200))),
    head("GET /" + "x" * 9000),
    b"GET /docs HTTP/9.9\r\n\r\n",
    b"GET\r\n\r\n",
]


async def test_what_aiohttp_refuses_by_itself_has_the_one_shape(gate):
    for data in UNREADABLE:
        status, headers, body = await gate.raw(data)
        assert (status, shape(headers, body)) == (400, "FIELD_INVALID"), data[:60]
        assert b"xxxx" not in body


STRANGE = [
    (head("OPTIONS *"), {404}),
    (head("CONNECT a:1"), {404}),
    (head("GET /docs", "Expect: 200-ok"), {200}),
    (head("GET /docs/x.js", "Expect: 200-ok"), {404}),
    (head("GET /docs", "Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Key: x"), {200}),
    (head("GET /docs/x.js", "Upgrade: h2c", "Connection: upgrade, http2-settings", "HTTP2-Settings: AA"), {404}),
    (head("GET /docs/x.js", "Transfer-Encoding: chunked") + b"zz\r\n", {400, 404}),
    (head("POST /v1/files", "Transfer-Encoding: chunked") + b"zz\r\n", {400, 401}),
]


async def test_expectations_upgrades_and_strange_targets_get_our_answer(gate):
    for data, statuses in STRANGE:
        status, headers, body = await gate.raw(data)
        assert status in statuses, data[:60]
        if status != 200:
            assert shape(headers, body)


async def test_a_broken_chunk_of_an_upload_is_the_clients_fault(gate):
    head_lines = (f"{name}: {value}" for name, value in gate.customer().items())
    broken = head("POST /v1/files", "Transfer-Encoding: chunked", *head_lines) + b"3\r\nabc\r\nzz\r\n"
    status, headers, body = await gate.raw(broken)
    assert (status, shape(headers, body)) in {(400, "FIELD_INVALID"), (400, "UPLOAD_MALFORMED")}
    assert await gate.left() == (0, [])


async def test_who_waits_for_100_continue_gets_it(gate):
    lines = (f"{name}: {value}" for name, value in gate.customer().items())
    status, _, _ = await gate.raw(head("POST /v1/files", "Expect: 100-continue", "Content-Length: 9", *lines))
    assert status == 100
