"""A worker in a test's hands: a real database, the real Triton, a folder of objects, and a clock that stands still."""

import dataclasses
import datetime
import hashlib
from typing import Any

import sqlalchemy as sa
from obstore.store import ObjectStore
from tritonclient.grpc.aio import InferenceServerClient

from services.generation import errors
from services.generation.files import domain as files_domain
from services.generation.files.tables import FileRow
from services.generation.videos import store as videos
from services.generation.videos.tables import VideoRow
from services.generation.worker.make import Maker
from services.runtime import ids, profile
from services.runtime.database import Database
from services.runtime.jobs import JobRow
from services.runtime.runner import Runner
from tests.support import rpc
from tests.support.clock import FakeClock
from tests.support.films import PROVIDER, encoded, scene
from tests.support.waiting import until

GENERATE = videos.generating("animatic")
SMALL = {"width": 320, "height": 180, "frame_rate": 12, "duration_seconds": 1}
# Takes many seconds, so that a test can do something in its middle.
LONG = {"width": 1280, "height": 720, "frame_rate": 24, "duration_seconds": 40}
WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@dataclasses.dataclass
class Studio:
    """What a worker works with."""

    database: Database
    clock: FakeClock
    server: InferenceServerClient
    objects: ObjectStore
    rules: profile.Profile

    def maker(self, kind: type[Maker] = Maker, run_seconds: float = 60.0) -> Maker:
        """Return the handler of the job."""
        return kind(
            self.database,
            self.server,
            self.objects,
            self.rules,
            self.clock,
            PROVIDER,
            run_seconds,
            steady=self.clock.steady,
        )

    def runner(
        self, kind: type[Maker] = Maker, name: str = "worker", model: str = "animatic", **options: Any
    ) -> Runner:
        """Return a worker with one slot for one model."""
        maker = self.maker(kind)
        handlers, on_dead = {videos.generating(model): maker.generate}, {videos.generating(model): maker.give_up}
        return Runner(
            self.database, handlers, clock=self.clock, name=name, lease_renewal_seconds=3600, on_dead=on_dead,
            **{"concurrency": 1, **options},
        )  # fmt: skip

    async def order(self, max_attempts: int = 3, **fields: Any) -> str:
        """Queue a video as the API does; returns its id."""
        now = self.clock.now()
        values = {
            "id": ids.new("vid"), "organization": rpc.ORGANIZATION, "project": rpc.PROJECT, "account": rpc.ACCOUNT,
            "request_id": "", "state": "ADMITTING", "sequence": 0, "progress_percent": 0, "stage": "", "attempt": 0,
            "model": "animatic", "prompt": "a lighthouse at dusk", "resolution": "180p", "aspect_ratio": "16:9",
            "seed": 7, "cost": 1.0, "create_time": now, "start_deadline": now + datetime.timedelta(hours=1),
            "profile_version": "1", **SMALL, **fields,
        }  # fmt: skip
        async with self.database.transaction() as session:
            await videos.admit(session, VideoRow(**values), now + datetime.timedelta(seconds=60))
            money = {"quote_micros": 100_000, "currency": "CNY", "price_version": 1}
            await videos.queue(session, values["id"], now, **money, max_attempts=max_attempts)
        return values["id"]

    async def picture(self, seed: int = 1) -> str:
        """Put the picture `scene(640, 360, seed)` there as an upload leaves it; returns its id."""
        file_id, data = ids.new("fil"), encoded(scene(640, 360, seed), "JPEG")
        key = files_domain.input_object(rpc.ORGANIZATION, file_id)
        await self.objects.put_async(files_domain.frame_object(key), data)
        row = FileRow(
            id=file_id, organization=rpc.ORGANIZATION, project=rpc.PROJECT, account=rpc.ACCOUNT, kind="IMAGE",
            state="READY", object=key, content_type="image/png", size_bytes=1, sha256="0" * 64,
            create_time=self.clock.now(),
        )  # fmt: skip
        async with self.database.transaction() as session:
            session.add(row)
        return file_id

    async def cancel(self, video_id: str) -> None:
        """Cancel a video as its owner does."""
        async with self.database.transaction() as session:
            assert await videos.cancel(session, video_id, self.clock.now(), errors.VIDEO_CANCELLED())

    async def video(self, video_id: str) -> VideoRow:
        """Return a video."""
        async with self.database.transaction() as session:
            found = await videos.get(session, video_id)
        assert found is not None
        return found

    async def job(self, kind: str, video_id: str) -> JobRow | None:
        """Return a video's job of a kind."""
        async with self.database.transaction() as session:
            query = sa.select(JobRow).where(JobRow.key == videos.key(kind, video_id))
            return (await session.scalars(query)).first()

    async def outputs(self, video_id: str) -> list[FileRow]:
        """Return the files of a video."""
        async with self.database.transaction() as session:
            return list(await session.scalars(sa.select(FileRow).where(FileRow.video == video_id)))

    async def content(self, file: FileRow) -> bytes:
        """Read the bytes of a file."""
        return bytes(await (await self.objects.get_async(file.object)).bytes_async())

    async def until_waiting(self, number: int = 1) -> None:
        """Wait until so many transactions stand before a lock."""

        async def blocked() -> bool:
            async with self.database.transaction() as session:
                return (await session.execute(WAITING)).scalar_one() >= number

        await until(blocked)

    async def until_generating(self, video_id: str, attempt: int = 1) -> None:
        """Wait until the model works on a video in an attempt."""

        async def generating() -> bool:
            video = await self.video(video_id)
            return (video.stage, video.attempt) == ("GENERATING", attempt)

        await until(generating)

    async def until_ended(self, video_id: str) -> VideoRow:
        """Wait until a video has ended; returns it."""

        async def ended() -> bool:
            return (await self.video(video_id)).end_time is not None

        await until(ended)
        return await self.video(video_id)


def sha256(data: bytes) -> str:
    """As it stands in a row."""
    return hashlib.sha256(data).hexdigest()
