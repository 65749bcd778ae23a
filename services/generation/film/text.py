"""Text as pixels: the shipped font, what it can draw, and lines that break where Chinese and Latin text may."""

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from services.generation.film import fonts

GETA = "〓"
ELLIPSIS = "…"
NEVER_FIRST = set("，。、；：？！）》」』】〕〉”’…—·,.;:?!)]}%")
EM = 1000
NEVER_LAST = set("（《「『【〔〈“‘([{")


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The shipped font at `size` pixels to the em, without shaping, so that every machine draws the same."""
    return ImageFont.truetype(str(fonts.FILE), size, layout_engine=ImageFont.Layout.BASIC)


def drawable(text: str) -> str:
    """`text` in characters that the font has: white space made single, other letters as 〓, other signs left out."""
    shown = []
    for character in unicodedata.normalize("NFC", " ".join(text.split())):
        if character in fonts.characters():
            shown.append(character)
        elif unicodedata.category(character)[0] in "LN":
            shown.append(GETA)
    return " ".join("".join(shown).split())


def width(text: str, size: int) -> float:
    """How far the pen moves over `text`, in pixels; twice the size is exactly twice as far."""
    return sum(map(_advance, text)) * size / EM


def words(text: str) -> list[str]:
    """The pieces that a line break may come between: Latin words with their space, single wide characters."""
    pieces: list[str] = []
    for character in text:
        joined = pieces and _joined(pieces[-1], character)
        if joined:
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def wrap(text: str, size: int, room: float) -> list[str]:
    """Lines of `text` at most `room` pixels wide; a word that is wider alone is cut."""
    lines, used = [""], 0.0
    for word in words(text):
        if used + width(word.rstrip(), size) <= room:
            lines[-1] += word
            used += width(word, size)
            continue
        lines.append("")
        used = 0.0
        for character in word:
            step = width(character, size)
            if used + step > room and character != " ":
                lines.append("")
                used = 0.0
            lines[-1] += character
            used += step
    return [line.strip() for line in lines if line.strip()]


def balanced(text: str, size: int, room: float) -> list[str]:
    """As `wrap`, with the lines about equally long and no more of them."""
    count = len(wrap(text, size, room))
    narrow, wide = 1, int(room)
    while narrow < wide:
        middle = (narrow + wide) // 2
        if len(wrap(text, size, middle)) <= count:
            wide = middle
        else:
            narrow = middle + 1
    return wrap(text, size, wide)


def ink(text: str, size: int) -> NDArray[np.float32]:
    """Coverage 0 to 1 of one line of `text`, as high as the font's ascent and descent, as wide as the pen's way."""
    ascent, descent = font(size).getmetrics()
    image = Image.new("L", (int(width(text, size)) + size, ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, font=font(size), fill=255)
    return np.asarray(image, np.float32) / np.float32(255)


@cache
def _advance(character: str) -> float:
    return font(EM).getlength(character)


def _joined(before: str, character: str) -> bool:
    last = before[-1]
    if character == " " or character in NEVER_FIRST or last in NEVER_LAST:
        return True
    return last != " " and not _wide(last) and not _wide(character)


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" or character == GETA
