"""Media: plain HTTP/1.1 over mutual TLS behind the edge. What stands around every route."""

import collections
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from services.generation import errors
from services.generation.config import MediaSettings
from services.generation.media import bodies, refusals, server
from services.generation.media.downloads import Downloads
from services.generation.media.reference import Reference
from services.generation.media.uploads import Uploads
from services.runtime import caller, metrics, telemetry, tracing
from services.runtime.caller import CALLER, Access, Call, Caller, Verifier
from services.runtime.errors import INTERNAL, NOT_FOUND, TOKEN_INVALID, Failure

READ, WRITE = CALLER("video.read"), CALLER("video.write")
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
        self._routes: list[tuple[str, str, Access | None, Handler]] = [
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
        for verb, path, access, handler in self._routes:
            around = self._around(f"{verb} {path}", access, handler)
            application.router.add_route(verb, path, around, expect_handler=server.expect)
        unknown = self._around("unknown", None, _nothing)
        application.router.add_route("*", "/{rest:.*}", unknown, expect_handler=server.expect)
        return application

    def _around(self, name: str, access: Access | None, handler: Handler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = _begun(name, request)
            opened = tracing.begin(call, request.headers.get("traceparent", ""))
            current, started = caller.enter(call), time.perf_counter()
            response: web.StreamResponse | None = None
            try:
                response = await self._answer(request, call, access, handler)
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
        self, request: web.Request, call: Call, access: Access | None, handler: Handler
    ) -> web.StreamResponse:
        """Turn whatever is raised into a failure that says nothing of how we are built."""
        try:
            await self._admit(request, call, access)
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
        """Bound what one organization has under way: each transfer holds a connection of the edge, slow or not.

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

    async def _admit(self, request: web.Request, call: Call, access: Access | None) -> None:
        """Let in only the edge; with an access, only with the token of a customer who has the scope."""
        if access is None:
            caller.check_peer(caller.SERVICE(server.EDGE), call.peer, None)
            return
        tokens = request.headers.getall(caller.HEADER, [])
        if len(tokens) != 1:
            raise TOKEN_INVALID()
        call.token, call.caller = tokens[0], await self._verifier.verify(tokens[0])
        _check(access, call.peer, call.caller)


def _count(call: Call, status: int, seconds: float) -> None:
    metrics.observe("filmgate_request_duration_seconds", seconds, method=call.method, code=str(status))
    if call.reason:
        metrics.count("filmgate_request_errors_total", method=call.method, reason=call.reason)


def _check(access: Access, peer: str, who: Caller) -> None:
    caller.check_peer(caller.SERVICE(server.EDGE), peer, None)
    caller.check_peer(access, peer, who)


async def _nothing(_: web.Request) -> web.StreamResponse:
    raise NOT_FOUND(resource="such path")


def _begun(name: str, request: web.Request) -> Call:
    return Call(f"media/{name}", server.request_id(request), peer=server.peer(request))
