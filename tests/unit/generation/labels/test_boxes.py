"""The box walk: finds every label, and no file can hurt it."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.generation.labels import boxes
from services.generation.labels.boxes import BoxesBroken


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _meta(pairs: list[tuple[bytes, bytes]], *, iso: bool = True, flags: int = 1) -> bytes:
    names = b"".join(_box(b"mdta", name) for name, _ in pairs)
    keys = _box(b"keys", struct.pack(">II", 0, len(pairs)) + names)
    entries = b"".join(
        _box(struct.pack(">I", number), _box(b"data", struct.pack(">II", flags, 0) + value))
        for number, (_, value) in enumerate(pairs, start=1)
    )
    handler = _box(b"hdlr", b"\0" * 8 + b"mdta" + b"\0" * 13)
    return _box(b"meta", (b"\0" * 4 if iso else b"") + handler + keys + _box(b"ilst", entries))


def _file(*inside_moov: bytes) -> bytes:
    return _box(b"ftyp", b"isom") + _box(b"moov", b"".join(inside_moov)) + _box(b"mdat", b"x" * 9)


@pytest.fixture
def labels(tmp_path):
    """Reads the labels of a file given as bytes."""

    def read(data: bytes) -> list[str]:
        path = tmp_path / "file.mp4"
        path.write_bytes(data)
        return boxes.labels(path)

    return read


@pytest.mark.parametrize("iso", [True, False])
def test_a_label_is_found_under_udta_and_under_moov(labels, iso):
    meta = _meta([(b"encoder", b"x"), (b"AIGC", b"{1}")], iso=iso)
    assert labels(_file(_box(b"udta", meta))) == ["{1}"]
    assert labels(_file(meta)) == ["{1}"]


def test_two_labels_are_two_wherever_they_stand(labels):
    one, two = _meta([(b"AIGC", b"1")]), _meta([(b"AIGC", b"2"), (b"AIGC", b"3")])
    assert labels(_file(_box(b"udta", one), two)) == ["1", "2", "3"]
    assert labels(_file(_box(b"udta", one), _box(b"udta", one))) == ["1", "1"]
    assert labels(_file(_box(b"udta", one)) + _box(b"moov", two)) == ["1", "2", "3"]


def test_another_key_is_no_label(labels):
    assert labels(_file(_box(b"udta", _meta([(b"aigc", b"1"), (b"AIGCx", b"2"), (b"comment", b"AIGC")])))) == []


def test_large_sizes_and_open_ends_are_read(labels):
    meta = _meta([(b"AIGC", b"{}")])
    wide = struct.pack(">I4sQ", 1, b"moov", len(meta) + 16) + meta
    assert labels(wide) == ["{}"]
    assert labels(struct.pack(">I4s", 0, b"moov") + meta) == ["{}"]


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x10moov",
        b"\0\0\0\x04moov",
        b"\0\0\0\x01moov",
        struct.pack(">I4sQ", 1, b"moov", 2**63),
        struct.pack(">I4sQ", 1, b"moov", 3),
        b"abc",
        _file(struct.pack(">I4s", 2**31, b"udta")),
        _file(_box(b"udta", _meta([(b"AIGC", b"\xff\xfe")]))),
        _file(_box(b"udta", _meta([(b"AIGC", b"{}")], flags=13))),
        _box(b"free", b"") * 20_000,
        _box(b"moov", _box(b"free", b"") * 20_000),
    ],
)
def test_what_does_not_add_up_is_refused(labels, data):
    with pytest.raises(BoxesBroken):
        labels(data)


def test_nothing_is_found_in_nothing(labels):
    assert labels(b"") == []
    assert labels(_box(b"ftyp", b"isom")) == []


@settings(max_examples=300)
@given(data=some.data())
def test_a_damaged_file_is_read_or_refused(data, tmp_path_factory):
    whole = bytearray(_file(_box(b"udta", _meta([(b"AIGC", b"{}"), (b"b", b"c")]))))
    for _ in range(data.draw(some.integers(1, 6))):
        whole[data.draw(some.integers(0, len(whole) - 1))] = data.draw(some.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.mp4"
    path.write_bytes(whole[: data.draw(some.integers(0, len(whole)))])
    with contextlib.suppress(BoxesBroken):
        assert all(isinstance(text, str) for text in boxes.labels(path))


def test_the_published_file_begins_with_its_index(published, fragmented):
    assert boxes.faststart(published)
    assert boxes.faststart(fragmented)
    assert boxes.labels(fragmented) == []
    assert len(boxes.labels(published)) == 1
