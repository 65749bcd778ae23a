"""Traces by OpenTelemetry: spans of calls served and made, of SQL, of jobs. Who begins a trace decides whether it is
recorded: the edge, by its ratio. Without an endpoint nothing is recorded, and the ids travel all the same.

A span leaves the process only through the redactor, closed by default: the same rule as for a field of a log.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context, trace
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from sqlalchemy import Engine

from services.runtime import config, telemetry
from services.runtime.caller import Call

if TYPE_CHECKING:  # a process that sends nothing need not have it in memory
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

SEND_MILLISECONDS = 1000
SEND_TIMEOUT_SECONDS = 2
"""A process that ends waits no longer for an endpoint that does not answer; what it could not send is lost."""
_OURS, _SQL = "filmgate", "sql"
_tracer: trace.Tracer | None = None
_sql_tracer: trace.Tracer | None = None
_SAMPLED = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f][13579bdf]")
_VALUES = re.compile(r"'(?:[^']|'')*'|(?<![$\w])\d+(?:\.\d+)?\b")
_TEXT = "db.statement"
_KEPT = ("request_id", "db.system", _TEXT)
"""Attributes beside the operational words. A statement's text has no values of ours, and loses what looks like one."""
_MAX_STATEMENT_LENGTH = 500
_NOTHING: contextlib.AbstractContextManager[object] = contextlib.nullcontext()


class Open(NamedTuple):
    """A span that has begun and is the current one."""

    span: trace.Span
    token: Any


def configure(process: str, endpoint: str) -> None:
    """Send spans to an OTLP endpoint (gRPC); none are recorded when it is empty. Before anything that they tell of."""
    if endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  rare

        record(process, OTLPSpanExporter(endpoint, insecure=config.plain(endpoint), timeout=SEND_TIMEOUT_SECONDS))


def record(process: str, exporter: "SpanExporter") -> "TracerProvider":
    """Give an exporter what the redactor lets through, in batches; `configure` does it for the endpoint."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased  # noqa: PLC0415

    global _tracer, _sql_tracer
    provider = TracerProvider(ParentBased(ALWAYS_OFF), Resource({"service.name": process}))
    redacted: Any = Redacted(exporter)
    provider.add_span_processor(BatchSpanProcessor(redacted, schedule_delay_millis=SEND_MILLISECONDS))
    _tracer, _sql_tracer = provider.get_tracer(_OURS), provider.get_tracer(_SQL)
    return provider


def watch_sql(engine: Engine) -> None:
    """Have each statement of an engine be a span of its caller's trace: its text, without its values."""
    if _sql_tracer is not None:
        from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer  # noqa: PLC0415
        from opentelemetry.metrics import NoOpUpDownCounter  # noqa: PLC0415

        EngineTracer(_sql_tracer, engine, NoOpUpDownCounter("unused"))


def begin(call: Call, traceparent: str, kind: SpanKind = SpanKind.SERVER) -> Open | None:
    """Give a call its ids: of the trace that it belongs to, or of a new one; and begin its span if that is recorded."""
    match = _SAMPLED.fullmatch(traceparent) if _tracer is not None else None
    if match is None or _tracer is None:
        call.trace_id, call.span_id = telemetry.trace_from(traceparent)
        return None
    parent = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(1))
    above = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    span = _tracer.start_span(call.method.removeprefix("/"), above, kind, {"request_id": call.request_id})
    own = span.get_span_context()
    call.trace_id, call.span_id, call.sampled = f"{own.trace_id:032x}", f"{own.span_id:016x}", span.is_recording()
    return Open(span, context.attach(trace.set_span_in_context(span)))


def end(opened: Open | None, *, failed: bool = False, **attributes: str | int) -> None:
    """End what `begin` answered."""
    if opened is None:
        return
    context.detach(opened.token)
    close(opened.span, failed=failed, **attributes)


def child(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int) -> trace.Span | None:
    """Begin a span below the current one, which stays the current one; None where none is recorded. `close` ends it."""
    above = trace.get_current_span()
    if _tracer is None or not above.is_recording():
        return None
    return _tracer.start_span(name, trace.set_span_in_context(above), kind, attributes)


def close(span: trace.Span | None, *, failed: bool = False, **attributes: str | int) -> None:
    """End what `child` answered."""
    if span is not None:
        span.set_attributes(attributes)
        span.set_status(StatusCode.ERROR if failed else StatusCode.UNSET)
        span.end()


@contextlib.contextmanager
def inside(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int) -> Iterator[trace.Span | None]:
    """Have a span around a block, and be the current one in it; None where none is recorded."""
    span = child(name, kind, **attributes)
    if span is None:
        yield None
        return
    opened, failed = Open(span, context.attach(trace.set_span_in_context(span))), True
    try:
        yield span
        failed = False
    finally:
        end(opened, failed=failed)


def statement(text: str) -> contextlib.AbstractContextManager[object]:
    """A span around a statement that does not go through an engine."""
    return _NOTHING if _tracer is None else inside(f"SQL {text.split(maxsplit=1)[0]}", SpanKind.CLIENT, **{_TEXT: text})


def traceparent(span: trace.Span | None) -> str:
    """How a span is named to a peer, in W3C's way; empty for None."""
    if span is None:
        return ""
    own = span.get_span_context()
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-01"


class Redacted:
    """An exporter that hands spans on as far as the redactor shows them."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: Sequence["ReadableSpan"]) -> "SpanExportResult":
        """Send the spans without what they must not say: values, texts of exceptions, names that libraries gave."""
        return self._exporter.export([_redacted(span) for span in spans])

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have the exporter send what it holds; returns whether it did in time."""
        return self._exporter.force_flush(timeout_millis)


def _redacted(span: "ReadableSpan") -> "ReadableSpan":
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415

    scope = span.instrumentation_scope
    library = scope is None or scope.name != _OURS
    return ReadableSpan(
        f"SQL {span.name.split()[0].upper()[:12]}" if library else span.name,
        span.context, span.parent, span.resource, _shown(span.attributes or {}), (), (), span.kind,
        status=Status(span.status.status_code), start_time=span.start_time, end_time=span.end_time,
        instrumentation_scope=scope,
    )  # fmt: skip


def _shown(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What of these attributes may leave; the rest is left out."""
    shown = {name: telemetry.shown(name, value) for name, value in attributes.items() if name not in _KEPT}
    kept = {name: str(attributes[name]) for name in _KEPT if name in attributes}
    if _TEXT in kept:
        kept[_TEXT] = " ".join(_VALUES.sub("?", kept[_TEXT]).split())[:_MAX_STATEMENT_LENGTH]
    return {**kept, **{name: value for name, value in shown.items() if value != telemetry.HIDDEN}}
