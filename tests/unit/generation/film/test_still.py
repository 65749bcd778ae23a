"""Pictures set in motion: decoded safely, no border ever, moves of fractions of a pixel."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from services.generation.film import still
from services.generation.film.camera import Control, path
from tests.support.films import encoded, scene, shift


def _declared_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def _gif() -> bytes:
    return encoded(Image.new("RGB", (64, 64)), "GIF")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "IMAGE_UNREADABLE"),
        (b"nothing of the kind", "IMAGE_UNREADABLE"),
        (_gif(), "IMAGE_UNREADABLE"),
        (encoded(Image.new("RGB", (64, 64)), "BMP"), "IMAGE_UNREADABLE"),
        (encoded(scene(200, 200))[:-2000], "IMAGE_UNREADABLE"),
        (encoded(scene(200, 200), "JPEG")[:600], "IMAGE_UNREADABLE"),
        (_declared_png(100, 100), "IMAGE_UNREADABLE"),
        (_declared_png(8000, 8000), "IMAGE_TOO_LARGE"),
        (_declared_png(60000, 60000), "IMAGE_TOO_LARGE"),
        (_declared_png(2**31 - 1, 2**31 - 1), "IMAGE_TOO_LARGE"),
        (encoded(Image.new("RGB", (400, 15))), "IMAGE_TOO_SMALL"),
    ],
)
def test_what_is_no_usable_picture_is_refused(data, reason):
    with pytest.raises(still.ImageUnfit) as unfit:
        still.decode(data)
    assert unfit.value.reason == reason


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_read(mode):
    gray = Image.fromarray(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8))
    image = Image.fromarray(np.asarray(gray, np.uint16) * 257) if mode == "I;16" else gray.convert(mode)
    seen = np.asarray(still.decode(encoded(image)))
    assert seen.shape == (64, 64, 3)
    assert seen[0].mean() < 40
    assert seen[-1].mean() > 200


def test_a_cmyk_jpeg_is_read():
    assert still.decode(encoded(scene(64, 64).convert("CMYK"), "JPEG")).mode == "RGB"


def test_what_is_transparent_is_dark():
    assert np.asarray(still.decode(encoded(Image.new("RGBA", (32, 32), (255, 255, 255, 0))))).max() < 40


def test_a_photograph_is_turned_upright():
    image = Image.new("RGB", (60, 40), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 60, 20))
    turned = Image.Exif()
    turned[0x0112] = 6
    upright = still.decode(encoded(image, "JPEG", exif=turned))
    assert upright.size == (40, 60)
    assert np.asarray(upright)[:, 35].mean() < 30
    assert np.asarray(upright)[:, 5].mean() > 220


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\0\0\xff\xff"]
)
def test_broken_camera_data_does_not_spoil_a_photograph(exif):
    assert still.decode(encoded(scene(64, 48), "JPEG", exif=exif)).size == (64, 48)


@pytest.mark.parametrize("output", [(1280, 720), (720, 1280), (720, 720)])
@pytest.mark.parametrize("source", [(640, 640), (300, 1000), (1000, 300), (1281, 719)])
def test_no_black_border_at_the_farthest_moves(output, source):
    white = Image.new("RGB", source, (255, 255, 255))
    for signs in itertools.product((-10, 0, 10), repeat=3):
        for planes in still.frames(white, Control(*signs), (output[0] // 4, output[1] // 4), 5):
            assert planes.size == (output[0] // 4, output[1] // 4)
            assert planes.luma.min() >= 234
            assert 127 <= planes.blue.min() <= planes.blue.max() <= 129


def test_the_picture_keeps_its_colors():
    red = Image.new("RGB", (400, 300), (255, 0, 0))
    planes = next(iter(still.frames(red, Control(), (320, 180), 1)))
    assert [round(float(plane.mean())) for plane in (planes.luma, planes.blue, planes.red)] == [63, 102, 240]


@pytest.mark.parametrize("control", [Control(horizontal=3), Control(vertical=-3)])
def test_slow_moves_are_smooth_to_a_fraction_of_a_pixel(control):
    image = scene(640, 360)
    frames = list(still.frames(image, control, (320, 180), 61))
    moved = [shift(before.luma, after.luma) for before, after in itertools.pairwise(frames)]
    along = [move[0] if control.horizontal else move[1] for move in moved]
    boxes = path(control, (512, 288), (320, 180), 61)
    scale = 320 / (boxes[0].right - boxes[0].left)
    edges = [box.left if control.horizontal else box.top for box in boxes]
    wanted = [-(after - before) * scale for before, after in itertools.pairwise(edges)]
    assert max(abs(seen - want) for seen, want in zip(along, wanted, strict=True)) < 0.08
    speeds = [abs(step) for step in along]
    assert 0.05 < speeds[10] < 1, "the move is slower than a pixel per frame"
    slack = 0.05
    assert all(after >= before - slack for before, after in itertools.pairwise(speeds[:30])), "it only gains speed"
    assert all(after <= before + slack for before, after in itertools.pairwise(speeds[30:])), "it only loses speed"


def test_the_same_picture_and_move_give_the_same_frames():
    image = scene(300, 200)
    first, second = (list(still.frames(image, Control(2, 1, 5), (160, 90), 4)) for _ in range(2))
    assert all(np.array_equal(one.luma, other.luma) for one, other in zip(first, second, strict=True))


def test_a_large_photograph_becomes_small_work():
    data = encoded(Image.new("RGB", (6000, 4000), (9, 90, 90)), "JPEG")
    assert max(still.decode(data).size) <= 6000
    assert len(list(still.frames(still.decode(data), Control(zoom=1), (320, 180), 2))) == 2
    assert io.BytesIO(data).getbuffer().nbytes < 500_000
