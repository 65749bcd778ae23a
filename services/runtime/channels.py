"""Channels to peers: mutual TLS, a deadline on every call, the request id and the trace carried on.

A call lasts at most 5 s unless it names its own timeout, and never longer than the caller still waits, less 20 ms.
Only UNAVAILABLE, and the CANCELLED of a server that ends, are tried again, up to three times: methods of the suite are
idempotent.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from opentelemetry.trace import Span, SpanKind

from services.runtime import caller, errors, tracing
from services.runtime.config import Settings

DEFAULT_SECONDS = 5.0
STREAM_SECONDS = 660.0
MARGIN_SECONDS = 0.02
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_RETRY = """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s",
  "maxBackoff": "0.5s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]}"""
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]
_ending: set[asyncio.Future[None]] = set()


def connect(name: str, settings: Settings) -> grpc.aio.Channel:
    """Open a channel to a peer by its name; its certificate must bear that name. The channel connects by itself."""
    authority, certificate, key = settings.tls()
    return grpc.aio.secure_channel(
        settings.address(name),
        grpc.ssl_channel_credentials(authority, key, certificate),
        options=[
            *OPTIONS,
            ("grpc.ssl_target_name_override", name),
            ("grpc.service_config", _RETRY),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ],
        interceptors=[_Unary(), _UnaryStream(), _StreamUnary(), _StreamStream()],
    )


def as_caller(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata that forwards a caller token: `stub.GetVideo(request, metadata=channels.as_caller(caller.token()))`."""
    return ((caller.HEADER, token),)


def _prepared(details: grpc.aio.ClientCallDetails, default: float) -> tuple[grpc.aio.ClientCallDetails, Span | None]:
    """Bound the time, carry ids, begin a span if the call's trace is recorded.

    Raises DEADLINE_TOO_SHORT when the caller will not wait for an answer any more.
    """
    timeout = details.timeout if details.timeout is not None else default
    left = caller.seconds_left()
    if left is not None:
        timeout = min(timeout, left - MARGIN_SECONDS)
        if timeout <= 0:
            raise errors.DEADLINE_TOO_SHORT()
    metadata, span = grpc.aio.Metadata(*(details.metadata or ())), None
    if serving := caller.call():
        span = tracing.child(_text(details.method).removeprefix("/"), SpanKind.CLIENT) if serving.sampled else None
        metadata.set_all(caller.REQUEST_ID, [serving.request_id])
        metadata.set_all("traceparent", [tracing.traceparent(span) or caller.traceparent()])
    prepared = grpc.aio.ClientCallDetails(
        details.method, timeout, metadata, details.credentials, details.wait_for_ready
    )
    return prepared, span


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method


async def _carried(continuation: Callable[..., Any], details: Any, request: Any, default: float) -> Any:
    """Make the call; its span ends with it."""
    prepared, span = _prepared(details, default)
    made = await continuation(prepared, request)
    if span is not None:
        ending = asyncio.ensure_future(_end(made, span))
        _ending.add(ending)
        ending.add_done_callback(_ending.discard)
    return made


async def _end(made: Any, span: Span) -> None:
    code = await made.code()
    tracing.close(span, failed=code is not grpc.StatusCode.OK, code=code.name)


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await _carried(continuation, details, request, DEFAULT_SECONDS)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await _carried(continuation, details, request, STREAM_SECONDS)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return await _carried(continuation, details, requests, STREAM_SECONDS)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return await _carried(continuation, details, requests, STREAM_SECONDS)
