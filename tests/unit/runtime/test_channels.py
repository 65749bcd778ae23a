"""Calls to peers: certificates, deadlines that only shrink, ids that are carried on."""

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.runtime import caller, channels, errors
from services.runtime.caller import Call
from tests.support import rpc, tls, toy


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return []


@pytest.fixture
async def stub(seen: list[dict[str, Any]]) -> AsyncIterator[Any]:
    """A stub over our own channel, as `generation`."""

    async def act(_: Any) -> None:
        serving = caller.call()
        assert serving is not None
        seen.append({"request": serving.request_id, "trace": serving.trace_id, "span": serving.span_id})

    async with rpc.serve("toy", [toy.registration(act)]) as served:
        # The toy shows billing's certificate.
        channel = channels.connect("billing", rpc.settings("generation", billing_address=served.address))
        yield toy.pb2_grpc.ToysStub(channel)
        await channel.close()


def good() -> Any:
    return toy.pb2.MakeRequest(text="hello")


async def test_a_call_without_a_timeout_lasts_five_seconds(stub: Any) -> None:
    answer = await stub.Settle(good())
    assert 4 < answer.seconds_left < 5.5
    assert answer.peer == "generation"


async def test_a_timeout_of_its_own_is_kept(stub: Any) -> None:
    assert 7 < (await stub.Settle(good(), timeout=8)).seconds_left < 8.5


async def test_a_call_ends_before_its_caller_stops_waiting(stub: Any) -> None:
    entered = caller.enter(Call(deadline=time.monotonic() + 3))
    assert 2 < (await stub.Settle(good())).seconds_left < 3
    assert 0.5 < (await stub.Settle(good(), timeout=1)).seconds_left < 1.5
    caller.leave(entered)


async def test_with_nothing_left_no_call_is_made(stub: Any, seen: list[Any]) -> None:
    entered = caller.enter(Call(deadline=time.monotonic() + channels.MARGIN_SECONDS / 2))
    with pytest.raises(errors.Failure) as caught:
        await stub.Settle(good())
    assert caught.value.kind is errors.DEADLINE_TOO_SHORT
    assert seen == []
    caller.leave(entered)


async def test_request_and_trace_go_along_and_the_span_is_new(stub: Any, seen: list[dict[str, Any]]) -> None:
    entered = caller.enter(Call("m", "req-mine", "a" * 32, "b" * 16))
    await stub.Settle(good())
    caller.leave(entered)
    assert (seen[0]["request"], seen[0]["trace"]) == ("req-mine", "a" * 32)
    assert seen[0]["span"] != "b" * 16


async def test_all_four_kinds_go_through(stub: Any) -> None:
    async def many() -> AsyncIterator[Any]:
        yield good()

    token = channels.as_caller(rpc.caller_token("toy", presenter="generation"))
    assert (await stub.Make(good(), metadata=token)).account == rpc.ACCOUNT
    watched = [answer async for answer in stub.Watch(good(), metadata=token)]
    assert 600 < watched[0].seconds_left < 662
    assert (await stub.Collect(many(), metadata=token)).text == "hello"
    assert [answer.text async for answer in stub.Talk(many(), metadata=token)] == ["hello"]


async def test_the_callers_token_is_not_passed_on_by_itself(stub: Any) -> None:
    entered = caller.enter(Call(token=rpc.caller_token("toy", presenter="generation")))
    async with rpc.refused(reason="TOKEN_INVALID"):
        await stub.Make(good())
    caller.leave(entered)


async def test_a_peer_with_another_name_is_refused() -> None:
    async with rpc.serve("toy", [toy.registration()]) as served:  # it shows billing's certificate
        settings = rpc.settings("generation", auth_address=served.address)
        channel = channels.connect("auth", settings)
        async with rpc.refused(grpc.StatusCode.UNAVAILABLE):
            await toy.pb2_grpc.ToysStub(channel).Settle(good(), timeout=1)
        await channel.close()


async def test_a_peer_of_another_authority_is_refused() -> None:
    async with rpc.serve("toy", [toy.registration()]) as served:
        foreign = tls.home("other") / "certs" / "ca.crt"
        stranger = rpc.settings("generation", billing_address=served.address, tls_ca=foreign)
        channel = channels.connect("billing", stranger)
        async with rpc.refused(grpc.StatusCode.UNAVAILABLE):
            await toy.pb2_grpc.ToysStub(channel).Settle(good(), timeout=1)
        await channel.close()


async def test_a_peer_that_ends_is_tried_again() -> None:
    tries: list[int] = []
    ending = errors.Kind("ENDING", grpc.StatusCode.CANCELLED, "As gRPC answers of itself while a server ends.")

    async def end(request: Any) -> None:
        tries.append(request.number)
        if len(tries) < 3:
            raise ending()

    async with rpc.serve("toy", [toy.registration(end)]) as served:
        channel = channels.connect("billing", rpc.settings("generation", billing_address=served.address))
        assert (await toy.pb2_grpc.ToysStub(channel).Settle(good())).text == "hello"
        assert tries == [0, 0, 0]
        await channel.close()


async def test_only_unavailable_is_tried_again() -> None:
    tries: list[int] = []

    async def act(request: Any) -> None:
        tries.append(request.number)
        if len(tries) < 3:
            raise (errors.PEER_UNAVAILABLE() if request.number == 0 else errors.NOT_FOUND(resource="toy"))

    async with rpc.serve("toy", [toy.registration(act)]) as served:
        channel = channels.connect("billing", rpc.settings("generation", billing_address=served.address))
        stub = toy.pb2_grpc.ToysStub(channel)
        assert (await stub.Settle(good())).text == "hello"
        assert tries == [0, 0, 0]
        tries.clear()
        async with rpc.refused(grpc.StatusCode.NOT_FOUND):
            await stub.Settle(toy.pb2.MakeRequest(text="hello", number=1))
        assert tries == [1]
        await channel.close()
