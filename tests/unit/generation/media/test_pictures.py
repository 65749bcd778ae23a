"""What is made of a decoder's answer and of its end, whatever code it runs (review S9)."""

import pytest

from filmgate.generation.v1 import files_pb2
from services.generation.config import MediaSettings
from services.generation.media import decoder, pictures
from services.runtime.errors import Failure
from tests.support.source import ROOT
from tests.support.uploads import picture

LIMITS = files_pb2.ImageLimits(side_pixels=300, pixels=50_000_000, ratio=3)
TAKEN_OVER = f"""
import os, sys
sys.path.append({str(ROOT)!r})
from services.generation.media.confinement import confine
copy = open(sys.argv[2], "xb")
confine(2**30, 3)
"""
SECONDS = 0.001
"""Less than the start of any process takes."""


def answer(width=8000, height=4000, frame_width=3840, frame_height=1920, seconds=SECONDS):
    sizes = f'"width": {width}, "height": {height}, "frame_width": {frame_width}, "frame_height": {frame_height}'
    return f'{{{sizes}, "seconds": {seconds}}}'


@pytest.fixture
def decode(tmp_path, monkeypatch):
    """Decode with a decoder that runs `code`; return the picture, or the reason of its refusal, and what is charged."""

    async def run(code):
        monkeypatch.setattr(pictures, "START", code)
        source, charged = tmp_path / "upload", []
        source.write_bytes(picture())
        source.with_suffix(".pixels").unlink(missing_ok=True)
        try:
            found = await pictures.decode(source, LIMITS, MediaSettings(home=tmp_path), charged.append)
        except Failure as failure:
            found = failure.kind.reason
        [seconds] = charged
        return found, seconds

    return run


def says(text):
    return TAKEN_OVER + f"os.write(1, {text!r}.encode()); os._exit(0)"


async def test_the_seconds_that_a_decoder_says_are_charged(decode):
    found, charged = await decode(says(answer()))
    assert (found.width, found.height, found.frame_size, charged) == (8000, 4000, (3840, 1920), SECONDS)


@pytest.mark.parametrize("seconds", ["NaN", "-Infinity", "Infinity", "1e999", "-1e308", "-0.001", '"nan"'])
async def test_seconds_that_cannot_be_are_charged_as_the_wall_time(decode, seconds):
    found, charged = await decode(says(answer(seconds=seconds)))
    assert found.frame_size == (3840, 1920)
    assert SECONDS < charged <= MediaSettings().decode_cpu_seconds


@pytest.mark.parametrize(
    "sizes",
    [(6000, 2000, 3840, 1280), (2000, 6000, 1280, 3840), (300, 300, 300, 300), (7681, 2563, 3840, 1281)],
)
async def test_a_frame_of_the_picture_is_taken(decode, sizes):
    found, _ = await decode(says(answer(*sizes)))
    assert (found.width, found.height, *found.frame_size) == sizes


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((6003, 2000, 3840, 1279), id="too wide"),
        pytest.param((2000, 6003, 1279, 3840), id="too high"),
        pytest.param((300, 100_000, 11, 3840), id="a strip"),
        pytest.param((299, 300, 299, 300), id="too small"),
        pytest.param((8000, 6251, 3840, 3000), id="too large"),
        pytest.param((800, 600, 1600, 1200), id="a frame that is larger"),
        pytest.param((800, 600, 801, 600), id="a frame that is a pixel wider"),
        pytest.param((800, 600, 600, 800), id="a frame on its side"),
        pytest.param((8000, 4000, 3840, 1922), id="a frame of another ratio"),
        pytest.param((8000, 4000, 3840, 1), id="a frame that is a line"),
        pytest.param((8000, 4000, 0, 0), id="a frame of nothing"),
    ],
)
async def test_sizes_that_cannot_be_are_refused(decode, sizes):
    assert (await decode(says(answer(*sizes))))[0] == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("code", [1, 42, 255])
async def test_a_decoder_that_ends_once_it_is_confined_is_the_pictures_fault(decode, code):
    found, charged = await decode(TAKEN_OVER + f"os.write(1, {decoder.CONFINED!r}); os._exit({code})")
    assert found == "IMAGE_UNREADABLE"
    assert charged > SECONDS


async def test_a_decoder_of_ours_says_that_it_is_confined(decode):
    """Its own program, taken over while it looks at the picture."""
    ours = pictures.START.replace("run(sys.argv", "decoder.examine = taken_over; run(sys.argv")
    taken_over = "import os; from services.generation.media import decoder; taken_over = lambda *_: os._exit(7); "
    assert (await decode(ours.replace("decoder.examine", taken_over + "decoder.examine")))[0] == "IMAGE_UNREADABLE"


async def test_a_decoder_that_cannot_start_is_our_fault(decode):
    assert (await decode("raise OSError('not confined')"))[0] == "INTERNAL"
