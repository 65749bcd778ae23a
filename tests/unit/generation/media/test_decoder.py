"""The process that decodes a stranger's picture: every kind that is taken, confined as it is in the product."""

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from services.generation.media import decoder, pictures
from tests.support.damage import (
    ORIENTATION,
    SHORT,
    chunk,
    entry,
    exif,
    in_jpeg,
    in_png,
    in_webp,
    many_scans,
    riff,
    segment,
)
from tests.support.films import encoded, scene

LIMITS = {"memory_bytes": 2**30, "cpu_seconds": 5, "side_pixels": 300, "pixels": 50_000_000, "ratio": 4}
SCENE = scene(640, 480)
PROFILE = b"not a profile" * 100
SIDEWAYS = exif(entry(ORIENTATION, SHORT, 1, 6))
GRAY16 = Image.fromarray(np.asarray(SCENE.convert("L"), np.uint16) * 257)
KINDS = {
    "PNG": encoded(SCENE),
    "PNG of 16 bits": encoded(GRAY16),
    "PNG of 16 bits and three colors": in_png(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 640, 480, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(SCENE, ">u2") * 257)))
        + chunk(b"IEND", b"")
    ),
    "PNG with a palette": encoded(SCENE.convert("P")),
    "PNG with a clear color": encoded(SCENE.convert("P"), transparency=3),
    "PNG with opacity": encoded(SCENE.convert("RGBA")),
    "PNG in black and white": encoded(SCENE.convert("1")),
    "PNG with a profile": encoded(SCENE, icc_profile=PROFILE),
    "animated PNG": encoded(SCENE, save_all=True, append_images=[SCENE.rotate(90)]),
    "JPEG": encoded(SCENE, "JPEG"),
    "JPEG with a profile": encoded(SCENE, "JPEG", icc_profile=PROFILE),
    "progressive JPEG": encoded(SCENE, "JPEG", progressive=True),
    "CMYK JPEG": encoded(SCENE.convert("CMYK"), "JPEG"),
    "gray JPEG": encoded(SCENE.convert("L"), "JPEG"),
    "JPEG without its end": encoded(SCENE, "JPEG")[:-2],
    "JPEG with further pictures": encoded(SCENE, "MPO", save_all=True, append_images=[SCENE.rotate(90)]),
    "JPEG with as many scans as are allowed": many_scans(SCENE, 54),
    "WebP": encoded(SCENE, "WEBP"),
    "lossless WebP": encoded(SCENE, "WEBP", lossless=True),
    "transparent WebP": encoded(SCENE.convert("RGBA"), "WEBP"),
    "WebP with a profile": encoded(SCENE, "WEBP", icc_profile=PROFILE),
    "animated WebP": encoded(SCENE, "WEBP", save_all=True, append_images=[SCENE.rotate(90)]),
}
TURNED = {
    "PNG on its side": in_png(KINDS["PNG"], chunk(b"eXIf", SIDEWAYS)),
    "JPEG on its side": in_jpeg(KINDS["JPEG"], segment(0xE1, b"Exif\0\0" + SIDEWAYS)),
    "CMYK JPEG on its side": in_jpeg(KINDS["CMYK JPEG"], segment(0xE1, b"Exif\0\0" + SIDEWAYS)),
    "WebP on its side": in_webp(KINDS["WebP"], riff(b"EXIF", SIDEWAYS)),
}


@pytest.fixture
def decoded(tmp_path):
    """Run the decoder as media does; its answer, without the time, and the pixels that it wrote."""

    def run(data, **changes):
        source, copy = tmp_path / "upload", tmp_path / "upload.pixels"
        source.write_bytes(data)
        copy.unlink(missing_ok=True)
        command = [sys.executable, "-I", "-c", pictures.START, str(source), str(copy), json.dumps(LIMITS | changes)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={})
        assert (done.returncode, done.stderr) == (0, "")
        answer = json.loads(done.stdout)
        assert 0 < answer.pop("seconds") < 5
        return answer, copy

    return run


@pytest.mark.parametrize("name", [*KINDS, *TURNED])
def test_every_kind_of_picture_is_decoded_within_its_confinement(decoded, name):
    answer, copy = decoded((KINDS | TURNED)[name])
    width, height = (480, 640) if name in TURNED else (640, 480)
    kind = next(kind for word, kind in (("PNG", "png"), ("JPEG", "jpeg"), ("WebP", "webp")) if word in name)
    sizes = {"width": width, "height": height, "frame_width": width, "frame_height": height}
    assert answer == {"content_type": f"image/{kind}", **sizes}
    pixels = np.frombuffer(copy.read_bytes(), np.uint8).reshape(height, width, 3)
    wanted = np.asarray(SCENE if name not in TURNED else SCENE.transpose(Image.Transpose.ROTATE_270), float)
    if not any(word in name for word in ("gray", "bits", "palette", "clear", "black")):
        assert np.abs(pixels - wanted).mean() < 6


def test_a_large_picture_becomes_a_smaller_frame(decoded):
    answer, copy = decoded(encoded(Image.new("RGB", (6000, 4000), (90, 60, 30)), "JPEG"))
    sizes = {"width": 6000, "height": 4000, "frame_width": 3840, "frame_height": 2560}
    assert answer == {"content_type": "image/jpeg", **sizes}
    assert copy.stat().st_size == 3840 * 2560 * 3


REFUSED = {
    "IMAGE_TOO_SMALL": encoded(scene(299, 300)),
    "IMAGE_RATIO": encoded(Image.new("L", (1201, 300))),
    "IMAGE_TOO_LARGE": encoded(Image.new("1", (8000, 6251))),
    "IMAGE_TOO_COMPLEX": many_scans(SCENE, 55),
    "IMAGE_UNREADABLE": KINDS["PNG"][:-2000],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_says_why(decoded, reason):
    assert decoded(REFUSED[reason])[0] == {"refused": reason}


def test_a_picture_that_needs_more_memory_than_allowed_is_too_large(decoded):
    large = encoded(Image.new("RGBA", (6000, 6000)))
    assert decoded(large, memory_bytes=200 * 2**20)[0] == {"refused": "IMAGE_TOO_LARGE"}


@pytest.mark.parametrize(
    ("size", "reason"),
    [((299, 300), "IMAGE_TOO_SMALL"), ((300, 1201), "IMAGE_RATIO"), ((8000, 6251), "IMAGE_TOO_LARGE")],
)
def test_measures_are_checked_before_anything_is_decoded(size, reason):
    with pytest.raises(decoder.Refused, match=reason):
        decoder.check(*size, LIMITS)
