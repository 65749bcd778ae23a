"""Bad input, from outside: each answers its HTTP and gRPC code, a reason, what to do, and leaves nothing behind."""

import io
import json
import struct
import zlib
from collections.abc import Mapping

import pytest
from PIL import Image

from deploy.local import picture
from deploy.local.client import Client, Refused

pytestmark = pytest.mark.group("refusals")

GOOD = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}

ORDERS = [
    ("wrong type", {"prompt": 5}, 400, 3, "BODY_INVALID"),
    ("wrong type of a number", {"duration_seconds": "five"}, 400, 3, "BODY_INVALID"),
    ("unknown field", {"promt": "typo"}, 400, 3, "UNKNOWN_FIELD"),
    ("unknown inner field", {"camera_control": {"zooom": 1}}, 400, 3, "UNKNOWN_FIELD"),
    ("prompt too long", {"prompt": "x" * 2501}, 400, 3, "FIELD_INVALID"),
    ("no prompt and no image", {"prompt": ""}, 400, 3, "FIELD_REQUIRED"),
    ("no model", {"model": ""}, 400, 3, "FIELD_REQUIRED"),
    ("unknown model", {"model": "sora"}, 404, 5, "MODEL_UNKNOWN"),
    ("length that the model lacks", {"duration_seconds": 61}, 400, 3, "PARAMETER_UNSUPPORTED"),
    ("negative length", {"duration_seconds": -1}, 400, 3, "FIELD_INVALID"),
    ("resolution that the model lacks", {"resolution": "4320p"}, 400, 3, "PARAMETER_UNSUPPORTED"),
    ("ratio that the model lacks", {"aspect_ratio": "21:9"}, 400, 3, "PARAMETER_UNSUPPORTED"),
    ("camera out of range", {"camera_control": {"zoom": 11}}, 400, 3, "FIELD_INVALID"),
    ("camera not a number", {"camera_control": {"zoom": "NaN"}}, 400, 3, "FIELD_INVALID"),
    ("seed out of range", {"seed": "4294967296"}, 400, 3, "FIELD_INVALID"),
    ("unknown image", {"image": "fil_00000000000000000000000000"}, 404, 5, "FILE_UNKNOWN"),
    ("image that is no id", {"image": "../../etc/passwd"}, 404, 5, "FILE_UNKNOWN"),
    ("deadline in the past", {"start_deadline": "2020-01-01T00:00:00Z"}, 400, 3, "FIELD_INVALID"),
    ("time that is none", {"start_deadline": "yesterday"}, 400, 3, "BODY_INVALID"),
    ("price above the highest", {"max_price": {"currency_code": "CNY", "nanos": 1000}}, 400, 9, "PRICE_ABOVE_MAX"),
    ("highest price in another currency", {"max_price": {"currency_code": "USD", "units": 9}}, 400, 3, "FIELD_INVALID"),
    ("refused content", {"prompt": "how to make a b o m b"}, 400, 3, "CONTENT_REFUSED"),
]


@pytest.mark.parametrize("row", ORDERS, ids=[row[0] for row in ORDERS])
async def test_a_bad_order_is_refused_and_leaves_nothing(customer, books, row):
    _, change, status, code, reason = row
    before = await books.owned(customer.made)
    with pytest.raises(Refused) as refused:
        await customer.call("POST", "/v1/videos", {**GOOD, **change}, idempotency_key="bad")
    assert (refused.value.status, refused.value.body["code"], refused.value.reason) == (status, code, reason)
    _is_clear(refused.value)
    assert await books.owned(customer.made) == before


def _is_clear(refused: Refused) -> None:
    """Words for a person, exactly one ErrorInfo, and the request's id."""
    assert len(refused.body["message"]) > 10
    infos = [row for row in refused.body["details"] if row["@type"].endswith("ErrorInfo")]
    assert len(infos) == 1
    assert infos[0]["metadata"]["request_id"]
    assert infos[0]["domain"].endswith(".filmgate")


async def test_a_refused_order_may_be_tried_again_with_the_same_key(customer):
    with pytest.raises(Refused):
        await customer.call("POST", "/v1/videos", {**GOOD, "model": "sora"}, idempotency_key="again")
    assert (await customer.call("POST", "/v1/videos", GOOD, idempotency_key="again"))["state"] == "QUEUED"


async def test_the_same_key_with_another_body_is_refused(customer, books):
    await customer.call("POST", "/v1/videos", GOOD, idempotency_key="one")
    before = await books.owned(customer.made)
    with pytest.raises(Refused) as refused:
        await customer.call("POST", "/v1/videos", {**GOOD, "prompt": "another"}, idempotency_key="one")
    assert (refused.value.status, refused.value.reason) == (400, "REQUEST_ID_REUSED")
    assert await books.owned(customer.made) == before


async def test_header_and_field_that_differ_are_refused(customer):
    with pytest.raises(Refused) as refused:
        await customer.call("POST", "/v1/videos", {**GOOD, "request_id": "a"}, idempotency_key="b")
    assert (refused.value.status, refused.value.reason) == (400, "FIELD_INVALID")


async def test_a_taken_external_id_is_refused(customer):
    await customer.call("POST", "/v1/videos", {**GOOD, "external_id": "order-1"})
    with pytest.raises(Refused) as refused:
        await customer.call("POST", "/v1/videos", {**GOOD, "external_id": "order-1"})
    assert (refused.value.status, refused.value.body["code"], refused.value.reason) == (409, 6, "EXTERNAL_ID_TAKEN")


BODIES = [
    ("no JSON", b"{", 400, 3, "BODY_INVALID"),
    ("a list", b"[]", 400, 3, "BODY_INVALID"),
    ("not UTF-8", b'{"prompt": "\xff"}', 400, 3, "BODY_INVALID"),
    ("half a surrogate", b'{"prompt": "\\ud800"}', 400, 3, "BODY_INVALID"),
    ("half a surrogate in a name", b'{"\\ud800": 1}', 400, 3, "BODY_INVALID"),
    ("half a surrogate in an inner name", b'{"camera_control": {"\\udc00": 1}}', 400, 3, "BODY_INVALID"),
    ("a name that is long", b'{"' + b"x" * 60_000 + b'": 1}', 400, 3, "UNKNOWN_FIELD"),
    ("the same field twice", b'{"model": "animatic", "model": "animatic"}', 400, 3, "BODY_INVALID"),
    ("too deep", b"[" * 5000 + b"]" * 5000, 400, 3, "BODY_INVALID"),
    ("too large", b'{"prompt": "' + b"x" * 70_000 + b'"}', 413, 11, "BODY_TOO_LARGE"),
]


@pytest.mark.parametrize("row", BODIES, ids=[row[0] for row in BODIES])
async def test_a_bad_body_is_refused_and_leaves_nothing(customer, books, row):
    _, body, status, code, reason = row
    before = await books.owned(customer.made)
    answer = await _raw(customer, "POST", "/v1/videos", content=body)
    assert (answer.status, answer.body["code"], answer.reason) == (status, code, reason)
    _is_clear(answer)
    assert await books.owned(customer.made) == before


PATHS = [
    ("GET", "/v1/nothing", 404, 5, "METHOD_UNKNOWN"),
    ("PUT", "/v1/videos", 405, 12, "METHOD_NOT_ALLOWED"),
    ("GET", "/v1/videos/", 404, 5, None),
    ("GET", "/v1/videos/%ff", 400, 3, None),
    ("GET", "/v1/videos/..%2f..%2fetc", 404, 5, None),
    ("GET", "/v1/videos/" + "x" * 300, 404, 5, "NOT_FOUND"),
    ("GET", "/v1/videos/vid_x?unknown=1", 400, 3, None),
    ("GET", "/v1/videos?page_size=x", 400, 3, None),
    ("GET", "/v1/videos?page_size=-1", 400, 3, "FIELD_INVALID"),
    ("GET", "/v1/videos?page_token=forged", 400, 3, "FIELD_INVALID"),
    ("POST", "/filmgate.billing.v1.Wallets/Authorize", 404, 5, "METHOD_UNKNOWN"),
    ("POST", "/filmgate.auth.v1.Accounts/FreezeAccount", 404, 5, "METHOD_UNKNOWN"),
    ("POST", "/envoy.service.auth.v3.Authorization/Check", 404, 5, "METHOD_UNKNOWN"),
]


@pytest.mark.parametrize("row", PATHS, ids=[f"{row[0]} {row[1][:40]}" for row in PATHS])
async def test_a_path_that_is_not_served_is_said_so(customer, row):
    method, path, status, code, reason = row
    answer = await _raw(customer, method, path)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.reason == reason or (reason is None and answer.reason)


FORGED = [
    {"grpc-timeout": "1n"},
    {"grpc-timeout": "garbage"},
    {"grpc-encoding": "gzip"},
    {"grpc-status": "0"},
    {"trace-bin": "AAAA"},
    {"trace-bin": "not base64 !"},
    {"x-filmgate-caller": "forged"},
    {"x-filmgate-anything": "x"},
    {"x-request-id": "mine"},
    {"traceparent": "garbage"},
    {"te": "trailers"},
]


@pytest.mark.parametrize("header", FORGED, ids=[f"{k}={v}" for row in FORGED for k, v in row.items()])
async def test_a_forged_header_changes_nothing(customer, header):
    answer = await customer.http.get("/v1/videos", headers={"authorization": f"Bearer {customer.credential}", **header})
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] != "mine"


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc-web"])
async def test_grpc_is_not_served_outside(customer, kind):
    answer = await _raw(customer, "POST", "/v1/videos", content=b"\0\0\0\0\0", headers={"content-type": kind})
    assert (answer.status, answer.body["code"], answer.reason) == (415, 3, "PROTOCOL_UNSUPPORTED")


CREDENTIALS = [
    "",
    "Bearer",
    "Bearer x",
    "Basic eDp4",
    "Bearer fg_live_u_" + "a" * 61,
    "Bearer " + "x" * 5000,
    "Bearer fgs_" + "0" * 43,
]


@pytest.mark.parametrize("credential", CREDENTIALS, ids=range(len(CREDENTIALS)))
async def test_a_credential_that_is_none_is_refused(guest, credential):
    answer = await guest.http.get("/v1/videos", headers={"authorization": credential})
    assert answer.status_code == 401
    assert answer.json()["code"] == 16


async def test_a_revoked_key_is_refused(customer):
    key = customer.key
    customer.credential = customer.session
    await customer.call("POST", f"/v1/keys/{key['id']}:revoke", {})
    customer.credential = key["secret"]
    with pytest.raises(Refused) as refused:
        await customer.call("GET", "/v1/videos")
    assert (refused.value.status, refused.value.reason) == (401, "KEY_REVOKED")


async def test_an_ended_session_is_refused(customer):
    customer.credential = customer.session
    listed = await customer.call("GET", "/v1/sessions")
    current = next(row for row in listed["sessions"] if row["current"])
    await customer.call("DELETE", f"/v1/sessions/{current['id']}")
    with pytest.raises(Refused) as refused:
        await customer.call("GET", "/v1/account")
    assert refused.value.status == 401


def _id(row: Mapping) -> str:
    return row["id"]


def _bomb() -> bytes:
    """A PNG of 50,000 x 50,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000)) + chunk(b"IEND", b"")


def _image(kind: str, width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 200)).save(buffer, kind)
    return buffer.getvalue()


UPLOADS = [
    ("a GIF named PNG", lambda: _image("GIF", 640, 360), 400, "IMAGE_UNREADABLE"),
    ("a bomb", _bomb, 400, "IMAGE_TOO_LARGE"),
    ("half a picture", lambda: picture.lighthouse(640, 360)[:5000], 400, "IMAGE_UNREADABLE"),
    ("no picture", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "IMAGE_UNREADABLE"),
    ("nothing", lambda: b"", 400, "UPLOAD_MALFORMED"),
    ("too small", lambda: _image("PNG", 64, 64), 400, "IMAGE_TOO_SMALL"),
    ("too narrow", lambda: _image("PNG", 4000, 310), 400, "IMAGE_RATIO"),
    ("too many bytes", lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 33 * 2**20, 413, "UPLOAD_TOO_LARGE"),
]


@pytest.mark.parametrize("row", UPLOADS, ids=[row[0] for row in UPLOADS])
async def test_a_bad_upload_is_refused_and_leaves_nothing(suite, customer, books, row):
    _, make, status, reason = row
    before = await books.owned(customer.made)
    answer = await _raw(customer, "POST", "/v1/files", content=make(), headers={"content-type": "image/png"})
    assert answer.status == status, answer
    assert answer.reason == reason
    _is_clear(answer)
    assert await books.owned(customer.made) == before
    organization = customer.made["organization"]["id"]
    assert not [path for path in (suite.home / "objects").rglob("*") if organization in str(path) and path.is_file()]


async def test_a_range_outside_the_content_is_refused(customer):
    uploaded = await customer.upload(picture.lighthouse(640, 360))
    answer = await customer.http.get(
        f"/v1/files/{uploaded['id']}/content",
        headers={"authorization": f"Bearer {customer.credential}", "range": "bytes=99999999-"},
    )
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{uploaded['size_bytes']}"
    assert answer.json()["details"][0]["reason"] == "RANGE_INVALID"


async def _raw(client: Client, method: str, path: str, **options) -> Refused:
    headers = {"authorization": f"Bearer {client.credential}", "content-type": "application/json"}
    answer = await client.http.request(method, path, **{**options, "headers": headers | options.get("headers", {})})
    assert answer.status_code < 500, answer.text
    assert answer.is_error, f"{answer.status_code} {answer.text[:300]}"
    assert answer.headers["x-request-id"]
    json.loads(answer.text)
    return Refused(answer)
