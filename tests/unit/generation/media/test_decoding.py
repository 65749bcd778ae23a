"""The work of decoding, over the real door: what takes too much is refused, and nobody's pictures wait for others'."""

import asyncio
import io
import tempfile

import pytest
from PIL import Image
from sqlalchemy import text

from services.generation.files.tables import FileRow
from services.generation.media import pictures
from services.runtime import ids
from tests.support import uploads
from tests.support.damage import many_scans
from tests.support.source import ROOT
from tests.support.uploads import picture
from tests.support.waiting import steps, until


async def post(edge, body, **headers):
    return await edge.post("/v1/files", content=body, headers={"content-type": "image/png", **headers})


def reason(answer):
    return answer.json()["details"][0]["reason"]


def stranger(gate):
    """Headers of a customer of another organization."""
    return gate.customer(organization=ids.new("org"), project=ids.new("prj"), account=ids.new("acc"))


async def test_a_picture_that_takes_seconds_is_refused(house):
    """The limit is the least there is, and the picture the slowest that 64 scans allow."""
    slow = many_scans(Image.new("RGB", (7000, 7000), (90, 60, 30)), 54)
    async with uploads.gate(house, decode_cpu_seconds=1, decode_seconds=120) as gate, gate.client() as edge:
        edge.timeout = 120
        edge.headers.update(gate.customer())
        answer = await post(edge, slow)
        assert (answer.status_code, reason(answer)) == (400, "IMAGE_TOO_COMPLEX")
        assert answer.json()["details"][0]["metadata"]["limit"] == "1"
        assert await gate.left() == (0, [])


async def test_a_machine_that_is_too_busy_says_so(house):
    async with uploads.gate(house, decode_seconds=0.01) as gate, gate.client() as edge:
        edge.headers.update(gate.customer())
        answer = await post(edge, picture("JPEG", 4000, 3000))
        assert (answer.status_code, reason(answer)) == (503, "PEER_UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
        assert await gate.left() == (0, [])


async def test_decoding_has_a_budget_and_others_have_theirs(house):
    async with uploads.gate(house, decode_budget_seconds=0.01) as gate, gate.client() as edge:
        edge.headers.update(gate.customer())
        assert (await post(edge, picture())).status_code == 200
        answer = await post(edge, picture())
        assert (answer.status_code, answer.json()["code"], reason(answer)) == (429, 8, "DECODING_SPENT")
        assert int(answer.headers["retry-after"]) > 60  # it is a long way from 0.1 s down to 0.01 s
        assert (await post(edge, picture(), **stranger(gate))).status_code == 200
        assert (await gate.left())[0] == 2


async def test_two_crowds_of_slow_pictures_keep_nobody_waiting(house):
    """Review S4: 16 connections of two organizations, then one picture of a third.

    The review's picture is refused by its scans; the slowest that is not goes to a decoder. Its turns are counted, not
    timed: the third is served before all but the turns that run when it comes, and one more of each crowd.
    """
    flat = Image.new("RGB", (6300, 6300), (90, 60, 30))
    review, slow = many_scans(flat, 30_000), many_scans(flat.resize((4500, 4500)), 54)
    assert 900_000 < len(review) < 950_000
    changes = {"decode_cpu_seconds": 30, "decode_seconds": 300, "upload_seconds": 300, "decode_budget_seconds": 300}
    async with uploads.gate(house, **changes) as gate, gate.client() as edge:
        edge.timeout = 300
        crowds = [stranger(gate), stranger(gate)]
        refused = await post(edge, review, **crowds[0])
        assert (refused.status_code, reason(refused)) == (400, "IMAGE_TOO_COMPLEX")
        tasks = [asyncio.create_task(post(edge, slow, **crowds[n % 2])) for n in range(16)]
        while len(await house.rows(FileRow)) < 16:
            await asyncio.sleep(0)
        early = sum(task.done() for task in tasks)
        answer = await post(edge, picture(), **stranger(gate))
        assert answer.status_code == 200
        assert sum(task.done() for task in tasks) - early <= 6
        assert early < 8, "they were served before anybody could wait for them"
        for task in tasks:
            task.cancel()


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Let decoders note that they begin in `begun`, and go on once `go` is there."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    begun.touch()
    waits = f"""
import os, time
with open({str(begun)!r}, "a") as file:
    file.write("x")
while not os.path.exists({str(go)!r}):
    time.sleep(0.01)
"""
    monkeypatch.setattr(pictures, "START", waits + pictures.START)
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    return begun, go


async def test_an_upload_whose_client_has_gone_is_not_decoded(house, held, tmp_path):
    """Review S4: the edge closes its connection when the client closes theirs."""
    begun, go = held
    size = {"content-length": str(len(picture()))}
    async with uploads.gate(house, decoders=1, decode_seconds=300) as gate, gate.client() as edge:
        edge.timeout = 300
        edge.headers.update(gate.customer())
        first = asyncio.create_task(post(edge, picture()))
        await until(begun.read_text)
        gone = [await gate.begin({**stranger(gate), **size}, picture()) for _ in range(3)]
        received = lambda: [path for path in (tmp_path / "disk").glob("*/upload") if path.stat().st_size]  # noqa: E731
        await until(lambda: len(received()) == 4, what="four uploads are whole")
        for one in gone:
            one.writer.transport.abort()
        await until(lambda: len(received()) == 1, what="only one upload is kept")
        await until(lambda: alone(house), what="only one record is kept")
        assert not first.done()
        go.touch()
        assert (await first).status_code == 200
        assert begun.read_text() == "x"


async def alone(house):
    return len(await house.rows(FileRow)) == 1


async def test_a_decoder_whose_client_goes_is_ended(house, held):
    begun, go = held
    size = {"content-length": str(len(picture()))}
    async with uploads.gate(house, decoders=1, decode_seconds=300) as gate, gate.client() as edge:
        edge.timeout = 300
        gone = await gate.begin({**gate.customer(), **size}, picture())
        await until(begun.read_text)
        gone.writer.transport.abort()
        await until(lambda: nothing(gate), what="nothing is left")
        go.touch()
        assert (await post(edge, picture(), **gate.customer())).status_code == 200
        assert begun.read_text() == "xx"


async def nothing(gate):
    return await gate.left() == (0, [])


EXCLUSIVE = text("LOCK TABLE files IN EXCLUSIVE MODE")
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'files'::regclass")


async def test_a_client_that_goes_while_its_record_is_made_leaves_none(house):
    """The record comes only after the client has gone: whoever stopped waiting for it would leave it for a day."""
    async with uploads.gate(house) as gate, house.database.engine.connect() as other:
        await other.execute(EXCLUSIVE)
        gone = await gate.begin(gate.customer(), b"")
        await until(lambda: other.scalar(WAITING), what="the record waits for the table")
        gone.writer.transport.abort()
        await steps(1000)  # media sees the end of the connection
        await other.commit()
        await other.execute(EXCLUSIVE)  # comes after the record, that waits longer
        await other.commit()
        await until(lambda: nothing(gate), what="nothing is left")


async def test_a_picture_that_needs_too_much_memory_is_refused(house):
    async with uploads.gate(house, decode_memory_bytes=200 * 1024 * 1024) as gate, gate.client() as edge:
        edge.headers.update(gate.customer())
        answer = await post(edge, picture("PNG", 7000, 7000, "RGBA", color=0))
        assert (answer.status_code, reason(answer)) == (400, "IMAGE_TOO_LARGE")
        assert await gate.left() == (0, [])


TAKEN_OVER = f"""
import os, sys
sys.path.append({str(ROOT)!r})
from services.generation.media.confinement import confine
copy = open(sys.argv[2], "xb")
confine(2**30, 3)
"""
FITTING = (
    '{"content_type": "text/html", "width": 640, "height": 480, '
    '"frame_width": 320, "frame_height": 240, "seconds": 0.1}'
)
PIXELS = 320 * 240 * 3


async def test_what_a_decoder_says_is_held_against_what_we_know(house, monkeypatch):
    """Review S9: code that took it over writes its answer and the frame; nothing else of it may get out."""
    odd = [
        "",
        "hello",
        "[1]",
        "{}",
        "[" * 60_000,
        "\\xff",
        FITTING.replace("640", "1e999"),
        FITTING.replace("0.1", "[]"),
    ]
    odd += [FITTING.replace("640", text) for text in ("-640", "64000000", "1", "1" * 5000)]
    odd += [FITTING.replace("320", text) for text in ("0", "-320", "321", "1e9", "null")]
    odd += [FITTING.replace("320", "-320").replace("240", "-240"), FITTING.replace("320", "19200").replace("240", "4")]
    answers = [(text, PIXELS) for text in odd] + [(FITTING, size) for size in (0, 1, PIXELS - 1, PIXELS + 1)]
    async with uploads.gate(house) as gate, gate.client() as edge:
        edge.headers.update(gate.customer())
        for text, size in answers:
            says = f"copy.write(bytes({size})); copy.flush(); os.write(1, {text!r}.encode()); os._exit(0)"
            monkeypatch.setattr(pictures, "START", TAKEN_OVER + says)
            answer = await post(edge, picture())
            assert (answer.status_code, reason(answer)) == (400, "IMAGE_UNREADABLE"), text[:99]
        assert await gate.left() == (0, [])
        monkeypatch.setattr(pictures, "START", TAKEN_OVER + says.replace(str(PIXELS + 1), str(PIXELS)))
        answer = await post(edge, picture())
        assert (answer.status_code, answer.json()["content_type"]) == (200, "image/png"), "known by its own bytes"


async def test_no_file_of_a_decoder_is_what_models_are_given(house, monkeypatch, tmp_path):
    """Code that took the decoder over gives back a file made to take over the next one: its bytes are but colors."""
    hostile = picture("JPEG", 320, 240).ljust(PIXELS, b"\xa5")
    (tmp_path / "hostile").write_bytes(hostile)
    load = TAKEN_OVER.replace("confine(", f"data = open({str(tmp_path / 'hostile')!r}, 'rb').read(); confine(")
    says = f"copy.write(data); copy.flush(); os.write(1, {FITTING!r}.encode()); os._exit(0)"
    monkeypatch.setattr(pictures, "START", load + says)
    async with uploads.gate(house) as gate, gate.client() as edge:
        edge.headers.update(gate.customer())
        assert (await post(edge, picture())).status_code == 200
    [row] = await house.rows(FileRow)
    frame = (house.folder / "objects" / f"{row.object}.frame.jpg").read_bytes()
    with Image.open(io.BytesIO(frame)) as image:
        assert (image.format, image.size) == ("JPEG", (320, 240))
        last = image.crop((0, 200, 320, 240)).getextrema()
    assert all(abs(level - 0xA5) <= 2 for levels in last for level in levels)
    assert hostile[:64] not in frame
