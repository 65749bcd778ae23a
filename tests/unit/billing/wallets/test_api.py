"""The Wallets service over real gRPC: who may call what, what it refuses, and what a customer sees."""

import datetime
import json

import grpc
import pytest

from filmgate.billing.v1 import wallets_pb2, wallets_pb2_grpc
from services.runtime import ids, telemetry
from tests.support import bank, rpc
from tests.support.bank import CNY, micros, order

PRICE = CNY // 2
SERVICE_CALLS = {
    "Authorize": wallets_pb2.AuthorizeRequest(),
    "Capture": wallets_pb2.CaptureRequest(),
    "Release": wallets_pb2.ReleaseRequest(),
    "ListHolds": wallets_pb2.ListHoldsRequest(),
}
OWNER_CALLS = {
    "GetWallet": wallets_pb2.GetWalletRequest(),
    "ListTransactions": wallets_pb2.ListTransactionsRequest(),
}


@pytest.fixture
async def house(postgres, clock):
    async with (
        bank.bank(postgres, clock, trial=2 * CNY) as opened,
        rpc.serve("billing", opened.registrations) as served,
    ):
        opened.served = served
        yield opened
        assert await opened.violations() == []


@pytest.fixture
def generation(house):
    return house.served.stub(wallets_pb2_grpc.WalletsStub, "generation")


@pytest.fixture
def edge(house):
    return house.served.stub(wallets_pb2_grpc.WalletsStub)


async def test_the_life_of_a_hold(house, generation, edge, clock):
    hold = await generation.Authorize(order(rpc.ORGANIZATION, clock))
    assert ids.is_id("hld", hold.id)
    assert hold.state == wallets_pb2.Hold.HELD
    holds = await generation.ListHolds(wallets_pb2.ListHoldsRequest())
    assert list(holds.holds) == [hold]
    worker = house.served.stub(wallets_pb2_grpc.WalletsStub, "worker")
    ended = await worker.Capture(wallets_pb2.CaptureRequest(video=hold.video, outcome="SUCCEEDED"))
    assert (ended.state, ended.charged) == (wallets_pb2.Hold.CAPTURED, hold.amount)
    assert not (await generation.ListHolds(wallets_pb2.ListHoldsRequest())).holds
    wallet = await edge.GetWallet(wallets_pb2.GetWalletRequest(), metadata=rpc.as_caller("billing"))
    assert micros(wallet.available) == 2 * CNY - PRICE


async def test_what_a_customer_sees_of_his_wallet(house, generation, edge, clock):
    me = rpc.as_caller("billing")
    await edge.GetWallet(wallets_pb2.GetWalletRequest(), metadata=me)
    cash = await house.give(rpc.ORGANIZATION, CNY)
    hold = await generation.Authorize(order(rpc.ORGANIZATION, clock))
    wallet = await edge.GetWallet(wallets_pb2.GetWalletRequest(), metadata=me)
    assert wallet.name == f"wallets/{rpc.ORGANIZATION}"
    assert (micros(wallet.available), micros(wallet.held)) == (3 * CNY - PRICE, PRICE)
    assert (wallet.open_videos, wallet.open_videos_limit) == (1, 3)
    assert wallet.create_time.ToDatetime(tzinfo=datetime.UTC) == clock.now()
    trial, paid = wallet.lots
    assert (trial.kind, trial.burn_position) == (wallets_pb2.Lot.PROMOTIONAL, 1)
    assert (micros(trial.granted), micros(trial.available), micros(trial.held)) == (2 * CNY, 2 * CNY - PRICE, PRICE)
    assert (paid.id, paid.kind, paid.burn_position) == (cash, wallets_pb2.Lot.CASH, 2)
    assert not paid.HasField("expire_time")
    assert wallet.available.currency_code == trial.held.currency_code == "CNY"
    assert hold.amount.currency_code == "CNY"


async def test_transactions_newest_first_page_by_page(house, generation, edge, clock):
    me = rpc.as_caller("billing")
    videos = []
    for _ in range(3):
        hold = await generation.Authorize(order(rpc.ORGANIZATION, clock))
        clock.advance(1)
        await generation.Capture(wallets_pb2.CaptureRequest(video=hold.video, outcome="SUCCEEDED"))
        videos.append(hold.video)
    seen, token = [], ""
    while True:
        request = wallets_pb2.ListTransactionsRequest(page_size=2, page_token=token)
        page = await edge.ListTransactions(request, metadata=me)
        seen += page.transactions
        token = page.next_page_token
        if not token:
            break
    assert [line.video for line in seen] == [*reversed(videos), ""]
    assert [micros(line.amount) for line in seen] == [-PRICE, -PRICE, -PRICE, 2 * CNY]
    assert {line.kind for line in seen[:3]} == {wallets_pb2.Transaction.CHARGE}
    assert seen[3].kind == wallets_pb2.Transaction.GRANT
    assert seen[0].description == "Video, 5 s at 720p (animatic)"
    assert all(ids.is_id("txn", line.id) and len(line.lots) == 1 for line in seen)


async def test_another_organization_sees_nothing_of_it(house, generation, edge, clock):
    await generation.Authorize(order(rpc.ORGANIZATION, clock))
    stranger = rpc.as_caller("billing", organization=ids.new("org"))
    wallet = await edge.GetWallet(wallets_pb2.GetWalletRequest(), metadata=stranger)
    assert (micros(wallet.held), wallet.open_videos) == (0, 0)
    page = await edge.ListTransactions(wallets_pb2.ListTransactionsRequest(), metadata=stranger)
    assert [line.description for line in page.transactions] == ["Trial credit"]


async def test_holds_oldest_first_page_by_page(house, generation, clock):
    for _ in range(5):
        await generation.Authorize(order(ids.new("org"), clock))
        clock.advance(1)
    seen, token = [], ""
    while True:
        page = await generation.ListHolds(wallets_pb2.ListHoldsRequest(page_size=2, page_token=token))
        seen += page.holds
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == 5
    assert [hold.create_time.seconds for hold in seen] == sorted(hold.create_time.seconds for hold in seen)


async def test_an_overdue_hold_raises_an_alarm_and_stays(house, generation, clock, capsys):
    telemetry.configure("billing")
    hold = await generation.Authorize(order(rpc.ORGANIZATION, clock))
    for seconds, alarms in ((3599, 0), (1, 1)):
        clock.advance(seconds)
        assert list((await generation.ListHolds(wallets_pb2.ListHoldsRequest())).holds) == [hold]
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found = [line for line in lines if line["event"] == "hold_overdue"]
        assert [line["video"] for line in found] == [hold.video] * alarms


async def test_a_replay_over_the_wire(generation, clock):
    request = order(rpc.ORGANIZATION, clock)
    assert await generation.Authorize(request) == await generation.Authorize(request)


async def test_the_refusals_of_authorize(house, generation, clock):
    other = rpc.refused
    barred = order(rpc.ORGANIZATION, clock)
    await generation.Release(wallets_pb2.ReleaseRequest(video=barred.video))
    async with other(grpc.StatusCode.FAILED_PRECONDITION, "HOLD_BARRED") as found:
        await generation.Authorize(barred)
    assert found[0].metadata["video"] == barred.video
    async with other(grpc.StatusCode.FAILED_PRECONDITION, "PRICE_UNKNOWN"):
        await generation.Authorize(order(rpc.ORGANIZATION, clock, resolution="8k"))
    async with other(grpc.StatusCode.FAILED_PRECONDITION, "PRICE_ABOVE_MAX") as found:
        await generation.Authorize(order(rpc.ORGANIZATION, clock, max_price={"currency_code": "CNY", "nanos": 1}))
    assert found[0].metadata["price"] == "0.50"
    async with other(grpc.StatusCode.FAILED_PRECONDITION, "BALANCE_TOO_LOW") as found:
        await generation.Authorize(order(rpc.ORGANIZATION, clock, duration_seconds=3600))
    assert {key: found[0].metadata[key] for key in ("needs", "available", "currency")} == {
        "needs": "360.00",
        "available": "2.00",
        "currency": "CNY",
    }
    held = [order(rpc.ORGANIZATION, clock) for _ in range(3)]
    for request in held:
        await generation.Authorize(request)
    async with other(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_OPEN_VIDEOS") as found:
        await generation.Authorize(order(rpc.ORGANIZATION, clock))
    assert (found[0].metadata["limit"], found[0].retry_after) == ("3", 10)
    held[0].usage.duration_seconds = 6
    async with other(grpc.StatusCode.INVALID_ARGUMENT, "HOLD_DIFFERS"):
        await generation.Authorize(held[0])


@pytest.mark.parametrize("field", ["video", "organization", "project", "account"])
@pytest.mark.parametrize("text", ["", "x", "vid_", "org_../../etc", "acc_" + "0" * 26, "\0", "x" * 41])
async def test_what_is_stored_for_ever_must_bear_an_id(house, generation, clock, field, text):
    request = order(rpc.ORGANIZATION, clock)
    setattr(request, field, text)
    if field == "account" and text.startswith("acc_0"):
        return
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT) as found:
        await generation.Authorize(request)
    assert found[0].reason in ("FIELD_REQUIRED", "FIELD_INVALID")
    assert found[0].metadata["field"] == field


@pytest.mark.parametrize("call", ["Capture", "Release"])
async def test_an_end_needs_a_videos_id(generation, call):
    request = type(SERVICE_CALLS[call])(video="not an id")
    if call == "Capture":
        request.outcome = 1
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await getattr(generation, call)(request)


async def test_a_capture_names_its_outcome(generation):
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED"):
        await generation.Capture(wallets_pb2.CaptureRequest(video=ids.new("vid")))
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await generation.Capture(wallets_pb2.CaptureRequest(video=ids.new("vid"), outcome=99))


@pytest.mark.parametrize("peer", ["edge", "media", "auth", "privacy", "operator", "billing"])
@pytest.mark.parametrize("call", SERVICE_CALLS)
async def test_holds_are_for_the_suite_alone(house, peer, call):
    stub = house.served.stub(wallets_pb2_grpc.WalletsStub, peer)
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await getattr(stub, call)(SERVICE_CALLS[call], metadata=rpc.as_caller("billing"))


async def test_a_worker_does_not_authorize(house, clock):
    stub = house.served.stub(wallets_pb2_grpc.WalletsStub, "worker")
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await stub.Authorize(order(rpc.ORGANIZATION, clock))


@pytest.mark.parametrize("call", OWNER_CALLS)
async def test_a_customer_needs_a_token_with_the_scope(house, edge, call):
    async with rpc.refused(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"):
        await getattr(edge, call)(OWNER_CALLS[call])
    async with rpc.refused(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"):
        await getattr(edge, call)(OWNER_CALLS[call], metadata=rpc.as_caller("generation"))
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await getattr(edge, call)(OWNER_CALLS[call], metadata=rpc.as_caller("billing", scopes=["video.read"]))


@pytest.mark.parametrize("request_", [OWNER_CALLS["ListTransactions"], SERVICE_CALLS["ListHolds"]])
async def test_page_tokens_are_checked(house, generation, edge, request_):
    owner = isinstance(request_, wallets_pb2.ListTransactionsRequest)
    call = edge.ListTransactions if owner else generation.ListHolds
    for wrong in ({"page_size": -1}, {"page_token": "%%%"}, {"page_token": "x" * 501}):
        async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
            await call(type(request_)(**wrong), metadata=rpc.as_caller("billing") if owner else ())


async def test_a_token_of_another_list_is_refused(generation, edge, clock):
    for _ in range(2):
        await generation.Authorize(order(rpc.ORGANIZATION, clock))
    token = (await generation.ListHolds(wallets_pb2.ListHoldsRequest(page_size=1))).next_page_token
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH"):
        request = wallets_pb2.ListTransactionsRequest(page_token=token)
        await edge.ListTransactions(request, metadata=rpc.as_caller("billing"))
