"""The encoder's files: fragmented, tagged, decodable from pieces, labeled as long as they must be."""

import io

import av
import numpy as np
import pytest

from services.generation.film import encoder
from services.generation.film.label import Label
from services.generation.film.planes import from_rgb
from tests.support.films import LABEL, copies, decoded, film, flat, noise


def _boxes(data: bytes) -> list[bytes]:
    kinds, at = [], 0
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return kinds


def test_the_file_is_fragmented_and_comes_in_pieces():
    steps = list(encoder.film(copies(noise(320, 240), 120), 120, 24, LABEL))
    assert [step.done for step in steps] == list(range(1, 121))
    pieces = [step.piece for step in steps if step.piece]
    assert len(pieces) >= 15, "of a quarter of a second each"
    kinds = _boxes(b"".join(pieces))
    assert kinds[:2] == [b"ftyp", b"moov"]
    assert kinds.count(b"moof") == kinds.count(b"mdat") == 20


def test_the_stream_says_what_it_is():
    with av.open(io.BytesIO(film(copies(flat(320, 240, (9, 99, 199)), 48), 48))) as file:
        stream, context = file.streams.video[0], file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 320, 240)
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert stream.average_rate == 24
        assert stream.start_time == 0
        assert file.duration == 2_000_000
        times = [frame.time for frame in file.decode(stream)]
    assert times == pytest.approx([number / 24 for number in range(48)])


@pytest.mark.parametrize(
    ("color", "planes"),
    [((255, 255, 255), (235, 128, 128)), ((0, 0, 0), (16, 128, 128)), ((0, 0, 255), (32, 240, 118))],
)
def test_colors_are_bt709_in_limited_range(color, planes):
    made = from_rgb(np.full((48, 64, 3), color, np.uint8))
    seen = [float(plane.mean()) for plane in (made.luma, made.blue, made.red)]
    assert seen == pytest.approx(planes, abs=1)


def test_the_same_frames_give_the_same_bytes():
    assert film(copies(noise(320, 240), 30), 30) == film(copies(noise(320, 240), 30), 30)


def test_the_label_is_there_for_its_time_and_then_fades():
    frames = decoded(film(copies(flat(640, 480, (60, 120, 60)), 96), 96))
    bright = [int((frame.luma > 200).sum()) for frame in frames]
    assert min(bright[:60]) > 1000
    assert max(bright[60:]) < max(bright[:60])
    assert max(bright[67:]) == 0
    assert len(frames) == 96


def test_a_short_clip_bears_the_label_to_its_end():
    frames = decoded(film(copies(flat(640, 480, (60, 120, 60)), 24), 24))
    assert min(int((frame.luma > 200).sum()) for frame in frames) > 1000


def test_too_few_frames_are_no_film():
    with pytest.raises(ValueError, match="Fewer than 10"):
        list(encoder.film(copies(flat(64, 64, (0, 0, 0)), 9), 10, 24, Label("AI生成", 1)))


def test_more_frames_than_wanted_are_left():
    assert len(decoded(film(copies(flat(128, 128, (0, 0, 0)), 99), 8, 8, Label("AI生成", 1)))) == 8


@pytest.mark.parametrize("size", [(854, 480), (480, 854), (1920, 1080), (1080, 1080)])
def test_every_offered_size_can_be_encoded(size):
    assert decoded(film(copies(flat(*size, (40, 80, 120)), 3), 3))[0].size == size
