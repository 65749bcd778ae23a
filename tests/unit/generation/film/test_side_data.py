"""Side data never decide over a picture (review F2, F12): what has its pixels is taken, and shows the same pixels."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from services.generation.film import container, raster
from tests.support.damage import (
    ASCII,
    LONG,
    ORIENTATION,
    RATIONAL,
    SHORT,
    UNDEFINED,
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

SCENE = scene(64, 48)
PNG, JPEG = encoded(SCENE), encoded(SCENE, "JPEG")
PROGRESSIVE, CMYK = encoded(SCENE, "JPEG", progressive=True), encoded(SCENE.convert("CMYK"), "JPEG")
WEBP, CLEAR_WEBP = encoded(SCENE, "WEBP"), encoded(SCENE.convert("RGBA"), "WEBP", lossless=True)
BEYOND = 1_000_000


def directories(order):
    """Odd EXIF directories, each with the orientation that a tolerant reader finds there."""
    six = entry(ORIENTATION, SHORT, 1, 6, order)

    def odd(tag, kind, count, value=BEYOND):
        return exif(entry(tag, kind, count, value, order), six, order=order)

    pointer = {"EXIF": 0x8769, "GPS": 0x8825, "Interop": 0xA005}
    yield from ((f"{name} pointer beyond the end", odd(tag, LONG, 1), 6) for name, tag in pointer.items())
    yield from ((f"{name} pointer of type SHORT", odd(tag, SHORT, 1, 26), 6) for name, tag in pointer.items())
    yield from ((f"{name} pointer to itself", odd(tag, LONG, 1, 8), 6) for name, tag in pointer.items())
    yield "maker note beyond the end", odd(0x927C, UNDEFINED, 5000), 6
    yield "user comment beyond the end", odd(0x9286, UNDEFINED, 5000), 6
    yield "copyright beyond the end", odd(0x8298, ASCII, 5000), 6
    yield "make beyond the end", odd(0x010F, ASCII, 5000), 6
    yield "resolution beyond the end", odd(0x011A, RATIONAL, 1), 6
    yield "a value of four billion bytes", odd(0x010F, ASCII, 0xFFFFFFFF), 6
    yield "an unknown type", odd(0x010F, 99, 1), 6
    yield "no values", odd(0x010F, ASCII, 0), 6
    yield "next directory is this one", exif(six, order=order)[:-4] + struct.pack(f"{order}I", 8), 6
    yield "next directory beyond the end", exif(six, order=order)[:-4] + struct.pack(f"{order}I", BEYOND), 6
    yield "two orientations", exif(six, entry(ORIENTATION, SHORT, 1, 3, order), order=order), 6
    yield "orientation with two values", exif(entry(ORIENTATION, SHORT, 2, 6, order), order=order), 6
    yield "orientation of type LONG", exif(entry(ORIENTATION, LONG, 1, 6, order), order=order), 6
    yield "orientation with values beyond the end", exif(entry(ORIENTATION, SHORT, 9, BEYOND, order), order=order), 1
    yield "orientation of type ASCII", exif(entry(ORIENTATION, ASCII, 2, 6, order), order=order), 1
    yield from (
        (f"orientation {value}", exif(entry(ORIENTATION, SHORT, 1, value, order), order=order), 1)
        for value in (0, 9, 255, 65535)
    )
    yield "more entries stated than there are", exif(six, order=order, count=60000), 6
    yield "directory cut off behind the orientation", exif(six, order=order, count=9, cut=22), 6
    yield "directory cut off within the orientation", exif(six, order=order, cut=18), 1
    yield "directory without entries", exif(order=order), 1
    yield "header only", exif(order=order, cut=8), 1
    yield "header cut off", exif(order=order, cut=5), 1
    yield "offset beyond the end", exif(six, order=order, offset=BEYOND), 1
    yield "offset within the header", exif(six, order=order, offset=0), 1
    yield "no byte order", b"XX" + exif(six, order=order)[2:], 1
    yield "nothing", b"", 1


def mpf(**changes):
    """Damaged indices of further pictures (CIPA DC-007), each as it stands in its segment."""
    head, number, entries = b"II*\0\x08\0\0\0", (0xB001, LONG, 1, 2), (0xB002, UNDEFINED, 32, 50)

    def index(*rows, cut=None):
        body = struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHII", *row) for row in rows)
        return (head + body + b"\0" * 4 + b"\0" * 32)[:cut]

    return {
        "short": index(number, entries, cut=11),
        "cut off in the header": head[:5],
        "without a number of pictures": index(entries),
        "without entries": index(number),
        "entries beyond the end": index(number, (0xB002, UNDEFINED, 32, BEYOND)),
        "a billion pictures": index((0xB001, LONG, 1, 10**9), entries),
        "directory beyond the end": b"II*\0" + struct.pack("<I", BEYOND),
        "no directory": b"nonsense",
    }


BOMB = zlib.compress(b"\0" * 100_000_000, 9)
ICC = b"ICC_PROFILE\0"
WRONG, SHORTENED = ("tEXt", "pHYs", "prVt", "eXIf"), ("pHYs", "gAMA", "cHRM", "tRNS", "acTL", "fcTL", "tIME")
PNG_DAMAGE = {
    "text of 100 MB": [chunk(b"zTXt", b"workflow\0\0" + BOMB)],
    "international text of 100 MB": [chunk(b"iTXt", b"workflow\0\x01\0\0\0" + BOMB)],
    "70 texts of 1 MB": [chunk(b"tEXt", b"k\0" + b"x" * 1_000_000)] * 70,
    "text packed in an unknown way": [chunk(b"zTXt", b"k\0\x07abc")],
    "profile of 100 MB": [chunk(b"iCCP", b"p\0\0" + BOMB)],
    "profile packed in an unknown way": [chunk(b"iCCP", b"p\0\x07abc")],
    "profile without a name": [chunk(b"iCCP", b"abc")],
    **{f"wrong checksum of {kind}": [chunk(kind.encode(), b"k\0abcdefg", 1)] for kind in WRONG},
    "wrong checksum of transparency": [chunk(b"tRNS", b"\0\x5a\0\x5a\0\x5a", 1)],
    **{f"{kind} too short": [chunk(kind.encode(), b"\0")] for kind in SHORTENED},
    "sRGB empty": [chunk(b"sRGB", b"")],
    "frames out of order": [chunk(b"acTL", struct.pack(">II", 9, 0)), chunk(b"fcTL", b"\0\0\0\x05" + b"\xff" * 22)],
    "a frame outside of the picture": [chunk(b"fcTL", b"\0\0\0\0" + b"\xff" * 22)],
    "a palette of a picture in color": [chunk(b"PLTE", bytes(30))],
}  # fmt: skip
JPEG_DAMAGE = {
    "profile of unknown parts": [segment(0xE2, ICC + b"\x01\x09abc")],
    "profile of no part": [segment(0xE2, ICC)],
    "profile of nonsense": [segment(0xE2, ICC + b"\x01\x01" + b"x" * 500)],
    "XMP of nonsense": [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta \xff\xfe")],
    "JFIF too short": [segment(0xE0, b"JFIF\0\x01")],
    "Adobe too short": [segment(0xEE, b"Adobe")],
    "Photoshop cut off": [segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0")],
    "preview cut off": [segment(0xE1, b"Exif\0\0" + exif() + JPEG[:300])],
    "comment": [segment(0xFE, b"\xff\xd9\xff\xda")],
    "junk between segments": [segment(0xFE, b""), b"\0junk\xff\0\xff\xff"],
    "a length of nought": [b"\xff\xe5\0\0"],
    **{f"further pictures: {name}": [segment(0xE2, b"MPF\0" + index)] for name, index in mpf().items()},
}
WEBP_DAMAGE = {
    "EXIF of nonsense": in_webp(WEBP, riff(b"EXIF", b"nonsense")),
    "profile of nonsense": in_webp(WEBP, riff(b"ICCP", b"nonsense")),
    "XMP of nonsense": in_webp(WEBP, riff(b"XMP ", b"\xff")),
    "announced and not there": in_webp(WEBP),
    "EXIF cut off": in_webp(WEBP, riff(b"EXIF", bytes(100)))[:-50],
    "a length that is too small": WEBP[:4] + struct.pack("<I", 30) + WEBP[8:],
    "more behind the end": WEBP + b"more",
}
HALF = {
    "PNG": PNG[: len(PNG) // 2],
    "JPEG": JPEG[: len(JPEG) * 9 // 10],
    "progressive": PROGRESSIVE[: len(PROGRESSIVE) * 9 // 10],
    "one byte less than its pixels": JPEG[:-3],
    "WebP": WEBP[: len(WEBP) // 2],
    "head of a PNG": PNG[:33],
    "head of a JPEG": JPEG[:600],
    "head of a WebP": WEBP[:20],
    "nothing": b"",
}


def spoilt(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


CRITICAL = {
    "checksum of the header": spoilt(PNG, 29),
    "header": spoilt(PNG, 19),
    "checksum of the pixels": spoilt(PNG, len(PNG) - 16),
    "pixels": spoilt(PNG, len(PNG) // 2),
    "checksum of the palette": in_png(encoded(SCENE.convert("P")), chunk(b"PLTE", bytes(768), 1)),
    "an unknown critical chunk": in_png(PNG, chunk(b"CgBI", bytes(4))),
    "no quantization tables": JPEG.replace(b"\xff\xdb", b"\xff\xe9"),
    "another format in WebP's clothes": b"RIFF" + struct.pack("<I", 60) + b"WEBP" + encoded(SCENE, "GIF"),
}


def read(data):
    """Decode as both the upload's decoder and the models do; nobody here minds the size."""
    return raster.read(data, ("PNG", "JPEG", "WEBP"), lambda width, height: None, 3840)


def same(data, clean):
    found, wanted = read(data), read(clean)
    return found.orientation == 1 and np.array_equal(np.asarray(found.image), np.asarray(wanted.image))


@pytest.mark.parametrize("order", ["<", ">"])
def test_odd_exif_is_read_as_far_as_it_goes(order):
    rows = list(directories(order))
    assert len(rows) >= 34  # as many as the review's
    put = {
        "JPEG": lambda block: in_jpeg(JPEG, segment(0xE1, b"Exif\0\0" + block)),
        "PNG": lambda block: in_png(PNG, chunk(b"eXIf", block)),
        "PNG, late": lambda block: in_png(PNG, chunk(b"eXIf", block), late=True),
        "WebP": lambda block: in_webp(WEBP, riff(b"EXIF", block)),
        "WebP with JPEG's head": lambda block: in_webp(WEBP, riff(b"EXIF", b"Exif\0\0" + block)),
    }
    seen = {(name, where): read(make(block)).orientation for name, block, _ in rows for where, make in put.items()}
    assert seen == {(name, where): wanted for name, _, wanted in rows for where in put}


def test_every_end_of_an_exif_block_is_survived():
    block = exif(entry(0x010F, ASCII, 500, BEYOND), entry(ORIENTATION, SHORT, 1, 6))
    cuts = [container.orientation(block[:length]) for length in range(len(block) + 1)]
    assert [value for value, _ in itertools.groupby(cuts)] == [1, 6]


def test_damaged_side_data_change_nothing():
    files = {
        **{f"PNG: {name}": (in_png(PNG, *chunks), PNG) for name, chunks in PNG_DAMAGE.items()},
        **{f"PNG, late: {name}": (in_png(PNG, *chunks, late=True), PNG) for name, chunks in PNG_DAMAGE.items()},
        **{f"JPEG: {name}": (in_jpeg(JPEG, *segments), JPEG) for name, segments in JPEG_DAMAGE.items()},
        **{f"CMYK: {name}": (in_jpeg(CMYK, *segments), CMYK) for name, segments in JPEG_DAMAGE.items()},
        **{f"WebP: {name}": (data, WEBP) for name, data in WEBP_DAMAGE.items()},
        "transparent WebP with EXIF of nonsense": (riffed(CLEAR_WEBP), CLEAR_WEBP),
        "PNG without its end": (PNG[:-12], PNG),
        "PNG with a broken end": (PNG[:-6], PNG),
        "PNG with more behind its end": (PNG + b"more", PNG),
        "JPEG without its end": (JPEG[:-2], JPEG),
        "progressive JPEG without its end": (PROGRESSIVE[:-2], PROGRESSIVE),
        "CMYK JPEG without its end": (CMYK[:-2], CMYK),
        "JPEG with half an end": (JPEG[:-1], JPEG),
        "JPEG with a film behind its end": (JPEG + b"\0\0\0\x18ftypmp42" + JPEG[:500], JPEG),
    }
    assert [name for name, (data, clean) in files.items() if not same(data, clean)] == []


def riffed(data):
    """A transparent WebP with a chunk that its header does not announce."""
    return in_webp(data, riff(b"EXIF", b"nonsense"), flags=0x10)


@pytest.mark.parametrize("data", [*HALF.values(), *CRITICAL.values()], ids=[*HALF, *CRITICAL])
def test_damaged_pixels_are_still_refused(data):
    with pytest.raises((container.Damaged, OSError, SyntaxError, ValueError)):
        read(data)


def test_what_decides_over_pixels_is_kept():
    """Transparency, palettes, the color space of JPEG, interlacing, and the first picture of an animation."""
    clear = SCENE.convert("P")
    modes = {
        "palette with a clear color": encoded(clear, transparency=3),
        "color with a clear color": encoded(SCENE, transparency=(1, 2, 3)),
        "gray with a clear level": encoded(SCENE.convert("L"), transparency=90),
        "16 bits": encoded(Image.fromarray(np.asarray(SCENE.convert("L"), np.uint16) * 257)),
        "RGB in JPEG": encoded(SCENE, "JPEG", keep_rgb=True),
        "CMYK": CMYK,
        "gray JPEG": encoded(SCENE.convert("L"), "JPEG"),
        "transparent WebP": CLEAR_WEBP,
        "animated PNG": encoded(SCENE, save_all=True, append_images=[SCENE.rotate(90)]),
        "animated WebP": encoded(SCENE, "WEBP", save_all=True, append_images=[SCENE.rotate(90)], lossless=True),
    }
    for name, data in modes.items():
        with Image.open(io.BytesIO(data)) as image:
            wanted = np.asarray(image.convert("RGBA"))
        assert np.array_equal(np.asarray(read(data).image.convert("RGBA")), wanted), name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation):
    """A light corner at the top left of the upright picture, in each of the eight ways that a camera may write it."""
    upright = Image.new("L", (30, 20), 0)
    upright.paste(255, (0, 0, 6, 4))
    ways = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # Pillow's numbers of the way back
    stored = upright
    for way in ways.get(orientation, []):
        stored = stored.transpose(Image.Transpose(way))
    found = read(in_png(encoded(stored), chunk(b"eXIf", exif(entry(ORIENTATION, SHORT, 1, orientation)))))
    assert found.upright_size == (30, 20)
    assert np.array_equal(np.asarray(raster.turned(found.image, found.orientation)), np.asarray(upright))


def test_scans_and_parts_are_bounded():
    few = many_scans(SCENE, 0).count(b"\xff\xda")
    assert read(many_scans(SCENE, container.MAX_SCANS - few)).width == 64
    for data in (
        many_scans(SCENE, container.MAX_SCANS - few + 1),
        in_png(PNG, chunk(b"tEXt", b"") * container.MAX_PARTS),
        in_jpeg(JPEG, segment(0xFE, b"") * container.MAX_PARTS),
        in_webp(WEBP, riff(b"none", b"") * container.MAX_PARTS),
    ):
        with pytest.raises(container.TooComplex):
            container.strip(data)
    assert (container.MAX_SCANS, container.MAX_PARTS) == (64, 100_000)


def test_the_walk_is_linear():
    """A row of the byte that begins every marker: with a careless search its time would grow with the square."""
    with pytest.raises(container.Damaged):
        container.strip(JPEG[:2] + b"\xff" * 30_000_000 + b"\0")


@pytest.mark.parametrize("size", [(65_000, 65_000), (8000, 6251), (2, 65_000)])
def test_the_size_is_checked_before_pixels_are_decoded(size):
    """A file of a few bytes that says that it is large, with and without damaged side data."""
    png = in_png(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)) + PNG[33:])
    frame = JPEG.index(b"\xff\xc0") + 5
    jpeg = JPEG[:frame] + struct.pack(">HH", *size[::-1]) + JPEG[frame + 4 :]
    extended = in_webp(WEBP)
    webp = extended[:24] + b"".join((side - 1).to_bytes(3, "little") for side in size) + extended[30:]
    asked = []

    def check(width, height):
        asked.append((width, height))
        raise container.TooComplex("size")

    broken = segment(0xE1, b"Exif\0\0" + exif(cut=8))
    for data in (png, in_png(png, chunk(b"pHYs", b"")), jpeg, in_jpeg(jpeg, broken)):
        with pytest.raises(container.TooComplex, match="size"):
            raster.read(data, ("PNG", "JPEG", "WEBP"), check, 3840)
    assert asked == [size] * 4
    with pytest.raises((container.TooComplex, OSError, Image.DecompressionBombError)):
        raster.read(webp, ("PNG", "JPEG", "WEBP"), check, 3840)
