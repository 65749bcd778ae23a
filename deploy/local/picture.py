"""A picture that the project drew itself, for the demo and the tests: a lighthouse at dusk."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1600, 900
HORIZON = 0.66
SKY = ((22, 28, 68), (92, 62, 120), (226, 122, 96), (255, 196, 120))
SEA = ((120, 90, 110), (28, 34, 66), (10, 14, 34))
STARS = 90


def lighthouse(width: int = WIDTH, height: int = HEIGHT, seed: int = 7) -> bytes:
    """Draw the picture; returns a PNG of `width` x `height` pixels, the same for the same arguments."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(_evening(width, height, random))
    image.paste(Image.new("RGB", image.size, (255, 236, 190)), mask=_beam(width, height))
    _tower(ImageDraw.Draw(image), width, height)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _gradient(colors: tuple[tuple[int, int, int], ...], rows: int) -> np.ndarray:
    stops, at = np.linspace(0, 1, len(colors)), np.linspace(0, 1, rows)
    return np.stack([np.interp(at, stops, [color[band] for color in colors]) for band in range(3)], axis=1)


def _evening(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Sky, stars, sun and a sea that glitters under it, as height x width x 3 bytes."""
    line = int(height * HORIZON)
    rows = np.concatenate([_gradient(SKY, line), _gradient(SEA, height - line)])
    field = np.repeat(rows[:, None, :], width, axis=1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sun = np.exp(-(((x - width * 0.3) / (width * 0.10)) ** 2) - ((y - line) / (height * 0.16)) ** 2)
    field += (sun * (y < line))[..., None] * np.array([70, 60, 30])
    waves = np.sin(y * 0.55 + np.sin(x * 0.011 + y * 0.07) * 3) * np.exp(-(((x - width * 0.3) / (width * 0.16)) ** 2))
    field += (np.clip(waves, 0, 1) * (y >= line) * 80)[..., None] * np.array([1.0, 0.72, 0.45])
    for _ in range(STARS):
        row, column = int(random.integers(0, int(line * 0.5))), int(random.integers(0, width))
        field[row : row + 2, column : column + 2] += random.uniform(60, 170)
    return np.clip(field + random.normal(0, 1.5, field.shape), 0, 255).astype(np.uint8)


def _beam(width: int, height: int) -> Image.Image:
    """Light from the lamp to the left, as a soft mask."""
    mask, lamp = Image.new("L", (width, height)), (width * 0.72, height * 0.272)
    ImageDraw.Draw(mask).polygon([lamp, (0, height * 0.06), (0, height * 0.34)], fill=96)
    ImageDraw.Draw(mask).polygon([lamp, (width, height * 0.235), (width, height * 0.33)], fill=60)
    return mask.filter(ImageFilter.GaussianBlur(width / 90))


def _tower(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """The rock, the banded tower and its lamp."""
    middle, top, foot = width * 0.72, height * 0.30, height * 0.705
    rock = [(0.5, 0.79), (0.57, 0.72), (0.64, 0.70), (0.79, 0.695), (0.88, 0.74), (1, 0.76), (1, 1), (0.42, 1)]
    draw.polygon([(width * x, height * y) for x, y in rock], fill=(16, 16, 30))
    bands = 7
    for band in range(bands):
        upper, lower = (top + (foot - top) * edge / bands for edge in (band, band + 1))
        wide = [width * (0.016 + 0.012 * (y - top) / (foot - top)) for y in (upper, lower)]
        shape = [(middle - wide[0], upper), (middle + wide[0], upper)]
        shape += [(middle + wide[1], lower), (middle - wide[1], lower)]
        draw.polygon(shape, fill=(196, 62, 54) if band % 2 else (238, 226, 214))
        shade = [(middle + wide[0] * 0.35, upper), shape[1], shape[2], (middle + wide[1] * 0.35, lower)]
        draw.polygon(shade, fill=(132, 38, 44) if band % 2 else (168, 152, 158))
    ledge = width * 0.022
    draw.rectangle([middle - ledge, top - height * 0.008, middle + ledge, top + height * 0.006], fill=(34, 30, 44))
    glass = [middle - width * 0.011, height * 0.248, middle + width * 0.011, height * 0.292]
    draw.rectangle(glass, fill=(255, 238, 170))
    roof = [
        (middle - width * 0.016, height * 0.249),
        (middle + width * 0.016, height * 0.249),
        (middle, height * 0.205),
    ]
    draw.polygon(roof, fill=(150, 40, 44))
