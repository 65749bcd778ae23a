"""The generation API of a test on a real database, with the real billing beside it and a worker in the test's hands."""

import contextlib
import dataclasses
import datetime
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import sqlalchemy as sa
from obstore.store import ObjectStore

from filmgate.generation.v1 import files_pb2, files_pb2_grpc, models_pb2_grpc, videos_pb2, videos_pb2_grpc
from services.generation.__main__ import registrations
from services.generation.config import GenerationSettings
from services.generation.files import store as files
from services.generation.files.domain import Made
from services.generation.files.jobs import FileJobs
from services.generation.files.objects import open_store
from services.generation.files.tables import FileRow
from services.generation.models import store as models
from services.generation.moderation import words
from services.generation.videos import store as videos
from services.generation.videos.admission import Admission
from services.generation.videos.jobs import VideoJobs
from services.generation.videos.message import Writer
from services.generation.videos.tables import VideoRow
from services.generation.videos.watch import Feed
from services.runtime import ids
from services.runtime import profile as profiles
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import Failure
from services.runtime.jobs import JobRow
from services.runtime.profile import Profile
from services.runtime.runner import Runner
from tests.support import rpc
from tests.support.billing import Cashier, cashier
from tests.support.clock import FakeClock
from tests.support.database import Server
from tests.support.profiles import used

ORDER = {"model": "animatic", "prompt": "a lighthouse at dusk", "duration_seconds": 2, "resolution": "480p"}
PRICE = 100_000
"""What ORDER costs, in micro-units."""
MADE = Made(
    size_bytes=1000, sha256="ab" * 32, width=854, height=480, frame_rate=24.0, duration_seconds=2.0,
    visible_seconds=2.0, visible_ink_percent=5.5, aigc=json.dumps({"Label": "1"}),
)  # fmt: skip


def stranger() -> Any:
    """Metadata of a customer of another organization."""
    return rpc.as_caller("generation", organization=ids.new("org"), project=ids.new("prj"), account=ids.new("acc"))


@dataclasses.dataclass
class House:
    """A generation API that is served, and its surroundings."""

    database: Database
    clock: FakeClock
    cashier: Cashier
    orders: Admission
    feed: Feed
    served: rpc.Served
    objects: ObjectStore
    folder: Path
    rules: Profile
    stop: Callable[[], Awaitable[None]]
    """Ends the process; its database stays."""

    def __post_init__(self) -> None:
        self.videos = self.served.stub(videos_pb2_grpc.VideosStub)
        self.models = self.served.stub(models_pb2_grpc.ModelsStub)
        self.files = self.served.stub(files_pb2_grpc.FilesStub)
        self.media_files = self.served.stub(files_pb2_grpc.FilesStub, "media")
        self.video_jobs = VideoJobs(self.database, self.cashier.billing, self.clock, self.rules.retention)
        self.file_jobs = FileJobs(self.database, self.objects, self.clock)
        handlers = self.video_jobs.handlers() | self.file_jobs.handlers()
        self.runner = Runner(self.database, handlers, clock=self.clock, name="effects")

    @property
    def mine(self) -> Any:
        """Metadata of the customer."""
        return rpc.as_caller("generation")

    async def load_model(self, slots: int = 1) -> None:
        """Report the model as loaded, as a worker does."""
        async with self.database.transaction() as session:
            await models.report(session, "animatic", "worker-1", slots, self.clock.now())

    async def create(self, **fields: Any) -> videos_pb2.Video:
        """Order ORDER as the customer, changed by fields."""
        return await self.videos.CreateVideo(videos_pb2.CreateVideoRequest(**{**ORDER, **fields}), metadata=self.mine)

    async def get(self, video_id: str) -> videos_pb2.Video:
        """Ask for a video as the customer."""
        return await self.videos.GetVideo(videos_pb2.GetVideoRequest(id=video_id), metadata=self.mine)

    async def start(self, video_id: str, attempt: int = 1) -> VideoRow | None:
        """Start a video, as a worker does."""
        async with self.database.transaction() as session:
            return await videos.start(session, video_id, self.clock.now(), attempt)

    async def publish(self, video_id: str, attempt: int = 1) -> bool:
        """Stage, upload and publish an output, and end the video, as a worker does. False: it had ended."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            video = await videos.get(session, video_id)
            staged = await files.stage_output(session, video, now)
        await self.objects.put_async(staged.object, b"x" * MADE.size_bytes)
        try:
            async with self.database.transaction() as session:
                await files.publish_output(
                    session, staged.id, MADE, now + datetime.timedelta(days=self.rules.retention.output_days)
                )
                if not await videos.end(
                    session, video_id, "SUCCEEDED", "SUCCEEDED", now=now, output=staged.id, attempt=attempt
                ):
                    raise _RolledBack
        except _RolledBack:
            return False
        return True

    async def fail(self, video_id: str, error: Failure) -> bool:
        """End a video without an output, as a worker does."""
        async with self.database.transaction() as session:
            now = self.clock.now()
            return await videos.end(session, video_id, "FAILED", "INFRASTRUCTURE_ERROR", now=now, error=error)

    async def picture(self, width: int = 640, height: int = 360, metadata: Any = None) -> str:
        """Upload a picture's record and bytes, as media does; returns its id."""
        begun = await self.media_files.BeginUpload(files_pb2.BeginUploadRequest(), metadata=metadata or self.mine)
        for key in (begun.object, f"{begun.object}.frame.jpg"):
            await self.objects.put_async(key, b"picture")
        found = files_pb2.UploadedImage(
            content_type="image/png", size_bytes=7, sha256="cd" * 32, width=width, height=height
        )
        await self.media_files.FinishUpload(files_pb2.FinishUploadRequest(id=begun.id, image=found))
        return begun.id

    async def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""
        async with self.database.transaction() as session:
            return list(await session.scalars(sa.select(table)))

    async def counts(self) -> tuple[int, int, int]:
        """How many videos, files and holds there are."""
        holds = await self.cashier.bank.wallet(rpc.ORGANIZATION)
        return len(await self.rows(VideoRow)), len(await self.rows(FileRow)), holds.open_videos

    async def job(self, key: str) -> JobRow | None:
        """Return a job by its key."""
        return next((job for job in await self.rows(JobRow) if job.key == key), None)


class _RolledBack(Exception):
    pass


@contextlib.asynccontextmanager
async def house(
    postgres: Server,
    clock: FakeClock,
    folder: Path,
    profile: Profile | None = None,
    tokens: Clock | None = None,
    **money: int,
) -> AsyncIterator[House]:
    """Serve generation under a profile, with a loaded model and a customer with credit; `money` as in `cashier`.

    `tokens` is the clock that caller tokens are verified by, the system's unless it is given.
    """
    kept = used(profile or profiles.load("default"))
    async with postgres.database("generation") as database, cashier(postgres, clock, profile=kept, **money) as till:
        settings = rpc.settings("generation", GenerationSettings)
        lists = words.load(settings.word_lists, kept.moderation.word_lists)
        writer = Writer("https://films.example")
        orders = Admission(database, till.billing, lists, writer, clock, settings, kept.version)
        feed = Feed(database, till.billing, writer, clock, steady=clock.steady)
        async with contextlib.AsyncExitStack() as server:
            served = await server.enter_async_context(
                rpc.serve("generation", registrations(orders, feed, kept), clock=tokens)
            )
            objects = open_store(str(folder / "objects"))
            opened = House(database, clock, till, orders, feed, served, objects, folder, kept, server.aclose)
            await opened.load_model()
            yield opened


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """Return (code, reason, metadata) of a call that must be refused."""
    async with rpc.refused() as found:
        await call
    return found[0].code, found[0].reason, dict(found[0].metadata)
