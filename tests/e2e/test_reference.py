"""The API reference as anybody reads it: through Envoy, without a credential, and from this host alone."""

import json
import re
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = ("/docs", "/docs/page.css", "/docs/page.js", "/openapi.json")


async def test_the_page_and_all_that_it_loads_come_from_this_host(guest):
    page = await guest.http.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text == (ROOT / "gen" / "docs" / "index.html").read_text()
    loaded = re.findall(r'<(?:script|link|img|iframe|source|object|embed)[^>]*(?:src|href|data)="([^"]*)"', page.text)
    assert sorted(loaded) == ["/docs/page.css", "/docs/page.js", "data:,"]
    for path in loaded[1:]:
        part = await guest.http.get(path)
        assert part.status_code == 200
        assert not re.findall(r"(?:https?:|wss?:)?//[a-z0-9]|url\(|@import", part.text)
    sources = re.findall(r"(?:default|script|style|connect|img)-src ([^;]*)", page.headers["content-security-policy"])
    assert {source for text in sources for source in text.split()} == {"'none'", "'self'", "data:"}


async def test_the_document_is_the_generated_one_at_our_address(guest, suite):
    answer = await guest.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    generated = json.loads((ROOT / "gen" / "openapi.json").read_text())
    assert answer.json() == {**generated, "servers": [{"url": suite.url}]}


@pytest.mark.parametrize("path", PATHS)
async def test_a_credential_changes_nothing_and_what_is_known_is_not_sent_again(guest, path):
    first = await guest.http.get(path, headers={"authorization": "Bearer fg_live_nonsense"})
    again = await guest.http.get(path, headers={"if-none-match": first.headers["etag"]})
    head = await guest.http.head(path)
    assert (first.status_code, again.status_code, head.status_code) == (200, 304, 200)
    assert (again.content, head.content) == (b"", b"")
    assert head.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "path",
    ["/docs/", "/docs/nothing.js", "/docs/index.html", "/docs/../gen/filmgate.pb", "/docs/..%2ffilmgate.pb",
     "/docs/%2e%2e/filmgate.pb", "/docs/%2e%2e%2ffilmgate.pb", "/docs/page.css/", "/docs//page.css", "/openapi.json/"],
)  # fmt: skip
async def test_nothing_beside_it_is_served(suite, path):
    """By hand, since a client would tidy the path."""
    with socket.create_connection(("127.0.0.1", suite.ports.edge_port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 5
