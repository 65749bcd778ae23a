"""Media: plain HTTP/1.1 over mutual TLS behind the edge. What stands around every route, and the process's server."""

import asyncio
import collections
import contextlib
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from services.generation import errors
from services.generation.config import MediaSettings
from services.generation.media import bodies, refusals
from services.generation.media.downloads import Downloads
from services.generation.media.reference import Reference
from services.generation.media.uploads import Uploads
from services.runtime import caller, ids, metrics, telemetry, tracing
from services.runtime.caller import CALLER, Call, Caller, Policy, Verifier
from services.runtime.errors import INTERNAL, NOT_FOUND, TOKEN_INVALID, Failure

EDGE = "edge"
GRACE_SECONDS = 10.0
READ, WRITE = CALLER("video.read"), CALLER("video.write")
_REQUEST_ID = re.compile(r"[!-~]{1,64}")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = telemetry.logger(__name__)


class Media:
    """The routes of media, each with who may call it, and the chain: trace, access log, failures, peer, caller."""

    def __init__(
        self,
        uploads: Uploads,
        downloads: Downloads,
        reference: Reference,
        verifier: Verifier,
        settings: MediaSettings,
    ) -> None:
        self._verifier = verifier
        self._most = settings.transfers_per_organization
        self._open: collections.Counter[str] = collections.Counter()
        self._routes: list[tuple[str, str, Policy | None, Handler]] = [
            ("POST", "/v1/files", WRITE, uploads.upload),
            ("GET", "/v1/files/{id}/content", READ, downloads.download),
            ("HEAD", "/v1/files/{id}/content", READ, downloads.download),
            ("GET", "/v1/videos/{id}/content", READ, downloads.download),
            ("HEAD", "/v1/videos/{id}/content", READ, downloads.download),
            *((verb, "/docs", None, reference.page) for verb in ("GET", "HEAD")),
            *((verb, "/docs/{file}", None, reference.part) for verb in ("GET", "HEAD")),
            *((verb, "/openapi.json", None, reference.document) for verb in ("GET", "HEAD")),
        ]

    def application(self) -> web.Application:
        """Make the aiohttp application. The body of an upload is bounded by `bodies`, so aiohttp's own limit is off."""
        application = web.Application(client_max_size=0)
        for verb, path, policy, handler in self._routes:
            application.router.add_route(verb, path, self._around(f"{verb} {path}", policy, handler))
        application.router.add_route("*", "/{rest:.*}", self._around("unknown", None, _nothing))
        return application

    def _around(self, name: str, policy: Policy | None, handler: Handler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = _begun(name, request)
            opened = tracing.begin(call, request.headers.get("traceparent", ""))
            current, started = caller.enter(call), time.perf_counter()
            response: web.StreamResponse | None = None
            try:
                response = await self._answer(request, call, policy, handler)
                return response
            finally:
                status = response.status if response is not None else 499
                seconds = time.perf_counter() - started
                milliseconds = round(seconds * 1000, 1)
                log.info(
                    "call", method=name, status=status, reason=call.reason, peer=call.peer, milliseconds=milliseconds
                )
                _count(call, status, seconds)
                caller.leave(current)
                tracing.end(opened, failed=status >= 500, status=status, reason=call.reason, peer=call.peer)

        return serve

    async def _answer(
        self, request: web.Request, call: Call, policy: Policy | None, handler: Handler
    ) -> web.StreamResponse:
        """Turn whatever is raised into a failure that says nothing of how we are built."""
        try:
            await self._admit(request, call, policy)
            with self._counted(call):
                response = await handler(request)
        except Failure as failure:
            call.reason = failure.kind.reason
            await bodies.drain(request)
            response = refusals.response(failure, call.request_id)
        except (ConnectionError, TimeoutError):
            raise  # the client went, or took nothing: there is nobody to answer
        except Exception as fault:  # noqa: BLE001  nothing that is not ours may reach the wire
            log.fault("method_failed", fault, method=call.method)
            call.reason = "INTERNAL"
            response = refusals.response(INTERNAL(request_id=call.request_id), call.request_id)
        if not response.prepared:
            response.headers[caller.REQUEST_ID] = call.request_id
        return response

    @contextlib.contextmanager
    def _counted(self, call: Call) -> Iterator[None]:
        """Bound what one organisation has under way: each transfer holds a connection of the edge, slow or not.

        What anybody may read is short enough for the edge to take it whole.
        """
        if call.caller is None:
            yield
            return
        organization = call.caller.organization
        if self._open[organization] >= self._most:
            raise errors.TOO_MANY_TRANSFERS(limit=self._most, retry_after=1)
        self._open[organization] += 1
        try:
            yield
        finally:
            self._open[organization] -= 1
            if not self._open[organization]:
                del self._open[organization]

    async def _admit(self, request: web.Request, call: Call, policy: Policy | None) -> None:
        """Let in only the edge; with a policy, only with the token of a customer who has the scope."""
        if policy is None:
            caller.check_peer(caller.SERVICE(EDGE), call.peer, None)
            return
        tokens = request.headers.getall(caller.HEADER, [])
        if len(tokens) != 1:
            raise TOKEN_INVALID()
        call.token, call.caller = tokens[0], await self._verifier.verify(tokens[0])
        _check(policy, call.peer, call.caller)


def _count(call: Call, status: int, seconds: float) -> None:
    metrics.observe("filmgate_request_duration_seconds", seconds, method=call.method, code=str(status))
    if call.reason:
        metrics.count("filmgate_request_errors_total", method=call.method, reason=call.reason)


def _check(policy: Policy, peer: str, who: Caller) -> None:
    caller.check_peer(caller.SERVICE(EDGE), peer, None)
    caller.check_peer(policy, peer, who)


async def _nothing(_: web.Request) -> web.StreamResponse:
    raise NOT_FOUND(resource="such path")


def _begun(name: str, request: web.Request) -> Call:
    given, peer = request.headers.getall(caller.REQUEST_ID, []), _peer(request)
    trusted = peer == EDGE and len(given) == 1 and _REQUEST_ID.fullmatch(given[0])
    return Call(f"media/{name}", given[0] if trusted else ids.new("req"), peer=peer)


def _peer(request: web.Request) -> str:
    """The first DNS name of the client's certificate; empty without one."""
    session = request.transport.get_extra_info("ssl_object") if request.transport else None
    certificate = session.getpeercert() if session else None
    names = [name for kind, name in (certificate or {}).get("subjectAltName", ()) if kind == "DNS"]
    return names[0] if names else ""


class Server:
    """Media's listening port, as a part of its process."""

    def __init__(self, application: web.Application, settings: MediaSettings, port: int | None = None) -> None:
        self._settings = settings
        self._port = settings.port if port is None else port
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=620, lingering_time=5, shutdown_timeout=GRACE_SECONDS
        )
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


def _tls(settings: MediaSettings) -> ssl.SSLContext:
    """TLS 1.3 with our certificate; the client must show one of our authority."""
    certs = settings.home / "certs"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(settings.tls_ca or certs / "ca.crt")
    context.load_cert_chain(settings.tls_cert or certs / "media.crt", settings.tls_key or certs / "media.key")
    return context
