"""The frame of an uploaded picture: the JPEG that models are given, made here of the pixels that a decoder gave back.

A decoder may have been taken over by the picture. A JPEG of its making would be parsed again by Triton's models, which
are not confined, so it gives back pixels, in which there is nothing to parse (review S9).
"""

import time
from pathlib import Path

from PIL import Image

MAX_SIDE = 3840
"""Longest side of a frame in pixels."""
_PIXEL_BYTES = 3


class Odd(ValueError):
    """The pixels are not those of a frame."""


def encode(pixels: Path, target: Path, width: int, height: int) -> float:
    """Write `width` times `height` pixels as a JPEG without metadata; return the CPU seconds that it took.

    `pixels` holds three bytes a pixel (red, green, blue), row by row from the top, and must be as long as that. Raises
    Odd for another length and for sides outside of 1 to MAX_SIDE.
    """
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise Odd("sides")
    if pixels.stat().st_size != width * height * _PIXEL_BYTES:
        raise Odd("length")
    started = time.thread_time()
    image = Image.frombytes("RGB", (width, height), pixels.read_bytes())
    image.save(target, "JPEG", quality=95, subsampling=0)
    return time.thread_time() - started
