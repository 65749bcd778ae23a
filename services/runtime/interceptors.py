"""What stands around every method, outermost first, for all four kinds of RPC, and the one home of `abort`:

trace -> access log and metrics -> failures -> deadline -> caller -> access -> required fields -> method
"""

import asyncio
import contextlib
import dataclasses
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from services.runtime import caller, errors, fields, ids, metrics, telemetry, tracing
from services.runtime.caller import Access, Call, Verifier

DEFAULT_SECONDS = 10.0
MIN_SECONDS = 0.02
_WORD = {False: "unary", True: "stream"}
_REQUEST_ID = re.compile(r"[!-~]{1,64}")
_FAULT_NAMES = "UNKNOWN DEADLINE_EXCEEDED UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
_FAULTS = {grpc.StatusCode[name] for name in _FAULT_NAMES.split()}
"""Codes that say that we failed, and not our caller."""
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""What a peer that is not there answers; CANCELLED while it ends."""
_NOBODY = Access("NOBODY")
Sent = dict[str, list[str]]
log = telemetry.logger(__name__)


class _Undecodable:
    """Stands for request bytes that are no message of the method's type."""


class Interceptors(grpc.aio.ServerInterceptor):
    """The chain. `accesses` maps full method names (/package.Service/Method) to who may call; no entry, no call."""

    def __init__(self, name: str, accesses: Mapping[str, Access], verifier: Verifier | None = None) -> None:
        self._domain = errors.domain(name)
        self._accesses = accesses
        self._verifier = verifier
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Callable[..., Any], details: Any) -> Any:
        """Return the method's handler with the chain around it; None (UNIMPLEMENTED) for an unknown method."""
        handler = await continuation(details)
        if handler is None:
            return None
        if details.method not in self._wrapped:
            self._wrapped[details.method] = self._wrap(details.method, handler)
        return self._wrapped[details.method]

    def _wrap(self, method: str, handler: Any) -> Any:
        kind = f"{_WORD[handler.request_streaming]}_{_WORD[handler.response_streaming]}"
        inner = getattr(handler, kind)
        streaming = handler.request_streaming or handler.response_streaming

        async def answer_one(request: Any, context: Any) -> Any:
            sent = _sent(context)
            async with self._serve(method, streaming, context, sent) as call:
                response = await inner(_admitted(request, sent), context)
                context.set_trailing_metadata(_marks(call))  # with the answer; headers would be a message of their own
                return response

        async def answer_many(request: Any, context: Any) -> None:
            sent = _sent(context)
            async with self._serve(method, streaming, context, sent) as call:
                responses = inner(_admitted(request, sent), context)
                if not hasattr(responses, "__aiter__"):
                    await responses
                    return
                await _write_all(responses, context, call)

        wrapped = answer_many if handler.response_streaming else answer_one
        return getattr(grpc, f"{kind}_rpc_method_handler")(
            wrapped, _lenient(handler.request_deserializer), handler.response_serializer
        )

    @contextlib.asynccontextmanager
    async def _serve(self, method: str, streaming: bool, context: Any, sent: Sent) -> AsyncIterator[Call]:
        """Trace, access log and metrics, all written before the call's end is sent: everything else happens inside."""
        call = _begun(method, context, sent)
        opened = tracing.begin(call, "".join(sent.get("traceparent", [])[:1]))
        current, started, code = caller.enter(call), time.perf_counter(), grpc.StatusCode.OK
        failure: errors.Failure | None = None
        try:
            async with self._admit(call, streaming, context, sent):
                yield call
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as fault:  # noqa: BLE001  failures: nothing that is not ours may reach the wire
            failure = _failure(fault, call)
            code, call.reason = failure.kind.code, failure.kind.reason
        finally:
            _record(call, code, time.perf_counter() - started)
            caller.leave(current)
            if opened:
                tracing.end(opened, failed=code in _FAULTS, code=code.name, reason=call.reason, peer=call.peer)
        if failure:  # sent only now: who has the refusal finds it in the log, the metrics and the trace (B10)
            await self._abort(failure, call, context)

    @contextlib.asynccontextmanager
    async def _admit(self, call: Call, streaming: bool, context: Any, sent: Sent) -> AsyncIterator[None]:
        """Deadline, caller, access."""
        left = context.time_remaining()
        if left is not None and left < MIN_SECONDS:
            raise errors.DEADLINE_TOO_SHORT()
        if left is None and not streaming:
            left = DEFAULT_SECONDS
        call.deadline = None if left is None else time.monotonic() + left
        try:
            async with asyncio.timeout(left) as limit:
                access = self._accesses.get(call.method, _NOBODY)
                if access.kind == "CALLER":
                    call.caller, call.token = await self._caller(sent)
                caller.check_peer(access, call.peer, call.caller)
                yield
        except TimeoutError:
            if limit.expired():
                raise errors.DEADLINE_TOO_SHORT() from None
            raise

    async def _caller(self, sent: Sent) -> tuple[caller.Caller, str]:
        tokens = sent.get(caller.HEADER, [])
        if len(tokens) != 1 or self._verifier is None:
            raise errors.TOKEN_INVALID()
        return await self._verifier.verify(tokens[0]), tokens[0]

    async def _abort(self, failure: errors.Failure, call: Call, context: Any) -> None:
        """End the call with the failure. The request id goes with the trailers, so that no headers precede them."""
        status = rpc_status.to_status(errors.to_status(failure, self._domain, call.request_id))
        await context.abort_with_status(
            _Status(status.code, status.details, (*status.trailing_metadata, *_marks(call)))
        )


@dataclasses.dataclass(frozen=True)
class _Status(grpc.Status):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, Any], ...]


def _begun(method: str, context: Any, sent: Sent) -> Call:
    """Begin a call: its peer, its request id (a stranger's is not taken)."""
    peer = _peer(context)
    given = sent.get(caller.REQUEST_ID, [])
    trusted = peer in caller.SUITE and len(given) == 1 and _REQUEST_ID.fullmatch(given[0])
    return Call(method, given[0] if trusted else ids.new("req"), peer=peer)


def _peer(context: Any) -> str:
    """The first DNS name of the client's certificate; empty without one, or over an older TLS than 1.3."""
    found = context.auth_context()
    if found.get("ssl_tls_version") != [b"TLSv1.3"]:
        return ""
    return str(next(iter(found.get("peer_dns", ())), b"").decode("ascii", "replace"))


def _failure(fault: Exception, call: Call) -> errors.Failure:
    """Turn whatever a method raised into a failure that says nothing of how we are built."""
    if isinstance(fault, errors.Failure):
        return fault
    if isinstance(fault, grpc.aio.AioRpcError) and fault.code() in _AWAY:
        log.warning("peer_unavailable", error=fault, method=call.method, code=fault.code().name)
        return errors.PEER_UNAVAILABLE()
    log.fault("method_failed", fault, method=call.method)
    return errors.INTERNAL(request_id=call.request_id)


def _record(call: Call, code: grpc.StatusCode, seconds: float) -> None:
    log.info(
        "call",
        method=call.method,
        code=code.name,
        reason=call.reason,
        peer=call.peer,
        milliseconds=round(seconds * 1000, 1),
    )
    metrics.observe("filmgate_request_duration_seconds", seconds, method=call.method, code=code.name)
    if call.reason:
        metrics.count("filmgate_request_errors_total", method=call.method, reason=call.reason)


def _admitted(request: Any, sent: Sent) -> Any:
    """Required fields: the request, or each of a stream as it comes. A foreign contract (Envoy's) names none."""
    if hasattr(request, "__aiter__"):
        return _each_admitted(request, sent)
    if isinstance(request, _Undecodable):
        raise errors.FIELD_INVALID(field="request", limit="be a message of this method")
    if isinstance(request, Message) and not request.DESCRIPTOR.full_name.startswith("envoy."):
        fields.fill_request_id(request, sent.get("idempotency-key", []))
        fields.check(request)
    return request


async def _each_admitted(requests: AsyncIterator[Any], sent: Sent) -> AsyncIterator[Any]:
    async for request in requests:
        yield _admitted(request, sent)


async def _write_all(responses: Any, context: Any, call: Call) -> None:
    """Send a stream. Headers go with the first message only: a refusal before it is then a refusal in HTTP too."""
    begun = False
    async with contextlib.aclosing(responses):
        async for response in responses:
            if not begun:
                await context.send_initial_metadata(_marks(call))
                begun = True
            await context.write(response)
    if not begun:
        await context.send_initial_metadata(_marks(call))


def _lenient(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except Exception:  # noqa: BLE001  protobuf's errors have no common class; the chain answers INVALID_ARGUMENT
            return _Undecodable()

    return read


def _sent(context: Any) -> Sent:
    """The caller's metadata by key, read once."""
    sent: Sent = {}
    for name, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            sent.setdefault(name, []).append(value)
    return sent


def _marks(call: Call) -> tuple[tuple[str, str], ...]:
    return ((caller.REQUEST_ID, call.request_id),)
