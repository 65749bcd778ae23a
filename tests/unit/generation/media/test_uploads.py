"""Uploads over the real door: what is taken, what is refused, and that a refusal leaves nothing behind."""

import asyncio
import hashlib
import io
import struct
import tempfile
import zlib

import pytest
from PIL import Image

from filmgate.generation.v1 import files_pb2
from services.generation.files import scratch
from services.generation.files.domain import UPLOAD_LIMIT_BYTES
from services.generation.files.tables import FileRow
from services.runtime import ids
from tests.support import uploads
from tests.support.damage import ORIENTATION, SHORT, entry, exif, in_jpeg, many_scans, segment
from tests.support.uploads import form, picture
from tests.support.waiting import until

PART = 'Content-Disposition: form-data; name="file"; filename="a.png"'


async def post(edge, body, **headers):
    return await edge.post("/v1/files", content=body, headers={"content-type": "image/png", **headers})


def reason(answer):
    [info] = [row for row in answer.json()["details"] if row["@type"].endswith("ErrorInfo")]
    assert info["metadata"]["request_id"] == answer.headers["x-request-id"]
    assert info["domain"] == "generation.filmgate"
    return info["reason"]


@pytest.mark.parametrize(
    ("kind", "content_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_a_picture_is_taken_as_it_is_and_a_copy_made_for_the_models(gate, edge, kind, content_type):
    body = picture(kind)
    answer = await post(edge, body, **{"content-type": "application/octet-stream"})
    assert answer.status_code == 200
    file = answer.json()
    assert (file["state"], file["kind"], file["content_type"]) == ("READY", "IMAGE", content_type)
    assert (file["width"], file["height"], file["size_bytes"]) == (640, 360, str(len(body)))
    assert file["sha256"] == hashlib.sha256(body).hexdigest()
    [row] = await gate.house.rows(FileRow)
    stored = gate.house.folder / "objects" / row.object
    assert stored.read_bytes() == body
    with Image.open(f"{stored}.frame.jpg") as copy:
        assert (copy.format, copy.size, copy.mode) == ("JPEG", (640, 360), "RGB")


async def test_a_picture_may_come_as_the_one_file_of_a_form(gate, edge):
    body, headers = form((f"{PART}\r\nContent-Type: image/png", picture()))
    answer = await post(edge, body, **headers)
    assert answer.status_code == 200
    file = answer.json()
    assert (file["width"], file["size_bytes"]) == (640, str(len(picture())))
    quoted = {"content-type": 'multipart/form-data; boundary="b0undary"'}
    assert (await post(edge, body.rstrip(b"\r\n"), **quoted)).status_code == 200


async def test_a_form_of_a_common_client_is_taken(edge):
    answer = await edge.post("/v1/files", files={"file": ("灯塔.png", picture(), "image/png")})
    assert answer.status_code == 200


async def test_a_body_without_a_length_is_taken(edge):
    async def pieces():
        body = picture()
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    answer = await post(edge, pieces())
    assert (answer.status_code, answer.json().get("state")) == (200, "READY"), answer.text


async def test_a_rotated_photograph_is_measured_and_copied_upright(gate, edge):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "secret camera"
    file = (await post(edge, picture("JPEG", exif=exif))).json()
    assert (file["width"], file["height"]) == (360, 640)
    [row] = await gate.house.rows(FileRow)
    copy = gate.house.folder / "objects" / f"{row.object}.frame.jpg"
    assert b"secret camera" not in copy.read_bytes()
    with Image.open(copy) as image:
        assert (image.size, dict(image.getexif())) == ((360, 640), {})


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16"])
async def test_every_kind_of_pixel_becomes_a_plain_frame(edge, mode):
    answer = await post(edge, picture("PNG", mode=mode, color=1))
    assert (answer.status_code, answer.json().get("state")) == (200, "READY"), answer.text


async def test_a_large_photograph_is_copied_at_a_useful_size(gate, edge):
    file = (await post(edge, picture("JPEG", 6000, 4000))).json()
    assert (file["width"], file["height"]) == (6000, 4000)
    [row] = await gate.house.rows(FileRow)
    with Image.open(gate.house.folder / "objects" / f"{row.object}.frame.jpg") as copy:
        assert copy.size == (3840, 2560)


def png(width, height, *chunks):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    inner = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + inner + chunk(b"IEND", b"")


def bomb():
    return png(50_000, 50_000, (b"IDAT", zlib.compress(b"\0" * 1_000_000)))


def text_bomb():
    text = b"k\0\0" + zlib.compress(b"\0" * 100_000_000, 9)
    rows = zlib.compress((b"\0" + b"\0" * 1920) * 360)
    return png(640, 360, (b"zTXt", text), (b"IDAT", rows))


def broken_png():
    body = bytearray(picture("PNG", 640, 360))
    body[60] ^= 0xFF
    return bytes(body)


def gif_in_webp():
    gif = picture("GIF", mode="P")
    return b"RIFF" + struct.pack("<I", len(gif) + 4) + b"WEBP" + gif


BAD = [
    ("a GIF named PNG", lambda: picture("GIF", mode="P"), 400, "IMAGE_UNREADABLE"),
    ("a GIF with the head of a WebP", gif_in_webp, 400, "IMAGE_UNREADABLE"),
    ("a bitmap", lambda: picture("BMP"), 400, "IMAGE_UNREADABLE"),
    ("a drawing", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "IMAGE_UNREADABLE"),
    ("a page", lambda: b"<html><script>alert(1)</script>", 400, "IMAGE_UNREADABLE"),
    ("a PostScript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 500 500\n", 400, "IMAGE_UNREADABLE"),
    ("a TIFF", lambda: picture("TIFF"), 400, "IMAGE_UNREADABLE"),
    ("a head alone", lambda: b"\x89PNG\r\n\x1a\n", 400, "IMAGE_UNREADABLE"),
    ("one byte", lambda: b"x", 400, "IMAGE_UNREADABLE"),
    ("half a JPEG", lambda: picture("JPEG", 1000, 1000)[:3000], 400, "IMAGE_UNREADABLE"),
    ("half a PNG", lambda: picture("PNG", 1000, 1000)[:1000], 400, "IMAGE_UNREADABLE"),
    ("half a WebP", lambda: picture("WEBP", 1000, 1000)[:200], 400, "IMAGE_UNREADABLE"),
    ("a PNG with a flipped bit", broken_png, 400, "IMAGE_UNREADABLE"),
    ("a bomb of pixels", bomb, 400, "IMAGE_TOO_LARGE"),
    ("too many scans", lambda: many_scans(Image.new("RGB", (640, 360)), 55), 400, "IMAGE_TOO_COMPLEX"),
    ("a picture of 64 pixels", lambda: picture("PNG", 64, 64), 400, "IMAGE_TOO_SMALL"),
    ("a narrow picture", lambda: picture("PNG", 4000, 310), 400, "IMAGE_RATIO"),
    ("nothing", lambda: b"", 400, "UPLOAD_MALFORMED"),
    ("too many bytes", lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * UPLOAD_LIMIT_BYTES, 413, "UPLOAD_TOO_LARGE"),
]


@pytest.mark.parametrize(("make", "status", "wanted"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_no_good_picture_is_refused_and_leaves_nothing(gate, edge, make, status, wanted):
    answer = await post(edge, make())
    assert (answer.status_code, reason(answer)) == (status, wanted)
    assert answer.json()["code"] == {400: 3, 413: 11}[status]
    assert await gate.left() == (0, [])


async def test_too_many_bytes_without_a_length_are_refused_on_the_way(gate, edge):
    sent = 0

    async def pieces():
        nonlocal sent
        for _ in range(1024):
            sent += 65536
            yield b"\0" * 65536

    answer = await post(edge, pieces())
    assert (answer.status_code, reason(answer)) == (413, "UPLOAD_TOO_LARGE")
    assert await gate.left() == (0, [])


FORMS = [
    ("no part", b"--b--\r\n"),
    ("two files", form((PART, picture()), (PART, picture()), boundary="b")[0]),
    (
        "a field and a file",
        form(('Content-Disposition: form-data; name="a"', b"1"), (PART, picture()), boundary="b")[0],
    ),
    ("a disposition inside another header", form((f"X-Note: {PART}", picture()), boundary="b")[0]),
    ("a field alone", form(('Content-Disposition: form-data; name="a"', picture()), boundary="b")[0]),
    ("no headers", form(("", picture()), boundary="b")[0]),
    ("an encoded part", form((f"{PART}\r\nContent-Transfer-Encoding: base64", b"aGVsbG8="), boundary="b")[0]),
    ("a zipped part", form((f"{PART}\r\nContent-Encoding: gzip", b"x"), boundary="b")[0]),
    ("a preamble", b"hello\r\n" + form((PART, picture()), boundary="b")[0]),
    ("an epilogue", form((PART, picture()), boundary="b")[0] + b"more"),
    ("no end", form((PART, picture()), boundary="b")[0][:-8]),
    ("another boundary", form((PART, picture()), boundary="c")[0]),
    ("endless headers", b"--b\r\nContent-Disposition: form-data; filename=x\r\n" + b"X: y\r\n" * 10_000),
    ("an empty file", form((PART, b""), boundary="b")[0]),
    ("the boundary alone", b"--b"),
    ("line breaks", b"\r\n" * 1000),
]


@pytest.mark.parametrize(("what", "body"), FORMS, ids=[row[0] for row in FORMS])
async def test_another_form_than_one_file_is_refused_and_leaves_nothing(gate, edge, what, body):
    answer = await post(edge, body, **{"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, reason(answer)) == (400, "UPLOAD_MALFORMED")
    assert await gate.left() == (0, [])


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/mixed; boundary=b", "multipart/form-data; boundary=", "Multipart/X",
     f"multipart/form-data; boundary={'b' * 71}", "multipart/form-data; boundary=b; boundary=c"],
)  # fmt: skip
async def test_a_form_that_does_not_say_how_it_is_cut_is_refused(gate, edge, content_type):
    answer = await post(edge, form((PART, picture()), boundary="b")[0], **{"content-type": content_type})
    assert (answer.status_code, reason(answer)) == (400, "UPLOAD_MALFORMED")
    assert await gate.left() == (0, [])


async def test_a_compressed_body_is_refused(gate, edge):
    answer = await post(edge, zlib.compress(picture()), **{"content-encoding": "deflate"})
    assert (answer.status_code, reason(answer)) == (400, "UPLOAD_MALFORMED")
    assert await gate.left() == (0, [])


NAMES = [
    "../../../etc/passwd",
    "..\\\\..\\\\x",
    "/etc/passwd",
    "a\\0b.png",
    "C:\\\\x.png",
    "x" * 5000,
    ".htaccess",
    "𝓍.png",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_what_the_client_calls_the_file_has_no_effect(gate, edge, name):
    body, headers = form((f'Content-Disposition: form-data; name="file"; filename="{name}"', picture()))
    file = (await post(edge, body, **headers)).json()
    rows, objects = await gate.left()
    assert (rows, objects) == (1, [file["id"], f"{file['id']}.frame.jpg"])
    got = await edge.get(f"/v1/files/{file['id']}/content")
    assert got.headers["content-disposition"] == f'attachment; filename="{file["id"]}.png"'


async def test_the_record_is_opened_before_the_body_is_read(gate):
    """A caller without the scope is refused though their body never comes."""
    slow = await gate.begin(gate.customer(scopes=("video.read",)), b"\x89PNG")
    status, body = await slow.answer()
    assert (status, body["code"], body["details"][0]["reason"]) == (403, 7, "SCOPE_MISSING")


async def test_a_client_that_stalls_is_refused_and_leaves_nothing(house):
    async with uploads.gate(house, stall_seconds=0.2) as gate:
        slow = await gate.begin(gate.customer(), picture()[:100])
        status, body = await slow.answer()
        assert (status, body["details"][0]["reason"]) == (400, "UPLOAD_MALFORMED")
        assert await gate.left() == (0, [])


async def test_what_is_received_lies_where_the_next_start_sweeps(gate, tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    slow = await gate.begin({**gate.customer(), "content-length": str(len(picture()))}, picture()[:-1])
    while not (found := [*(tmp_path / "disk").iterdir()]):
        await asyncio.sleep(0)
    assert [path.name.startswith(scratch.PREFIX) for path in found] == [True]
    assert scratch.sweep() == 0
    slow.writer.write(picture()[-1:])
    assert (await slow.answer())[0] == 200
    assert [*(tmp_path / "disk").iterdir()] == []


async def test_a_client_that_hangs_up_leaves_nothing(gate):
    slow = await gate.begin(gate.customer(), picture()[:100])
    while not await gate.house.rows(FileRow):
        await asyncio.sleep(0)
    slow.writer.transport.abort()
    while (await gate.left()) != (0, []):
        await asyncio.sleep(0)


async def test_side_data_do_not_decide_over_an_upload(gate, edge):
    """Review F2, F12; all kinds of damage stand in film/test_side_data.py."""
    beyond = exif(entry(0x927C, 7, 5000, 10**6), entry(ORIENTATION, SHORT, 2, 6))
    taken = {
        "EXIF beyond the end": in_jpeg(picture("JPEG"), segment(0xE1, b"Exif\0\0" + beyond)),
        "an index of further pictures cut off": in_jpeg(picture("JPEG"), segment(0xE2, b"MPF\0II*\0\x08\0")),
        "no end of the JPEG": picture("JPEG")[:-2],
        "text of 100 MB": text_bomb(),
    }
    for name, body in taken.items():
        file = (await post(edge, body)).json()
        size = (360, 640) if name.startswith("EXIF") else (640, 360)
        assert (file.get("state"), file.get("width"), file.get("height")) == ("READY", *size), name


async def test_a_record_that_cannot_be_finished_leaves_no_bytes(gate, edge):
    """Deleted while it was on its way: the bytes go too."""
    slow = await gate.begin({**gate.customer(), "content-length": str(len(picture()))}, picture()[:-1])
    while not (rows := await gate.house.rows(FileRow)):
        await asyncio.sleep(0)
    await gate.house.files.DeleteFile(files_pb2.DeleteFileRequest(id=rows[0].id), metadata=gate.house.mine)
    slow.writer.write(picture()[-1:])
    status, body = await slow.answer()
    assert (status, body["details"][0]["reason"]) == (404, "NOT_FOUND")
    assert (await gate.left())[1] == []


async def test_a_store_that_takes_nothing_is_told_and_the_same_picture_is_taken_later(gate, edge):
    folder = gate.house.folder / "objects"
    folder.rename(gate.house.folder / "aside")
    folder.touch()  # so that nothing can be stored there
    answer = await post(edge, picture())
    assert (answer.status_code, reason(answer)) == (503, "PEER_UNAVAILABLE")
    folder.unlink()
    (gate.house.folder / "aside").rename(folder)
    assert await gate.left() == (0, [])
    assert (await post(edge, picture())).status_code == 200


async def test_an_uploaded_picture_makes_a_video(gate, edge):
    file = (await post(edge, picture("JPEG", 1080, 1920))).json()
    video = await gate.house.create(image=file["id"])
    assert (video.parameters.image, video.parameters.aspect_ratio) == (file["id"], "9:16")


async def test_slow_uploads_of_one_organization_keep_nobody_else_waiting(house):
    """There is room for all that it sends, but not for all of it at once: else nobody else's would be received."""
    async with uploads.gate(house, uploads=3, uploads_per_organization=2) as gate, gate.client() as edge:
        slow = [await gate.begin(gate.customer(), picture()[:50]) for _ in range(3)]
        async with asyncio.timeout(60):
            while len(await gate.house.rows(FileRow)) < 3:
                await asyncio.sleep(0)
        theirs = gate.customer(organization=ids.new("org"), project=ids.new("prj"), account=ids.new("acc"))
        assert (await post(edge, picture(), **theirs)).status_code == 200
        for one in slow:
            one.writer.transport.abort()
        assert (await post(edge, picture(), **gate.customer())).status_code == 200


async def test_one_organization_cannot_hold_all_connections(house):
    async with uploads.gate(house, transfers_per_organization=2) as gate, gate.client() as edge:
        slow = [await gate.begin(gate.customer(), picture()[:50]) for _ in range(2)]
        while len(await gate.house.rows(FileRow)) < 2:
            await asyncio.sleep(0)
        refused = await post(edge, picture(), **gate.customer())
        assert (refused.status_code, reason(refused)) == (429, "TOO_MANY_TRANSFERS")
        assert refused.headers["retry-after"] == "1"
        assert (await edge.get("/v1/files/fil_1/content", headers=gate.customer())).status_code == 429
        theirs = gate.customer(organization=ids.new("org"), project=ids.new("prj"), account=ids.new("acc"))
        assert (await post(edge, picture(), **theirs)).status_code == 200
        for one in slow:
            one.writer.transport.abort()
        while (await post(edge, picture(), **gate.customer())).status_code != 200:
            await asyncio.sleep(0)


async def test_many_uploads_at_once_are_all_taken(edge):
    answers = await asyncio.gather(*(post(edge, picture("PNG", 300 + n, 300)) for n in range(6)))
    assert [answer.json()["width"] for answer in answers] == [300 + n for n in range(6)]


def test_the_sample_pictures_are_what_they_are_called():
    assert Image.open(io.BytesIO(picture("WEBP"))).format == "WEBP"


async def test_an_upload_is_recorded_before_its_turn_since_its_token_ends_soon(house):
    """A caller token lives 30 s, and a turn may come later (S10)."""
    async with uploads.gate(house, uploads=1) as gate:
        slow = [await gate.begin(gate.customer(), picture()[:50]) for _ in range(2)]
        async with asyncio.timeout(30):
            while len(await gate.house.rows(FileRow)) < 2:
                await asyncio.sleep(0)
        for one in slow:
            one.writer.close()
        async with asyncio.timeout(60):
            while await gate.left() != (0, []):
                await asyncio.sleep(0)


async def test_an_upload_that_became_ready_unheard_keeps_its_record_and_its_bytes(gate, caplog):
    """Media hears that its client is gone after the record was made READY: it may not take a customer's picture."""
    slow = await gate.begin({**gate.customer(), "content-type": "image/png"}, picture()[:50])
    [row] = await until(lambda: gate.house.rows(FileRow))
    await gate.house.objects.put_async(row.object, picture())
    found = files_pb2.UploadedImage(content_type="image/png", size_bytes=7, sha256="cd" * 32, width=640, height=360)
    await gate.house.media_files.FinishUpload(files_pb2.FinishUploadRequest(id=row.id, image=found))
    before = await gate.left()
    slow.writer.close()
    await until(lambda: "upload_not_undone" in caplog.text)
    assert await gate.left() == before == (1, [row.object.rpartition("/")[2]])
