"""The reference as media sends it: to anybody, whole or not at all, and never anything beside it."""

import gzip
import hashlib
import json
import re

import pytest

from services.generation.media.reference import CONTENT_POLICY, Reference

PATHS = {
    "/docs": "text/html; charset=utf-8",
    "/docs/page.css": "text/css; charset=utf-8",
    "/docs/page.js": "text/javascript; charset=utf-8",
    "/openapi.json": "application/json; charset=utf-8",
}
PLAIN = {"accept-encoding": "identity"}


@pytest.mark.parametrize(("path", "kind"), PATHS.items())
async def test_anybody_reads_it(gate, path, kind):
    async with gate.client() as edge:
        answer = await edge.get(path, headers=PLAIN)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
        assert answer.headers["content-security-policy"] == CONTENT_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "public, no-cache"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_head_has_the_same_headers_and_no_body(gate, path):
    async with gate.client() as edge:
        whole, head = await edge.get(path, headers=PLAIN), await edge.head(path, headers=PLAIN)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length", "etag", "content-security-policy"):
            assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("path", PATHS)
async def test_who_has_it_gets_no_body(gate, path):
    async with gate.client() as edge:
        for coding in ("identity", "gzip"):
            first = await edge.get(path, headers={"accept-encoding": coding})
            known = {"accept-encoding": coding, "if-none-match": first.headers["etag"]}
            again = await edge.get(path, headers=known)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        assert (await edge.get(path, headers={**PLAIN, "if-none-match": '"other"'})).status_code == 200


async def test_it_is_compressed_for_whom_can_read_that(gate):
    async with gate.client() as edge:
        plain = await edge.get("/openapi.json", headers=PLAIN)
        small = await edge.get("/openapi.json", headers={"accept-encoding": "gzip"})
        assert (small.headers["content-encoding"], small.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert small.content == plain.content  # the client unpacks it
        assert int(small.headers["content-length"]) < len(plain.content) / 5
        assert small.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    "name", ["index.html", "nothing.css", "..%2fopenapi.json", "%2e%2e%2ffilmgate.pb", "page.css%00"]
)
async def test_nothing_else_is_there(gate, name):
    async with gate.client() as edge:
        answer = await edge.get(f"/docs/{name}")
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "NOT_FOUND")


async def test_only_the_edge_reads_it_here(gate):
    async with gate.client("billing") as other:
        assert (await other.get("/docs")).status_code == 403


def test_the_document_names_the_address_at_which_customers_reach_us(gate):
    reference = Reference("https://films.example")
    body = json.loads(gzip.decompress(reference._document.packed))
    assert body["servers"] == [{"url": "https://films.example"}]


def test_a_process_without_the_reference_does_not_start(tmp_path):
    with pytest.raises(FileNotFoundError):
        Reference("http://127.0.0.1:8080", tmp_path)


async def test_the_page_asks_no_other_host_and_holds_no_script_of_its_own(gate):
    async with gate.client() as edge:
        texts = {path: (await edge.get(path, headers=PLAIN)).text for path in PATHS if path != "/openapi.json"}
    page = texts["/docs"]
    assert page.startswith("<!doctype html>\n")
    assert '<meta charset="utf-8">' in page[:200]
    loaded = re.findall(r'<(?:script|link|img|iframe|source)[^>]*(?:src|href)="([^"]*)"', page)
    assert sorted(loaded) == ["/docs/page.css", "/docs/page.js", "data:,"]
    targets = re.findall(r'\s(?:href|src|srcset|action|data|poster)="([^"]*)"', page)
    assert [target for target in targets if not target.startswith(("#", "/docs/", "/openapi.json", "data:,"))] == []
    assert not re.findall(r"(?:https?:|wss?:)?//[a-z0-9]", texts["/docs/page.js"])
    assert "@import" not in texts["/docs/page.css"]
    assert "url(" not in texts["/docs/page.css"]
    assert not re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page)
