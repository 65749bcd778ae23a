"""A media process of a test, asked as the edge asks it: HTTP/1.1 over mutual TLS."""

import asyncio
import contextlib
import dataclasses
import io
import json
import re
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
from PIL import Image

from services.generation.config import MediaSettings
from services.generation.files.tables import FileRow
from services.generation.media.app import Media
from services.generation.media.downloads import Downloads
from services.generation.media.generation import Records
from services.generation.media.reference import Reference
from services.generation.media.server import Server
from services.generation.media.uploads import Uploads
from services.runtime import caller, channels
from services.runtime.clock import Clock
from tests.support import rpc, tls
from tests.support.generation import House


def picture(kind: str = "PNG", width: int = 640, height: int = 360, mode: str = "RGB", **options: Any) -> bytes:
    """Draw a picture of one color and write it as a file of that kind."""
    buffer = io.BytesIO()
    Image.new(mode, (width, height), options.pop("color", 90)).save(buffer, kind, **options)
    return buffer.getvalue()


def form(*parts: tuple[str, bytes], boundary: str = "b0undary") -> tuple[bytes, dict[str, str]]:
    """Write a form by the headers and bytes of its parts; answers (body, headers)."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
    return body + f"--{boundary}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}


@dataclasses.dataclass
class Slow:
    """A connection whose client has not sent all of its body."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Read the answer; (status, JSON)."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"content-length: (\d+)", head, re.I).group(1))
        body = json.loads(await self.reader.readexactly(length))
        self.writer.close()
        return int(head.split(" ")[1]), body


@dataclasses.dataclass
class Gate:
    """A media process that is served. `port` is where a client finds it."""

    house: House
    settings: MediaSettings
    port: int

    def client(self, peer: str = "edge", authority: str = "suite") -> httpx.AsyncClient:
        """Open a client that shows the certificate of `peer` and is no customer yet."""
        context = _certified(peer, authority)
        return httpx.AsyncClient(base_url=f"https://127.0.0.1:{self.port}", verify=context, trust_env=False, timeout=30)

    def customer(self, **claims: Any) -> dict[str, str]:
        """Headers of a customer's call, as the edge sends them."""
        return {caller.HEADER: rpc.caller_token("generation", **claims), caller.REQUEST_ID: "req_of_the_edge"}

    async def begin(self, headers: dict[str, str], body: bytes) -> "Slow":
        """Send the head of an upload and a piece of its body, and no more; returns the open connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=_certified("edge", "suite"))
        lines = [f"{name}: {value}" for name, value in {"host": "media", "content-length": "100000", **headers}.items()]
        writer.write("\r\n".join(["POST /v1/files HTTP/1.1", *lines, "", ""]).encode() + body)
        await writer.drain()
        return Slow(reader, writer)

    async def raw(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes on a connection of their own, as the edge; returns status, headers and body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=_certified("edge", "suite"))
        writer.write(data)
        await writer.drain()
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        writer.close()
        return int(first.split(" ")[1]), headers, body

    async def left(self) -> tuple[int, list[str]]:
        """How many file rows and which objects there are."""
        objects = [path for path in (self.house.folder / "objects").rglob("*") if path.is_file()]
        return len(await self.house.rows(FileRow)), sorted(path.name for path in objects)


def _certified(peer: str, authority: str) -> ssl.SSLContext:
    certs = tls.home(authority) / "certs"
    context = ssl.create_default_context(cafile=str(tls.home() / "certs" / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(certs / f"{peer}.crt", certs / f"{peer}.key")
    return context


@contextlib.asynccontextmanager
async def gate(house: House, tokens: Clock | None = None, **changes: Any) -> AsyncIterator[Gate]:
    """Serve media in front of a house; `tokens` is the clock of caller tokens, `changes` are settings.

    A decoder has two minutes, not 10 s: it is a new process, and the machine may have twelve others to run.
    """
    place = str(house.folder / "objects")
    changes = {"decode_seconds": 120, **changes}
    settings = rpc.settings(
        "media", MediaSettings, generation_address=house.served.address, objects=place, media_port=0, **changes
    )
    channel = channels.connect("generation", settings)
    verifier = caller.Verifier(rpc.fetch_keys, "generation", tokens)
    records = Records(channel)
    uploads, downloads = Uploads(records, house.objects, settings), Downloads(records, house.objects, settings)
    reference = Reference(settings.public_url)
    server = Server(Media(uploads, downloads, reference, verifier, settings).application(), settings)
    await server.start()
    try:
        yield Gate(house, settings, server.port)
    finally:
        await server.drain(1)
        await channel.close()
