"""Pictures and films drawn by code, for tests that need something to look at."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

from services.generation.film import encoder
from services.generation.film.label import Label
from services.generation.film.planes import Plane, Planes, from_rgb, of_frame

LABEL = Label("AI生成 / AI-generated", 2.5, 5.0)
PROVIDER = "001191310000MA1FL0AB0X1F001"


def scene(width: int, height: int, seed: int = 1) -> Image.Image:
    """Clouds of color with detail in all sizes, as a photograph has."""
    dice = np.random.default_rng(seed)
    layers = []
    for _ in range(3):
        total = np.zeros((height, width), np.float32)
        for power in range(1, 8):
            coarse = Image.fromarray(dice.random((2**power, 2**power)).astype(np.float32))
            total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) * 0.6**power
        layers.append((total - total.min()) / (total.max() - total.min()) * 255)
    return Image.fromarray(np.stack(layers, -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The image as the bytes of a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def flat(width: int, height: int, color: tuple[int, int, int]) -> Planes:
    """A picture of one color."""
    return from_rgb(np.full((height, width, 3), color, np.uint8))


def noise(width: int, height: int, seed: int = 1) -> Planes:
    """A picture of noise, the hardest ground for a label."""
    return from_rgb(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def copies(planes: Planes, count: int) -> Iterator[Planes]:
    """The same picture `count` times, each its own."""
    for _ in range(count):
        yield Planes(planes.luma.copy(), planes.blue.copy(), planes.red.copy())


def film(frames: Iterator[Planes], count: int, rate: int = 24, label: Label = LABEL) -> bytes:
    """The whole fragmented file of `count` frames with the label."""
    return b"".join(step.piece for step in encoder.film(frames, count, rate, label))


def unlabeled(frames: Iterator[Planes], size: tuple[int, int], rate: int = 24) -> bytes:
    """The same without a label."""
    machine = encoder.Encoder(*size, rate)
    return b"".join(machine.add(planes) for planes in frames) + machine.finish()


def decoded(file: bytes | Path) -> list[Planes]:
    """All frames of a file."""
    with av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file)) as opened:
        return [of_frame(frame) for frame in opened.decode(video=0)]


def shift(before: Plane, after: Plane) -> tuple[float, float]:
    """How far the content moved right and down between two planes, to a fraction of a pixel, for small moves."""
    first, second = before.astype(np.float64), after.astype(np.float64)
    middle = (first + second) / 2
    down, right = np.gradient(middle)
    inner = (slice(8, -8), slice(8, -8))
    columns = np.stack([right[inner].ravel(), down[inner].ravel(), np.ones(right[inner].size)], -1)
    found, *_ = np.linalg.lstsq(columns, (first - second)[inner].ravel(), rcond=None)
    return float(found[0]), float(found[1])
