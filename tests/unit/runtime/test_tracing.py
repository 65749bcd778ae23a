"""Spans: of the trace that came, with what really happened, and with nothing of what was said."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from services.runtime import caller, channels, errors, jobs, tracing
from services.runtime.caller import Call
from services.runtime.database import Database
from services.runtime.runner import Runner
from tests.support import rpc, toy, toy_database
from tests.support.clock import START, FakeClock
from tests.support.database import Server
from tests.support.toy_database import Thing
from tests.support.waiting import until

TRACE, PARENT = "a" * 32, "b" * 16
COMES = f"00-{TRACE}-{PARENT}-01"
SECRETS = ("a red fox in the snow", "li.lei@example.com", "sk-fg-4711-secret", "+8613800138000")
ADD = sa.text("INSERT INTO things (id, create_time) VALUES (:id, :now)").bindparams(
    sa.bindparam("id", type_=sa.Text), sa.bindparam("now", type_=sa.DateTime(timezone=True))
)
Spans = Callable[[], list[ReadableSpan]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Record for one test; returns what has left the process since the last look."""
    monkeypatch.setattr(tracing, "_tracer", None)
    monkeypatch.setattr(tracing, "_sql_tracer", None)
    exporter = InMemorySpanExporter()
    provider = tracing.record("toy", exporter)

    def look() -> list[ReadableSpan]:
        provider.force_flush()
        found = list(exporter.get_finished_spans())
        exporter.clear()
        return found

    yield look
    provider.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> str:
    return f"{span.parent.span_id:016x}" if span.parent else ""


def words(found: list[ReadableSpan]) -> str:
    """Everything that a span says."""
    return " ".join(span.to_json() + repr(span.events) + repr(span.links) for span in found)


async def look(served: rpc.Served, traceparent: str = COMES, **fields: Any) -> None:
    stub = served.stub(toy.pb2_grpc.ToysStub)
    await stub.Look(toy.pb2.MakeRequest(**{"text": "hello", **fields}), metadata=(("traceparent", traceparent),))


async def test_a_call_is_a_span_of_the_trace_that_came_and_its_log_says_so(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("filmgate").setLevel(logging.INFO)
    async with rpc.serve("toy", [toy.registration()]) as served:
        await look(served)
    (span,) = spans()
    assert (span.name, span.kind, parent(span)) == ("filmgate.toy.v1.Toys/Look", SpanKind.SERVER, PARENT)
    assert f"{span.context.trace_id:032x}" == TRACE
    line = next(line for line in map(json.loads, caplog.messages) if line["event"] == "call")
    assert (line["trace_id"], line["request_id"]) == (TRACE, attributes(span)["request_id"])
    assert (attributes(span)["code"], attributes(span)["peer"]) == ("OK", "edge")


async def test_a_refusal_has_its_code_and_reason_and_is_no_fault_of_ours(spans: Spans) -> None:
    async with rpc.serve("toy", [toy.registration()]) as served, rpc.refused(grpc.StatusCode.INVALID_ARGUMENT):
        await look(served, text="")
    (span,) = spans()
    assert (attributes(span)["code"], attributes(span)["reason"]) == ("INVALID_ARGUMENT", "FIELD_REQUIRED")
    assert span.status.status_code is StatusCode.UNSET


async def test_a_defect_is_a_failed_span_without_its_words(spans: Spans) -> None:
    async def fail(_: Any) -> None:
        raise ValueError(SECRETS[0])

    async with rpc.serve("toy", [toy.registration(fail)]) as served, rpc.refused(grpc.StatusCode.INTERNAL):
        await look(served)
    (span,) = found = spans()
    assert (attributes(span)["code"], span.status.status_code) == ("INTERNAL", StatusCode.ERROR)
    assert SECRETS[0] not in words(found)


async def test_a_stream_that_is_cancelled_ends_its_span(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with rpc.serve("toy", [toy.registration(endless)]) as served:
        metadata = (*rpc.as_caller("toy"), ("traceparent", COMES))
        running = served.stub(toy.pb2_grpc.ToysStub).Watch(toy.pb2.MakeRequest(text="hello"), metadata=metadata)
        reading = asyncio.ensure_future(running.read())
        await asyncio.wait_for(begun.wait(), 30)
        running.cancel()
        await asyncio.wait_for(ended.wait(), 60)
        await asyncio.gather(reading, return_exceptions=True)
    (span,) = await until(spans)  # the span ends after the method
    assert (attributes(span)["code"], span.status.status_code) == ("CANCELLED", StatusCode.UNSET)
    assert "detach" not in caplog.text


@pytest.mark.parametrize("comes", ["", f"00-{TRACE}-{PARENT}-00", "nonsense"])
async def test_what_the_edge_did_not_choose_is_not_recorded(spans: Spans, comes: str) -> None:
    async def check(_: Any) -> None:
        serving = caller.call()
        assert serving is not None
        assert not serving.sampled
        assert (serving.trace_id == TRACE) is (TRACE in comes)
        assert caller.traceparent().endswith("-00")

    async with rpc.serve("toy", [toy.registration(check)]) as served:
        await look(served, comes)
    assert spans() == []


async def test_without_an_endpoint_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.configure("toy", "")
    call = Call("/toy", "req_1")
    assert tracing.begin(call, COMES) is None
    assert (call.trace_id, call.sampled, len(call.span_id)) == (TRACE, False, 16)
    assert tracing.child("x") is None


async def test_a_call_to_a_peer_is_a_span_between_the_two(spans: Spans) -> None:
    async def ask(_: Any) -> None:
        raise errors.PEER_UNAVAILABLE()

    async with rpc.serve("toy", [toy.registration()]) as far, rpc.serve("toy", [toy.registration(ask)]) as broken:
        for served, refused in ((far, False), (broken, True)):
            channel = channels.connect("billing", rpc.settings("generation", billing_address=served.address))
            stub, call = toy.pb2_grpc.ToysStub(channel), Call("/above", "req_1")
            opened = tracing.begin(call, COMES)
            entered = caller.enter(call)
            try:
                await stub.Settle(toy.pb2.MakeRequest(text="hello"))
            except grpc.aio.AioRpcError:
                assert refused
            caller.leave(entered)
            tracing.end(opened)
            await channel.close()
    by_kind: dict[tuple[str, SpanKind], list[ReadableSpan]] = {}
    for span in spans():
        by_kind.setdefault((span.name.rpartition("/")[2], span.kind), []).append(span)
    above, clients = by_kind["above", SpanKind.SERVER], by_kind["Settle", SpanKind.CLIENT]
    servers = by_kind["Settle", SpanKind.SERVER]
    assert [parent(span) for span in clients] == [f"{span.context.span_id:016x}" for span in above]
    assert {parent(span) for span in servers} == {f"{span.context.span_id:016x}" for span in clients}
    assert [attributes(span)["code"] for span in clients] == ["OK", "UNAVAILABLE"]
    assert [span.status.status_code for span in clients] == [StatusCode.UNSET, StatusCode.ERROR]


@pytest.mark.parametrize("quick", [False, True])
async def test_a_statement_is_a_span_with_its_text_and_without_its_values(
    spans: Spans, postgres: Server, quick: bool
) -> None:
    async with postgres.database("toy", toy_database.build) as database:
        opened = tracing.begin(Call("/above", "req_1"), COMES)
        async with database.driver_transaction() if quick else database.transaction() as session:
            await session.execute(ADD, {"id": SECRETS[1], "now": START})  # type: ignore[attr-defined]
            literal = sa.text(f"SELECT id FROM things WHERE id = '{SECRETS[1]}' AND length(id) < 4711")  # noqa: S608  a slip
            await session.execute(literal)  # type: ignore[attr-defined]
        tracing.end(opened)
    found = [span for span in spans() if span.kind is SpanKind.CLIENT]
    texts = [attributes(span)["db.statement"] for span in found]
    assert [span.name for span in found] == ["SQL INSERT", "SQL SELECT"]
    assert texts[0].startswith("INSERT INTO things (id, create_time) VALUES ($1")
    assert texts[1] == "SELECT id FROM things WHERE id = ? AND length(id) < ?"
    assert SECRETS[1] not in words(found)
    assert "4711" not in " ".join(texts)


async def test_a_failed_statement_says_nothing_of_what_was_sent(spans: Spans, postgres: Server) -> None:
    async with postgres.database("toy", toy_database.build) as database:
        opened = tracing.begin(Call("/above", "req_1"), COMES)
        async with database.transaction() as session:
            session.add(Thing(id=SECRETS[1], create_time=START))
        with pytest.raises(sa.exc.IntegrityError, match=re.escape(SECRETS[1])):
            async with database.transaction() as session:
                session.add(Thing(id=SECRETS[1], create_time=START))
        tracing.end(opened)
    found = spans()
    assert [span.status.status_code for span in found].count(StatusCode.ERROR) == 1
    assert SECRETS[1] not in words(found)


async def test_the_run_of_a_job_is_a_span_below_its_cause(spans: Spans, database: Database, clock: FakeClock) -> None:
    seen = []

    async def work(job: jobs.Job) -> None:
        seen.append(caller.traceparent())
        if job.attempt == 1:
            raise errors.PEER_UNAVAILABLE()

    call = Call("/cause", "req_1")
    opened = tracing.begin(call, COMES)
    entered = caller.enter(call)
    async with database.transaction() as session:
        await jobs.enqueue(session, "film", "k", {}, clock.now())
    caller.leave(entered)
    tracing.end(opened)
    worker = Runner(database, {"film": work}, clock=clock)
    await worker.run_due()
    clock.advance(5)
    await worker.run_due()
    found = spans()
    cause = next(span for span in found if span.name == "cause")
    runs = [span for span in found if span.name == "job/film"]
    assert [parent(span) for span in runs] == [f"{cause.context.span_id:016x}"] * 2
    assert [attributes(span)["outcome"] for span in runs] == ["retried", "done"]
    assert seen == [f"00-{TRACE}-{span.context.span_id:016x}-01" for span in runs]


async def test_a_job_without_a_cause_has_a_trace_of_its_own(database: Database, clock: FakeClock) -> None:
    seen = []

    async def work(_: jobs.Job) -> None:
        seen.append(caller.traceparent())

    async with database.transaction() as session:
        await jobs.enqueue(session, "film", "k", {}, clock.now())
    await Runner(database, {"film": work}, clock=clock).run_due()
    assert len(seen[0]) == 55
    assert seen[0].endswith("-00")


def test_the_redactor_is_closed_by_default(spans: Spans) -> None:
    opened = tracing.begin(Call("/above", "req_1"), COMES)
    assert opened is not None
    prompt, mail, key, phone = SECRETS
    opened.span.set_attributes(
        {"prompt": prompt, "email": mail, "authorization": key, "net.peer.name": phone, "http.url": key}
    )
    opened.span.add_event("exception", {"exception.message": prompt, "exception.stacktrace": mail})
    opened.span.add_event(key, {"kind": "film"})
    opened.span.set_status(StatusCode.ERROR, mail)
    with tracing.inside("inner", kind_of_secret=phone, model="animatic"):
        pass
    tracing.end(opened, failed=True, code="INTERNAL")
    found = spans()
    assert len(found) == 2
    assert not [secret for secret in SECRETS if secret in words(found)]
    assert attributes(found[0]) == {"model": "animatic"}
    assert attributes(found[1]) == {"code": "INTERNAL", "request_id": "req_1"}
