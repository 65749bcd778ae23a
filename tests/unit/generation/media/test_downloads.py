"""Content over the real door: whole, in ranges, conditional, of pictures and of videos."""

import hashlib

import pytest
import sqlalchemy as sa

from filmgate.generation.v1 import videos_pb2
from services.generation.files.tables import FileRow
from tests.support.generation import MADE
from tests.support.uploads import picture

BODY = picture("PNG", 900, 700)


@pytest.fixture
async def path(edge):
    file = (await edge.post("/v1/files", content=BODY)).json()
    return f"/v1/files/{file['id']}/content"


async def get(edge, path, **headers):
    return await edge.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def reason(answer):
    return next(row["reason"] for row in answer.json()["details"] if "reason" in row)


async def test_the_whole_is_sent_with_what_a_client_needs_to_keep_it(edge, path):
    answer = await get(edge, path)
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["etag"] == f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(BODY))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["last-modified"].endswith("GMT")


async def test_a_range_is_sent_alone(edge, path):
    answer = await get(edge, path, range="bytes=10-19")
    assert (answer.status_code, answer.content) == (206, BODY[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(BODY)}"
    assert answer.headers["content-length"] == "10"
    last = await get(edge, path, range="bytes=-5")
    assert last.content == BODY[-5:]


async def test_all_ranges_together_are_the_whole(edge, path):
    step = 1000
    parts = [
        (await get(edge, path, range=f"bytes={start}-{start + step - 1}")).content
        for start in range(0, len(BODY), step)
    ]
    assert b"".join(parts) == BODY


async def test_a_range_outside_says_how_much_there_is(edge, path):
    answer = await get(edge, path, range=f"bytes={len(BODY)}-")
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(BODY)}")
    assert (answer.json()["code"], reason(answer)) == (11, "RANGE_INVALID")
    assert answer.headers["x-request-id"]


async def test_what_the_client_has_is_not_sent_again(edge, path):
    tag = (await get(edge, path)).headers["etag"]
    answer = await get(edge, path, if_none_match=tag)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert (await get(edge, path, if_none_match='"other"')).status_code == 200
    ranged = await get(edge, path, range="bytes=0-9", if_range=tag)
    assert (ranged.status_code, ranged.content) == (206, BODY[:10])
    assert (await get(edge, path, range="bytes=0-9", if_range='"other"')).content == BODY


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=10-19"}])
async def test_a_head_is_a_get_without_its_body(edge, path, headers):
    head = await edge.head(path, headers=headers)
    whole = await edge.get(path, headers=headers)
    assert head.content == b""
    assert head.status_code == whole.status_code
    for name in ("content-length", "etag", "content-type", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


async def test_several_ranges_are_answered_with_the_whole(edge, path):
    answer = await get(edge, path, range="bytes=0-1,5-6")
    assert (answer.status_code, answer.content) == (200, BODY)


@pytest.mark.parametrize("name", ["fil_00000000000000000000000000", "x", "..%2f..%2fetc%2fpasswd", "%ff", "x" * 300])
@pytest.mark.parametrize("kind", ["files", "videos"])
async def test_what_does_not_exist_is_not_found(edge, kind, name):
    answer = await edge.get(f"/v1/{kind}/{name}/content")
    assert (answer.status_code, answer.json()["code"], reason(answer)) == (404, 5, "NOT_FOUND")


async def test_a_video_is_downloaded_when_it_is_made_and_until_it_expires(gate, edge):
    house = gate.house
    video = await house.create()
    path = f"/v1/videos/{video.id}/content"
    early = await edge.get(path)
    assert (early.status_code, early.json()["code"], reason(early)) == (400, 9, "OUTPUT_NOT_READY")
    await house.start(video.id)
    await house.publish(video.id)
    answer = await edge.get(path)
    assert (answer.status_code, answer.content) == (200, b"x" * MADE.size_bytes)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"] == f'attachment; filename="{video.id}.mp4"'
    house.clock.advance(86_401)
    late = await edge.get(path)
    assert (late.status_code, reason(late)) == (400, "OUTPUT_EXPIRED")


async def test_a_failed_video_has_no_content(gate, edge):
    house = gate.house
    video = await house.create()
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    answer = await edge.get(f"/v1/videos/{video.id}/content")
    assert reason(answer) == "OUTPUT_NOT_READY"
    assert "CANCELLED" in answer.json()["message"]


async def test_bytes_that_are_gone_are_said_to_be_gone(gate, edge, path):
    [row] = await gate.house.rows(FileRow)
    (gate.house.folder / "objects" / row.object).unlink()
    answer = await edge.get(path)
    assert (answer.status_code, reason(answer)) == (400, "OUTPUT_EXPIRED")


async def test_a_picture_that_is_still_uploading_has_no_content(gate, edge, path):
    async with gate.house.database.transaction() as session:
        await session.execute(sa.update(FileRow).values(state="UPLOADING"))
    assert (await edge.get(path)).status_code == 404


async def test_a_client_that_takes_nothing_is_let_go(gate, edge, path):
    async with edge.stream("GET", path) as answer:
        async for _ in answer.aiter_bytes(10):
            break
    assert (await edge.get(path)).content == BODY
