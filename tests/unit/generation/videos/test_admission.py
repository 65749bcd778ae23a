"""The protocol of admission, stopped at each of its arrows: afterwards nothing is lost, held or half admitted."""

import asyncio

import grpc
import pytest

from filmgate.generation.v1 import videos_pb2
from services.billing.wallets.domain import Terms
from services.generation.clients import NotAnswered
from services.generation.videos import store
from services.generation.videos.tables import VideoRow
from services.runtime import jobs
from services.runtime.caller import Caller
from services.runtime.errors import Failure
from services.runtime.idempotency import StoredRequest
from services.runtime.jobs import JobRow
from tests.support import bank, rpc
from tests.support.generation import ORDER, PRICE, refusal

WHO = Caller(rpc.ORGANIZATION, rpc.PROJECT, rpc.ACCOUNT)
ARROWS = ("begun", "moderated", "quoted", "authorized")


def order(**fields):
    return videos_pb2.CreateVideoRequest(**{**ORDER, "request_id": "one", **fields})


async def until(house, arrow):
    """Walk the protocol up to an arrow and stop there, as a killed process does; returns the order."""
    begun = await house.orders.begin(order(), WHO)
    for name in ARROWS[: ARROWS.index(arrow) + 1]:
        if name == "moderated":
            await house.orders.moderate(begun)
        elif name == "quoted":
            quote = await house.orders.quote(begun)
        elif name == "authorized":
            await house.orders.authorize(begun, quote)
    return begun


async def clean_up(house):
    house.clock.advance(61)
    await house.load_model()
    await house.runner.run_due()


@pytest.mark.parametrize("arrow", ARROWS)
async def test_killed_at_an_arrow_the_order_is_undone_and_may_be_repeated(house, arrow):
    await until(house, arrow)
    assert (await refusal(house.create(request_id="one")))[:2] == (grpc.StatusCode.ABORTED, "REQUEST_IN_PROGRESS")
    await clean_up(house)
    assert await house.counts() == (0, 0, 0)
    assert await house.rows(StoredRequest) == []
    assert await house.cashier.bank.violations() == []
    assert (await house.create(request_id="one")).id
    assert await house.counts() == (1, 0, 1)


@pytest.mark.parametrize("arrow", ARROWS)
async def test_an_order_that_wakes_after_its_clean_up_is_not_admitted(house, arrow):
    begun = await until(house, arrow)
    await clean_up(house)
    quote = await house.orders.quote(begun)
    if arrow != "authorized":
        with pytest.raises(Failure) as refused:
            await house.orders.authorize(begun, quote)
        assert refused.value.kind.reason == "PEER_UNAVAILABLE"
    with pytest.raises(Failure) as refused:
        await house.orders.accept(begun, quote)
    assert refused.value.kind.reason == "PEER_UNAVAILABLE"
    await house.orders.refuse(begun)
    assert await house.counts() == (0, 0, 0)


async def test_an_order_that_wakes_late_leaves_its_successor_alone(house):
    begun = await until(house, "authorized")
    await clean_up(house)
    successor = await house.create(request_id="one")
    await house.orders.refuse(begun)
    assert (await house.create(request_id="one")).id == successor.id
    assert await house.counts() == (1, 0, 1)


@pytest.mark.parametrize("late", ["clean_up", "refuse", "accept"])
async def test_a_day_later_an_order_leaves_alone_who_uses_its_request_id_now(house, late):
    """No worker ran for a day, so nobody cleaned up: the request id stands for another order by then."""
    begun = await until(house, "authorized")
    quote = await house.orders.quote(begun)
    house.clock.advance(24 * 3600 + 1)
    await house.load_model()
    successor = await house.create(request_id="one")
    if late == "clean_up":
        await house.runner.run_due()
    elif late == "refuse":
        await house.orders.refuse(begun)
    else:
        await house.orders.accept(begun, quote)
    assert await house.create(request_id="one") == successor


async def test_killed_after_the_answer_was_stored_the_repeat_answers_it(house):
    begun = await until(house, "authorized")
    quote = await house.orders.quote(begun)
    admitted = await house.orders.accept(begun, quote)
    await clean_up(house)
    assert await house.create(request_id="one") == admitted
    assert await house.counts() == (1, 0, 1)


async def test_the_clean_up_may_itself_be_killed_between_row_and_release(house):
    begun = await until(house, "authorized")
    async with house.database.transaction() as session:
        await store.drop(session, begun.video.id)
    await clean_up(house)
    assert (await house.counts())[2] == 0


async def test_a_hold_whose_clean_up_was_lost_is_swept(house):
    begun = await until(house, "authorized")
    await house.orders.refuse(begun)
    assert (await house.counts())[2] == 1
    await house.video_jobs.sweep_holds()
    assert (await house.counts())[2] == 0


async def test_the_sweep_leaves_alone_what_is_being_admitted_and_what_is_open(house):
    await until(house, "authorized")
    await house.create()
    running = await house.create()
    await house.start(running.id)
    await house.video_jobs.sweep_holds()
    assert (await house.counts())[2] == 3


@pytest.mark.parametrize(("seconds", "leased", "state"), [
    (3601, False, "FAILED"), (3601, True, "RUNNING"), (3599, False, "RUNNING"),
])  # fmt: skip
async def test_the_sweep_ends_what_has_run_too_long_and_no_worker_has(house, seconds, leased, state):
    """As when the last worker of a model has gone for ever: nobody claims the job any more."""
    video = await house.create()
    async with house.database.transaction() as session:
        job = await jobs.claim(session, [store.generating("animatic")], "gone", house.clock, 30)
    await house.start(video.id, job.attempt)
    house.clock.advance(seconds)
    if leased:
        async with house.database.transaction() as session:
            await jobs.promote(session, [job.kind], house.clock)
            await jobs.claim(session, [job.kind], "late", house.clock, 30)
    await house.video_jobs.sweep_holds()
    await house.runner.run_due()
    [row] = await house.rows(VideoRow)
    assert row.state == state
    if state == "FAILED":
        assert (row.outcome, row.error_reason, row.settlement) == (
            "INFRASTRUCTURE_ERROR", "GENERATION_FAILED", "RELEASED",
        )  # fmt: skip


async def test_a_jump_ends_what_waits_past_its_deadline_and_lets_a_leased_video_be_made(house):
    """40 days pass in a moment: the queued video was never started, so it costs nothing; the one that a worker has
    under a lease is made, and charged, since neither its start deadline nor its longest run is asked of it any more."""
    made, queued = await house.create(), await house.create()
    async with house.database.transaction() as session:
        job = await jobs.claim(session, [store.generating("animatic")], "worker", house.clock, 30)
    assert job.payload["video"] == made.id
    await house.start(made.id, job.attempt)
    house.clock.jump(days=40)
    await house.video_jobs.sweep_holds()
    await house.runner.run_due()
    ended, running = await house.get(queued.id), await house.get(made.id)
    rows = {row.id: row.error_reason for row in await house.rows(VideoRow)}
    assert (rows[queued.id], ended.settlement) == ("START_DEADLINE_PASSED", videos_pb2.Video.RELEASED)
    assert (ended.price.units, ended.price.nanos) == (0, 0)
    assert running.state == videos_pb2.Video.RUNNING
    assert await house.publish(made.id, job.attempt)
    await house.runner.run_due()
    settled = await house.get(made.id)
    assert (settled.state, settled.settlement) == (videos_pb2.Video.SUCCEEDED, videos_pb2.Video.CAPTURED)
    assert settled.price.nanos == PRICE * 1000
    assert (await house.counts())[2] == 0


async def test_the_sweep_has_an_ended_video_settled_although_its_job_was_lost(house):
    video = await house.create()
    await house.start(video.id)
    await house.publish(video.id)
    async with house.database.transaction() as session:
        await session.delete(await session.get_one(JobRow, (await house.job(f"settle:{video.id}")).id))
    await house.video_jobs.sweep_holds()
    await house.runner.run_due()
    assert (await house.get(video.id)).settlement == videos_pb2.Video.CAPTURED
    await house.video_jobs.sweep_holds()
    assert (await house.counts())[2] == 0


async def test_a_hold_that_cannot_be_ended_does_not_keep_the_next_ones_open(house):
    till, now = house.cashier.bank, house.clock.now()
    odd = Terms("no id at all", rpc.ORGANIZATION, rpc.PROJECT, rpc.ACCOUNT, "animatic", "480p", 2, 1)
    async with till.database.transaction() as session:
        await till.ledger.hold(session, await till.ledger.price(session, odd, now, now), now, locked=True)
    house.clock.advance(1)
    await house.orders.refuse(await until(house, "authorized"))
    assert (await house.counts())[2] == 2
    await house.video_jobs.sweep_holds()
    assert (await house.counts())[2] == 1


async def test_billing_that_does_not_answer_leaves_the_order_to_its_clean_up(house):
    async with house.cashier.busy(rpc.ORGANIZATION):
        ordering = asyncio.ensure_future(refusal(house.create(request_id="one")))
        await house.cashier.until_waiting()
        await house.cashier.stop()
        code, reason, metadata = await ordering
    assert (code, reason, metadata["service"]) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNAVAILABLE", "billing")
    [row] = await house.rows(VideoRow)
    assert row.state == "ADMITTING"
    assert (await refusal(house.get(row.id)))[1] == "NOT_FOUND"
    assert (await refusal(house.create(request_id="one")))[1] == "REQUEST_IN_PROGRESS"


async def test_billing_that_is_stopped_before_the_quote_leaves_nothing(house):
    await house.cashier.stop()
    code, reason, _ = await refusal(house.create(request_id="one"))
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNAVAILABLE")
    assert await house.rows(VideoRow) == []
    assert await house.rows(StoredRequest) == []


async def test_a_caller_who_hangs_up_does_not_interrupt_his_order(house):
    async with house.cashier.busy(rpc.ORGANIZATION):
        call = house.videos.CreateVideo(order(), metadata=house.mine)
        ended = asyncio.ensure_future(call.code())
        await house.cashier.until_waiting()
        call.cancel()
        assert await ended == grpc.StatusCode.CANCELLED
    await house.orders.drain()
    [row] = await house.rows(VideoRow)
    assert row.state == "QUEUED"
    assert (await house.create(request_id="one")).id == row.id


async def test_an_order_is_not_interrupted_by_the_callers_deadline(house):
    async with house.cashier.busy(rpc.ORGANIZATION):
        async with rpc.refused(grpc.StatusCode.DEADLINE_EXCEEDED):
            await house.videos.CreateVideo(order(), metadata=house.mine, timeout=1)
        await house.cashier.until_waiting()
    await house.orders.drain()
    assert (await house.create(request_id="one")).id
    assert await house.counts() == (1, 0, 1)


async def test_authorizing_twice_holds_once(house):
    begun = await until(house, "authorized")
    quote = await house.orders.quote(begun)
    assert (await house.orders.authorize(begun, quote)).micros == PRICE
    wallet = await house.cashier.bank.wallet(rpc.ORGANIZATION)
    assert (bank.micros(wallet.held), wallet.open_videos) == (PRICE, 1)


async def test_an_unanswered_hold_is_not_taken_for_a_refused_one(house):
    begun = await until(house, "moderated")
    quote = await house.orders.quote(begun)
    await house.cashier.stop()
    with pytest.raises(NotAnswered):
        await house.orders.authorize(begun, quote)


async def test_a_deleted_video_leaves_none_of_its_texts_to_the_repeat_of_its_order(house):
    asked = {"request_id": "one", "prompt": "a secret place", "external_id": "secret-1", "image": await house.picture()}
    video = await house.create(**asked)
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=house.mine)
    [stored] = await house.rows(StoredRequest)
    assert b"secret" not in stored.answer
    assert [row.request_id for row in await house.rows(VideoRow)] == [""]
    again = await house.create(**asked)
    assert (again.id, again.parameters.prompt, again.parameters.image) == (video.id, "", "")
    assert len(await house.rows(VideoRow)) == 1


async def test_deleting_a_video_leaves_the_answer_of_a_later_order_with_its_request_id(house):
    first = await house.create(request_id="one")
    house.clock.advance(24 * 3600 + 1)
    await house.load_model()
    second = await house.create(request_id="one", prompt="another place")
    assert second.id != first.id
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=first.id), metadata=house.mine)
    assert await house.create(request_id="one", prompt="another place") == second
