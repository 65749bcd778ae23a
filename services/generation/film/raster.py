"""Decodes the pixels of a PNG, JPEG or WebP file: one function for the upload's decoder and for the models."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from services.generation.film import container
from services.generation.film.container import Damaged

GROUND = (24, 24, 28, 255)
"""What stands behind transparent pixels: red, green, blue, opacity, 0 to 255."""
_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
"""By name, since Image.open imports further formats on its way, which the confined decoder cannot."""
_EOI = b"\xff\xd9"
_ENDINGS = (_EOI, b"\xff\x00" * 2048 + _EOI)
"""Ends for a JPEG without its own. libjpeg takes missing bits from them: zeros after the first, ones in the second."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What shows a picture of an EXIF orientation upright (EXIF 2.32, 4.6.4)."""
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Picture:
    """A decoded picture, not turned yet. `kind` is PNG, JPEG or WEBP, `width` and `height` are those of the file.

    `image` may be smaller by a power of two: a JPEG is decoded at the least size that is not under the asked one.
    """

    kind: str
    width: int
    height: int
    orientation: int
    image: Image.Image

    @property
    def upright_size(self) -> tuple[int, int]:
        """Return (width, height) in pixels after the turn."""
        return (self.height, self.width) if self.orientation in _SIDEWAYS else (self.width, self.height)


def read(data: bytes, kinds: tuple[str, ...], check: Callable[[int, int], None], wanted_side: int) -> Picture:
    """Decode a file of one of `kinds`. `check` is given width and height before a pixel is decoded, and may raise.

    Raises Damaged, TooComplex, MemoryError, and whatever Pillow's decoders stumble over.
    """
    found = container.strip(data)
    if found.kind not in kinds:
        raise Damaged(f"a {found.kind}")
    endings = (b"",) if found.is_ended else _ENDINGS
    opened = [_READERS[found.kind](io.BytesIO(found.data + ending)) for ending in endings]
    width, height = opened[0].size
    check(width, height)
    for image in opened:
        image.draft("RGB", (wanted_side, wanted_side))
        image.load()
    if len(opened) > 1 and ImageChops.difference(*opened).getbbox() is not None:
        raise Damaged("a part of the pixels is missing")  # they depend on what was put in its place
    return Picture(found.kind, width, height, found.orientation, opened[0])


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image as it is shown for an EXIF orientation, 1 to 8."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def opaque(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB; what is transparent stands on GROUND, 16-bit gray is brought to 8 bits."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda level: level * (1 / 257)).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, GROUND), clear).convert("RGB")
    return image.convert("RGB")
