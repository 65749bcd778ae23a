"""Uploaded pictures: told by their first bytes, then decoded by a confined process."""

import asyncio
import contextlib
import dataclasses
import json
import math
import signal
import sys
import time
from pathlib import Path
from typing import Any

from filmgate.generation.v1 import files_pb2
from services.generation import errors
from services.generation.config import MediaSettings
from services.generation.media import decoder, frames
from services.generation.media.turns import Charge
from services.runtime import telemetry
from services.runtime.errors import INTERNAL, PEER_UNAVAILABLE, Failure

ALLOWED = "PNG, JPEG, WebP"
_ROOT = str(Path(__file__).resolve().parents[3])
START = f"import sys; sys.path.append({_ROOT!r}); from services.generation.media.decoder import run; run(sys.argv[1:])"
"""With -I Python looks neither at the environment nor into the current folder, so it is told where we lie."""
_EXPECTED = (signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE)
"""Signals that a hostile or too large picture may end a decoder with."""
_HEAD_BYTES, _ANSWER_BYTES = 16, 65536
_SIZES = ("width", "height", "frame_width", "frame_height")
log = telemetry.logger(__name__)


@dataclasses.dataclass(frozen=True)
class Picture:
    """What an upload was found to be, and the file of the pixels of its frame: (width, height) is `frame_size`."""

    content_type: str
    width: int
    height: int
    pixels: Path
    frame_size: tuple[int, int]


def type_of(head: bytes) -> str:
    """Return the media type by the first 16 bytes of a PNG, a JPEG or a WebP; empty for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""


async def decode(source: Path, limits: files_pb2.ImageLimits, settings: MediaSettings, charge: Charge) -> Picture:
    """Decode a picture in a confined process; `charge` is called once with the CPU seconds that it took.

    Nothing that it says is believed where we know better: code of a stranger may have taken it over (review S9).
    Raises IMAGE_UNREADABLE, IMAGE_TOO_LARGE, IMAGE_TOO_SMALL, IMAGE_RATIO, IMAGE_TOO_COMPLEX; PEER_UNAVAILABLE when it
    was not done in `decode_seconds` of wall time, for which its own work is not the cause: its CPU time is bounded.
    """
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    content_type = type_of(head)
    if not content_type:
        raise errors.IMAGE_UNREADABLE(allowed=ALLOWED)
    pixels = source.with_suffix(".pixels")
    bounds = {
        "memory_bytes": settings.decode_memory_bytes,
        "cpu_seconds": settings.decode_cpu_seconds,
        "side_pixels": limits.side_pixels,
        "pixels": limits.pixels,
        "ratio": limits.ratio,
    }
    most = seconds = float(settings.decode_cpu_seconds)  # charged for one that was stopped: it did not say what it took
    started = time.monotonic()
    try:
        found = await _run(source, pixels, json.dumps(bounds), settings.decode_seconds)
        seconds = _believable(found.get("seconds", most), most)
    finally:
        charge(min(seconds, time.monotonic() - started))  # one thread takes no more CPU time than wall time
    if refused := found.get("refused"):
        raise _refusal(str(refused), limits, settings)
    width, height, frame_size = found["width"], found["height"], (found["frame_width"], found["frame_height"])
    if not _taken(width, height, limits) or not _shows(frame_size, width, height):
        raise _odd()
    return Picture(content_type, width, height, pixels, frame_size)


def _believable(seconds: float, most: float) -> float:
    """Return the CPU seconds that a decoder says, from 0 to `most`; `most` for what is no number of seconds."""
    return min(seconds, most) if math.isfinite(seconds) and seconds >= 0 else most


def _taken(width: int, height: int, limits: files_pb2.ImageLimits) -> bool:
    """Tell whether the limits allow a picture of so many pixels on its sides."""
    short, long = sorted((width, height))
    return max(1, limits.side_pixels) <= short and short * long <= limits.pixels and long <= limits.ratio * short


def _shows(size: tuple[int, int], width: int, height: int) -> bool:
    """Tell whether a frame may be that of a picture: no side is longer, and its ratio is the same within a pixel."""
    across, down = size
    return 0 < across <= width and 0 < down <= height and abs(across * height - down * width) <= max(width, height)


async def frame(picture: Picture, charge: Charge) -> Path:
    """Make the JPEG that models are given and return its file; `charge` is called with the CPU seconds that it took.

    Wait for it to its end: a thread makes it, which nothing stops. Raises IMAGE_UNREADABLE when the decoder's pixels
    are not those of a frame.
    """
    target = picture.pixels.with_suffix(".frame.jpg")
    try:
        charge(await asyncio.to_thread(frames.encode, picture.pixels, target, *picture.frame_size))
    except frames.Odd:
        raise _odd() from None
    return target


def _odd() -> Failure:
    """Return the refusal for a decoder that says what cannot be. Its words are not logged: they may be anybody's."""
    log.error("decoder_answer_odd")
    return errors.IMAGE_UNREADABLE(allowed=ALLOWED)


async def _run(source: Path, pixels: Path, bounds: str, seconds: float) -> dict[str, Any]:
    """Run the decoder and return what it says. One that its limits ended is IMAGE_TOO_COMPLEX.

    One that crashed or failed once it was confined is IMAGE_UNREADABLE: until then no byte of the picture was looked
    at. Raises PEER_UNAVAILABLE after `seconds`, INTERNAL when it could not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", START, str(source), str(pixels), bounds,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={}, cwd=source.parent, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            output = await _read(process)
            await process.wait()
    except TimeoutError:
        log.warning("decoder_stopped", seconds=seconds)
        raise PEER_UNAVAILABLE(retry_after=1) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    code = process.returncode
    if code is not None and code > 0 and not output.startswith(decoder.CONFINED):
        log.error("decoder_not_started", code=code, reason=output[-200:].decode("ascii", "replace"))
        raise INTERNAL(request_id="")
    return _heard(code or 0, output)


async def _read(process: asyncio.subprocess.Process) -> bytes:
    """Read to its end what the decoder writes. One that writes more than an answer is not ours: it is killed."""
    output = b""
    while process.stdout and (piece := await process.stdout.read(_ANSWER_BYTES)):
        output = (output + piece)[:_ANSWER_BYTES]
        if len(output) == _ANSWER_BYTES:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return output


def _heard(code: int, output: bytes) -> dict[str, Any]:
    """Return the decoder's answer, or by what ended it (below 0: a signal) a refusal in its place."""
    if code:
        if -code not in _EXPECTED:
            log.error("decoder_ended", code=code)
        return {"refused": "IMAGE_TOO_COMPLEX" if -code == signal.SIGXCPU else "IMAGE_UNREADABLE"}
    try:
        found = _answer(output)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        log.error("decoder_answer_odd")  # as the next, and not quoted: it may be anybody's words
        return {"refused": "IMAGE_UNREADABLE"}
    if denied := found.get("denied"):
        log.error("decoder_denied", reason=denied[:200])  # a fault of ours, or somebody else's code in it
    return found


def _answer(output: bytes) -> dict[str, Any]:
    """Return what the decoder says, each in its type. Raises whatever an answer of another form leads to."""
    said = dict(json.loads(output))
    told = {"refused": str(said["refused"])} if "refused" in said else {name: int(said[name]) for name in _SIZES}
    return {**told, "denied": str(said.get("denied", "")), "seconds": float(said["seconds"])}


def _refusal(reason: str, limits: files_pb2.ImageLimits, settings: MediaSettings) -> Failure:
    if reason == "IMAGE_TOO_LARGE":
        return errors.IMAGE_TOO_LARGE(limit=limits.pixels)
    if reason == "IMAGE_TOO_SMALL":
        return errors.IMAGE_TOO_SMALL(limit=limits.side_pixels)
    if reason == "IMAGE_RATIO":
        return errors.IMAGE_RATIO(allowed=f"1:{limits.ratio:g} to {limits.ratio:g}:1")
    if reason == "IMAGE_TOO_COMPLEX":
        return errors.IMAGE_TOO_COMPLEX(limit=settings.decode_cpu_seconds)
    return errors.IMAGE_UNREADABLE(allowed=ALLOWED)
