"""Reading back: a file counts as labeled only when the label is seen in its frames and found in its boxes."""

import dataclasses
import shutil
import time

import av
import numpy as np
import pytest
from PIL import Image, ImageFilter

from services.generation.film.label import Label, plate
from services.generation.film.planes import Planes
from services.generation.labels import aigc, mark, readback
from services.generation.labels.readback import Expected, LabelMissing
from tests.support.films import LABEL, PROVIDER, copies, decoded, film, flat, noise, unlabeled

pytestmark = pytest.mark.group("label readback")

SIZES = [
    (854, 480), (480, 854), (480, 480), (1280, 720), (720, 1280), (720, 720), (1920, 1080), (1080, 1920), (1080, 1080),
]  # fmt: skip


def _publish(tmp_path, fragmented: bytes):
    """Remuxes and answers the path with the label in it."""
    source, target, label = tmp_path / "in.mp4", tmp_path / "out.mp4", aigc.generated(PROVIDER)
    source.write_bytes(fragmented)
    mark.mark(source, target, label)
    return target, label


def _expected(label, size=(640, 360), seconds=3.0):
    return Expected(LABEL, label, *size, 24, seconds)


def _refused(path, expected) -> str:
    """What verify finds missing."""
    with pytest.raises(LabelMissing) as missing:
        readback.verify(readback.read(path, expected.label), expected)
    return missing.value.what


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ground", ["noise", "white", "black"])
def test_a_labeled_film_passes_in_every_size_on_every_ground(tmp_path, size, ground):
    planes = {"noise": noise, "white": _white, "black": _black}[ground](*size)
    path, label = _publish(tmp_path, film(copies(planes, 62), 62))
    report = readback.read(path, LABEL)
    readback.verify(report, _expected(label, size, 62 / 24))
    assert report.visible_ink_percent >= 5
    assert report.visible_seconds == 2.5


def _white(width, height):
    return flat(width, height, (255, 255, 255))


def _black(width, height):
    return flat(width, height, (0, 0, 0))


def test_the_report_tells_the_whole_file(published, label):
    report = readback.read(published, LABEL)
    assert report.visible
    assert report.aigc == {name: getattr(label, field) for name, field in aigc.FIELDS.items()}
    assert report.aigc_count == 1
    assert (report.width, report.height, report.frame_rate, report.duration_seconds) == (640, 360, 24, 3)
    assert (report.codec, report.size_bytes) == ("h264", published.stat().st_size)


def test_a_clip_shorter_than_the_label_passes_when_it_bears_it_to_the_end(tmp_path):
    path, label = _publish(tmp_path, film(copies(noise(640, 360), 24), 24))
    readback.verify(readback.read(path, LABEL), _expected(label, seconds=1.0))


def test_a_film_without_the_label_is_refused(tmp_path):
    path, label = _publish(tmp_path, unlabeled(copies(noise(640, 360), 72), (640, 360)))
    assert _refused(path, _expected(label)) == "visible"


def _burned(change, size=(640, 360), count=72):
    """A film whose frames were labeled and then changed, frame by frame."""
    drawn = plate(LABEL, *size)

    def frames():
        for number, planes in enumerate(copies(noise(*size), count)):
            drawn.burn(planes)
            yield change(number, planes, drawn)

    return unlabeled(frames(), size)


def _region(planes: Planes, drawn):
    height, width = drawn.keep.shape
    return planes.luma[drawn.top : drawn.top + height, drawn.left : drawn.left + width]


def _blur(number, planes, drawn):
    region = _region(planes, drawn)
    region[:] = np.asarray(Image.fromarray(region).filter(ImageFilter.GaussianBlur(6)))
    return planes


def _cover(number, planes, drawn):
    region = _region(planes, drawn)
    region[:, region.shape[1] // 2 :] = 60
    return planes


def _move(number, planes, drawn):
    planes.luma[:] = np.roll(planes.luma, (-12, -16), (0, 1))
    return planes


def _shrink(number, planes, drawn):
    region = _region(planes, drawn)
    small = Image.fromarray(region).resize((region.shape[1] // 4 * 3, region.shape[0] // 4 * 3))
    region[:] = 40
    region[: small.height, : small.width] = np.asarray(small)
    return planes


def _invert(number, planes, drawn):
    region = _region(planes, drawn)
    region[:] = 251 - region
    return planes


def _late(number, planes, drawn):
    return planes if number > 0 else noise(640, 360)


def _short(number, planes, drawn):
    return planes if number < 58 else noise(640, 360)


def _gap(number, planes, drawn):
    return planes if number != 30 else noise(640, 360)


def _thin(number, planes, drawn):
    region = _region(planes, drawn)
    region[: region.shape[0] // 2] = np.where(region[: region.shape[0] // 2] > 128, 90, region[: region.shape[0] // 2])
    return planes


@pytest.mark.parametrize("change", [_blur, _cover, _move, _shrink, _invert, _late, _short, _gap, _thin])
def test_a_label_that_was_tampered_with_is_refused(tmp_path, change):
    path, label = _publish(tmp_path, _burned(change))
    assert _refused(path, _expected(label)) == "visible"


def test_the_same_frames_untouched_pass(tmp_path):
    path, label = _publish(tmp_path, _burned(lambda number, planes, drawn: planes))
    readback.verify(readback.read(path, LABEL), _expected(label))


def test_another_text_is_another_label(published):
    assert not readback.read(published, Label("AI合成 / AI-synthesised")).visible
    assert not readback.read(published, Label("AI生成 / AI-generatod")).visible


def test_smaller_ink_than_asked_is_refused(published):
    assert not readback.read(published, Label(LABEL.text, 2.5, 6.0)).visible


def test_a_longer_time_than_shown_is_refused(published):
    assert not readback.read(published, Label(LABEL.text, 2.9, 5.0)).visible


def test_metadata_written_without_the_flag_is_missing(fragmented, label, tmp_path):
    target = tmp_path / "out.mp4"
    with av.open(str(fragmented)) as source, av.open(str(target), "w", options={"movflags": "faststart"}) as file:
        copied = file.add_stream_from_template(source.streams.video[0])
        file.metadata["AIGC"] = label.to_text()
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                file.mux(packet)
    report = readback.read(target, LABEL)
    assert report.visible
    assert report.aigc is None
    assert _refused(target, _expected(label)) == "aigc"


def test_a_fragmented_file_is_not_finished(fragmented):
    with pytest.raises(LabelMissing) as missing:
        readback.read(fragmented, LABEL)
    assert missing.value.what == "file"


def _altered(published, tmp_path, old: bytes, new: bytes):
    target = tmp_path / "altered.mp4"
    data = published.read_bytes()
    assert data.count(old) >= 1
    assert len(old) == len(new)
    target.write_bytes(data.replace(old, new))
    return target


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"Label":"1"', b'"Label":"3"'),
        (b'"Label":"1"', b'"Label": 1 '),
        (b"ProduceID", b"ProduceId"),
        (b"AIGC", b"aigc"),
    ],
)
def test_a_changed_label_is_refused(published, label, tmp_path, old, new):
    assert _refused(_altered(published, tmp_path, old, new), _expected(label)) == "aigc"


def test_two_labels_are_refused(published, label):
    report = dataclasses.replace(readback.read(published, LABEL), aigc_count=2)
    with pytest.raises(LabelMissing, match="2 AIGC"):
        readback.verify(report, _expected(label))


def test_another_works_label_is_refused(published):
    assert _refused(published, _expected(aigc.generated(PROVIDER))) == "aigc"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"width": 854}, "size"),
        ({"height": 480}, "size"),
        ({"frame_rate": 30}, "frame_rate"),
        ({"duration_seconds": 5.0}, "duration"),
    ],
)
def test_another_picture_than_was_paid_for_is_refused(published, label, change, what):
    assert _refused(published, dataclasses.replace(_expected(label), **change)) == what


@pytest.mark.parametrize("cut", [0, 40, 2000, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(published, label, tmp_path, cut):
    target = tmp_path / "cut.mp4"
    data = published.read_bytes()
    target.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    with pytest.raises(LabelMissing):
        readback.verify(readback.read(target, LABEL), _expected(label))


def test_a_file_that_is_gone_is_refused(tmp_path):
    with pytest.raises(LabelMissing):
        readback.read(tmp_path / "none.mp4", LABEL)


def test_reading_back_720p_takes_a_moment(tmp_path):
    path, label = _publish(tmp_path, film(copies(noise(1280, 720), 120), 120))
    best = 9.0
    for _ in range(3):
        began = time.process_time()
        readback.verify(readback.read(path, LABEL), _expected(label, (1280, 720), 5.0))
        best = min(best, time.process_time() - began)
    assert best < 1.0, "noise is far more work than any picture"


def test_the_files_first_bytes_decide_not_its_name(published, label, tmp_path):
    target = tmp_path / "film.png"
    shutil.copy(published, target)
    readback.verify(readback.read(target, LABEL), _expected(label))
    assert len(decoded(target)) == 72
