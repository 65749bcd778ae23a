"""A still picture set in motion: decoded with limits, seen through a camera's path, one frame after the other."""

import io
import struct
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from services.generation.film.camera import Box, Control, path
from services.generation.film.planes import Plane, Planes, from_rgb

FORMATS = ("PNG", "JPEG")
MOST_PIXELS = 50_000_000
LEAST_SIDE = 16
REACH = 1.6


class ImageUnfit(ValueError):
    """The picture cannot be used; `reason` is IMAGE_UNREADABLE, IMAGE_TOO_LARGE or IMAGE_TOO_SMALL."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode(data: bytes) -> Image.Image:
    """The RGB picture in a PNG or JPEG file, upright, of at most 50 million pixels. Raises ImageUnfit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check(image)
            image.draft("RGB", (4096, 4096))
            return _opaque(_upright(image))
    except ImageUnfit:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        raise ImageUnfit("IMAGE_TOO_LARGE", "The image has too many pixels.") from bomb
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


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ImageUnfit("IMAGE_TOO_LARGE", f"The image has more than {MOST_PIXELS // 1_000_000} million pixels.")
    if min(width, height) < LEAST_SIDE:
        raise ImageUnfit("IMAGE_TOO_SMALL", f"The image's short side is under {LEAST_SIDE} pixels.")


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says; what cannot be read there turns nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except (ValueError, SyntaxError, OSError, struct.error):
        image.load()
        return image


def _opaque(image: Image.Image) -> Image.Image:
    """As RGB, what is transparent on a dark ground; 16-bit grey is brought to 8 bits."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, np.float32)
        return Image.fromarray((levels / 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, (24, 24, 28, 255)), clear).convert("RGB")
    return image.convert("RGB")


def _fitted(image: Image.Image, output: tuple[int, int]) -> Image.Image:
    """Scaled once, so that the widest view is about 1.6 times the output: enough for zooms, little work per frame."""
    covering = max(output[0] / image.width, output[1] / image.height) * REACH
    if 0.95 < covering < 1.05:
        return image
    size = max(2, round(image.width * covering)), max(2, round(image.height * covering))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
