"""The job `generate`: makes one video under a lease, and publishes it by the one conditional UPDATE of Tx 3."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import obstore
from obstore.store import ObjectStore
from sqlalchemy.ext.asyncio import AsyncSession
from tritonclient.grpc.aio import InferenceServerClient

from services.generation import errors
from services.generation.files import domain as files_domain
from services.generation.files import objects, scratch
from services.generation.files import store as files
from services.generation.files.domain import Made
from services.generation.labels.inspection import Inspection
from services.generation.labels.mark import FilmUnreadable
from services.generation.labels.readback import LabelMissing
from services.generation.triton import client as triton
from services.generation.triton.contract import Job as ModelJob
from services.generation.triton.contract import JobRefused
from services.generation.videos import domain
from services.generation.videos import store as videos
from services.generation.videos.tables import VideoRow
from services.generation.worker import film
from services.generation.worker.meter import Ended, Meter, unless
from services.generation.worker.occupancy import Run, ServerOccupancy
from services.generation.worker.usage import Stages
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import Failure
from services.runtime.jobs import Job, LeaseLost, RetryLater, assert_lease, finish, update_payload
from services.runtime.profile import Profile

UNAVAILABLE_PAUSE_SECONDS = 0.5
REVIVE_SECONDS = 60.0
LABELING_PERCENT, PUBLISHING_PERCENT = 93, 96
MAX_CRASHES = 2
STORE_PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 25.0, 30.0, 30.0)
SUCCEEDED, BROKEN = "SUCCEEDED", "INFRASTRUCTURE_ERROR"
log = telemetry.logger(__name__)


class OutputSwept(Exception):
    """The row of an output was swept before it was published."""


class Crashed(Exception):
    """The model's process or its whole server died while it worked on the video; `own` when that was surely its doing:
    its own process died, or it was alone on the server."""

    def __init__(self, *, own: bool) -> None:
        super().__init__(own)
        self.own = own


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
    occupancy: ServerOccupancy = dataclasses.field(default_factory=ServerOccupancy)
    steady: Callable[[], float] = time.monotonic

    async def generate(self, job: Job) -> None:
        """Handle the job: make, label, publish. Whatever ends the video elsewhere stops the model at its next frame.

        A model that refuses the job, or a film whose labels cannot be read back, ends the video; a model that broke
        off is tried again until the job's attempts are used up (`give_up`), one that died once more (`_crashed`).
        """
        with contextlib.suppress(Ended), scratch.folder() as folder, contextlib.ExitStack() as exits:
            video = await self._begin(job)
            stages = exits.enter_context(Stages(video.model))
            try:
                path, made = await unless(job.cancelled, self._film(job, video, folder, stages))
            except (JobRefused, LabelMissing, FilmUnreadable) as fault:
                log.fault("video_failed", fault, reason=getattr(fault, "reason", ""))
                await self._fail(job, video, _error(job, fault))
            except Crashed as crash:
                await self._crashed(job, video, crash)
            else:
                await self._publish(job, video, path, made)

    async def give_up(self, session: AsyncSession, job: Job) -> None:
        """End the video of a job that cannot succeed any more, in the transaction that ends the job."""
        now, error = self.clock.now(), errors.GENERATION_FAILED(attempts=_attempts(job))
        await videos.end(session, job.payload["video"], "FAILED", BROKEN, now=now, error=error)

    async def _begin(self, job: Job) -> VideoRow:
        """Tell whether the model can run before the video is shown as RUNNING. Raises RetryLater while it cannot,
        Ended, and LeaseLost when another worker may have the job."""
        async with self.database.autocommit() as session:
            waiting = (await videos.many(session, [job.payload["video"]])).get(job.payload["video"])
        if waiting is None or waiting.end_time:
            raise Ended
        if waiting.start_time and self.clock.now() - waiting.start_time > domain.MAX_RUN_TIME:
            await self._overdue(job)
        if not await triton.is_ready(self.server, waiting.model):
            raise RetryLater(UNAVAILABLE_PAUSE_SECONDS)
        async with self.database.driver_transaction() as session:
            started = await videos.start(session, waiting.id, self.clock.now(), job.attempt)
            if started is None:
                raise Ended
            await assert_lease(session, job)
        return started

    async def _overdue(self, job: Job) -> NoReturn:
        """End a video that was begun so long ago that its model will hardly come back. Raises Ended."""
        async with self.database.transaction() as session:
            await self.give_up(session, job)
            await finish(session, job)
        raise Ended

    async def _film(self, job: Job, video: VideoRow, folder: Path, stages: Stages) -> tuple[Path, Made]:
        raw, published = folder / "raw.mp4", folder / "published.mp4"
        label = film.visible_label(self.profile.labels, self.profile.place.locale, video.duration_seconds)
        wanted = film.job_of(video, label)
        meter = Meter(self.database, self.steady, video.id, job.attempt, stages)
        async with self.occupancy.enter(alone=_crashes(job) > 0) as run:
            if run.waited and not await triton.is_ready(self.server, video.model):
                raise RetryLater(UNAVAILABLE_PAUSE_SECONDS)
            try:
                inspection = await self._run(video, wanted, raw, meter)
            except (triton.ModelGone, triton.ModelUnavailable) as fault:
                raise await self._judged(run, video.model, fault) from fault
        job.leave_slot()  # the model is free for the next video
        await meter.write(LABELING_PERCENT, "LABELING")
        made = await film.label(raw, published, wanted, self.provider_code, inspection)
        await meter.write(PUBLISHING_PERCENT, "PUBLISHING")
        return published, made

    async def _run(self, video: VideoRow, wanted: ModelJob, target: Path, meter: Meter) -> Inspection:
        """Have the model write its film to `target`; returns what looks at it meanwhile."""
        image = await self._image(video)
        server, told, seconds = self.server, meter.told, self.run_seconds
        return await film.stream(server, video.model, wanted, image=image, target=target, told=told, seconds=seconds)

    async def _judged(self, run: Run, model: str, fault: triton.ModelGone | triton.ModelUnavailable) -> Exception:
        """Return what broke a run off. A model whose process died is loaded anew first."""
        if fault.dead:
            await self.occupancy.mend(run, lambda: self._revive(model))
            return Crashed(own=True)
        if fault.cut:
            return Crashed(own=self.occupancy.fell(run))
        return RetryLater(UNAVAILABLE_PAUSE_SECONDS) if isinstance(fault, triton.ModelUnavailable) else fault

    async def _revive(self, model: str) -> None:
        try:
            await triton.revive(self.server, model, seconds=REVIVE_SECONDS)
        except triton.ModelUnavailable as fault:
            log.fault("model_not_revived", fault)

    async def _crashed(self, job: Job, video: VideoRow, crash: Crashed) -> None:
        """Try a video again after its first crash, alone on its server, so that the second one is surely its own and
        ends it. Raises Crashed for a first one that counts, RetryLater for one that others may have caused."""
        crashes = _crashes(job) + 1
        log.fault("model_crashed", crash, attempt=job.attempt, reason="own" if crash.own else "shared")
        if crashes >= MAX_CRASHES:
            await self._fail(job, video, errors.GENERATION_FAILED(attempts=_attempts(job)))
            return
        async with self.database.transaction() as session:
            await update_payload(session, job, crashes=crashes)
        if not crash.own:
            raise RetryLater(UNAVAILABLE_PAUSE_SECONDS)
        raise crash

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
        """The row first, then the bytes, then Tx 3: what was uploaded and never published is swept.

        What is known not to be published goes at once: its owner may have deleted the video.
        """
        async with self.database.transaction() as session:
            staged = await files.stage_output(session, video, self.clock.now())
        try:
            await unless(job.cancelled, self._upload(staged.object, path))
            kept = self.clock.now() + files_domain.kept(self.profile.retention.output_days)
            async with self.database.transaction() as session:
                if not await files.publish_output(session, staged.id, made, kept):
                    raise OutputSwept(staged.id)
                await self._end(session, job, video, SUCCEEDED, SUCCEEDED, output=staged.id)
        except (Ended, LeaseLost, OutputSwept):
            await objects.remove(self.objects, [staged.object])
            raise

    async def _upload(self, key: str, path: Path) -> None:
        """Store a film. A store that is full or away is waited for, since the film would have to be made again; after
        two minutes that does not count as an attempt. Raises RetryLater."""
        for pause in (*STORE_PAUSES_SECONDS, None):
            try:
                await objects.put(self.objects, key, path)
            except Failure as fault:
                log.warning("film_not_stored", reason=fault.kind.reason)
                if pause is None:
                    raise RetryLater(STORE_PAUSES_SECONDS[-1]) from fault
                await asyncio.sleep(pause)
            else:
                return

    async def _fail(self, job: Job, video: VideoRow, error: Failure) -> None:
        async with self.database.transaction() as session:
            await self._end(session, job, video, "FAILED", BROKEN, error=error)

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
        """Tx 3: the video before its job, as everyone locks them. Raises Ended, which rolls back, when it was not ours
        any more, LeaseLost when the job was not."""
        now, attempt = self.clock.now(), job.attempt
        if not await videos.end(
            session, video.id, state, outcome, now=now, attempt=attempt, output=output, error=error
        ):
            raise Ended
        await finish(session, job)


def _error(job: Job, fault: Exception) -> Failure:
    """Return what the owner is told of a fault that another try would meet again."""
    if isinstance(fault, JobRefused):
        return errors.GENERATION_FAILED(attempts=_attempts(job))
    return errors.LABEL_FAILED()


def _crashes(job: Job) -> int:
    """Return how often the model or its server died while it worked on the job."""
    return int(job.payload.get("crashes", 0))


def _attempts(job: Job) -> int:
    """Return how often the model was tried; a claim beyond the last attempt only gives up."""
    return min(job.tries, job.max_attempts or job.tries)
