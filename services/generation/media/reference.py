"""`/docs` and `/openapi.json`: the API reference as `make protos` wrote it, read once and sent from memory.

Whoever asks, with or without a credential, gets the same. The page loads nothing from another host, and its
Content-Security-Policy would not let it.
"""

import dataclasses
import gzip
import hashlib
import json
from pathlib import Path

from aiohttp import web

from filmgate.generation.v1 import files_pb2
from services.generation.media import ranges
from services.runtime.errors import NOT_FOUND

GENERATED = Path(files_pb2.__file__).parents[3]
"""The folder gen/ that this process runs from."""
DOCUMENT, PAGE = "openapi.json", "index.html"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "public, no-cache",
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


@dataclasses.dataclass(frozen=True)
class Text:
    """A text as it is sent: in the clear or compressed, each with its tag."""

    content_type: str
    body: bytes
    packed: bytes

    def response(self, request: web.Request) -> web.Response:
        """Return it, or 304 to who has it already. A HEAD gets the headers alone."""
        small = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        body = self.packed if small else self.body
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        headers = {**HEADERS, "ETag": tag, **({"Content-Encoding": "gzip"} if small else {})}
        if ranges.is_fresh(request.headers, tag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers, content_type=self.content_type, charset="utf-8")


class Reference:
    """The texts of the reference. Raises FileNotFoundError when `make protos` has not written them."""

    def __init__(self, public_url: str, folder: Path = GENERATED) -> None:
        document = json.loads((folder / DOCUMENT).read_text())
        document["servers"] = [{"url": public_url}]
        self._document = _text(".json", json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
        files = (path for path in sorted((folder / "docs").iterdir()) if path.suffix in TYPES)
        self._parts = {path.name: _text(path.suffix, path.read_bytes()) for path in files}
        self._page = self._parts.pop(PAGE)

    async def document(self, request: web.Request) -> web.Response:
        """Return the OpenAPI document, with the address at which customers reach us."""
        return self._document.response(request)

    async def page(self, request: web.Request) -> web.Response:
        """Return the page."""
        return self._page.response(request)

    async def part(self, request: web.Request) -> web.Response:
        """Return the page's style or script. Raises NOT_FOUND for any other name."""
        name = request.match_info["file"]
        if name not in self._parts:
            raise NOT_FOUND(resource=f"part {name}")
        return self._parts[name].response(request)


def _text(suffix: str, body: bytes) -> Text:
    return Text(TYPES[suffix], body, gzip.compress(body, mtime=0))
