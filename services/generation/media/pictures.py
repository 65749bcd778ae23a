"""Uploaded pictures: told by their first bytes, then decoded by a confined process."""

import asyncio
import contextlib
import dataclasses
import json
import sys
from pathlib import Path

from filmgate.generation.v1 import files_pb2
from services.generation import errors
from services.generation.config import MediaSettings
from services.runtime import telemetry
from services.runtime.errors import INTERNAL, Failure

ALLOWED = "PNG, JPEG, WebP"
_DECODER = Path(__file__).with_name("decoder.py")
_HEAD_BYTES = 16
log = telemetry.logger(__name__)


@dataclasses.dataclass(frozen=True)
class Picture:
    """What an upload was found to be; `copy` is the file of the picture that models are given."""

    content_type: str
    width: int
    height: int
    copy: Path


def is_known(head: bytes) -> bool:
    """Say whether the first 16 bytes are those of a PNG, a JPEG or a WebP."""
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or webp


async def decode(source: Path, limits: files_pb2.ImageLimits, settings: MediaSettings) -> Picture:
    """Decode a picture in a process that is stopped after `decode_seconds`.

    Raises IMAGE_UNREADABLE, IMAGE_TOO_LARGE, IMAGE_TOO_SMALL or IMAGE_RATIO.
    """
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not is_known(head):
        raise _refusal("IMAGE_UNREADABLE", limits)
    copy = source.with_suffix(".frame.jpg")
    bounds = {
        "memory_bytes": settings.decode_memory_bytes,
        "cpu_seconds": int(settings.decode_seconds),
        "side_pixels": limits.side_pixels,
        "pixels": limits.pixels,
        "ratio": limits.ratio,
    }
    found = await _run(source, copy, json.dumps(bounds), settings.decode_seconds)
    if refused := found.get("refused"):
        raise _refusal(str(refused), limits)
    return Picture(str(found["content_type"]), int(str(found["width"])), int(str(found["height"])), copy)


async def _run(source: Path, copy: Path, bounds: str, seconds: float) -> dict[str, object]:
    """Run the decoder. One that crashed, was killed by its limits or took too long could not read the picture."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(_DECODER), str(source), str(copy), bounds,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={}, cwd=source.parent, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await process.communicate()
    except TimeoutError:
        return {"refused": "IMAGE_UNREADABLE"}
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode and process.returncode > 0:
        log.error("decoder_not_started", code=process.returncode, reason=complaint[-200:].decode("ascii", "replace"))
        raise INTERNAL(request_id="")
    return dict(json.loads(output)) if process.returncode == 0 else {"refused": "IMAGE_UNREADABLE"}


def _refusal(reason: str, limits: files_pb2.ImageLimits) -> Failure:
    if reason == "IMAGE_TOO_LARGE":
        return errors.IMAGE_TOO_LARGE(limit=limits.pixels)
    if reason == "IMAGE_TOO_SMALL":
        return errors.IMAGE_TOO_SMALL(limit=limits.side_pixels)
    if reason == "IMAGE_RATIO":
        return errors.IMAGE_RATIO(allowed=f"1:{limits.ratio:g} to {limits.ratio:g}:1")
    return errors.IMAGE_UNREADABLE(allowed=ALLOWED)
