"""Sees the visible label in decoded frames: is what stands in its place the label, and how high is its ink?

Nothing is taken on trust. The expected letters and their outline let no picture through, so their luma is known to
the pixel: it is correlated with what was decoded, and each letter's ink is measured in what was decoded.
"""

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from services.generation.film.label import Cell, Label, Plate, plate
from services.generation.film.planes import rows_of

PIXELS = ("yuv420p", "yuvj420p")
OPAQUE = 0.02
LIKENESS = 0.9
INK = 128
SLACK = 2


@dataclass(frozen=True)
class View:
    """One frame's label: likeness from -1 to 1 (above 0.9 is the label), least ink height of a letter in pixels."""

    likeness: float
    ink: int


class Eye:
    """Looks for one plate in frames of its size."""

    def __init__(self, plate: Plate) -> None:
        self._plate = plate
        self._solid = plate.keep <= OPAQUE
        wanted = plate.add[self._solid]
        self._wanted = wanted - wanted.mean()
        self._strength = float(np.linalg.norm(self._wanted))

    def look(self, frame: av.VideoFrame) -> View:
        """What stands in the label's place in `frame`, which must be planar 8-bit YUV of the plate's picture size."""
        region = self._region(frame)
        seen = region[self._solid].astype(np.float32)
        seen -= seen.mean()
        spread = float(np.linalg.norm(seen))
        likeness = float(seen @ self._wanted) / (spread * self._strength) if spread else 0.0
        return View(likeness, min(_height(region, cell) for cell in self._plate.cells))

    def _region(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        height, width = self._plate.keep.shape
        top, left = self._plate.top, self._plate.left
        return rows_of(frame.planes[0])[top : top + height, left : left + width]


class Look:
    """Looks at a film's frames from the first, until one does not bear the label or `wanted` of them do.

    `frames` counts those that bear it, `ink` is the least height of its letters in them, `on` says that it goes on.
    """

    def __init__(self, label: Label, size: tuple[int, int], wanted: int) -> None:
        self._eye, self._size, self._wanted = Eye(plate(label, *size)), size, wanted
        self.frames, self.ink = 0, 0
        self.on = wanted > 0

    def at(self, frame: av.VideoFrame) -> None:
        """Take the next frame; one of another size or kind ends the looking."""
        fits = frame.format.name in PIXELS and (frame.width, frame.height) == self._size
        view = self._eye.look(frame) if self.on and fits else None
        if view is None or view.likeness < LIKENESS:
            self.on = False
            return
        self.ink = min(view.ink, self.ink) if self.frames else view.ink
        self.frames += 1
        self.on = self.frames < self._wanted


def _height(region: NDArray[np.uint8], cell: Cell) -> int:
    """How many rows the bright ink of a letter spans where the letter belongs."""
    column = region[max(0, cell.top - SLACK) : cell.bottom + SLACK, cell.left : cell.right]
    rows = np.flatnonzero((column >= INK).any(axis=1))
    return int(rows[-1] - rows[0] + 1) if rows.size else 0
