"""The visible label of a generated video: rendered once, burned into the planes of the first frames.

The rule (GB 45438-2025, 5.4): text that names AI and generation, at least 5 percent of the short side high, for at
least 2 s. Whether that height is the em box or the ink is not said, so every letter's own ink is held to it.
"""

import math
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from services.generation.film import text as lettering
from services.generation.film.planes import BLACK, NEUTRAL, WHITE, Planes

Mask = NDArray[np.float32]
PLATE_OPACITY = 0.62
FLAT = 0.4
SAMPLE = 100
INKED = 0.5


class LabelUnfit(ValueError):
    """The label's text cannot be drawn in this picture: empty, without letters, or too long for the width."""


@dataclass(frozen=True)
class Label:
    """What shall be seen: `text`, its letters' least ink height in percent of the short side, for `seconds`."""

    text: str
    seconds: float = 2.5
    ink_percent: float = 5.0

    def frames(self, frame_rate: float, total: int) -> int:
        """How many frames from the first bear the label: never less than `seconds`, all of a shorter clip."""
        return min(total, math.ceil(self.seconds * frame_rate - 1e-6))


@dataclass(frozen=True)
class Cell:
    """The ink of one letter inside the plate; the ends are exclusive. Pixels."""

    character: str
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Plate:
    """A label rendered for one picture size: where it lies (even numbers) and what it does to the planes there."""

    left: int
    top: int
    letters: Mask
    keep: Mask
    add: Mask
    keep_chroma: Mask
    cells: tuple[Cell, ...]
    least_ink: int

    def burn(self, planes: Planes, strength: float = 1.0) -> None:
        """Draws the label into `planes`, in place; `strength` below 1 lets the picture through."""
        height, width = self.keep.shape
        _blend(planes.luma[self.top : self.top + height, self.left : self.left + width], self.keep, self.add, strength)
        top, left = self.top // 2, self.left // 2
        add = (1 - self.keep_chroma) * NEUTRAL
        for plane in (planes.blue, planes.red):
            region = plane[top : top + height // 2, left : left + width // 2]
            _blend(region, self.keep_chroma, add, strength)


@lru_cache(maxsize=32)
def plate(label: Label, width: int, height: int) -> Plate:
    """Renders `label` for pictures of `width` by `height`, lower right. Raises LabelUnfit."""
    short = min(width, height)
    size, least = _size(label, short)
    margin, padding = max(2, short // 36), max(2, size // 4)
    lines = _lines(label.text, size, width - 2 * (margin + padding))
    letters, cells = _letters(lines, size, padding)
    if letters.shape[0] > height // 2 or letters.shape[1] > width - 2 * margin:
        raise LabelUnfit(f"The label's text is too long for a picture of {width} by {height}.")
    left = (width - margin - letters.shape[1]) // 2 * 2
    top = (height - margin - letters.shape[0]) // 2 * 2
    keep, add = _layers(letters, size)
    chroma = keep.reshape(keep.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
    return Plate(left, top, letters, keep, add, chroma, cells, least)


def measured(text: str) -> list[str]:
    """The letters whose ink is held to the height; flat signs such as 一 are not, nor is punctuation."""
    letters = [character for character in text if unicodedata.category(character)[0] in "LN"]
    return [character for character in letters if _ink_height(character, SAMPLE) >= FLAT * SAMPLE]


def _size(label: Label, short: int) -> tuple[int, int]:
    """The smallest font size whose lowest letter has the wanted ink, with a pixel to spare for the codec."""
    letters = measured(label.text)
    if not letters or lettering.drawable(label.text) != label.text:
        raise LabelUnfit("The label's text has no letters, or some that the font cannot draw.")
    wanted = math.ceil(label.ink_percent * short / 100) + 1
    lowest = min(letters, key=lambda letter: _ink_height(letter, SAMPLE))
    size = int(wanted * SAMPLE / (_ink_height(lowest, SAMPLE) + 2))
    while (least := min(_ink_height(letter, size) for letter in set(letters))) < wanted:
        size += 1
    return size, least


@lru_cache(maxsize=512)
def _ink_height(character: str, size: int) -> int:
    rows = np.flatnonzero((lettering.ink(character, size) >= INKED).any(axis=1))
    return int(rows[-1] - rows[0] + 1) if rows.size else 0


def _lines(text: str, size: int, room: float) -> list[str]:
    """One line where it fits; else the parts between slashes; else wrapped."""
    if lettering.width(text, size) <= room:
        return [text]
    parts = text.split(" / ")
    if all(lettering.width(part, size) <= room for part in parts):
        return parts
    return lettering.wrap(text, size, room)


def _letters(lines: list[str], size: int, padding: int) -> tuple[Mask, tuple[Cell, ...]]:
    """The letters' coverage on a plate of even size, right-aligned, and where each measured letter's ink lies."""
    step = round(size * 1.25)
    room = max(math.ceil(lettering.width(line, size)) for line in lines)
    ascent, descent = lettering.font(size).getmetrics()
    height = _even(step * (len(lines) - 1) + ascent + descent + padding // 2)
    mask = np.zeros((height, _even(room + 2 * padding)), np.float32)
    cells, held = [], set(measured("".join(lines)))
    for row, line in enumerate(lines):
        pen, top = mask.shape[1] - padding - math.ceil(lettering.width(line, size)), row * step + padding // 4
        for character in line:
            drawn = lettering.ink(character, size)[:, : mask.shape[1] - pen]
            area = mask[top : top + drawn.shape[0], pen : pen + drawn.shape[1]]
            np.maximum(area, drawn[: area.shape[0]], out=area)
            if character in held:
                cells.append(_cell(character, drawn, pen, top))
            pen += round(lettering.width(character, size))
    return mask, tuple(cells)


def _cell(character: str, drawn: Mask, left: int, top: int) -> Cell:
    rows, columns = (np.flatnonzero((drawn >= INKED).any(axis=axis)) for axis in (1, 0))
    return Cell(
        character, left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1
    )


def _layers(letters: Mask, size: int) -> tuple[Mask, Mask]:
    """How much of the picture stays, and what luma is added: white letters, black outline, dark translucent plate."""
    image = Image.fromarray((letters * 255).astype(np.uint8))
    outline = np.asarray(image.filter(ImageFilter.MaxFilter(max(3, size // 20 * 2 + 1))), np.float32) / np.float32(255)
    panel = Image.new("L", (letters.shape[1] * 2, letters.shape[0] * 2))
    ImageDraw.Draw(panel).rounded_rectangle(
        (0, 0, panel.width - 1, panel.height - 1), radius=size // 2, fill=round(255 * PLATE_OPACITY)
    )
    panel = panel.resize((letters.shape[1], letters.shape[0]), Image.Resampling.BOX)
    behind = 1 - (1 - np.asarray(panel, np.float32) / np.float32(255)) * (1 - outline)
    keep = (1 - behind) * (1 - letters)
    add = np.float32(WHITE) * letters + np.float32(BLACK) * behind * (1 - letters)
    return keep, add


def _blend(region: NDArray[np.uint8], keep: Mask, add: Mask, strength: float) -> None:
    blended = region * (1 - strength * (1 - keep)) + strength * add + 0.5
    region[:] = blended.astype(np.uint8)


def _even(number: int) -> int:
    return (number + 1) // 2 * 2
