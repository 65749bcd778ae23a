"""Finds `AIGC` texts in an MP4 by walking its boxes; made for files that want to do harm.

Own code, since ffmpeg answers one value per key: two labels in a file would look like one.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_INDEX_BYTES = 64 * 2**20
MAX_BOXES = 10_000
KEY = b"AIGC"
UTF8 = 1


class BoxesBroken(ValueError):
    """The file is no MP4, or its boxes do not add up."""


class Box(NamedTuple):
    """A box's four letters and its content's place in the bytes that hold it."""

    kind: bytes
    start: int
    end: int


def labels(path: Path) -> list[str]:
    """Every value of a metadata key `AIGC`, wherever in `moov` the key stands. Raises BoxesBroken, OSError."""
    found = []
    for moov in _indexes(path):
        for holder in (*_children(moov, b"udta"), moov):
            for meta in _children(holder, b"meta"):
                found += _values(meta)
    return found


def faststart(path: Path) -> bool:
    """Whether `moov` stands before `mdat`, so that a player can begin at once. Raises BoxesBroken, OSError."""
    with path.open("rb") as file:
        kinds = [kind for kind, _, _ in _top(file) if kind in (b"moov", b"mdat")]
    return kinds[:1] == [b"moov"]


def _indexes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for kind, start, end in _top(file):
            if kind != b"moov":
                continue
            if end - start > MAX_INDEX_BYTES:
                raise BoxesBroken("The index is too large.")
            file.seek(start)
            yield file.read(end - start)


def _top(file: BinaryIO) -> list[Box]:
    """The boxes of the file itself; only their heads are read."""
    end, position, boxes = file.seek(0, 2), 0, []
    while position < end:
        file.seek(position)
        box = _box(file.read(16), position, end)
        boxes.append(box)
        position = box.end
        if len(boxes) > MAX_BOXES:
            raise BoxesBroken("The file has too many boxes.")
    return boxes


def _walk(data: bytes) -> Iterator[Box]:
    position, count = 0, 0
    while position + 8 <= len(data):
        box = _box(data[position : position + 16], position, len(data))
        yield box
        position, count = box.end, count + 1
        if count > MAX_BOXES:
            raise BoxesBroken("A box has too many boxes.")


def _box(head: bytes, position: int, limit: int) -> Box:
    """Reads a head of 8 or 16 bytes that stands at `position`, inside something that ends at `limit`."""
    if len(head) < 8:
        raise BoxesBroken("A box is cut off.")
    size, kind = struct.unpack(">I4s", head[:8])
    length = 8
    if size == 1:
        if len(head) < 16:
            raise BoxesBroken("A box is cut off.")
        size, length = struct.unpack(">Q", head[8:16])[0], 16
    elif size == 0:
        size = limit - position
    if size < length or position + size > limit:
        raise BoxesBroken("A box is larger than what holds it.")
    return Box(kind, position + length, position + size)


def _children(data: bytes, kind: bytes) -> list[bytes]:
    return [data[box.start : box.end] for box in _walk(data) if box.kind == kind]


def _values(meta: bytes) -> list[str]:
    """The texts under the key in one `meta`, which has a version in front (ISO) or has not (QuickTime)."""
    content = meta if meta[4:8] == b"hdlr" else meta[4:]
    numbers: dict[int, bytes] = {}
    for keys in _children(content, b"keys"):
        numbers.update(enumerate(_names(keys), start=1))
    texts = []
    for entries in _children(content, b"ilst"):
        for box in _walk(entries):
            if numbers.get(int.from_bytes(box.kind, "big")) == KEY:
                texts += [_text(data) for data in _children(entries[box.start : box.end], b"data")]
    return texts


def _names(keys: bytes) -> Iterator[bytes]:
    """The key names of a `keys` box: version and count, then size, namespace and name of each."""
    content = keys[8:]
    for box in _walk(content):
        yield content[box.start : box.end]


def _text(data: bytes) -> str:
    if len(data) < 8 or int.from_bytes(data[:4], "big") != UTF8:
        raise BoxesBroken("A label is not text.")
    try:
        return data[8:].decode("utf-8")
    except UnicodeDecodeError as fault:
        raise BoxesBroken("A label is not UTF-8.") from fault
