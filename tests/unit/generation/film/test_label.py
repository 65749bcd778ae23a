"""The visible label, measured on the pixels that were burned in."""

import itertools

import numpy as np
import pytest

from services.generation.film.label import Label, LabelUnfit, measured, plate
from services.generation.film.planes import Planes
from tests.support.cases import each
from tests.support.films import LABEL, flat, noise

SIZES = [
    (854, 480), (480, 854), (480, 480), (640, 480),
    (1280, 720), (720, 1280), (720, 720), (960, 720),
    (1920, 1080), (1080, 1920), (1080, 1080),
]  # fmt: skip
GROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "gray": (128, 128, 128), "red": (230, 20, 20)}


def _ink_heights(planes: Planes, drawn) -> list[int]:
    """The height of the bright ink in each letter's place."""
    heights = []
    for cell in drawn.cells:
        rows = slice(drawn.top + cell.top - 2, drawn.top + cell.bottom + 2)
        part = planes.luma[rows, drawn.left + cell.left : drawn.left + cell.right]
        lit = np.flatnonzero((part >= 128).any(axis=1))
        heights.append(int(lit[-1] - lit[0] + 1))
    return heights


@each(("size", "ground"), itertools.product(SIZES, [*GROUNDS, "noise"]))
def test_every_letter_has_five_percent_of_ink_on_any_ground(size, ground):
    planes = noise(*size) if ground == "noise" else flat(*size, GROUNDS[ground])
    drawn = plate(LABEL, *size)
    drawn.burn(planes)
    heights = _ink_heights(planes, drawn)
    assert len(heights) == len("AI生成AIgenerated")
    assert min(heights) >= 0.05 * min(size)
    assert min(heights) < 0.06 * min(size), "no larger than it needs to be"


@each(("size", "ground"), itertools.product(SIZES, GROUNDS))
def test_the_letters_stand_out_from_what_is_around_them(size, ground):
    planes = flat(*size, GROUNDS[ground])
    drawn = plate(LABEL, *size)
    drawn.burn(planes)
    height, width = drawn.keep.shape
    region = planes.luma[drawn.top : drawn.top + height, drawn.left : drawn.left + width].astype(float)
    letters, outline = region[drawn.letters > 0.95], region[(drawn.keep < 0.02) & (drawn.letters < 0.02)]
    assert letters.mean() - outline.mean() > 180


@each("size", SIZES)
def test_the_plate_lies_inside_the_picture_on_even_pixels(size):
    drawn = plate(LABEL, *size)
    height, width = drawn.keep.shape
    assert drawn.left >= 0
    assert drawn.top >= 0
    assert drawn.left + width < size[0]
    assert drawn.top + height < size[1]
    assert not any(number % 2 for number in (drawn.left, drawn.top, height, width))


def test_nothing_outside_the_plate_is_touched():
    before, after = noise(1280, 720), noise(1280, 720)
    drawn = plate(LABEL, 1280, 720)
    drawn.burn(after)
    height, width = drawn.keep.shape
    before.luma[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = 0
    after.luma[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = 0
    assert np.array_equal(before.luma, after.luma)


def test_a_weaker_label_lets_the_picture_through():
    none, half = flat(640, 480, (90, 90, 90)), flat(640, 480, (90, 90, 90))
    drawn = plate(LABEL, 640, 480)
    drawn.burn(none, 0.0)
    drawn.burn(half, 0.5)
    assert np.array_equal(none.luma, flat(640, 480, (90, 90, 90)).luma)
    assert 128 < half.luma.max() < 200


@pytest.mark.parametrize(
    ("seconds", "rate", "total", "frames"),
    [(2.5, 24, 120, 60), (2.5, 24, 48, 48), (2.5, 25, 250, 63), (2.5, 30, 300, 75), (2.01, 24, 120, 49)],
)
def test_it_is_shown_for_no_frame_too_few(seconds, rate, total, frames):
    assert Label("AI生成", seconds).frames(rate, total) == frames


def test_flat_signs_and_punctuation_are_not_the_measure():
    assert measured("AI一键生成 / -.") == list("AI键生成")


@pytest.mark.parametrize("text", ["", "---", "🙂AI", "AI\n生成", "人工智能生成内容" * 40])
def test_a_text_that_cannot_be_shown_is_refused(text):
    with pytest.raises(LabelUnfit):
        plate(Label(text), 1280, 720)


@pytest.mark.parametrize("percent", [5.0, 7.5, 10.0])
def test_the_profile_chooses_the_height(percent):
    drawn = plate(Label("AI生成", 2.5, percent), 1280, 720)
    assert drawn.least_ink >= percent * 7.2
