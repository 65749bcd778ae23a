"""The RPCs of Videos."""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf import empty_pb2
from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.generation.v1 import videos_pb2, videos_pb2_grpc
from services.generation import errors
from services.generation.files import store as files
from services.generation.files.tables import FileRow
from services.generation.videos import admission, store
from services.generation.videos.admission import Admission
from services.generation.videos.domain import Place
from services.generation.videos.reads import Reads
from services.generation.videos.tables import VideoRow
from services.generation.videos.watch import Feed, change_of
from services.runtime import caller, pages
from services.runtime.caller import CALLER
from services.runtime.errors import NOT_FOUND

ACCESS = {
    "EstimateVideo": CALLER("video.read"),
    "CreateVideo": CALLER("video.write"),
    "GetVideo": CALLER("video.read"),
    "ListVideos": CALLER("video.read"),
    "WatchVideo": CALLER("video.read"),
    "CancelVideo": CALLER("video.write"),
    "DeleteVideo": CALLER("video.write"),
}


@dataclasses.dataclass(frozen=True)
class Found:
    """Rows as read in one transaction, with their files and places by video id."""

    rows: Sequence[Any]
    made: dict[str, Any]
    places: dict[str, Place]


class Videos(videos_pb2_grpc.VideosServicer):
    """The videos of the caller's project."""

    def __init__(self, orders: Admission, feed: Feed) -> None:
        self._orders, self._feed = orders, feed
        self._database, self._billing = orders.database, orders.billing
        self._writer, self._clock, self._queue = orders.writer, orders.clock, orders.queue
        self._reads = Reads(orders.database, orders.queue, orders.clock)

    async def EstimateVideo(self, request: videos_pb2.CreateVideoRequest, _: Any) -> videos_pb2.Estimate:
        """Resolve, moderate, price and place an order; store nothing."""
        who, now = caller.current(), self._clock.real_now()
        async with self._database.transaction() as session:
            resolved = await admission.resolve(session, request, who.project, self._clock, lambda: 0)
            if request.external_id and await store.is_taken(session, who.project, request.external_id):
                raise errors.EXTERNAL_ID_TAKEN(external_id=request.external_id)
            place = await self._queue.next_place(session, resolved.model, who.organization, resolved.cost, now)
        return await self._orders.estimate(request, resolved, place)

    async def CreateVideo(self, request: videos_pb2.CreateVideoRequest, _: Any) -> videos_pb2.Video:
        """Admit an order; see `admission`."""
        return await self._orders.create(request)

    async def GetVideo(self, request: videos_pb2.GetVideoRequest, _: Any) -> videos_pb2.Video:
        """Return one video."""
        seen = await self._reads.video(request.id)
        if seen is None or not store.is_shown(seen.row, caller.current().project):
            raise NOT_FOUND(resource=f"video {request.id}")
        made = {request.id: seen.output} if seen.output else {}
        places = {request.id: seen.place} if seen.place else {}
        return (await self._written(Found([seen.row], made, places)))[0]

    async def ListVideos(self, request: videos_pb2.ListVideosRequest, _: Any) -> videos_pb2.ListVideosResponse:
        """Return a page of videos, newest first."""
        page = pages.page(request)
        async with self._database.transaction() as session:
            rows = await store.page_of(session, caller.current().project, store.filters(request), page)
            rows, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
            found = await self._read(session, rows)
        return videos_pb2.ListVideosResponse(videos=await self._written(found), next_page_token=token)

    async def WatchVideo(self, request: videos_pb2.WatchVideoRequest, _: Any) -> AsyncIterator[videos_pb2.VideoEvent]:
        """Yield the present state, then every change."""
        with self._feed.watch(request.id, caller.current().organization) as watcher:
            async with self._database.transaction() as session:
                row = await self._own(session, request.id)
                found = await self._read(session, [row])
            present = change_of(row, (await self._written(found))[0])
            async for event in self._feed.events(watcher, present, request.after_sequence):
                yield event

    async def CancelVideo(self, request: videos_pb2.CancelVideoRequest, _: Any) -> videos_pb2.Video:
        """End an open video by the one UPDATE; its outcome says what is charged."""
        async with self._database.transaction() as session:
            row = await self._own(session, request.id)
            ended = await store.cancel(session, row.id, self._clock.now(), errors.VIDEO_CANCELLED())
            if ended is None:
                row = await self._own(session, request.id)
                raise errors.VIDEO_ENDED(state=row.state)
            found = await self._read(session, [ended])
        self._queue.forget(ended.model)
        return (await self._written(found))[0]

    async def DeleteVideo(self, request: videos_pb2.DeleteVideoRequest, _: Any) -> empty_pb2.Empty:
        """End a video if needed, remove what was made, forget its texts. An uploaded picture stays."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            row = await self._own(session, request.id)
            await store.cancel(session, row.id, now, errors.VIDEO_CANCELLED())
            await admission.forget_texts(session, row)
            await store.forget(session, row.id, now)
            await files.delete(session, [FileRow.video == row.id, FileRow.state == "READY"], now)
        return empty_pb2.Empty()

    async def _own(self, session: AsyncSession, video_id: str) -> VideoRow:
        row = await store.find(session, caller.current().project, video_id)
        if row is None:
            raise NOT_FOUND(resource=f"video {video_id}")
        return row

    async def _read(self, session: AsyncSession, rows: Sequence[VideoRow]) -> Found:
        return Found(
            rows, await store.outputs(session, rows), await self._queue.places(session, rows, self._clock.real_now())
        )

    async def _written(self, found: Found) -> list[videos_pb2.Video]:
        """Write rows after their transaction, since the prices of unsettled ones may have to be asked for."""
        unsettled = any(row.settlement == "PENDING" for row in found.rows)
        terms = await self._billing.terms() if unsettled else None
        now, percent = self._clock.now(), terms.percent if terms else {}
        return [
            self._writer.video(row, now, output=found.made.get(row.id), place=found.places.get(row.id), percent=percent)
            for row in found.rows
        ]
