"""Title cards: the words of the prompt are there, in real signs, on moving light."""

import itertools

import numpy as np
import pytest

from services.generation.film import card
from services.generation.film import text as lettering
from services.generation.film.camera import Control

WIDE, TALL, SQUARE = (640, 360), (360, 640), (360, 360)
CHINESE = "海边的灯塔，黄昏，镜头缓缓推近"
LONG = "一座灯塔在海边的黄昏里慢慢亮起来，" * 60


def _frames(prompt: str, output=WIDE, *, seed=42, count=24, rate=8, control=None):
    return list(card.frames(prompt, control or Control(zoom=3), seed, output=output, count=count, rate=rate))


def _ink(planes) -> int:
    """How many pixels are as bright as the letters."""
    return int((planes.luma > 215).sum())


@pytest.mark.parametrize("output", [WIDE, TALL, SQUARE, (1280, 720), (854, 480)])
@pytest.mark.parametrize("prompt", [CHINESE, "A lighthouse at dusk", "灯塔 lighthouse 灯塔", LONG, "字", "a"])
def test_the_words_are_typed_in_and_stay(output, prompt):
    first, *middle, last = _frames(prompt, output, count=12, rate=4)
    assert _ink(first) == 0
    assert _ink(last) > 30
    inks = [_ink(planes) for planes in (first, *middle, last)]
    assert all(after >= before * 0.98 for before, after in itertools.pairwise(inks))


def test_chinese_signs_are_drawn_and_not_boxes():
    title = card.layout(CHINESE, WIDE)
    assert title is not None
    size = next(size for size in range(60, 8, -1) if _finds(title.mask, lettering.ink("海", size)))
    for sign in "边灯塔黄昏镜头":
        assert _finds(title.mask, lettering.ink(sign, size)), f"{sign} is on the card as the font draws it"
    assert not _finds(title.mask, lettering.ink("猫", size))


def _finds(mask, ink) -> bool:
    """Whether `ink` stands somewhere in `mask`, pixel by pixel."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    sign = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if sign.shape[0] > mask.shape[0] or sign.shape[1] > mask.shape[1]:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(mask, sign.shape)
    hits = np.argwhere(np.abs(windows[..., sign.shape[0] // 2, :] - sign[sign.shape[0] // 2]).max(axis=-1) < 0.01)
    return any(np.abs(windows[top, left] - sign).max() < 0.01 for top, left in hits)


@pytest.mark.parametrize("output", [WIDE, TALL, SQUARE])
def test_words_stay_inside_the_picture(output):
    for prompt in (CHINESE, LONG, "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch " * 3, "长" * 2000):
        title = card.layout(prompt, output)
        assert title is not None
        assert title.left + title.mask.shape[1] <= output[0]
        assert title.top + title.mask.shape[0] <= output[1]
        assert not title.mask[0].any()
        assert not title.mask[:, -1].any()


def test_a_short_prompt_is_large_and_a_long_one_is_cut():
    short, long = card.layout("灯塔", WIDE), card.layout(LONG, WIDE)
    assert short is not None
    assert long is not None
    assert np.flatnonzero(short.mask.any(axis=1)).size > 30
    assert long.mask.shape[0] <= WIDE[1] * 0.65


@pytest.mark.parametrize("prompt", ["", "   ", "🙂🙂"])
def test_a_prompt_without_signs_is_only_light(prompt):
    assert all(_ink(planes) == 0 for planes in _frames(prompt, count=3))


def test_the_same_seed_gives_the_same_frames_and_another_does_not():
    one, same, other = (_frames(CHINESE, seed=seed, count=3) for seed in (1, 1, 2))
    assert all(np.array_equal(a.luma, b.luma) and np.array_equal(a.red, b.red) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0].red, other[0].red)


def test_the_largest_seed_is_taken():
    assert len(_frames("a", seed=2**63 - 1, count=1)) == 1


def test_the_camera_moves_the_light():
    left, right = (_frames("", control=Control(horizontal=side), count=6)[-1] for side in (-10, 10))
    assert np.abs(left.luma.astype(int) - right.luma).mean() > 2


def test_the_light_moves_without_jumps_or_steps():
    frames = _frames("", count=24, rate=24)
    for before, after in itertools.pairwise(frames):
        assert abs(float(before.luma.mean()) - float(after.luma.mean())) < 1
    assert np.unique(frames[0].luma).size > 30
