"""Channels to peers: mutual TLS, a deadline on every call, the request id and the trace carried on.

A call lasts at most 5 s unless it names its own timeout, and never longer than the caller still waits, less 20 ms.
Only UNAVAILABLE is tried again, up to three times: methods of the suite are idempotent.
"""

from collections.abc import Callable
from typing import Any

import grpc

from services.runtime import caller, errors
from services.runtime.config import Settings

DEFAULT_SECONDS = 5.0
STREAM_SECONDS = 660.0
MARGIN_SECONDS = 0.02
LARGEST_MESSAGE = 4 * 1024 * 1024
_RETRY = """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s",
  "maxBackoff": "0.5s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


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


def _prepared(details: grpc.aio.ClientCallDetails, default: float) -> grpc.aio.ClientCallDetails:
    """Bound the time and carry ids. Raises DEADLINE_TOO_SHORT when the caller will not wait for an answer any more."""
    timeout = details.timeout if details.timeout is not None else default
    left = caller.seconds_left()
    if left is not None:
        timeout = min(timeout, left - MARGIN_SECONDS)
        if timeout <= 0:
            raise errors.DEADLINE_TOO_SHORT()
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    if serving := caller.call():
        metadata.set_all(caller.REQUEST_ID, [serving.request_id])
        metadata.set_all("traceparent", [f"00-{serving.trace_id}-{serving.span_id}-01"])
    return grpc.aio.ClientCallDetails(details.method, timeout, metadata, details.credentials, details.wait_for_ready)


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(_prepared(details, DEFAULT_SECONDS), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(_prepared(details, STREAM_SECONDS), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return await continuation(_prepared(details, STREAM_SECONDS), requests)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return await continuation(_prepared(details, STREAM_SECONDS), requests)
