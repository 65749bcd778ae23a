"""An animated title card of a prompt: moving light by seed and camera, the words entering one sign after the other."""

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from services.generation.film import text as lettering
from services.generation.film.camera import GROWTH, TRAVEL, Control, eased
from services.generation.film.planes import BLACK, Plane, Planes

Field = NDArray[np.float32]
COARSE = 8
BRIGHTNESS = (0.62, 0.5, 0.42, 0.3)
GRAIN = 1.6
FADE = 0.4
TYPING_SHARE = 0.5
STEP = 1.4
MAX_CHARACTERS = 1000
INK = (232.0, 126.0, 130.0)


@dataclass(frozen=True)
class Light:
    """A soft spot of color: where it starts and drifts (shares of the picture), how wide, its Y, Cb, Cr."""

    x: float
    y: float
    drift_x: float
    drift_y: float
    spread: float
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Title:
    """The words laid out: where they begin, their coverage, and the time from 0 to 1 at which each pixel enters.

    `shade` and `shade_entry` are the same for the soft shadow around the words.
    """

    left: int
    top: int
    mask: Field
    entry: Field
    shade: Field
    shade_entry: Field


def frames(
    prompt: str, control: Control, seed: int, *, output: tuple[int, int], count: int, rate: int
) -> Iterator[Planes]:
    """`count` pictures of the title card of `prompt`; the same seed gives the same pictures."""
    lights, title = _lights(seed), layout(prompt, output)
    grain = np.random.default_rng(seed).normal(0, GRAIN, (output[1], output[0])).astype(np.float32)
    typing = min(TYPING_SHARE * count / rate, 3.5)
    for frame in range(count):
        share = frame / max(1, count - 1)
        luma, blue, red = _ground(lights, control, share, output)
        planes = [_full(luma, output), _full(blue, _half(output)), _full(red, _half(output))]
        planes[0] += np.roll(grain, (frame * 97 % 61, frame * 53 % 71), (0, 1))
        if title is not None:
            _write(planes, title, frame / rate, typing)
        yield Planes(*(_bytes(plane) for plane in planes))


def layout(prompt: str, output: tuple[int, int]) -> Title | None:
    """The prompt in the largest type that fits the middle of the picture, cut with an ellipsis; None without signs."""
    words = lettering.drawable(prompt)[:MAX_CHARACTERS]
    if not words:
        return None
    room, depth, short = output[0] * 0.8, output[1] * 0.5, min(output)
    smallest = max(10, round(short * 0.045))
    for size in range(round(short * 0.13), smallest - 1, -2):
        if _whole(words, size, room) and len(lettering.wrap(words, size, room)) * size * STEP <= depth:
            return _typeset(lettering.balanced(words, size, room), size, output)
    lines = lettering.wrap(words, smallest, room)
    most = max(1, int(depth / (smallest * STEP)))
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-1] + lettering.ELLIPSIS]
    return _typeset(lines, smallest, output)


def _whole(words: str, size: int, room: float) -> bool:
    """Whether no word must be cut to fit the line."""
    return all(lettering.width(word.strip(), size) <= room for word in lettering.words(words))


def _typeset(lines: list[str], size: int, output: tuple[int, int]) -> Title:
    """Draws the lines one sign after the other, left-aligned, the block in the middle, slightly high."""
    step, pad = round(size * STEP), size // 2
    width = max(round(lettering.width(line, size)) for line in lines) + size + 2 * pad
    mask = np.zeros((step * len(lines) + 2 * pad, min(width, output[0])), np.float32)
    entry = np.ones_like(mask)
    total, count = sum(len(line) for line in lines), 0
    for row, line in enumerate(lines):
        pen = float(pad)
        for character in line:
            _place(mask, entry, lettering.ink(character, size), (round(pen), pad + row * step), count / total)
            pen, count = pen + lettering.width(character, size), count + 1
    left = _even((output[0] - mask.shape[1] + size) // 2)
    top = _even((output[1] - mask.shape[0]) // 2 - output[1] // 30)
    left, top = max(0, left), max(0, top)
    rows, columns = _even(min(mask.shape[0], output[1] - top)), _even(min(mask.shape[1], output[0] - left))
    mask, entry = mask[:rows, :columns], entry[:rows, :columns]
    shade = _blurred(mask, size / 8)
    shade_entry = (_blurred(mask * entry, size / 8) / np.maximum(shade, 1 / 255)).astype(np.float32)
    return Title(left, top, mask, entry, shade, shade_entry)


def _blurred(mask: Field, radius: float) -> Field:
    image = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) / np.float32(255)


def _place(mask: Field, entry: Field, ink: Field, corner: tuple[int, int], moment: float) -> None:
    left, top = corner
    area = mask[top : top + ink.shape[0], left : left + ink.shape[1]]
    drawn = ink[: area.shape[0], : area.shape[1]]
    entry[top : top + area.shape[0], left : left + area.shape[1]][drawn > area] = moment
    np.maximum(area, drawn, out=area)


def _write(planes: list[Field], title: Title, seconds: float, typing: float) -> None:
    """Lays the words that have entered by now over the ground, with a soft shade around them."""
    shown = title.mask * np.clip((seconds - title.entry * typing) / FADE, 0, 1)
    shade = 1 - 0.45 * title.shade * np.clip((seconds - title.shade_entry * typing) / FADE, 0, 1)
    rows, columns = shown.shape
    luma = planes[0][title.top : title.top + rows, title.left : title.left + columns]
    luma[:] = (luma * shade) * (1 - shown) + INK[0] * shown
    coarse = shown.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    top, left = title.top // 2, title.left // 2
    for plane, ink in zip(planes[1:], INK[1:], strict=True):
        region = plane[top : top + rows // 2, left : left + columns // 2]
        region[:] = region * (1 - coarse) + ink * coarse


def _lights(seed: int) -> list[Light]:
    dice = np.random.default_rng(seed)
    hue = dice.random()
    lights = []
    for number, brightness in enumerate(BRIGHTNESS):
        color = colorsys.hsv_to_rgb((hue + 0.09 * number + dice.uniform(0, 0.05)) % 1, 0.72, brightness)
        place = dice.random(), dice.random(), dice.uniform(-0.3, 0.3), dice.uniform(-0.2, 0.2)
        lights.append(Light(*place, dice.uniform(0.3, 0.5), _ycc(color)))
    return lights


def _ycc(color: tuple[float, float, float]) -> tuple[float, float, float]:
    """BT.709, limited range, of red, green and blue from 0 to 1."""
    red, green, blue = color
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748


def _ground(lights: list[Light], control: Control, share: float, output: tuple[int, int]) -> tuple[Field, Field, Field]:
    """The light at `share` of the time, coarse: spots over near-black, seen by the moving camera."""
    width, height = output[0] // COARSE + 1, output[1] // COARSE + 1
    gone = eased(share)
    zoom = (1 + GROWTH * abs(control.zoom)) ** (gone if control.zoom >= 0 else 1 - gone)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] / zoom + 0.5 + TRAVEL * control.horizontal * gone
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] / zoom + 0.5 - TRAVEL * control.vertical * gone
    luma, blue, red = (np.full((height, width), level, np.float32) for level in (BLACK + 8.0, 130.0, 127.0))
    for light in lights:
        away_x, away_y = x - light.x - light.drift_x * share, y - light.y - light.drift_y * share
        strength = np.exp(-(away_x**2 + away_y**2) / light.spread**2) * 0.8
        luma += (light.color[0] - luma) * strength
        blue += (light.color[1] - blue) * strength
        red += (light.color[2] - red) * strength
    return luma, blue, red


def _full(coarse: Field, size: tuple[int, int]) -> Field:
    """The coarse light in full size; as floats, since 8 bits would show steps."""
    return np.array(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.float32)


def _bytes(plane: Field) -> Plane:
    return (plane.clip(BLACK, 240) + 0.5).astype(np.uint8)


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // 2, size[1] // 2


def _even(number: int) -> int:
    return number // 2 * 2
