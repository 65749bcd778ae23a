"""Media's listening port: HTTP/1.1 over mutual TLS, and the one error shape for what aiohttp answers by itself.

aiohttp does work of its own before and behind a handler: it decodes bodies, looks at Expect and at WebSocket headers,
and words its own refusals as plain text. Here all of it is switched off or answered as `refusals` writes it (S3).
"""

import asyncio
import contextlib
import re
import ssl
from typing import Any

from aiohttp import web

from services.generation.config import MediaSettings
from services.generation.media import refusals
from services.runtime import caller, ids, telemetry
from services.runtime.errors import FIELD_INVALID, INTERNAL, NOT_FOUND

EDGE = "edge"
"""The one peer that may call, by the name in its certificate."""
GRACE_SECONDS = 10.0
LINGER_SECONDS = 5
"""How long aiohttp reads on, behind a handler's answer, what the client still sends of its body."""
KEEP_ALIVE_SECONDS = 620
"""Longer than the edge keeps an idle connection, so that the edge is the one that closes it."""
_REQUEST_ID = re.compile(r"[!-~]{1,64}")
log = telemetry.logger(__name__)


class Server:
    """Media's listening port, as a part of its process."""

    def __init__(self, application: web.Application, settings: MediaSettings, port: int | None = None) -> None:
        self._settings = settings
        self._port = settings.port if port is None else port
        self._runner = _Runner(application, shutdown_timeout=GRACE_SECONDS)
        self._ended = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.bind, self._port, ssl_context=_tls(self._settings))
        await site.start()

    async def run(self) -> None:
        """Serve until the process ends."""
        await self.start()
        await self._ended.wait()

    async def drain(self, seconds: float) -> None:
        """Take no new connections; let the present answers end within so many seconds, then end them."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._runner.cleanup(), seconds)


async def expect(request: web.Request) -> None:
    """Serve `Expect: 100-continue`, and overlook every other expectation, as RFC 9110 (10.1.1) allows.

    aiohttp's own answer to those is a 417 in plain text.
    """
    if request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def request_id(request: web.BaseRequest) -> str:
    """Return the request id of a request: the edge's, or a new one for any other peer and for an unreadable id."""
    given = request.headers.getall(caller.REQUEST_ID, [])
    trusted = peer(request) == EDGE and len(given) == 1 and _REQUEST_ID.fullmatch(given[0])
    return given[0] if trusted else ids.new("req")


def peer(request: web.BaseRequest) -> str:
    """Return the first DNS name of the client's certificate; empty without one."""
    session = request.transport.get_extra_info("ssl_object") if request.transport else None
    certificate = session.getpeercert() if session else None
    names = [name for kind, name in (certificate or {}).get("subjectAltName", ()) if kind == "DNS"]
    return names[0] if names else ""


class _Protocol(web.RequestHandler):
    """One connection, whose own refusals have our shape."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the refusal of a request that aiohttp could not read, or whose handler failed; ends the connection.

        The words of aiohttp (`message`) quote the request and are not repeated. Raises ConnectionError when a part of
        an answer was sent already.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer was sent already")
        # Of a request that could not be read there are no headers, and so no id of the edge.
        unread = status < 500
        number = ids.new("req") if unread else request_id(request)
        if unread:
            log.info("request_unreadable", request_id=number, error=type(exc).__name__, peer=peer(request))
            failure = FIELD_INVALID(field="request", limit="be valid HTTP/1.1")
        else:
            log.fault("request_failed", exc or RuntimeError(message), request_id=number)
            failure = INTERNAL(request_id=number)
        response = refusals.response(failure, number, {caller.REQUEST_ID: number})
        response.force_close()
        return response


class _Server(web.Server):
    """Makes the protocol of each connection."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """Runs an application behind `_Server`."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            _shaped(made.request_handler),
            request_factory=made.request_factory,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=LINGER_SECONDS,
            # A body is read as it was sent: 1 MiB of gzip may stand for 1 GiB, and media is one event loop (S3).
            auto_decompress=False,
            # A client that has gone waits for no decoder, and its transfer counts no more: its handler is ended (S4).
            handler_cancellation=True,
        )


def _shaped(handler: Any) -> Any:
    """Return a handler whose HTTP exceptions, which aiohttp would send as plain text, have our shape."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            number = request_id(request)
            return refusals.response(NOT_FOUND(resource="such path"), number, {caller.REQUEST_ID: number})

    return serve


def _tls(settings: MediaSettings) -> ssl.SSLContext:
    """TLS 1.3 with our certificate; the client must show one of our authority."""
    certs = settings.home / "certs"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(settings.tls_ca or certs / "ca.crt")
    context.load_cert_chain(settings.tls_cert or certs / "media.crt", settings.tls_key or certs / "media.key")
    return context
