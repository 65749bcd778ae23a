"""`GET` and `HEAD` of content: whole or one range, streamed from the object store."""

import asyncio
import datetime
import email.utils

import obstore
from aiohttp import web
from obstore.exceptions import NotFoundError
from obstore.store import ObjectStore

from filmgate.generation.v1 import files_pb2
from services.generation import errors
from services.generation.config import MediaSettings
from services.generation.media import ranges, refusals
from services.generation.media.generation import Records
from services.generation.media.ranges import Span
from services.runtime import caller

CHUNK_BYTES = 256 * 1024


class Downloads:
    """Sends content to whoever it belongs to."""

    def __init__(self, records: Records, store: ObjectStore, settings: MediaSettings) -> None:
        self._records, self._store, self._settings = records, store, settings

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Return 200, 206, 304 or 416; raises NOT_FOUND, OUTPUT_NOT_READY, OUTPUT_EXPIRED."""
        content = await self._records.locate(request.match_info["id"])
        headers = _headers(content)
        if ranges.is_fresh(request.headers, headers["ETag"]):
            return web.Response(status=304, headers=_without_body(headers))
        try:
            span = ranges.span(request.headers, content.size_bytes, headers["ETag"], headers["Last-Modified"])
        except ranges.Unsatisfiable:
            refused = errors.RANGE_INVALID(size_bytes=content.size_bytes)
            return refusals.response(refused, caller.request_id(), {"Content-Range": f"bytes */{content.size_bytes}"})
        return await self._send(request, content, headers, span)

    async def _send(
        self, request: web.Request, content: files_pb2.Content, headers: dict[str, str], span: Span | None
    ) -> web.StreamResponse:
        whole = Span(0, content.size_bytes)
        sent = span or whole
        if span:
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{content.size_bytes}"
        headers["Content-Length"] = str(sent.end - sent.start)
        response = web.StreamResponse(status=206 if span else 200, headers=headers)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        try:
            found = await obstore.get_async(self._store, content.object, options={"range": (sent.start, sent.end)})
        except (NotFoundError, FileNotFoundError) as gone:
            raise errors.OUTPUT_EXPIRED() from gone
        await response.prepare(request)
        async for chunk in found.stream(CHUNK_BYTES):
            await self._write(response, bytes(chunk))
        await response.write_eof()
        return response

    async def _write(self, response: web.StreamResponse, chunk: bytes) -> None:
        """Write a chunk; a client that takes none of it for so long is let go."""
        async with asyncio.timeout(self._settings.stall_seconds):
            await response.write(chunk)


def _headers(content: files_pb2.Content) -> dict[str, str]:
    made = content.create_time.ToDatetime(datetime.UTC)
    return {
        "Content-Type": content.content_type,
        "Content-Disposition": f'attachment; filename="{content.file_name}"',
        "ETag": f'"{content.sha256}"',
        "Last-Modified": email.utils.format_datetime(made.replace(microsecond=0), usegmt=True),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def _without_body(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in ("ETag", "Cache-Control", "Last-Modified")}
