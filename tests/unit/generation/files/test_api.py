"""The records of files: what their owner sees, what media may do, what happens to them by itself."""

import asyncio
import datetime
import os

import grpc
import pytest
import sqlalchemy as sa

from filmgate.generation.v1 import files_pb2, videos_pb2
from services.generation.errors import GENERATION_FAILED
from services.generation.files import store
from services.generation.files.tables import FileRow
from services.generation.models import store as models
from services.generation.videos import store as videos
from services.generation.videos.tables import VideoRow
from services.runtime import ids
from services.runtime import profile as profiles
from services.runtime.idempotency import StoredRequest
from services.runtime.jobs import JobRow
from tests.support import rpc
from tests.support.generation import MADE, refusal, stranger
from tests.support.waiting import until

Code = grpc.StatusCode


async def get(house, file_id, metadata=None):
    return await house.files.GetFile(files_pb2.GetFileRequest(id=file_id), metadata=metadata or house.mine)


async def delete(house, file_id, metadata=None):
    return await house.files.DeleteFile(files_pb2.DeleteFileRequest(id=file_id), metadata=metadata or house.mine)


async def objects(house):
    return sorted(path.name for path in (house.folder / "objects").rglob("*") if path.is_file())


async def test_an_upload_is_a_file_once_it_is_finished(house):
    begun = await house.media_files.BeginUpload(files_pb2.BeginUploadRequest(size_bytes=7), metadata=house.mine)
    assert begun.object == f"inputs/{rpc.ORGANIZATION}/{begun.id}"
    assert (begun.image.side_pixels, begun.image.pixels, begun.image.ratio) == (300, 50_000_000, 4)
    assert files_pb2.File.State.Name((await get(house, begun.id)).state) == "UPLOADING"
    found = files_pb2.UploadedImage(content_type="image/png", size_bytes=7, sha256="cd" * 32, width=640, height=360)
    asked = files_pb2.FinishUploadRequest(id=begun.id, image=found)
    file = await house.media_files.FinishUpload(asked)
    assert (file.name, file.kind, file.width) == (f"files/{begun.id}", files_pb2.File.IMAGE, 640)
    assert file.expire_time.ToDatetime(datetime.UTC) == house.clock.now() + datetime.timedelta(days=1)
    assert await get(house, begun.id) == file
    assert await house.media_files.FinishUpload(asked) == file
    other = files_pb2.UploadedImage(content_type="image/png", size_bytes=7, sha256="ef" * 32, width=640, height=360)
    again = await refusal(house.media_files.FinishUpload(files_pb2.FinishUploadRequest(id=begun.id, image=other)))
    assert again[:2] == (Code.NOT_FOUND, "NOT_FOUND")


async def test_an_upload_that_came_to_nothing_is_no_file(house):
    begun = await house.media_files.BeginUpload(files_pb2.BeginUploadRequest(), metadata=house.mine)
    for _ in range(2):
        await house.media_files.FinishUpload(files_pb2.FinishUploadRequest(id=begun.id))
    assert await house.rows(FileRow) == []


async def test_media_cannot_give_up_a_file_that_is_no_upload_any_more(house):
    """Media calls without its customer: who has its certificate alone must not delete what customers have."""
    picture = await house.picture()
    video = await house.create(image=picture)
    await house.start(video.id)
    async with house.database.transaction() as session:
        await store.stage_output(session, await videos.get(session, video.id), house.clock.now())
    await house.publish(video.id)
    before, kept = await house.rows(FileRow), await objects(house)
    assert {row.state for row in before} == {"READY", "STAGING"}
    for row in before:
        found = await refusal(house.media_files.FinishUpload(files_pb2.FinishUploadRequest(id=row.id)))
        assert found[:2] == (Code.NOT_FOUND, "NOT_FOUND")
    await house.runner.run_due()
    assert (await get(house, picture)).state == files_pb2.File.READY
    assert await objects(house) == kept


async def test_an_announced_size_above_the_limit_is_refused(house):
    asked = files_pb2.BeginUploadRequest(size_bytes=32 * 2**20 + 1)
    found = await refusal(house.media_files.BeginUpload(asked, metadata=house.mine))
    assert found[:2] == (Code.OUT_OF_RANGE, "UPLOAD_TOO_LARGE")
    assert found[2]["limit"] == str(32 * 2**20)


async def test_a_project_keeps_so_many_pictures_and_no_more(house):
    most = profiles.load("default").limits.pictures_per_project
    asked = files_pb2.BeginUploadRequest()
    begun = [await house.media_files.BeginUpload(asked, metadata=house.mine) for _ in range(most)]
    found = await refusal(house.media_files.BeginUpload(asked, metadata=house.mine))
    assert found[:2] == (Code.FAILED_PRECONDITION, "TOO_MANY_PICTURES")
    assert found[2]["limit"] == str(most)
    await house.media_files.BeginUpload(asked, metadata=stranger())
    await house.files.DeleteFile(files_pb2.DeleteFileRequest(id=begun[0].id), metadata=house.mine)
    await house.media_files.BeginUpload(asked, metadata=house.mine)


async def test_only_media_finishes_uploads(house):
    for peer in ("edge", "worker", "billing"):
        stub = type(house.files)(house.served.channel(peer))
        call = stub.FinishUpload(files_pb2.FinishUploadRequest(id="fil_1"), metadata=house.mine)
        assert (await refusal(call))[:2] == (Code.PERMISSION_DENIED, "PEER_NOT_ALLOWED")


async def test_the_list_is_the_projects_own_newest_first(house):
    made = []
    for _ in range(3):
        made.insert(0, await house.picture())
        house.clock.advance(1)
    await house.picture(metadata=stranger())
    page = await house.files.ListFiles(files_pb2.ListFilesRequest(page_size=2), metadata=house.mine)
    rest = files_pb2.ListFilesRequest(page_size=2, page_token=page.next_page_token)
    last = await house.files.ListFiles(rest, metadata=house.mine)
    assert [file.id for file in (*page.files, *last.files)] == made
    assert not last.next_page_token


async def test_another_organizations_file_does_not_exist(house):
    theirs = await house.picture(metadata=stranger())
    for call in (get(house, theirs), delete(house, theirs)):
        assert (await refusal(call))[:2] == (Code.NOT_FOUND, "NOT_FOUND")
    located = house.files.LocateContent(files_pb2.LocateContentRequest(id=theirs), metadata=house.mine)
    assert (await refusal(located))[1] == "NOT_FOUND"
    assert (await refusal(house.create(image=theirs)))[1] == "FILE_UNKNOWN"


async def test_a_deleted_file_is_gone_at_once_and_its_bytes_soon(house):
    file = await house.picture()
    await delete(house, file)
    for call in (get(house, file), delete(house, file)):
        assert (await refusal(call))[1] == "NOT_FOUND"
    assert (await refusal(house.create(image=file)))[1] == "FILE_UNKNOWN"
    await house.runner.run_due()
    assert await objects(house) == []
    assert await house.rows(FileRow) == []


async def test_a_deleted_picture_stays_readable_for_the_videos_that_are_on_their_way(house):
    file = await house.picture()
    video = await house.create(image=file)
    await delete(house, file)
    await house.runner.run_due()
    assert len(await objects(house)) == 2
    async with house.database.transaction() as session:
        assert (await store.get(session, file)).object
    await house.start(video.id)
    await house.publish(video.id)
    house.clock.advance(31)
    await house.runner.run_due()
    assert [row.kind for row in await house.rows(FileRow)] == ["VIDEO"]


@pytest.mark.promise(
    "AICC-1.5b",
    "NEXA-1.1.5b",
    part="the picture goes within an hour of the delivery, but the prompt stays with its video for 30 days",
)
async def test_a_picture_is_let_go_soon_after_the_last_video_that_needed_it(house):
    """Under a profile that keeps nothing after delivery."""
    file = await house.picture()
    first, second = await house.create(image=file), await house.create(image=file)
    for number, video in enumerate((first, second)):
        await house.start(video.id)
        await house.publish(video.id)
        await house.runner.run_due()
        kept = (await get(house, file)).expire_time.ToDatetime(datetime.UTC) - house.clock.now()
        assert kept == (datetime.timedelta(days=1), datetime.timedelta(hours=1))[number]
    house.clock.advance(3600)
    assert (await refusal(get(house, file)))[1] == "NOT_FOUND"
    await house.file_jobs.sweep()
    await house.runner.run_due()
    assert [name for name in await objects(house) if name.startswith(file)] == []


async def test_a_picture_that_is_let_go_does_not_hold_up_an_order_that_names_it(house):
    """The new order holds the picture and asks for the name that the old one bears while that is being settled."""
    video = await house.create(image=await house.picture(), external_id="order-1")
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    [old] = await house.rows(VideoRow)
    values = {column.key: getattr(old, column.key) for column in sa.inspect(VideoRow).columns}
    new = VideoRow(**{**values, "id": ids.new("vid"), "state": "ADMITTING", "end_time": None, "settlement": None})
    async with house.database.transaction() as session:
        assert await store.picture(session, old.project, old.image, house.clock.now())
        settling = asyncio.create_task(house.runner.run_due())
        await until_waiting(house)
        assert not await videos.admit(session, new, house.clock.now())
    await settling
    assert (await house.get(video.id)).settlement == videos_pb2.Video.RELEASED


async def until_waiting(house):
    async def waits():
        async with house.database.transaction() as session:
            return (await session.execute(sa.text("SELECT 1 FROM pg_locks WHERE NOT granted"))).first()

    await until(waits, pause=0.01)


async def delivered(house, attempt: int = 1) -> tuple[str, str]:
    """Deliver a video that was made from an uploaded picture; returns the ids of both."""
    file = await house.picture()
    video = await house.create(image=file, request_id="my-book-7")
    await house.start(video.id, attempt)
    await house.publish(video.id, attempt)
    await house.runner.run_due()
    assert len(await objects(house)) == 3
    return file, video.id


async def sweep(house) -> None:
    await house.file_jobs.sweep()
    await house.video_jobs.sweep_rows()
    await house.runner.run_due()


@pytest.mark.promise(
    "AICC-1.5b",
    "NEXA-1.1.5b",
    part="the picture goes within an hour of the delivery, but the prompt stays with its video for 30 days",
)
@pytest.mark.parametrize("attempt", [1, 2])
async def test_an_uploaded_picture_goes_as_soon_as_the_job_is_delivered(house, attempt):
    file, _ = await delivered(house, attempt)
    house.clock.advance(3600)
    assert (await refusal(get(house, file)))[1] == "NOT_FOUND"
    await sweep(house)
    assert not [name for name in await objects(house) if name.startswith(file)]
    assert [row.kind for row in await house.rows(FileRow)] == ["VIDEO"]


@pytest.mark.promise("KLING-A11.11")
async def test_what_was_uploaded_and_made_is_cached_for_a_day_and_then_dropped(house):
    cancelled = await cancelled_with_a_negative_prompt(house)
    file, video = await delivered(house)
    await house.picture()  # of which no film is ever made
    failed = (await house.create(prompt="a film that fails")).id
    await house.start(failed)
    assert await house.fail(failed, GENERATION_FAILED(attempts=1))
    house.clock.advance(86_400 + 1)
    located = files_pb2.LocateContentRequest(id=video)
    assert (await refusal(house.files.LocateContent(located, metadata=house.mine)))[1] == "OUTPUT_EXPIRED"
    assert (await refusal(get(house, file)))[1] == "NOT_FOUND"
    await sweep(house)
    assert await objects(house) == []
    assert await house.rows(FileRow) == []
    for ended in (video, failed, cancelled):
        kept = (await house.get(ended)).parameters
        assert (kept.prompt, kept.negative_prompt) == ("", "")
    assert await house.rows(StoredRequest) == []
    assert "my-book-7" not in str([vars(row) for row in await house.rows(VideoRow)])


async def cancelled_with_a_negative_prompt(house) -> str:
    house.clock.advance(86_400)  # the first price book does not have this model
    await house.load_model()
    async with house.database.transaction() as session:
        await models.report(session, "wan", "worker-1", 1, house.clock.now())
    video = await house.create(model="wan", negative_prompt="rain")
    assert video.parameters.negative_prompt == "rain"
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    return video.id


async def test_what_was_half_stored_is_swept_after_a_day(house):
    folder = house.folder / "objects" / "outputs"
    names = ("film.mp4#1", "film.mp4#12", "film.mp4", "film#one.mp4")
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (house.clock.now().timestamp(),) * 2)
    house.clock.advance(86_399)
    house.clock.jump(days=40)  # what is being stored now bears the host's time, which no test moves
    await house.file_jobs.sweep_partial()
    assert {path.name for path in folder.iterdir()} == set(names)
    house.clock.advance(2)
    await house.file_jobs.sweep_partial()
    assert {path.name for path in folder.iterdir()} == {"film.mp4", "film#one.mp4"}


async def test_unfinished_uploads_and_outputs_are_swept_after_a_day(house):
    await house.media_files.BeginUpload(files_pb2.BeginUploadRequest(), metadata=house.mine)
    video = await house.create()
    row = await house.start(video.id)
    async with house.database.transaction() as session:
        staged = await store.stage_output(session, row, house.clock.now())
    await house.objects.put_async(staged.object, b"x")
    house.clock.advance(86_399)
    await house.file_jobs.sweep()
    await house.runner.run_due()
    assert len(await house.rows(FileRow)) == 2
    house.clock.advance(2)
    await house.file_jobs.sweep()
    await house.runner.run_due()
    assert await house.rows(FileRow) == []
    assert await objects(house) == []
    async with house.database.transaction() as session:
        assert not await store.publish_output(session, staged.id, MADE, None)


async def test_an_output_is_a_file_too_and_a_staged_one_is_not(house):
    video = await house.create()
    row = await house.start(video.id)
    async with house.database.transaction() as session:
        staged = await store.stage_output(session, row, house.clock.now())
    for call in (get(house, staged.id), delete(house, staged.id)):
        assert (await refusal(call))[1] == "NOT_FOUND"
    await house.publish(video.id)
    output = (await house.get(video.id)).output.file
    file = await get(house, output)
    assert (file.kind, file.content_type, file.size_bytes) == (files_pb2.File.VIDEO, "video/mp4", MADE.size_bytes)
    await delete(house, output)
    assert not (await house.get(video.id)).HasField("output")


async def test_removing_bytes_that_are_gone_already_is_done(house):
    file = await house.picture()
    for path in (house.folder / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    await delete(house, file)
    await house.runner.run_due()
    assert {job.state for job in await house.rows(JobRow) if job.kind == "remove_objects"} == {"DONE"}
