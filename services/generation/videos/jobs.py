"""What follows from a video's transactions: settling, the clean-up of abandoned orders, start deadlines, the sweep."""

from collections.abc import Awaitable, Callable

from filmgate.privacy.v1.elements_pb2 import Element
from services.generation import errors
from services.generation.clients import Billing
from services.generation.files import domain as files_domain
from services.generation.files import store as files
from services.generation.models import store as models
from services.generation.videos import admission, store
from services.runtime import idempotency, jobs, telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.jobs import Job, RetryLater
from services.runtime.profile import Retention

LOOK_AGAIN_SECONDS = 1.0
log = telemetry.logger(__name__)


class VideoJobs:
    """Handlers of the jobs about videos, and the sweep, which the worker runs once a minute.

    `retention` is the profile's: uploaded pictures kept for 0 days go with the last video that is made from them.
    """

    def __init__(self, database: Database, billing: Billing, clock: Clock, retention: Retention) -> None:
        self._database, self._billing, self._clock = database, billing, clock
        self._retention = retention

    def handlers(self) -> dict[str, Callable[[Job], Awaitable[None]]]:
        """Return the handlers by kind."""
        return {
            store.SETTLE: self.settle,
            store.ADMIT_CLEANUP: self.clean_up,
            store.START_DEADLINE: self.pass_deadline,
        }

    async def settle(self, job: Job) -> None:
        """Repeat Capture with the video's outcome until billing answers, then write what it answered.

        Billing answers a recorded end again, so a settle that was killed in the middle charges nothing twice.
        """
        async with self._database.transaction() as session:
            video = await store.get(session, job.payload["video"])
        if video is None or video.outcome is None:
            raise LookupError("a settle job without an ended video")
        settled = await self._billing.capture(video.id, video.outcome)
        async with self._database.transaction() as session:
            # The picture before the video, as an order locks them that names both.
            if video.image and not self._retention.input_days and not await store.is_needed(session, video.image):
                await files.expire_no_later_than(session, video.image, self._clock.now() + files_domain.AFTER_LAST_USE)
            await store.settled(session, video.id, settled.settlement, settled.micros)
            await jobs.finish(session, job)

    async def clean_up(self, job: Job) -> None:
        """Undo an order that stopped between its two transactions.

        The row goes first: from then on its second transaction cannot succeed. Release then ends the hold, if there
        is one, and bars an Authorize that is still on its way.
        """
        video_id = job.payload["video"]
        async with self._database.transaction() as session:
            video = await store.drop(session, video_id)
            if video is not None:
                await idempotency.forget(session, video.project, admission.METHOD, video.request_id, video.create_time)
            elif await store.get(session, video_id) is not None:
                return  # it was admitted
        await self._billing.release(video_id)

    async def pass_deadline(self, job: Job) -> None:
        """End a video that is still queued at its start deadline.

        Raises RetryLater when it is not past by the clock here: another worker, whose clock is ahead, made this job
        due, and it is not enqueued again.
        """
        video_id = job.payload["video"]
        async with self._database.transaction() as session:
            error = errors.START_DEADLINE_PASSED()
            ended = await store.expire_start(session, video_id, self._clock.now(), error)
            video = None if ended else await store.get(session, video_id)
        if video is not None and video.state == "QUEUED":
            raise RetryLater(LOOK_AGAIN_SECONDS)

    async def sweep_holds(self) -> None:
        """End the open holds of videos that are unknown, and see to it that those of ended videos are settled.

        A video's row is written before its hold, so a hold without a row belongs to nothing. What is being admitted is
        left to its clean-up, what runs to its worker; when no worker has come for too long, since the last one of its
        model is gone, the video ends. A hold that cannot be ended does not keep the next ones open.
        """
        held = [hold.video async for hold in self._billing.open_holds()]
        for video_id in held:
            try:
                await self._sweep_hold(video_id)
            except Exception as fault:  # noqa: BLE001  whatever it is, the others are not to wait for it
                log.fault("hold_not_swept", fault, video=telemetry.of(Element.RESOURCE_ID, video_id))

    async def _sweep_hold(self, video_id: str) -> None:
        async with self._database.transaction() as session:
            video = await store.get(session, video_id)
            if video is not None and video.settlement == "PENDING":
                await store.ask_settling(session, video, self._clock.now())
            elif video is not None and video.state == "RUNNING":
                error = errors.GENERATION_FAILED(attempts=video.attempt)
                await store.end_overdue(session, video_id, self._clock, error)
        if video is None:
            log.warning("hold_without_video", video=telemetry.of(Element.RESOURCE_ID, video_id))
            await self._billing.release(video_id)
        elif video.outcome is not None and video.settlement != "PENDING":
            # It was settled since the list was made, or billing has lost the end: the same end again is right.
            await self._billing.capture(video_id, video.outcome)

    async def sweep_rows(self) -> None:
        """Forget the texts of videos whose content has expired; delete stored answers past their 24 hours, jobs that
        ended long ago, and reports of workers long gone."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            await store.forget_texts(session, now - files_domain.kept(self._retention.output_days))
            await idempotency.sweep(session, now)
        # Apart: what takes too long here must not bring the texts back.
        async with self._database.transaction() as session:
            await jobs.sweep(session, now - store.JOBS_KEPT)
            await models.sweep_reports(session, self._clock.real_now())
