"""The body of an upload: received into a file with a limit, and the one file of a form found in it.

A form is parsed here and not by a general parser: exactly one part, a file, without preamble, epilogue or encoding.
What the client calls the file is not looked at.
"""

import asyncio
import contextlib
import mmap
import re
from pathlib import Path

from aiohttp import ClientError, web

from services.generation import errors
from services.generation.config import MediaSettings

FORM_BYTES = 16 * 1024
"""Room for the boundary and the headers of a form's one part."""
CHUNK_BYTES = 64 * 1024
DRAINED_BYTES, DRAIN_SECONDS, DRAIN_PAUSE_SECONDS = 64 * 2**20, 20, 1
_BROKEN = (TimeoutError, ClientError, ConnectionError, ValueError, web.RequestPayloadError)
"""What reading a body raises when it stalls, breaks off or is framed wrongly."""
_BOUNDARY = re.compile(
    r"multipart/form-data\s*;\s*boundary=(?:\"([!-~ ]{1,70})\"|([!#-'*+\-./0-9:=?A-Z^_`a-z|~]{1,70}))", re.I
)
# Anchored to the beginning of a line: from anywhere in a line, 16 KiB of the header's name took a time that grows with
# the square, and media is one event loop (S3).
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data[ \t]*;[^\r\n]*\bfilename\*?=", re.I | re.M)
_ENCODED = re.compile(
    rb"^(?:content-transfer-encoding|content-encoding):(?!\s*(?:binary|8bit|7bit|identity)\s*$)", re.I | re.M
)


def announced(request: web.Request, limit: int) -> int | None:
    """Return the announced size, None for a body without one. Raises UPLOAD_TOO_LARGE, UPLOAD_MALFORMED."""
    if any(coding.lower() not in ("", "identity") for coding in request.headers.getall("Content-Encoding", [])):
        raise errors.UPLOAD_MALFORMED()
    size = request.content_length
    if size is not None and size > limit + (FORM_BYTES if is_form(request) else 0):
        raise errors.UPLOAD_TOO_LARGE(limit=limit)
    if size == 0:
        raise errors.UPLOAD_MALFORMED()
    return size


async def drain(request: web.Request) -> None:
    """Read and drop what a client still sends: one that writes to the end before it reads would never see a refusal.

    A client that pauses is answered at once.
    """
    left = DRAINED_BYTES
    with contextlib.suppress(*_BROKEN):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0 and (chunk := await _next(request, DRAIN_PAUSE_SECONDS)):
                left -= len(chunk)


def is_form(request: web.Request) -> bool:
    """Say whether the body calls itself multipart, of whatever kind."""
    return request.headers.get("Content-Type", "").strip().lower().startswith("multipart/")


async def receive(request: web.Request, target: Path, limit: int, settings: MediaSettings) -> None:
    """Write the picture of a request to a file.

    Raises UPLOAD_TOO_LARGE as soon as the limit is passed, UPLOAD_MALFORMED for a body that is empty, stalls, breaks
    off or is another form than one file.
    """
    most = limit + (FORM_BYTES if is_form(request) else 0)
    try:
        async with asyncio.timeout(settings.upload_seconds):
            size = await _write(request, target, most, limit, settings.stall_seconds)
    except _BROKEN as fault:
        raise errors.UPLOAD_MALFORMED() from fault
    if is_form(request):
        size = await asyncio.to_thread(_unwrap, target, request.headers["Content-Type"])
    if size == 0:
        raise errors.UPLOAD_MALFORMED()
    if size > limit:
        raise errors.UPLOAD_TOO_LARGE(limit=limit)


async def _write(request: web.Request, target: Path, most: int, limit: int, stall_seconds: float) -> int:
    size = 0
    with target.open("xb") as file:
        while True:
            chunk = await _next(request, stall_seconds)
            if not chunk:
                return size
            size += len(chunk)
            if size > most:
                raise errors.UPLOAD_TOO_LARGE(limit=limit)
            file.write(chunk)


async def _next(request: web.Request, stall_seconds: float) -> bytes:
    async with asyncio.timeout(stall_seconds):
        return await request.content.read(CHUNK_BYTES)


def _unwrap(path: Path, content_type: str) -> int:
    """Replace a form by the bytes of its one file; returns their number. Raises UPLOAD_MALFORMED."""
    match = _BOUNDARY.fullmatch(content_type.strip())
    size = path.stat().st_size
    if match is None or not size:
        raise errors.UPLOAD_MALFORMED()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as body:
        start, end = _part(body, b"--" + (match.group(1) or match.group(2)).encode())
        body.move(0, start, end - start)
    with path.open("r+b") as file:
        file.truncate(end - start)
    return end - start


def _part(body: mmap.mmap, mark: bytes) -> tuple[int, int]:
    """Return where the bytes of the one part begin and end."""
    headers_end = body.find(b"\r\n\r\n", 0, FORM_BYTES)
    begins = body[: len(mark) + 2] == mark + b"\r\n" and headers_end > 0
    start, end = headers_end + 4, body.find(b"\r\n" + mark, max(headers_end + 2, 0))
    if not begins or end < 0 or body[end + 2 + len(mark) :] not in (b"--", b"--\r\n"):
        raise errors.UPLOAD_MALFORMED()
    headers = body[len(mark) + 2 : headers_end]
    if not _DISPOSITION.search(headers) or _ENCODED.search(headers):
        raise errors.UPLOAD_MALFORMED()
    return start, max(end, start)
