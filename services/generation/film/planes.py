"""A picture as H.264 takes it: 8-bit luma and two quarter-size chroma planes, BT.709, limited range."""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
BLACK, WHITE, NEUTRAL = 16, 235, 128


@dataclass(frozen=True)
class Planes:
    """One 4:2:0 picture; `luma` is height by width, `blue` and `red` half of each. Width and height are even."""

    luma: Plane
    blue: Plane
    red: Plane

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.luma.shape[1], self.luma.shape[0]


def from_rgb(pixels: Plane) -> Planes:
    """Converts height by width by 3 full-range RGB; an odd last row or column is left out."""
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
    return of_frame(picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709))


def of_frame(frame: av.VideoFrame) -> Planes:
    """The planes of a decoded or converted yuv420p frame, copied out of its padded rows."""
    width, height = frame.width, frame.height
    half = (height + 1) // 2, (width + 1) // 2
    sizes = ((height, width), half, half)
    luma, blue, red = (
        rows_of(plane)[:rows, :columns].copy() for plane, (rows, columns) in zip(frame.planes, sizes, strict=True)
    )
    return Planes(luma, blue, red)


def to_frame(planes: Planes) -> av.VideoFrame:
    """A new yuv420p frame that holds a copy of `planes`."""
    width, height = planes.size
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, pixels in zip(frame.planes, (planes.luma, planes.blue, planes.red), strict=True):
        rows_of(plane)[: pixels.shape[0], : pixels.shape[1]] = pixels
    return frame


def rows_of(plane: Any) -> Plane:
    """The memory of a PyAV plane itself, its rows as long as they are padded."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
