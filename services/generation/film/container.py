"""Takes the pixel data out of a PNG, JPEG or WebP file and leaves its side data behind, before any decoder sees it.

Side data are text, EXIF, XMP, ICC profiles, resolutions, previews, further pictures and animation frames. None of them
may decide whether a picture is accepted (review F2, F12). Only the EXIF orientation is read. The walk is linear in the
file's size. It needs nothing beside the standard library, since it runs in the confined decoder and inside Triton.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PARTS = 100_000
"""PNG chunks, JPEG segments or WebP chunks in a file. A PNG of 32 MiB in chunks of 8 KiB has 4,096."""
MAX_SCANS = 64
"""Scans of a JPEG: each goes over all pixels again, though it may have 23 bytes (review S4). Encoders write 1 to 12."""
MAX_ORIENTATION = 8
_ORIENTATION = 0x0112
_NUMBERS = {1: "B", 3: "H", 4: "I"}
"""EXIF types that an orientation may have. The standard says 3 (SHORT); cameras have written all of them."""
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PALETTE, _GREY, _COLOR = 3, 0, 2
_SOI, _EOI, _SOS, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xFE
_APP0, _APP14, _APP15, _EXIF = 0xE0, 0xEE, 0xEF, 0xE1
# One byte FF before the code, not several: `\xff+` would take a time that grows with the square of a row of FF.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_ALPHA, _ANIMATED = 0x10, 0x02


class Damaged(ValueError):
    """The file has no pixel data that can be decoded."""


class TooComplex(ValueError):
    """The file has more scans or parts than a picture needs."""


@dataclass(frozen=True)
class Stripped:
    """A file without side data.

    `kind` is PNG, JPEG or WEBP; `orientation` EXIF's, 1 to 8; `is_ended` says whether a JPEG has its end marker, which
    `data` then contains. The others always have theirs.
    """

    kind: str
    data: bytes
    orientation: int
    is_ended: bool = True


def strip(data: bytes) -> Stripped:
    """Return the file with nothing but what decides over its pixels, of an animation the first picture.

    Raises Damaged, TooComplex.
    """
    if data.startswith(_PNG_HEAD):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    raise Damaged("neither PNG, JPEG nor WebP")


def orientation(exif: bytes) -> int:
    """Return the orientation in an EXIF block (TIFF 6.0, section 2), 1 to 8; 1 where it cannot be read.

    Only the first directory is looked at, entry by entry, so that no other entry can be in the way.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    start = _number(exif, order + "I", 4)
    count = _number(exif, order + "H", start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(exif)), 12):
        if _number(exif, order + "H", at) == _ORIENTATION:
            found = _value(exif, order, at)
            return found if 1 <= found <= MAX_ORIENTATION else 1
    return 1


def _value(exif: bytes, order: str, at: int) -> int:
    """Return the first value of the entry at `at`, which stands in the entry itself where four bytes hold all."""
    code = _NUMBERS.get(_number(exif, order + "H", at + 2))
    if code is None:
        return 0
    is_inside = _number(exif, order + "I", at + 4) * struct.calcsize(code) <= 4  # bytes of the field
    return _number(exif, order + code, at + 8 if is_inside else _number(exif, order + "I", at + 8))


def _number(exif: bytes, code: str, at: int) -> int:
    return int(struct.unpack_from(code, exif, at)[0]) if at + struct.calcsize(code) <= len(exif) else 0


def _png(data: bytes) -> Stripped:
    """Strip a PNG. What comes after its end or after a broken chunk is not looked at."""
    critical: dict[bytes, bytes] = {}
    side: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    last = b""
    for kind, body, is_sound in _chunks(data):
        if kind[:1].isupper() and not is_sound:
            raise Damaged(f"wrong checksum of {kind!r}")
        if kind == b"IDAT":
            if not pixels or last == kind:  # others after a gap belong to no picture (PNG, 5.6)
                pixels.append(body)
        elif kind in (b"IHDR", b"PLTE"):
            critical.setdefault(kind, body)
        elif kind == b"IEND":
            break
        elif kind[:1].isupper():
            raise Damaged(f"unknown critical chunk {kind!r}")  # PNG, 13.2: it cannot be shown
        elif is_sound and (kind == b"eXIf" or (kind == b"tRNS" and not pixels)):
            side.setdefault(kind, body)
        last = kind
    if not pixels or len(critical.get(b"IHDR", b"")) != 13:  # PNG, 11.2.1
        raise Damaged("no pixels")
    return Stripped("PNG", _png_of(critical, side, b"".join(pixels)), orientation(side.get(b"eXIf", b"")))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield each whole PNG chunk: kind, body, whether its checksum is right. Raises TooComplex."""
    at = len(_PNG_HEAD)
    for _ in range(MAX_PARTS):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if end > len(data) or not kind.isalpha():
            return
        checksum = int.from_bytes(data[end - 4 : end])
        yield kind, data[at + 8 : end - 4], zlib.crc32(memoryview(data)[at + 4 : end - 4]) == checksum
        at = end
    raise TooComplex("parts")


def _png_of(critical: dict[bytes, bytes], side: dict[bytes, bytes], pixels: bytes) -> bytes:
    """Write a PNG of a header, a palette and transparency where they belong, and the pixels in one chunk."""
    color = critical[b"IHDR"][9]
    palette = critical.get(b"PLTE", b"") if color == _PALETTE else b""
    clear = side.get(b"tRNS", b"")
    fits = {_GREY: len(clear) == 2, _COLOR: len(clear) == 6, _PALETTE: 0 < len(clear) <= len(palette) // 3}
    parts = [(b"IHDR", critical[b"IHDR"])]
    parts += [(b"PLTE", palette)] * bool(palette)
    parts += [(b"tRNS", clear)] * fits.get(color, False)  # of another length it is damaged side data
    parts += [(b"IDAT", pixels), (b"IEND", b"")]
    return _PNG_HEAD + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in parts
    )


def _jpeg(data: bytes) -> Stripped:
    """Strip a JPEG. What comes after its end, such as MPO's further pictures, is not looked at."""
    kept, exif, scans, at = [b"\xff\xd8"], b"", 0, 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None:
            return _jpeg_of(kept, exif, scans, is_ended=False)
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            return _jpeg_of(kept, exif, scans, is_ended=True)
        if marker == _TEM or 0xD0 <= marker <= _SOI:  # RST0: markers that have no length
            continue
        end = at + max(2, int.from_bytes(data[at : at + 2]))
        body = data[at + 2 : end]
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise TooComplex("scans")
            after = _AFTER_SCAN.search(data, end)
            end = after.start() if after else len(data)
        elif marker == _EXIF and not exif and body.startswith(b"Exif\0\0"):
            exif = body
        if _decides(marker, body):
            kept.append(found[0] + data[at:end])
        at = end if end <= len(data) or not _is_side(marker) else at
    raise TooComplex("parts")


def _decides(marker: int, body: bytes) -> bool:
    """Say whether a JPEG segment decides over pixels. JFIF's and Adobe's do: libjpeg reads the color space there."""
    if marker == _APP0:
        return body.startswith(b"JFIF\0") and len(body) >= 14  # as long as libjpeg wants it
    if marker == _APP14:
        return body.startswith(b"Adobe") and len(body) >= 12
    return not _is_side(marker)


def _is_side(marker: int) -> bool:
    return _APP0 <= marker <= _APP15 or marker == _COM


def _jpeg_of(kept: list[bytes], exif: bytes, scans: int, *, is_ended: bool) -> Stripped:
    if not scans:
        raise Damaged("no pixels")
    end = b"\xff\xd9" if is_ended else b""
    return Stripped("JPEG", b"".join(kept) + end, orientation(exif), is_ended)


def _webp(data: bytes) -> Stripped:
    """Strip a WebP (RFC 9649). Of an animation the first frame is left, on its canvas."""
    parts: dict[bytes, bytes] = {}
    at = 12
    for _ in range(MAX_PARTS):
        kind, end = data[at : at + 4], at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 > len(data) or end > len(data):
            break
        parts.setdefault(kind, data[at + 8 : end])
        at = end + (end - at) % 2
    else:
        raise TooComplex("parts")
    exif = parts.get(b"EXIF", b"")
    kinds, head = _webp_kinds(parts)
    inside = b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in [*head, *((kind, parts[kind]) for kind in kinds if kind in parts)]
    )
    return Stripped("WEBP", b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"WEBP" + inside, orientation(exif))


def _webp_kinds(parts: dict[bytes, bytes]) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Return the kinds of chunks to keep, and a VP8X chunk that announces no side data. Raises Damaged."""
    first = next(iter(parts), b"")
    if first in (b"VP8 ", b"VP8L"):
        return [first], []
    extended = parts.get(b"VP8X", b"")
    if first != b"VP8X" or len(extended) != 10:  # RFC 9649, 2.7
        raise Damaged("no pixels")
    kinds = [b"ANIM", b"ANMF"] if extended[0] & _ANIMATED else [b"ALPH", b"VP8 ", b"VP8L"]
    if not any(kind in parts for kind in kinds[1:]):
        raise Damaged("no pixels")
    return kinds, [(b"VP8X", bytes([extended[0] & (_ALPHA | _ANIMATED)]) + extended[1:])]
