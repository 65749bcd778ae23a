"""The chain around every method, over a real connection: all four kinds of RPC, in the order that the module names."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from services.runtime import caller, errors, ids
from tests.support import rpc, toy
from tests.support.figures import figure
from tests.support.pace import in_proportion

KINDS = ("Make", "Watch", "Collect", "Talk")


@pytest.fixture
async def served() -> AsyncIterator[rpc.Served]:
    async with rpc.serve("toy", [toy.registration()]) as running:
        yield running


async def _many(*requests: Any, ends: bool = True) -> AsyncIterator[Any]:
    for request in requests:
        yield request
    if not ends:
        await asyncio.Event().wait()


def _argument(kind: str, request: Any, *, refused: bool = False) -> Any:
    """What a method is called with. A stream that is refused stays open: gRPC calls it INTERNAL to write or close then.

    Without a request (None) nothing is written at all, since the refusal may come before it.
    """
    if kind not in ("Collect", "Talk"):
        return request or good()
    return _many(*([request] if request else []), ends=not refused)


async def call(
    served: rpc.Served, kind: str, request: Any, peer: str = "edge", refused: bool = False, **options: Any
) -> list[Any]:
    """Call one RPC of any kind; returns all messages."""
    method = getattr(served.stub(toy.pb2_grpc.ToysStub, peer), kind)
    argument = _argument(kind, request, refused=refused)
    options = {"metadata": rpc.as_caller("toy"), "timeout": 5, **options}
    if kind in ("Watch", "Talk"):
        return [message async for message in method(argument, **options)]
    return [await method(argument, **options)]


def good(**fields: Any) -> Any:
    return toy.pb2.MakeRequest(**{"text": "hello", **fields})


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_serves_a_good_call(served: rpc.Served, kind: str) -> None:
    answers = await call(served, kind, good())
    assert len(answers) == (3 if kind == "Watch" else 1)
    assert answers[0].text == "hello"
    assert answers[0].peer == "edge"
    assert answers[0].account == rpc.ACCOUNT


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_refuses_a_call_without_a_token(served: rpc.Served, kind: str) -> None:
    async with rpc.refused(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"):
        await call(served, kind, None, refused=True, metadata=())


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_refuses_a_missing_scope(served: rpc.Served, kind: str) -> None:
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as found:
        await call(served, kind, None, refused=True, metadata=rpc.as_caller("toy", ["billing.read"]))
    assert found[0].metadata["scope"] in ("video.read", "video.write")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_checks_the_fields(served: rpc.Served, kind: str) -> None:
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED") as found:
        await call(served, kind, toy.pb2.MakeRequest(number=1), refused=True)
    assert found[0].metadata["field"] == "text"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_refuses_bytes_that_are_no_message(served: rpc.Served, kind: str) -> None:
    channel = served.channel()
    opener = {"Make": channel.unary_unary, "Watch": channel.unary_stream, "Collect": channel.stream_unary}
    method = opener.get(kind, channel.stream_stream)(f"/filmgate.toy.v1.Toys/{kind}")
    argument = _argument(kind, b"\xff\xff", refused=True)
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        running = method(argument, metadata=rpc.as_caller("toy"), timeout=5)
        if kind in ("Watch", "Talk"):
            assert [message async for message in running] == []
        else:
            await running


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_hides_what_a_stranger_raised(kind: str) -> None:
    async def burst(_: Any) -> None:
        raise RuntimeError("SELECT secret FROM accounts")

    refusal = rpc.refused(grpc.StatusCode.INTERNAL, "INTERNAL")
    async with rpc.serve("toy", [toy.registration(burst)]) as served, refusal as found:
        metadata = (*rpc.as_caller("toy"), ("x-request-id", "mine-1"))
        await call(served, kind, good(), refused=True, metadata=metadata)
    assert found[0].metadata == {"request_id": "mine-1"}


async def test_policy_is_asked_before_the_fields(served: rpc.Served) -> None:
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await call(served, "Make", toy.pb2.MakeRequest(), peer="generation")


async def test_a_service_method_knows_its_peers_and_not_the_edge(served: rpc.Served) -> None:
    assert (await call(served, "Settle", good(), peer="worker", metadata=()))[0].peer == "worker"
    for peer in ("edge", "media", "billing", "operator"):
        async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
            await call(served, "Settle", good(), peer=peer)


async def test_a_staff_method_is_the_operators(served: rpc.Served) -> None:
    assert (await call(served, "Inspect", good(), peer="operator", metadata=()))[0].peer == "operator"
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await call(served, "Inspect", good(), peer="edge")


async def test_a_public_method_needs_no_token_but_a_certificate_of_ours(served: rpc.Served) -> None:
    answer = (await call(served, "Look", good(), metadata=()))[0]
    assert answer.account == ""
    stranger = toy.pb2_grpc.ToysStub(served.channel("edge", authority="stranger"))
    async with rpc.refused(grpc.StatusCode.UNAVAILABLE):
        await stranger.Look(good(), timeout=2)


async def test_media_forwards_where_it_is_named_and_others_do_not(served: rpc.Served) -> None:
    assert (await call(served, "Make", good(), peer="media"))[0].peer == "media"
    for method, peer in (("Make", "privacy"), ("Watch", "media")):
        async with rpc.refused(reason="PEER_NOT_ALLOWED"):
            await call(served, method, good(), peer=peer)


async def test_an_exchanged_token_is_taken_from_its_presenter_alone(served: rpc.Served) -> None:
    mine = rpc.as_caller("toy", presenter="privacy")
    assert (await call(served, "Make", good(), peer="privacy", metadata=mine))[0].peer == "privacy"
    for peer in ("edge", "media", "billing"):
        async with rpc.refused(reason="PEER_NOT_ALLOWED"):
            await call(served, "Make", good(), peer=peer, metadata=mine)


async def test_a_token_for_another_audience_is_refused(served: rpc.Served) -> None:
    async with rpc.refused(reason="TOKEN_INVALID"):
        await call(served, "Make", good(), metadata=rpc.as_caller("billing"))


async def test_two_tokens_are_no_token(served: rpc.Served) -> None:
    async with rpc.refused(reason="TOKEN_INVALID"):
        await call(served, "Make", good(), metadata=(*rpc.as_caller("toy"), *rpc.as_caller("toy")))


async def test_an_unknown_method_is_unimplemented(served: rpc.Served) -> None:
    async with rpc.refused(grpc.StatusCode.UNIMPLEMENTED):
        await served.channel().unary_unary("/filmgate.toy.v1.Toys/Nothing")(b"", timeout=5)


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_bear_the_request_id(served: rpc.Served, kind: str) -> None:
    method = getattr(served.stub(toy.pb2_grpc.ToysStub), kind)
    argument = _argument(kind, good())
    running = method(argument, metadata=(*rpc.as_caller("toy"), ("x-request-id", "mine-1")), timeout=5)
    streamed = hasattr(running, "read")
    found = await (running.initial_metadata() if streamed else running.trailing_metadata())
    assert dict(found)["x-request-id"] == "mine-1"
    running.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_sends_no_headers_before_its_trailers(served: rpc.Served, kind: str) -> None:
    method = getattr(served.stub(toy.pb2_grpc.ToysStub), kind)
    argument = _argument(kind, None, refused=True)
    running = method(argument, metadata=(("x-request-id", "mine-1"),), timeout=5)
    assert await running.code() == grpc.StatusCode.UNAUTHENTICATED
    assert dict(await running.trailing_metadata())["x-request-id"] == "mine-1"
    assert "x-request-id" not in dict(await running.initial_metadata())


@pytest.mark.parametrize("given", ["", "a b", "x" * 65])
async def test_an_odd_request_id_is_replaced(served: rpc.Served, given: str) -> None:
    running = served.stub(toy.pb2_grpc.ToysStub).Look(good(), metadata=(("x-request-id", given),), timeout=5)
    assert ids.is_id("req", dict(await running.trailing_metadata())["x-request-id"])


async def test_the_error_is_one_error_info_with_its_domain_and_request(served: rpc.Served) -> None:
    stub = served.stub(toy.pb2_grpc.ToysStub)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Make(toy.pb2.MakeRequest(tags=["a", "b", "c"]), metadata=rpc.as_caller("toy"), timeout=5)
    raw = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(raw)  # type: ignore[arg-type]
    infos = [detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = _unpacked(infos[0], error_details_pb2.ErrorInfo())
    assert info.domain == "toy.filmgate"
    assert info.metadata["request_id"].startswith("req_")
    bad = _unpacked(status.details[1], error_details_pb2.BadRequest())
    assert [violation.field for violation in bad.field_violations] == ["text", "tags"]
    assert status.message == caught.value.details() == "text must be given."


def _unpacked(detail: any_pb2.Any, message: Any) -> Any:
    assert detail.Unpack(message)
    return message


async def test_a_limit_carries_when_to_try_again() -> None:
    async def busy(_: Any) -> None:
        raise errors.Kind("BUSY", grpc.StatusCode.RESOURCE_EXHAUSTED, "Wait {seconds} s.")(seconds=3, retry_after=2.5)

    refusal = rpc.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
    async with rpc.serve("toy", [toy.registration(busy)]) as served, refusal as found:
        await call(served, "Make", good())
    assert found[0].retry_after == 2.5
    assert found[0].metadata["seconds"] == "3"


async def test_no_deadline_becomes_ten_seconds_and_none_for_streams(served: rpc.Served) -> None:
    assert 9 < (await call(served, "Make", good(), timeout=None))[0].seconds_left <= 10
    assert (await call(served, "Watch", good(), timeout=None))[0].seconds_left == -1


async def test_the_callers_deadline_is_kept(served: rpc.Served) -> None:
    assert 1 < (await call(served, "Make", good(), timeout=2))[0].seconds_left <= 2


async def test_too_short_a_deadline_is_refused_before_the_method() -> None:
    begun = []

    async def act(request: Any) -> None:
        begun.append(request)

    async with rpc.serve("toy", [toy.registration(act)]) as served:
        await call(served, "Make", good())
        async with rpc.refused(grpc.StatusCode.DEADLINE_EXCEEDED):
            await call(served, "Make", good(), timeout=0.015)
    assert len(begun) == 1


async def test_a_slow_unary_method_ends_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.runtime import interceptors

    monkeypatch.setattr(interceptors, "DEFAULT_SECONDS", 0.1)

    async def slow(_: Any) -> None:
        await asyncio.Event().wait()

    async with rpc.serve("toy", [toy.registration(slow)]) as served:
        started = time.monotonic()
        async with rpc.refused(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT"):
            await call(served, "Make", good(), timeout=None)
        assert time.monotonic() - started < in_proportion(2)


async def test_an_unreachable_callee_is_unavailable_and_says_no_more() -> None:
    async def ask(_: Any) -> None:
        async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
            await channel.unary_unary("/x/Y")(b"", timeout=1)

    refusal = rpc.refused(grpc.StatusCode.UNAVAILABLE, "PEER_UNAVAILABLE")
    async with rpc.serve("toy", [toy.registration(ask)]) as served, refusal:
        await call(served, "Make", good())


async def test_the_idempotency_key_becomes_the_request_id(served: rpc.Served) -> None:
    keyed = (*rpc.as_caller("toy"), ("idempotency-key", "order-7"))
    assert (await call(served, "Make", good(), metadata=keyed))[0].request_id == "order-7"
    assert (await call(served, "Make", good(request_id="order-7"), metadata=keyed))[0].request_id == "order-7"
    for request, extra in (
        (good(request_id="other"), ("idempotency-key", "order-7")),
        (good(), ("idempotency-key", "x" * 256)),
        (good(request_id="a b"), ("x-nothing", "")),
    ):
        async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as found:
            await call(served, "Make", request, metadata=(*rpc.as_caller("toy"), extra))
        assert found[0].metadata["field"] == "request_id"


def _calls(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "filmgate"]
    return [line for line in lines if line["event"] == "call"]


async def test_one_log_line_per_call_without_anything_personal(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("filmgate").setLevel(logging.INFO)
    async with rpc.serve("toy", [toy.registration()]) as served:
        with caplog.at_level(logging.INFO, "filmgate"):
            await call(served, "Make", good(text="my prompt"))
            async with rpc.refused():
                await call(served, "Make", toy.pb2.MakeRequest(text="my prompt too long"))
            calls = _calls(caplog)
    assert [(line["code"], line["reason"]) for line in calls] == [("OK", ""), ("INVALID_ARGUMENT", "FIELD_INVALID")]
    assert calls[0]["method"] == "/filmgate.toy.v1.Toys/Make"
    assert len(calls[0]["trace_id"]) == 32
    text = json.dumps([record.getMessage() for record in caplog.records if record.name == "filmgate"])
    assert "prompt" not in text
    assert rpc.ACCOUNT not in text


class _Slow(logging.Handler):
    """Holds each line about a call back until the client has its answer, if it gets one without it."""

    def __init__(self) -> None:
        super().__init__()
        self.answered, self.found = threading.Event(), []

    def emit(self, record: logging.LogRecord) -> None:
        line = json.loads(record.getMessage())
        if line["event"] == "call":
            self.found.append((line["code"], self.answered.wait(0.5)))


def _outcome(served: rpc.Served, kind: str, request: Any, answered: threading.Event) -> str:
    """Call from a thread of its own, which sees the answer while the server's loop stands still; return the code."""
    with served.blocking_channel() as channel:
        try:
            answer = getattr(toy.pb2_grpc.ToysStub(channel), kind)(request, metadata=rpc.as_caller("toy"), timeout=30)
            _ = list(answer) if kind == "Watch" else answer
        except grpc.RpcError as error:
            return str(error.code().name)
        finally:
            answered.set()
    return "OK"


@pytest.mark.parametrize("kind", ["Look", "Watch"])
@pytest.mark.parametrize("text", ["hello", "", "fail"])
async def test_a_call_is_recorded_before_its_end_is_sent_whatever_came_of_it(kind: str, text: str) -> None:
    async def act(request: Any) -> None:
        if request.text == "fail":
            raise ValueError("a fault of ours")

    logger, slow = logging.getLogger("filmgate"), _Slow()
    logger.setLevel(logging.INFO)
    async with rpc.serve("toy", [toy.registration(act)]) as served:
        logger.addHandler(slow)
        try:
            code = await asyncio.to_thread(_outcome, served, kind, toy.pb2.MakeRequest(text=text), slow.answered)
        finally:
            logger.removeHandler(slow)
    assert code == {"hello": "OK", "": "INVALID_ARGUMENT", "fail": "INTERNAL"}[text]
    assert slow.found == [(code, False)], "the client had its answer before the line was written"


async def test_a_cancelled_stream_ends_the_method() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with rpc.serve("toy", [toy.registration(endless)]) as served:
        running = served.stub(toy.pb2_grpc.ToysStub).Watch(good(), metadata=rpc.as_caller("toy"))
        reading = asyncio.ensure_future(running.read())
        await asyncio.wait_for(begun.wait(), 30)
        running.cancel()
        await asyncio.wait_for(ended.wait(), 60)
        await asyncio.gather(reading, return_exceptions=True)


async def test_calls_are_counted_by_code_and_refusals_by_reason(served: rpc.Served) -> None:
    method = "/filmgate.toy.v1.Toys/Look"
    made = ("filmgate_request_duration_seconds_count", {"method": method, "code": "OK"})
    refused = ("filmgate_request_errors_total", {"method": method, "reason": "FIELD_REQUIRED"})
    before = [figure(*made), figure(*refused)]
    await call(served, "Look", good())
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT):
        await call(served, "Look", toy.pb2.MakeRequest())
    assert [figure(*made) - before[0], figure(*refused) - before[1]] == [1, 1]


async def test_nothing_is_current_outside_of_a_call() -> None:
    assert caller.peer() == caller.token() == caller.request_id() == ""
    assert caller.seconds_left() is None
    with pytest.raises(LookupError):
        caller.current()
