"""Decodes one uploaded picture, in a process of its own that `media.pictures` starts with an empty environment.

Before it looks at a single byte it gives up memory, time and, by a list of the system calls that are left, everything
but writing to OUTPUT (`confinement`). It imports Pillow, the film's decoding, the confinement and the frame's limit,
nothing else of ours. What it gives back is pixels: nobody needs to parse what a picture may have had a hand in.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from services.generation.film import raster
from services.generation.film.container import TooComplex
from services.generation.media.confinement import confine
from services.generation.media.frames import MAX_SIDE

CONFINED = b"\n"
"""What the decoder writes once it is confined, in front of its answer: JSON allows for it. What fails after it is the
picture's fault, what fails before it is ours."""
TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


class Refused(Exception):
    """The picture is not taken; the argument is the reason."""


def run(arguments: list[str]) -> None:
    """Decode: `arguments` are INPUT, OUTPUT, LIMITS. Ends the process; raises OSError when it cannot be confined.

    LIMITS is JSON: memory_bytes, cpu_seconds, side_pixels, pixels, ratio. Prints CONFINED and one JSON object:
    content_type, width and height of the upright picture, and frame_width and frame_height, or `refused` with a reason;
    and `seconds`, the CPU time used. `denied` names a system call that the confinement refused, which no picture needs.
    OUTPUT is the frame: pixels of three bytes (red, green, blue), row by row from the top, and nothing else; upright,
    opaque, at most MAX_SIDE pixels on a side.
    """
    source, target, limits = arguments[0], arguments[1], json.loads(arguments[2])
    data = Path(source).read_bytes()
    with open(target, "xb") as frame:  # the only file that may be written
        confine(int(limits["memory_bytes"]), int(limits["cpu_seconds"]))
        os.write(1, CONFINED)
        found = _told(data, frame, limits)
        print(json.dumps({**found, "seconds": time.process_time()}), flush=True)
        os._exit(0)  # an interpreter that is taken down asks the system for more than it may have now


def examine(data: bytes, target: BinaryIO, limits: dict[str, float]) -> dict[str, object]:
    """Check the picture by its header, decode it whole, write its frame; return what it is. Raises Refused, TooComplex.

    It also raises whatever Pillow's decoders stumble over.
    """
    found = raster.read(data, tuple(TYPES), lambda width, height: check(width, height, limits), MAX_SIDE)
    image = raster.opaque(found.image)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    frame = raster.turned(image, found.orientation)
    target.write(frame.tobytes())
    sizes = ("width", "height", "frame_width", "frame_height")
    return {"content_type": TYPES[found.kind], **dict(zip(sizes, (*found.upright_size, *frame.size), strict=True))}


def check(width: int, height: int, limits: dict[str, float]) -> None:
    """Raise Refused for measures outside of the limits, before anything is decoded."""
    if width * height > limits["pixels"]:
        raise Refused("IMAGE_TOO_LARGE")
    if min(width, height) < limits["side_pixels"]:
        raise Refused("IMAGE_TOO_SMALL")
    if max(width, height) > limits["ratio"] * min(width, height):
        raise Refused("IMAGE_RATIO")


def _told(data: bytes, frame: BinaryIO, limits: dict[str, float]) -> dict[str, object]:
    """Return what `examine` found, or the reason for which the picture is refused."""
    try:
        found = examine(data, frame, limits)
        frame.flush()
        return found
    except Refused as refused:
        return {"refused": str(refused)}
    except TooComplex:
        return {"refused": "IMAGE_TOO_COMPLEX"}
    except (MemoryError, Image.DecompressionBombError):
        return {"refused": "IMAGE_TOO_LARGE"}
    except PermissionError as denied:
        return {"refused": "IMAGE_UNREADABLE", "denied": str(denied)}
    except Exception:  # noqa: BLE001  Pillow's decoders have no common class of fault
        return {"refused": "IMAGE_UNREADABLE"}


if __name__ == "__main__":
    run(sys.argv[1:])
