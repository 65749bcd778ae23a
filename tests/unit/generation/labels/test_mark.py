"""The remux: every picture kept, exactly one label, nothing else of what the model's file said."""

import time

import av
import numpy as np
import pytest

from services.generation.film.label import Label
from services.generation.labels import aigc, boxes, mark
from services.generation.labels.mark import FilmUnreadable
from tests.support.films import PROVIDER, copies, decoded, film, flat, noise

HEAD = film(copies(flat(64, 64, (0, 0, 0)), 8), 8, 8, Label("AI生成", 1))[:600]


def test_every_picture_is_kept_as_it_was(fragmented, published):
    before, after = decoded(fragmented), decoded(published)
    assert len(before) == len(after) == 72
    assert all(np.array_equal(one.luma, other.luma) for one, other in zip(before, after, strict=True))
    with av.open(str(published)) as file:
        stream = file.streams.video[0]
        assert (stream.frames, stream.start_time, file.duration) == (72, 0, 3_000_000)
        assert stream.codec_context.colorspace == 1


def test_the_label_is_the_one_text_under_its_key(published, label):
    assert boxes.labels(published) == [label.to_text()]
    with av.open(str(published)) as file:
        assert file.metadata["AIGC"] == label.to_text()
        assert set(file.metadata) <= {"AIGC", "major_brand", "minor_version", "compatible_brands", "encoder"}


def test_older_labels_and_other_metadata_are_left_out(published, tmp_path):
    again = tmp_path / "again.mp4"
    new = aigc.generated(PROVIDER)
    mark.mark(published, again, new)
    assert boxes.labels(again) == [new.to_text()]


def test_the_label_costs_little(fragmented, tmp_path):
    began = time.process_time()
    mark.mark(fragmented, tmp_path / "out.mp4", aigc.generated(PROVIDER))
    assert time.process_time() - began < 0.5
    assert (tmp_path / "out.mp4").stat().st_size < fragmented.stat().st_size + 1500


def test_a_file_that_exists_is_never_written_over(fragmented, published, label):
    before = published.read_bytes()
    with pytest.raises(FileExistsError):
        mark.mark(fragmented, published, label)
    assert published.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no film", b"\0" * 4000, HEAD])
def test_what_is_no_film_leaves_nothing_behind(content, tmp_path, label):
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.write_bytes(content)
    with pytest.raises(FilmUnreadable):
        mark.mark(source, target, label)
    assert not target.exists()


def test_a_film_with_another_codec_is_refused(tmp_path, label):
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))
    with pytest.raises(FilmUnreadable):
        mark.mark(source, tmp_path / "out.mp4", label)


@pytest.mark.parametrize("share", [0.4, 0.66, 0.9, 0.99])
def test_a_film_that_breaks_off_inside_a_picture_is_refused(tmp_path, label, share):
    whole = film(copies(noise(320, 240), 96), 96)
    source = tmp_path / "in.mp4"
    source.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FilmUnreadable):
        mark.mark(source, tmp_path / "out.mp4", label)
