"""Every RPC of Videos against the real billing: what it answers, each reason it refuses with, strangers, replays."""

import asyncio
import datetime

import grpc
import pytest
from google.rpc import error_details_pb2
from google.type import money_pb2

from filmgate.generation.v1 import videos_pb2
from services.billing.wallets.tables import Wallet
from services.generation import errors
from services.generation.files.tables import FileRow
from services.generation.videos.tables import VideoRow
from services.runtime.errors import of
from services.runtime.idempotency import StoredRequest
from tests.support import generation, rpc
from tests.support.generation import ORDER, PRICE, refusal, stranger

Code = grpc.StatusCode
State = videos_pb2.Video.State


def micros(money):
    return money.units * 1_000_000 + money.nanos // 1000


async def test_an_order_is_queued_with_its_price_held(house):
    video = await house.create(request_id="one")
    assert video.id.startswith("vid_")
    assert (video.name, State.Name(video.state)) == (f"videos/{video.id}", "QUEUED")
    assert (micros(video.quote), video.quote.currency_code, video.price_version) == (PRICE, "CNY", 1)
    assert not video.HasField("price")
    assert not video.settlement
    assert video.queue.position == 0
    wallet = await house.cashier.bank.wallet(rpc.ORGANIZATION)
    assert (micros(wallet.held), wallet.open_videos) == (PRICE, 1)
    assert await house.get(video.id) == video


async def test_what_is_left_out_has_its_documented_default_and_is_echoed(house):
    video = await house.create(duration_seconds=0, resolution="")
    chosen = video.parameters
    assert (chosen.duration_seconds, chosen.resolution, chosen.aspect_ratio) == (5, "720p", "16:9")
    assert (chosen.width, chosen.height, chosen.frame_rate) == (1280, 720, 24)
    assert 0 <= chosen.seed < 2**32
    assert not chosen.HasField("camera_control")
    named = await house.create(duration_seconds=5, resolution="720p", aspect_ratio="16:9")
    assert named.quote == video.quote
    deadline = video.start_deadline.ToDatetime(datetime.UTC)
    assert deadline == house.clock.now() + datetime.timedelta(hours=1)


async def test_what_is_written_is_echoed(house):
    camera = videos_pb2.CameraControl(zoom=4, horizontal=-2)
    image = await house.picture(480, 640)
    video = await house.create(image=image, seed=42, camera_control=camera, external_id="order-1")
    assert (video.parameters.seed, video.parameters.camera_control, video.external_id) == (42, camera, "order-1")
    assert (video.parameters.image, video.parameters.aspect_ratio) == (image, "9:16")
    assert video.account == rpc.ACCOUNT


REFUSED = [
    ({"model": "sora"}, Code.NOT_FOUND, "MODEL_UNKNOWN", {"model": "sora"}),
    ({"prompt": ""}, Code.INVALID_ARGUMENT, "FIELD_REQUIRED", {"field": "prompt"}),
    ({"prompt": " \n"}, Code.INVALID_ARGUMENT, "FIELD_REQUIRED", {"field": "prompt"}),
    ({"prompt": "x" * 2501}, Code.INVALID_ARGUMENT, "FIELD_INVALID", {"field": "prompt"}),
    ({"prompt": "make a b.o.m.b"}, Code.INVALID_ARGUMENT, "CONTENT_REFUSED", {"category": "weapons"}),
    ({"duration_seconds": 7}, Code.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED", {"allowed": "2, 3, 4, 5, 6, 8, 10"}),
    ({"resolution": "4320p"}, Code.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED", {"field": "resolution"}),
    ({"aspect_ratio": "21:9"}, Code.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED", {"field": "aspect_ratio"}),
    ({"negative_prompt": "rain"}, Code.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED", {"field": "negative_prompt"}),
    ({"image": "fil_00000000000000000000000000"}, Code.NOT_FOUND, "FILE_UNKNOWN", {}),
    ({"image": "../../etc/passwd"}, Code.NOT_FOUND, "FILE_UNKNOWN", {}),
    ({"seed": 2**32}, Code.INVALID_ARGUMENT, "FIELD_INVALID", {"field": "seed"}),
    ({"camera_control": {"zoom": 11}}, Code.INVALID_ARGUMENT, "FIELD_INVALID", {"field": "camera_control.zoom"}),
    ({"start_deadline": {"seconds": 1}}, Code.INVALID_ARGUMENT, "FIELD_INVALID", {"field": "start_deadline"}),
    ({"start_deadline": {"seconds": 4_000_000_000}}, Code.INVALID_ARGUMENT, "FIELD_INVALID", {}),
    ({"max_price": {"currency_code": "USD", "units": 9}}, Code.INVALID_ARGUMENT, "FIELD_INVALID", {}),
    ({"max_price": {"currency_code": "CNY", "nanos": 99_999_000}}, Code.FAILED_PRECONDITION, "PRICE_ABOVE_MAX", {}),
]


@pytest.mark.parametrize(("change", "code", "reason", "metadata"), REFUSED, ids=[f"{row[0]}"[:40] for row in REFUSED])
async def test_a_refused_order_leaves_nothing_and_may_be_tried_again(house, change, code, reason, metadata):
    found = await refusal(house.create(**change, request_id="same"))
    assert found[:2] == (code, reason)
    assert metadata.items() <= found[2].items()
    assert await house.counts() == (0, 0, 0)
    assert await house.rows(StoredRequest) == []
    assert (await house.create(request_id="same")).id


async def test_the_highest_price_may_be_met_exactly(house):
    assert await house.create(max_price=money_pb2.Money(currency_code="CNY", nanos=100_000_000))


async def test_an_empty_wallet_is_told_what_is_missing(house):
    dear = {"duration_seconds": 10, "resolution": "1080p"}
    for _ in range(5):
        video = await house.create(**dear)
        await house.start(video.id)
        await house.publish(video.id)
        await house.runner.run_due()
    async with rpc.refused(Code.FAILED_PRECONDITION, "BALANCE_TOO_LOW") as found:
        await house.create(**dear)
    told = {"needs": "2.00", "available": "0.00", "currency": "CNY"}
    assert told.items() <= found[0].metadata.items()
    assert "ADMITTING" not in {row.state for row in await house.rows(VideoRow)}


async def test_more_open_videos_than_slots_are_refused_with_when_to_come_back(house):
    for _ in range(3):
        await house.create()
    async with rpc.refused(Code.RESOURCE_EXHAUSTED, "TOO_MANY_OPEN_VIDEOS") as found:
        await house.create()
    assert found[0].metadata["limit"] == "3"
    assert found[0].retry_after == 10


async def test_a_parked_wallet_starts_nothing(house):
    await house.create()
    async with house.cashier.bank.database.transaction() as session:
        (await session.get_one(Wallet, rpc.ORGANIZATION)).park_time = house.clock.now()
    assert (await refusal(house.create()))[:2] == (Code.FAILED_PRECONDITION, "WALLET_PARKED")


async def test_a_model_that_is_down_is_unavailable_and_queues_before_that(house):
    house.clock.advance(30)
    assert (await house.create()).id
    house.clock.advance(31)
    code, reason, metadata = await refusal(house.create())
    assert (code, reason, metadata["model"]) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE", "animatic")


async def test_the_same_request_answers_the_same_video_whatever_happened_since(house):
    image = await house.picture()
    first = await house.create(request_id="same", image=image)
    house.clock.advance(3600)
    again = await house.create(request_id="same", image=image)
    assert again == first
    assert len(await house.rows(VideoRow)) == 1
    other = await refusal(house.create(request_id="same", image=image, prompt="other"))
    assert other[:2] == (Code.INVALID_ARGUMENT, "REQUEST_ID_REUSED")


async def test_a_request_id_is_a_projects_own(house):
    await house.create(request_id="same")
    metadata = stranger()
    theirs = await house.videos.CreateVideo(
        videos_pb2.CreateVideoRequest(**ORDER, request_id="same"), metadata=metadata
    )
    assert len({row.id for row in await house.rows(VideoRow)}) == 2
    assert theirs.id


async def test_the_same_request_many_times_at_once_is_one_video(house):
    async def order():
        try:
            return (await house.create(request_id="same")).id
        except grpc.aio.AioRpcError as error:
            return of(error).reason

    answers = await asyncio.gather(*(order() for _ in range(8)))
    made = {answer for answer in answers if answer.startswith("vid_")}
    assert len(made) == 1
    assert set(answers) - made <= {"REQUEST_IN_PROGRESS"}
    assert await house.counts() == (1, 0, 1)


async def test_an_external_id_is_unique_among_videos_that_are_not_deleted(house):
    video = await house.create(external_id="order-1")
    found = await refusal(house.create(external_id="order-1"))
    assert found[:2] == (Code.ALREADY_EXISTS, "EXTERNAL_ID_TAKEN")
    assert found[2]["external_id"] == "order-1"
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=house.mine)
    assert (await house.create(external_id="order-1")).id


async def test_of_two_orders_with_one_external_id_at_once_one_wins(house):
    async def order(number):
        try:
            return (await house.create(external_id="order-1", request_id=str(number))).id
        except grpc.aio.AioRpcError as error:
            return of(error).reason

    answers = await asyncio.gather(*(order(number) for number in range(3)))
    assert sorted(answer[:4] for answer in answers) == ["EXTE", "EXTE", "vid_"]
    assert await house.counts() == (1, 0, 1)


async def test_a_stranger_finds_nothing(house):
    image = await house.picture()
    video = await house.create(image=image)
    theirs = stranger()
    calls = [
        house.videos.GetVideo(videos_pb2.GetVideoRequest(id=video.id), metadata=theirs),
        house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=theirs),
        house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=theirs),
    ]
    for call in calls:
        assert (await refusal(call))[:2] == (Code.NOT_FOUND, "NOT_FOUND")
    async with rpc.refused(Code.NOT_FOUND, "NOT_FOUND"):
        async for _ in house.videos.WatchVideo(videos_pb2.WatchVideoRequest(id=video.id), metadata=theirs):
            pass
    order = videos_pb2.CreateVideoRequest(**ORDER, image=image)
    for method in (house.videos.CreateVideo, house.videos.EstimateVideo):
        assert (await refusal(method(order, metadata=theirs)))[:2] == (Code.NOT_FOUND, "FILE_UNKNOWN")
    listed = await house.videos.ListVideos(videos_pb2.ListVideosRequest(), metadata=theirs)
    assert not listed.videos
    assert State.Name((await house.get(video.id)).state) == "QUEUED"


@pytest.mark.parametrize("name", ["x" * 300, "../vid", "vid_", "VID_00000000000000000000000000", "fil_1", "%ff"])
async def test_what_is_no_id_names_nothing(house, name):
    assert (await refusal(house.get(name)))[:2] == (Code.NOT_FOUND, "NOT_FOUND")


async def test_a_key_without_the_scope_is_refused(house):
    reader = rpc.as_caller("generation", scopes=("video.read",))
    call = house.videos.CreateVideo(videos_pb2.CreateVideoRequest(**ORDER), metadata=reader)
    assert (await refusal(call))[:2] == (Code.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_an_estimate_is_what_the_order_then_costs_and_stores_nothing(house):
    asked = videos_pb2.CreateVideoRequest(**ORDER, request_id="estimate")
    estimate = await house.videos.EstimateVideo(asked, metadata=house.mine)
    assert await house.counts() == (0, 0, 0)
    assert await house.rows(StoredRequest) == []
    video = await house.create()
    assert estimate.price == video.quote
    assert estimate.price_version == video.price_version
    estimate.parameters.seed = video.parameters.seed
    assert estimate.parameters == video.parameters
    assert estimate.start_time == video.create_time
    assert estimate.end_time.ToDatetime() - estimate.start_time.ToDatetime() == datetime.timedelta(seconds=1)


@pytest.mark.parametrize(("change", "reason"), [(row[0], row[2]) for row in REFUSED[:16]])
async def test_an_estimate_refuses_like_the_order(house, change, reason):
    asked = videos_pb2.CreateVideoRequest(**{**ORDER, **change})
    assert (await refusal(house.videos.EstimateVideo(asked, metadata=house.mine)))[1] == reason


async def test_an_estimate_tells_the_queue(house):
    await house.create(duration_seconds=10)
    running = await house.create(duration_seconds=4)
    await house.start(running.id)
    asked = videos_pb2.CreateVideoRequest(**ORDER)
    estimate = await house.videos.EstimateVideo(asked, metadata=house.mine)
    waiting = estimate.start_time.ToDatetime(datetime.UTC) - house.clock.now()
    assert (estimate.queue_position, waiting) == (1, datetime.timedelta(seconds=10 * 0.5 + 4 * 0.5))
    theirs = await house.videos.EstimateVideo(asked, metadata=stranger())
    assert theirs.queue_position == 0


async def test_queued_videos_tell_their_place(house):
    first, second, third = [await house.create(duration_seconds=4) for _ in range(3)]
    assert [(await house.get(video.id)).queue.position for video in (first, second, third)] == [0, 1, 2]
    await house.start(first.id)
    placed = await house.get(third.id)
    assert placed.queue.position == 1
    assert placed.queue.start_time.ToDatetime(datetime.UTC) == house.clock.now() + datetime.timedelta(seconds=4)
    assert not (await house.get(first.id)).HasField("queue")


async def test_the_list_is_newest_first_and_its_filters_hold_over_pages(house):
    made = []
    for number in range(3):
        made.append(await house.create(external_id=f"order-{number}"))
        house.clock.advance(1)
    await house.start(made[0].id)

    async def ids_of(**fields):
        answer = await house.videos.ListVideos(videos_pb2.ListVideosRequest(**fields), metadata=house.mine)
        return [video.id for video in answer.videos], answer.next_page_token

    newest_first = [video.id for video in reversed(made)]
    assert await ids_of() == (newest_first, "")
    assert await ids_of(state="RUNNING") == ([made[0].id], "")
    assert await ids_of(state="SUCCEEDED") == ([], "")
    assert await ids_of(model="animatic", external_id="order-1") == ([made[1].id], "")
    assert await ids_of(model="other") == ([], "")
    assert await ids_of(created_after=made[1].create_time) == (newest_first[:2], "")
    assert await ids_of(created_before=made[1].create_time) == (newest_first[2:], "")
    first, token = await ids_of(page_size=2, model="animatic")
    assert (first, await ids_of(page_size=2, model="animatic", page_token=token)) == (
        newest_first[:2],
        (newest_first[2:], ""),
    )
    async with rpc.refused(Code.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH"):
        await ids_of(page_size=2, page_token=token)


async def test_a_queued_video_is_cancelled_for_nothing(house):
    video = await house.create()
    asked = videos_pb2.CancelVideoRequest(id=video.id)
    cancelled = await house.videos.CancelVideo(asked, metadata=house.mine)
    assert State.Name(cancelled.state) == "CANCELLED"
    assert (micros(cancelled.price), cancelled.settlement) == (0, videos_pb2.Video.PENDING)
    assert cancelled.error.code == 1
    again = await refusal(house.videos.CancelVideo(asked, metadata=house.mine))
    assert again[:2] == (Code.FAILED_PRECONDITION, "VIDEO_ENDED")
    assert again[2]["state"] == "CANCELLED"
    await house.runner.run_due()
    settled = await house.get(video.id)
    assert (micros(settled.price), settled.settlement) == (0, videos_pb2.Video.RELEASED)
    assert (await house.job(f"generate:{video.id}")).state == "CANCELLED"
    assert (await house.cashier.bank.wallet(rpc.ORGANIZATION)).open_videos == 0


async def test_a_running_video_is_cancelled_at_its_price(house):
    video = await house.create()
    await house.start(video.id)
    cancelled = await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    assert (micros(cancelled.price), cancelled.settlement) == (PRICE, videos_pb2.Video.PENDING)
    await house.runner.run_due()
    settled = await house.get(video.id)
    assert (settled.price, settled.settlement) == (cancelled.price, videos_pb2.Video.CAPTURED)
    assert not await house.publish(video.id)


async def test_a_made_video_shows_its_output_until_it_expires(house):
    video = await house.create()
    await house.start(video.id)
    assert await house.publish(video.id)
    done = await house.get(video.id)
    assert (State.Name(done.state), done.progress_percent) == ("SUCCEEDED", 100)
    assert done.output.url == f"https://films.example/v1/videos/{video.id}/content"
    assert (done.output.sha256, done.output.labels.aigc) == (generation.MADE.sha256, generation.MADE.aigc)
    assert done.expire_time.ToDatetime(datetime.UTC) == house.clock.now() + datetime.timedelta(days=1)
    assert not done.HasField("error")
    house.clock.advance(86_401)
    await house.file_jobs.sweep()
    await house.runner.run_due()
    assert not (await house.get(video.id)).HasField("output")
    assert await house.rows(FileRow) == []


async def test_a_failed_video_says_why_and_that_nothing_is_charged(house):
    video = await house.create()
    await house.start(video.id)
    assert await house.fail(video.id, errors.GENERATION_FAILED(attempts=3))
    await house.runner.run_due()
    failed = await house.get(video.id)
    info = error_details_pb2.ErrorInfo()
    assert len(failed.error.details) == 1
    assert failed.error.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("GENERATION_FAILED", "generation.filmgate")
    assert {"retryable": "true", "charged": "false", "attempts": "3"}.items() <= dict(info.metadata).items()
    assert (micros(failed.price), failed.settlement) == (0, videos_pb2.Video.RELEASED)


async def test_deleting_ends_removes_and_forgets(house):
    image = await house.picture()
    video = await house.create(image=image, prompt="a secret place", external_id="order-1")
    await house.start(video.id)
    await house.publish(video.id)
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=house.mine)
    await house.runner.run_due()
    assert (await refusal(house.get(video.id)))[1] == "NOT_FOUND"
    [row] = await house.rows(VideoRow)
    assert "secret" not in str(vars(row))
    assert (row.external_id, row.settlement) == (None, "CAPTURED")
    assert [file.id for file in await house.rows(FileRow)] == [image]
    assert not [path for path in (house.folder / "objects" / "outputs").rglob("*") if path.is_file()]
    listed = await house.videos.ListVideos(videos_pb2.ListVideosRequest(), metadata=house.mine)
    assert not listed.videos


async def test_deleting_an_open_video_ends_it(house):
    video = await house.create()
    await house.start(video.id)
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=house.mine)
    await house.runner.run_due()
    [row] = await house.rows(VideoRow)
    assert (row.state, row.outcome, row.settlement) == ("CANCELLED", "CANCELLED_RUNNING", "CAPTURED")
    assert (await refusal(house.get(video.id)))[1] == "NOT_FOUND"
