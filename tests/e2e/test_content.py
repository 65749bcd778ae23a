"""Uploads and downloads as clients of many kinds make them: forms, ranges, validators, HEAD, pages of the web."""

import hashlib

import httpx
import pytest

from deploy.local import picture
from deploy.local.client import Refused
from tests.e2e.conftest import ended

ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
PICTURE = picture.lighthouse(640, 360)


@pytest.fixture
async def uploaded(customer):
    return await customer.upload(PICTURE)


@pytest.fixture
def content(customer, uploaded):
    """Asks for the content of an uploaded picture with more headers."""

    async def ask(method: str = "GET", **headers: str) -> httpx.Response:
        given = _bearer(customer) | {name.replace("_", "-"): value for name, value in headers.items()}
        return await customer.http.request(method, f"/v1/files/{uploaded['id']}/content", headers=given)

    return ask


def _bearer(client) -> dict[str, str]:
    return {"authorization": f"Bearer {client.credential}"}


async def test_what_was_uploaded_comes_back_byte_by_byte(content, uploaded):
    answer = await content()
    assert answer.status_code == 200
    assert answer.content == PICTURE
    assert hashlib.sha256(answer.content).hexdigest() == uploaded["sha256"]
    assert answer.headers["content-type"] == uploaded["content_type"] == "image/png"
    assert answer.headers["content-length"] == str(len(PICTURE)) == uploaded["size_bytes"]
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_head_says_the_same_without_the_bytes(content):
    whole, head = await content(), await content("HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "last-modified", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_it_already_is_told_so(content, method):
    etag = (await content("HEAD")).headers["etag"]
    for validator in (etag, f'"other", {etag}', "*"):
        answer = await content(method, if_none_match=validator)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert (await content(method, if_none_match='"other"')).status_code == 200


SIZE = len(PICTURE)
RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=10-99", 10, 100),
    ("bytes=-7", SIZE - 7, SIZE),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    (f"bytes=0-{SIZE * 2}", 0, SIZE),
]


@pytest.mark.parametrize(("asked", "start", "end"), RANGES, ids=[row[0] for row in RANGES])
async def test_a_part_is_sent_as_asked(content, asked, start, end):
    answer = await content(range=asked)
    assert (answer.status_code, answer.content) == (206, PICTURE[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "pages=1-2", "bytes=a-b", "bytes=0-1,4-5"])
async def test_a_range_that_cannot_be_honored_may_be_passed_over(content, asked):
    answer = await content(range=asked)
    assert (answer.status_code, answer.content) == (200, PICTURE)


async def test_a_part_of_another_version_is_the_whole(content):
    etag = (await content("HEAD")).headers["etag"]
    assert (await content(range="bytes=0-9", if_range=etag)).status_code == 206
    assert (await content(range="bytes=0-9", if_range='"other"')).content == PICTURE


async def test_a_film_is_read_in_parts_that_fit(customer):
    video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    path, size = f"/v1/videos/{video['id']}/content", int(video["output"]["size_bytes"])
    middle, digest = size // 2, hashlib.sha256()
    for part in (f"bytes=0-{middle - 1}", f"bytes={middle}-"):
        answer = await customer.http.get(path, headers={**_bearer(customer), "range": part})
        assert answer.status_code == 206
        digest.update(answer.content)
    assert digest.hexdigest() == video["output"]["sha256"]


async def test_a_form_is_an_upload_too(customer, uploaded):
    answer = await customer.http.post("/v1/files", headers=_bearer(customer), files={"file": ("a.png", PICTURE)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["sha256"] == uploaded["sha256"]
    video = await customer.call("POST", "/v1/videos", {**ORDER, "image": answer.json()["id"]})
    assert video["parameters"]["image"] == answer.json()["id"]


FORMS = [
    ("no file", b"--x--\r\n", "multipart/form-data; boundary=x"),
    ("no boundary", b"--x--\r\n", "multipart/form-data"),
    ("broken off", b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nabc', "multipart/form-data; boundary=x"),
]


@pytest.mark.parametrize(("body", "kind"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
async def test_a_form_that_is_none_is_refused_and_leaves_nothing(customer, books, body, kind):
    before = await books.owned(customer.made)
    answer = await customer.http.post("/v1/files", content=body, headers={**_bearer(customer), "content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, 3), answer.text
    assert answer.json()["details"][0]["reason"] == "UPLOAD_MALFORMED"
    assert await books.owned(customer.made) == before


async def test_a_program_named_as_a_picture_is_refused(customer, books):
    before = await books.owned(customer.made)
    program = b"MZ\x90\0" + b"\0" * 56 + b"\x80\0\0\0" + b"\0" * 64 + b"PE\0\0" + b"\xcc" * 4096
    for body in (program, b"\x7fELF\x02\x01\x01" + b"\0" * 4096, b"#!/bin/sh\nexit 0\n" * 100):
        with pytest.raises(Refused) as refused:
            await customer.upload(body, "image/png")
        assert (refused.value.status, refused.value.reason) == (400, "IMAGE_UNREADABLE")
    assert await books.owned(customer.made) == before


async def test_a_page_of_the_web_may_ask_first(guest):
    asked = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,idempotency-key",
    }
    answer = await guest.http.options("/v1/videos", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in {"*", "https://shop.example"}
    assert "POST" in answer.headers["access-control-allow-methods"]
    for name in asked["access-control-request-headers"].split(","):
        assert name in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_of_the_web_reads_answers_and_refusals(customer, guest):
    for client, status in ((customer, 200), (guest, 401)):
        headers = {"origin": "https://shop.example"} | (_bearer(client) if client.credential else {})
        answer = await client.http.get("/v1/videos", headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] in {"*", "https://shop.example"}
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
