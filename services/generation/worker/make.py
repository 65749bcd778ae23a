"""The job `generate`: makes one video under a lease, and publishes it by the one conditional UPDATE of Tx 3."""

import dataclasses
import datetime
import tempfile
import time
from pathlib import Path

import obstore
from obstore.store import ObjectStore
from sqlalchemy.ext.asyncio import AsyncSession
from tritonclient.grpc.aio import InferenceServerClient

from services.generation import errors
from services.generation.files import domain as files_domain
from services.generation.files import store as files
from services.generation.files.domain import Made
from services.generation.labels.mark import FilmUnreadable
from services.generation.labels.readback import LabelMissing
from services.generation.triton import client as triton
from services.generation.triton.contract import Event, JobRefused
from services.generation.videos import store as videos
from services.generation.videos.tables import VideoRow
from services.generation.worker import film
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import Failure
from services.runtime.jobs import Job, Later, LeaseLost, finish
from services.runtime.profile import Profile

UNAVAILABLE_PAUSE_SECONDS = 0.5
PROGRESS_SECONDS = 1.0
REVIVE_SECONDS = 60.0
# The model's share of the bar; the rest is labelling and publishing.
GENERATED_PERCENT = 90
LABELLING_PERCENT, PUBLISHING_PERCENT = 93, 96
log = telemetry.logger(__name__)


@dataclasses.dataclass(frozen=True)
class Maker:
    """Makes videos on one Triton. `provider_code` is the 27 characters of TC260-PG-20252A; `run_seconds` bounds one
    run of the model."""

    database: Database
    server: InferenceServerClient
    objects: ObjectStore
    profile: Profile
    clock: Clock
    provider_code: str
    run_seconds: float

    async def generate(self, job: Job) -> None:
        """Handle the job: make, label, publish. Whatever ends the video elsewhere stops the model at its next frame.

        A model that refuses the job, or a film whose labels cannot be read back, ends the video; a model that broke
        off is tried again until the job's attempts are used up (`give_up`), in a new process if its own has died.
        """
        video = await self._begin(job)
        if video is None:
            return
        with tempfile.TemporaryDirectory(prefix="filmgate-") as folder:
            try:
                path, made = await self._film(job, video, Path(folder))
            except _Ended:
                return
            except triton.ModelGone as gone:
                if gone.dead:
                    await triton.revive(self.server, video.model, seconds=REVIVE_SECONDS)
                raise
            except JobRefused as refused:
                log.error("job_refused_by_model", reason=refused.reason)
                await self._fail(job, video, errors.GENERATION_FAILED(attempts=job.tries))
                return
            except (LabelMissing, FilmUnreadable) as fault:
                log.fault("label_failed", fault)
                await self._fail(job, video, errors.LABEL_FAILED())
                return
            await self._publish(job, video, path, made)

    async def give_up(self, session: AsyncSession, job: Job) -> None:
        """End the video of a job whose attempts are used up, in the transaction that makes the job DEAD."""
        error = errors.GENERATION_FAILED(attempts=job.tries)
        outcome, now = "INFRASTRUCTURE_ERROR", self.clock.now()
        await videos.end(session, job.payload["video"], "FAILED", outcome, now=now, error=error)

    async def _begin(self, job: Job) -> VideoRow | None:
        """Tell whether the model can run before the video is shown as RUNNING. Raises Later while it cannot."""
        async with self.database.transaction() as session:
            waiting = await videos.get(session, job.payload["video"])
        if waiting is None:
            return None
        try:
            await triton.describe(self.server, waiting.model)
        except triton.ModelUnavailable as fault:
            raise Later(UNAVAILABLE_PAUSE_SECONDS) from fault
        async with self.database.transaction() as session:
            return await videos.start(session, waiting.id, self.clock.now(), job.attempt)

    async def _film(self, job: Job, video: VideoRow, folder: Path) -> tuple[Path, Made]:
        raw, published = folder / "raw.mp4", folder / "published.mp4"
        label = film.visible_label(self.profile.labels, self.profile.place.locale, video.duration_seconds)
        wanted = film.job_of(video, label)
        meter = _Meter(self.database, video.id, job.attempt)
        image = await self._image(video)
        seconds = self.run_seconds
        await film.stream(self.server, video.model, wanted, image=image, target=raw, told=meter.told, seconds=seconds)
        await meter.write(LABELLING_PERCENT, "LABELLING")
        made = await film.label(raw, published, wanted, self.provider_code)
        await meter.write(PUBLISHING_PERCENT, "PUBLISHING")
        return published, made

    async def _image(self, video: VideoRow) -> bytes:
        """Read the first frame: the copy that the upload made of it, upright and without metadata."""
        if not video.image:
            return b""
        async with self.database.transaction() as session:
            row = await files.get(session, video.image)
        if row is None:
            raise FileNotFoundError(video.image)
        found = await obstore.get_async(self.objects, files_domain.frame_object(row.object))
        return bytes(await found.bytes_async())

    async def _publish(self, job: Job, video: VideoRow, path: Path, made: Made) -> None:
        """The row first, then the bytes, then Tx 3: what was uploaded and never published is swept."""
        async with self.database.transaction() as session:
            staged = await files.stage_output(session, video, self.clock.now())
        await obstore.put_async(self.objects, staged.object, path)
        now = self.clock.now()
        kept = now + datetime.timedelta(days=self.profile.retention.output_days)
        async with self.database.transaction() as session:
            if not await files.publish_output(session, staged.id, made, kept):
                raise LeaseLost(job.id)
            await self._end(session, job, video, "SUCCEEDED", "SUCCEEDED", output=staged.id)

    async def _fail(self, job: Job, video: VideoRow, error: Failure) -> None:
        async with self.database.transaction() as session:
            await self._end(session, job, video, "FAILED", "INFRASTRUCTURE_ERROR", error=error)

    async def _end(
        self,
        session: AsyncSession,
        job: Job,
        video: VideoRow,
        state: str,
        outcome: str,
        *,
        output: str | None = None,
        error: Failure | None = None,
    ) -> None:
        """Tx 3: the video before its job, as everyone locks them. Raises LeaseLost when the video is no longer ours."""
        now, own = self.clock.now(), {"attempt": job.attempt, "output": output, "error": error}
        if not await videos.end(session, video.id, state, outcome, now=now, **own):
            raise LeaseLost(job.id)
        await finish(session, job)


class _Ended(Exception):
    """The video was ended or taken over elsewhere: nothing is left to do for it."""


class _Meter:
    """Writes a video's progress, at most once a second within a stage; learns by it that the video was ended."""

    def __init__(self, database: Database, video: str, attempt: int) -> None:
        self._database, self._video, self._attempt = database, video, attempt
        self._stage, self._next = "", 0.0

    async def told(self, event: Event) -> None:
        """Take an event of the model. Raises _Ended when the video is no longer ours."""
        if event.stage != self._stage or time.monotonic() >= self._next:
            await self.write(int(event.progress_percent * GENERATED_PERCENT / 100), event.stage)

    async def write(self, percent: int, stage: str) -> None:
        """Write progress now. Raises _Ended when the video is no longer ours."""
        self._stage, self._next = stage, time.monotonic() + PROGRESS_SECONDS
        async with self._database.transaction() as session:
            if not await videos.progress(session, self._video, percent, stage, self._attempt):
                raise _Ended
