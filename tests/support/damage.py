"""Picture files with side data put in, damaged in every way, and with more scans than a picture needs."""

import io
import struct
import zlib
from collections.abc import Iterable

from PIL import Image

Entry = tuple[int, int, int, bytes]
"""An EXIF entry: tag, type, count, and the four bytes of its value or offset."""
ORIENTATION, SHORT, LONG, ASCII, UNDEFINED, RATIONAL = 0x0112, 3, 4, 2, 7, 5


def entry(tag: int, kind: int, count: int, value: int, order: str = "<") -> Entry:
    """Write an entry whose value, or else its offset, is a number; two values of type SHORT are both that."""
    is_inside = kind == SHORT and count <= 2
    word = struct.pack(f"{order}HH", value, value) if is_inside else struct.pack(f"{order}I", value)
    return tag, kind, count, word


def exif(*entries: Entry, order: str = "<", offset: int = 8, count: int | None = None, cut: int | None = None) -> bytes:
    """Write an EXIF block of one directory. `count` is the number it states, `cut` the bytes that are left of it."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)
    body = struct.pack(f"{order}H", len(entries) if count is None else count)
    for tag, kind, number, word in entries:
        body += struct.pack(f"{order}HHI", tag, kind, number) + word
    return (head + body + b"\0" * 4)[:cut]


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """Write a PNG chunk, with its right checksum if none is given."""
    right = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", right if checksum is None else checksum)


def in_png(data: bytes, *chunks: bytes, late: bool = False) -> bytes:
    """Put chunks behind the header of a PNG, or `late` behind its pixels."""
    at = len(data) - 12 if late else 33
    return data[:at] + b"".join(chunks) + data[at:]


def segment(marker: int, body: bytes) -> bytes:
    """Write a JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def in_jpeg(data: bytes, *segments: bytes) -> bytes:
    """Put segments behind the start of a JPEG."""
    return data[:2] + b"".join(segments) + data[2:]


def riff(kind: bytes, body: bytes) -> bytes:
    """Write a RIFF chunk."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def in_webp(data: bytes, *chunks: bytes, flags: int = 0x2C) -> bytes:
    """Put chunks into a simple WebP; `flags` are those that its header announces: 0x20 ICC, 8 EXIF, 4 XMP."""
    with Image.open(io.BytesIO(data)) as image:
        size = b"".join((side - 1).to_bytes(3, "little") for side in image.size)
    inside = riff(b"VP8X", bytes([flags, 0, 0, 0]) + size) + data[12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"WEBP" + inside


def many_scans(image: Image.Image, repeated: int) -> bytes:
    """Write a progressive JPEG whose shortest scan with AC coefficients comes so many times more (review S4)."""
    out = io.BytesIO()
    image.save(out, "JPEG", progressive=True)
    data = out.getvalue()
    scan = min(_scans(data), key=len)
    return data[:-2] + scan * repeated + data[-2:]


def _scans(data: bytes) -> Iterable[bytes]:
    """Yield each scan that has AC coefficients, from its marker to the end of its bits."""
    at = data.find(b"\xff\xda")
    while at >= 0:
        length = int.from_bytes(data[at + 2 : at + 4])
        first = data[at + 2 + length - 3]
        end = at + 2 + length
        while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
            end += 1
        if first:
            yield data[at:end]
        at = data.find(b"\xff\xda", end)
