"""Looking while the film comes: the verdict of reading the finished file from its start, and for that file only."""

import threading

import pytest

from services.generation.labels import aigc, mark, readback
from services.generation.labels.inspection import Inspection
from tests.support.films import LABEL, PROVIDER, copies, film, noise, unlabeled

FRAMES = 72


def _seen(data: bytes, piece: int = 5000):
    """What an inspection sees of a film of 3 s that comes in pieces."""
    with Inspection(LABEL, 24, FRAMES) as inspection:
        for start in range(0, len(data), piece):
            inspection.feed(data[start : start + piece])
        return inspection.seen()


def _published(tmp_path, fragmented: bytes):
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.write_bytes(fragmented)
    mark.mark(source, target, aigc.generated(PROVIDER))
    return target


@pytest.mark.parametrize("piece", [997, 2**20])
def test_what_was_seen_stands_for_looking_again(fragmented, published, piece):
    seen = _seen(fragmented.read_bytes(), piece)
    assert seen.frames == LABEL.frames(24, FRAMES)
    assert readback.read(published, LABEL, seen) == readback.read(published, LABEL)


def test_a_film_without_the_label_is_seen_to_have_none(tmp_path):
    fragmented = unlabeled(copies(noise(640, 360), FRAMES), (640, 360))
    seen = _seen(fragmented)
    assert seen.frames == 0
    assert not readback.read(_published(tmp_path, fragmented), LABEL, seen).visible


def test_a_label_that_goes_too_early_is_seen_to(tmp_path):
    short = film(copies(noise(640, 360), 40), 40)
    assert _seen(short).frames == 40
    assert readback.read(_published(tmp_path, short), LABEL, _seen(short)).visible, "all of a shorter clip"


def test_what_was_seen_of_another_film_does_not_count(tmp_path, fragmented):
    other = _published(tmp_path, unlabeled(copies(noise(640, 360), FRAMES), (640, 360)))
    report = readback.read(other, LABEL, _seen(fragmented.read_bytes()))
    assert not report.visible
    assert report.visible_seconds == 0


def test_one_changed_picture_makes_another_film(tmp_path, published, fragmented):
    seen, data = _seen(fragmented.read_bytes()), bytearray(published.read_bytes())
    place = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[place] ^= 1
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(data)
    assert readback._coded(changed) != seen.coded
    assert readback._coded(published) == seen.coded


@pytest.mark.parametrize("data", [b"", b"no film at all", bytes(4096)])
def test_what_is_no_film_is_not_seen(data):
    assert _seen(data) is None


def test_a_film_that_breaks_off_is_not_the_whole_one(fragmented, published):
    cut = fragmented.read_bytes()
    seen = _seen(cut[: len(cut) * 2 // 3])
    assert seen is None or seen.coded != readback._coded(published)


def test_an_inspection_that_is_left_ends(fragmented):
    with Inspection(LABEL, 24, FRAMES) as inspection:
        inspection.feed(fragmented.read_bytes()[:1000])
    inspection._thread.join(20)
    assert not any(thread.name == "inspection" and thread.is_alive() for thread in threading.enumerate())
