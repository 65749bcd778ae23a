"""A still picture set in motion: decoded with limits, seen through a camera's path, one frame after the other."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from services.generation.film import raster
from services.generation.film.camera import Box, Control, path
from services.generation.film.planes import Plane, Planes, from_rgb

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 50_000_000
MIN_SIDE = 16
WANTED_SIDE = 4096
"""A JPEG is decoded at a half, a quarter or an eighth of its size where both sides stay at least as long."""
REACH = 1.6


class ImageUnfit(ValueError):
    """The picture cannot be used; `reason` is IMAGE_UNREADABLE, IMAGE_TOO_LARGE or IMAGE_TOO_SMALL."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode(data: bytes) -> Image.Image:
    """Return the RGB picture in a PNG or JPEG file, upright, of at most 50 million pixels. Raises ImageUnfit."""
    try:
        found = raster.read(data, FORMATS, _check, WANTED_SIDE)
        return raster.turned(raster.opaque(found.image), found.orientation)
    except ImageUnfit:
        raise
    except Exception as fault:
        # Pillow's decoders raise whatever they stumble over; for the caller each of it means one thing.
        raise ImageUnfit("IMAGE_UNREADABLE", "The image is not a whole PNG or JPEG.") from fault


def frames(image: Image.Image, control: Control, output: tuple[int, int], count: int) -> Iterator[Planes]:
    """`count` pictures of `output` width and height, as the camera moves over `image`."""
    source = _fitted(image, output)
    planes = from_rgb(np.asarray(source))
    luma, blue, red = (Image.fromarray(plane) for plane in (planes.luma, planes.blue, planes.red))
    half = output[0] // 2, output[1] // 2
    for box in path(control, planes.size, output, count):
        yield Planes(_seen(luma, box, 1, output), _seen(blue, box, 2, half), _seen(red, box, 2, half))


def _seen(plane: Image.Image, box: Box, coarser: int, size: tuple[int, int]) -> Plane:
    """What the box shows of a plane; Pillow takes fractions of pixels, hence smooth slow moves."""
    edges = (box.left / coarser, box.top / coarser, box.right / coarser, box.bottom / coarser)
    return np.array(plane.resize(size, Image.Resampling.BICUBIC, box=edges))


def _check(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageUnfit("IMAGE_TOO_LARGE", f"The image has more than {MAX_PIXELS // 1_000_000} million pixels.")
    if min(width, height) < MIN_SIDE:
        raise ImageUnfit("IMAGE_TOO_SMALL", f"The image's short side is under {MIN_SIDE} pixels.")


def _fitted(image: Image.Image, output: tuple[int, int]) -> Image.Image:
    """Scaled once, so that the widest view is about 1.6 times the output: enough for zooms, little work per frame."""
    covering = max(output[0] / image.width, output[1] / image.height) * REACH
    if 0.95 < covering < 1.05:
        return image
    size = max(2, round(image.width * covering)), max(2, round(image.height * covering))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
