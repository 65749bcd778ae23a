"""Bodies where none belongs, encoded bodies, and headers that an HTTP library behind the edge would act on (S3)."""

import contextlib
import gzip
import socket
import time
from concurrent import futures

import httpx
import pytest

from tests.support.edge import Edge, refused
from tests.support.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, fields, frame
from tests.support.pace import in_proportion
from tests.support.waiting import until

MEBIBYTE = 2**20
BODY_REFUSED = (400, 3, "REQUEST_MALFORMED")
PLAIN = ["/v1/files/fil_1/content", "/v1/videos/vid_1/content", "/docs", "/docs/x.js", "/openapi.json"]
READ = ["/v1/videos/vid_1", *PLAIN]


@pytest.mark.parametrize("path", [*READ, "/v1/nothing"])
def test_a_get_with_a_body_is_refused_and_goes_no_further(edge, client, path):
    before = len(edge.calls), len(edge.checks)
    for size in (1, 64 * 1024, MEBIBYTE):
        answer = client.request("GET", path, content=b"x" * size)
        assert refused(answer) == BODY_REFUSED
        assert "no body" in answer.json()["message"]
    assert client.request("HEAD", path, content=b"x").status_code == 400
    assert (len(edge.calls), len(edge.checks)) == before


def test_a_get_with_an_empty_body_is_a_get(edge, client):
    for path in READ:
        assert client.get(path, headers={"content-length": "0"}).status_code == 200
        assert client.request("GET", path, content=iter([])).status_code == 200
    assert edge.calls[-1].request == 0


@pytest.mark.parametrize("path", READ)
def test_a_get_with_chunks_is_refused(edge, client, path):
    """What the headers do not announce ends in a filter: at most one byte of it goes on."""
    before = len(edge.calls)
    assert refused(client.request("GET", path, content=iter([b"x" * 2]))) == BODY_REFUSED
    assert refused(client.request("GET", path, content=iter([b"x" * 8192] * 16))) == BODY_REFUSED
    assert [call for call in edge.calls[before:] if call.request] == []


async def test_a_get_whose_body_comes_late_is_refused_alike(edge, client):
    """The transcoder makes a GET its service's POST: a body that came after the headers once was 413."""
    for path, cluster in (("/v1/videos/vid_1", "generation"), ("/openapi.json", "pages")):
        before = len(edge.calls)
        with socket.create_connection(("127.0.0.1", edge.ports.edge_port), timeout=20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            await until(lambda name=cluster: _called(edge, name), what="headers that have passed the edge")
            connection.sendall(b"2\r\nxx\r\n")
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"A GET or HEAD request has no body here." in answer
        assert [call for call in edge.calls[before:] if call.request] == []


def _called(edge: Edge, cluster: str) -> bool:
    """Whether a cluster has a call that has not ended."""
    transport = httpx.HTTPTransport(uds=str(edge.settings.admin_socket))
    with httpx.Client(transport=transport, base_url="http://admin") as admin:
        text = admin.get("/stats", params={"filter": f"^cluster.{cluster}.upstream_rq_active$"}).text
    return int(text.rpartition(" ")[2]) > 0


def test_a_get_with_a_body_of_http_2_is_refused(edge):
    """HTTP/2 needs no header for a body, so no route can see it."""
    before = len(edge.calls)
    asked = frame(HEADERS, END_HEADERS, 1, fields("GET", "/docs/x.js")) + frame(DATA, END_STREAM, 1, b"ab")
    sent = PREFACE + frame(SETTINGS, 0, 0, b"") + asked
    with socket.create_connection(("127.0.0.1", edge.ports.edge_port), timeout=20) as connection:
        connection.sendall(sent)
        answer = b""
        while b"REQUEST_MALFORMED" not in answer and (piece := connection.recv(65536)):
            answer += piece
    assert b"A GET or HEAD request has no body here." in answer
    assert [call for call in edge.calls[before:] if call.request] == []


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", "x"])
@pytest.mark.parametrize("path", ["/v1/files", "/v1/videos", "/v1/codes:send"])
def test_an_encoded_body_is_refused_in_words(edge, client, path, coding):
    before = len(edge.calls), len(edge.checks)
    answer = client.post(path, content=gzip.compress(b"{}"), headers={"content-encoding": coding})
    assert refused(answer) == (415, 3, "CONTENT_ENCODING_UNSUPPORTED")
    assert answer.headers["accept-encoding"] == "identity"
    assert (len(edge.calls), len(edge.checks)) == before


def test_a_bomb_costs_nobody_anything(edge, client):
    bomb = gzip.compress(bytes(64 * MEBIBYTE))
    before = len(edge.calls), len(edge.checks)
    encoded = {"content-encoding": "gzip"}
    answer = client.post("/v1/files", content=bomb, headers=encoded)
    assert refused(answer) == (415, 3, "CONTENT_ENCODING_UNSUPPORTED")
    assert refused(client.request("GET", "/docs/x.js", content=bomb, headers=encoded)) == BODY_REFUSED
    assert (len(edge.calls), len(edge.checks)) == before


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_that_says_it_is_not_encoded_passes(edge, client, coding):
    assert client.post("/v1/files", content=b"abc", headers={"content-encoding": coding}).status_code == 200
    assert (edge.calls[-1].request, "Content-Encoding" in edge.calls[-1].headers) == (3, False)
    assert client.post("/v1/videos", json={}, headers={"content-encoding": coding}).status_code == 200
    assert "content-encoding" not in edge.calls[-1].headers


ACTED_ON = {
    "expect": "200-ok",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-key1": "x",
    "sec-websocket-version": "13",
    "upgrade": "websocket",
    "http2-settings": "AAMAAABkAARAAAAAAAIAAAAA",
    "content-encoding": "gzip",
}


@pytest.mark.parametrize("path", READ)
def test_headers_that_a_library_would_act_on_stay_at_the_edge(edge, client, path):
    answer = client.get(path, headers={**ACTED_ON, "x-known": "y"})
    assert answer.status_code == 200
    seen = {name.lower(): value for name, value in edge.calls[-1].headers.items()}
    assert seen["x-known"] == "y"
    assert not ACTED_ON.keys() & seen.keys()


def test_who_waits_for_100_continue_is_told_to_go_on(edge):
    head = "POST /v1/files HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with socket.create_connection(("127.0.0.1", edge.ports.edge_port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert (edge.calls[-1].method, edge.calls[-1].request) == ("POST /v1/files", 3)


SLOW = [
    "POST /v1/codes:send",
    "POST /v1/videos",
    "POST /v1/sessions:refresh",
    "PATCH /v1/account",
    "POST /v1/videos/vid_1:cancel",
]
LARGE, CHUNKED = "Content-Length: 60000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"


def test_json_that_comes_byte_by_byte_is_cut_off_after_15_s(edge):
    """S5: with a key that Check would refuse too, since Check sees no key before the whole body. An upload goes on."""
    before = len(edge.calls), len(edge.checks)
    heads = [f"{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\n" for line in SLOW]
    with futures.ThreadPoolExecutor(len(SLOW) + 2) as pool:
        upload = pool.submit(dribble, edge, "POST /v1/files HTTP/1.1\r\nHost: a\r\n" + LARGE, 20)
        chunked = pool.submit(dribble, edge, heads[0] + CHUNKED, 60)
        cut = [*pool.map(lambda head: dribble(edge, head + LARGE, 60), heads), chunked.result()]
        seconds, answer = upload.result()
    assert (answer, seconds >= 20) == (b"", True), "an upload has its 60 s"
    for seconds, answer in cut:
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"reason":"REQUEST_MALFORMED"' in answer
        assert b"did not arrive in time" in answer
        assert 14.5 < seconds < 15 + in_proportion(5)
    assert len(edge.checks) == before[1] + 1, "Check is asked for the upload alone"


UNENDED = ["GET /v1/videos/vid_1", "GET /v1/policies", "DELETE /v1/files/fil_1", "HEAD /docs"]


def test_a_request_without_a_body_that_never_ends_is_refused_in_words(edge):
    """B5: its service, which waits for the end, was first to give up, and gRPC says no more than that."""
    with futures.ThreadPoolExecutor(len(UNENDED)) as pool:
        answers = list(pool.map(lambda line: unended(edge, line), UNENDED))
    for line, answer in zip(UNENDED, answers, strict=True):
        assert answer.startswith(b"HTTP/1.1 408 "), line
        if not line.startswith("HEAD"):
            assert b'"reason":"REQUEST_MALFORMED"' in answer
            assert b"did not arrive in time" in answer


def unended(edge: Edge, line: str) -> bytes:
    """Send a head that announces chunks, and none of them; returns the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", edge.ports.edge_port), timeout=60) as connection:
        connection.sendall(f"{line} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        return connection.recv(65536)


def dribble(edge, head: str, seconds: float) -> tuple[float, bytes]:
    """Send a head, then a byte whenever nothing has come for half a second, for so long at most; returns how long it
    took, and the answer until the connection's end."""
    began, answer = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", edge.ports.edge_port), timeout=0.5) as connection:
        connection.sendall(head.encode())
        while time.monotonic() - began < seconds:
            with contextlib.suppress(ConnectionError):
                try:
                    piece = connection.recv(65536)
                except TimeoutError:
                    connection.sendall(b"1\r\n \r\n" if "chunked" in head else b" ")
                    continue
                answer += piece
                if not piece or b"REQUEST_MALFORMED" in answer:
                    break
    return time.monotonic() - began, answer
