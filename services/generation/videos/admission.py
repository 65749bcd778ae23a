"""How an order becomes a queued video: steps 1 to 5 of the life of a generation, each a method, in their order.

Whoever is killed between two of them leaves a row in ADMITTING, which the job `admit_cleanup` undoes.
"""

import asyncio
import dataclasses
import datetime
import secrets
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.generation.v1 import videos_pb2
from services.generation import errors
from services.generation.clients import Billing, NotAnswered, Quote, money
from services.generation.config import GenerationSettings
from services.generation.files import store as files
from services.generation.models import catalog
from services.generation.models import store as models
from services.generation.moderation import store as verdicts
from services.generation.moderation.domain import Rules
from services.generation.videos import domain, store
from services.generation.videos.message import Writer, parameters, timestamp
from services.generation.videos.queue import Queue
from services.generation.videos.tables import VideoRow
from services.runtime import caller, idempotency, ids, jobs, telemetry
from services.runtime.caller import Caller
from services.runtime.clock import Clock
from services.runtime.database import Database, Session
from services.runtime.errors import FIELD_INVALID, PEER_UNAVAILABLE, Failure

METHOD = "CreateVideo"
log = telemetry.logger(__name__)


@dataclasses.dataclass
class Order:
    """A request on its way, with the row that stands for it."""

    request: videos_pb2.CreateVideoRequest
    video: VideoRow


@dataclasses.dataclass
class Admission:
    """Admits orders. `profile_version` is stored with each video."""

    database: Database
    billing: Billing
    rules: Rules
    writer: Writer
    clock: Clock
    settings: GenerationSettings
    profile_version: str
    queue: Queue = dataclasses.field(default_factory=Queue)
    _running: set[asyncio.Task[videos_pb2.Video]] = dataclasses.field(default_factory=set)

    async def create(self, request: videos_pb2.CreateVideoRequest) -> videos_pb2.Video:
        """Admit an order and answer its video. A caller who hangs up does not interrupt it."""
        task = asyncio.create_task(self._create(request, caller.current()))
        self._running.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def estimate(
        self, request: videos_pb2.CreateVideoRequest, resolved: domain.Parameters, place: domain.Place
    ) -> videos_pb2.Estimate:
        """Moderate and price resolved parameters, and say when the video would be ready; stores nothing."""
        now = self.clock.now()
        wanted = request.start_deadline.ToDatetime(datetime.UTC) if request.HasField("start_deadline") else None
        domain.start_deadline(wanted, now)
        if category := self.rules.category(resolved.prompt):
            raise errors.CONTENT_REFUSED(category=category, field="prompt")
        quote = await self.billing.quote(resolved.model, resolved.resolution, resolved.duration_seconds)
        _check_currency(request, quote)
        start = now + datetime.timedelta(seconds=place.seconds)
        return videos_pb2.Estimate(
            price=money(quote.micros, quote.currency),
            price_version=quote.price_version,
            queue_position=place.position,
            start_time=timestamp(start),
            end_time=timestamp(start + datetime.timedelta(seconds=resolved.cost)),
            parameters=parameters(resolved),
        )

    async def drain(self) -> None:
        """Wait for the orders that are on their way."""
        if self._running:
            await asyncio.wait(self._running, timeout=10)

    def _done(self, task: asyncio.Task[videos_pb2.Video]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (fault := task.exception()) and not isinstance(fault, Failure):
            log.warning("order_not_admitted", error=fault)

    async def _create(self, request: videos_pb2.CreateVideoRequest, who: Caller) -> videos_pb2.Video:
        _drop_caller_deadline()
        begun = await self.begin(request, who)
        if isinstance(begun, videos_pb2.Video):
            return begun
        try:
            await self.moderate(begun)
            quote = await self.quote(begun)
            held = await self.authorize(begun, quote)
        except NotAnswered as unknown:
            # Money may be held, so the rows stay: the clean-up releases and bars the hold, then frees the request.
            raise PEER_UNAVAILABLE(service="billing") from unknown
        except Failure:
            await self.refuse(begun)
            raise
        return await self.accept(begun, held)

    async def begin(self, request: videos_pb2.CreateVideoRequest, who: Caller) -> Order | videos_pb2.Video:
        """Step 2, Tx 1: claim the request and write the row ADMITTING; or answer what was answered before."""
        now = self.clock.now()
        async with self.database.driver_transaction() as session:
            old = await idempotency.begin(
                session, who.project, METHOD, request.request_id, request, videos_pb2.Video, now
            )  # fmt: skip
            if old is not None:
                return old
            resolved = await resolve(session, request, who.project, self.clock, lambda: secrets.randbelow(domain.SEEDS))
            video = self._row(request, resolved, who, now)
            cleanup = now + datetime.timedelta(seconds=self.settings.admit_cleanup_seconds)
            if not await store.admit(session, video, cleanup):
                raise errors.EXTERNAL_ID_TAKEN(external_id=request.external_id)
        return Order(request, video)

    async def moderate(self, order: Order) -> None:
        """Step 3: refuse the prompt with CONTENT_REFUSED and record the verdict; the request is free again."""
        if category := self.rules.category(order.video.prompt or ""):
            await self.refuse(order, category)
            raise errors.CONTENT_REFUSED(category=category, field="prompt")

    async def quote(self, order: Order) -> Quote:
        """Step 3: answer the price in force. Raises FIELD_INVALID for a max_price in another currency."""
        video = order.video
        quote = await self.billing.quote(video.model, video.resolution, video.duration_seconds)
        _check_currency(order.request, quote)
        return quote

    async def authorize(self, order: Order, quote: Quote) -> Quote:
        """Step 4: hold the money and the slot; returns what is held. Raises its refusals, or NotAnswered."""
        video = order.video
        held = await self.billing.authorize(
            video=video.id,
            organization=video.organization,
            project=video.project,
            account=video.account,
            model=video.model,
            resolution=video.resolution,
            duration_seconds=video.duration_seconds,
            price_version=quote.price_version,
            max_price=order.request.max_price if order.request.HasField("max_price") else None,
            expire_time=video.start_deadline + domain.MAX_RUN_TIME,
        )
        return dataclasses.replace(quote, micros=held)

    async def accept(self, order: Order, held: Quote) -> videos_pb2.Video:
        """Step 5, Tx 2: ADMITTING becomes QUEUED, with its jobs and the stored answer."""
        now = self.clock.now()
        async with self.database.driver_transaction() as session:
            video = await store.queue(
                session,
                order.video.id,
                now,
                quote_micros=held.micros,
                currency=held.currency,
                price_version=held.price_version,
                max_attempts=self.settings.generate_attempts,
            )
            if video is None:
                raise PEER_UNAVAILABLE(service="billing")
            await verdicts.add(session, video, "", self.rules.version, now)
            place = (await self.queue.places(session, [video], self.clock.real_now())).get(video.id)
            answer = self.writer.video(video, now, place=place)
            await idempotency.finish(
                session, video.project, METHOD, order.request.request_id, answer, order.video.create_time
            )
        return answer

    async def refuse(self, order: Order, category: str = "") -> None:
        """Delete what Tx 1 wrote, so that the same request may be tried again; keep the verdict of moderation.

        When the clean-up was quicker the request may be in other hands already, and nothing is touched.
        """
        now = self.clock.now()
        async with self.database.transaction() as session:
            if await store.drop(session, order.video.id) is None:
                return
            video = order.video
            await idempotency.forget(session, video.project, METHOD, video.request_id, video.create_time)
            await jobs.cancel(session, store.key(store.ADMIT_CLEANUP, order.video.id), now)
            if category:
                await verdicts.add(session, order.video, category, self.rules.version, now)

    def _row(
        self, request: videos_pb2.CreateVideoRequest, resolved: domain.Parameters, who: Caller, now: datetime.datetime
    ) -> VideoRow:
        wanted = request.start_deadline.ToDatetime(datetime.UTC) if request.HasField("start_deadline") else None
        chosen = {**dataclasses.asdict(resolved), "image": resolved.image or None}
        return VideoRow(
            id=ids.new("vid"),
            organization=who.organization,
            project=who.project,
            account=who.account,
            request_id=request.request_id,
            external_id=request.external_id or None,
            state="ADMITTING",
            sequence=0,
            progress_percent=0,
            stage="",
            attempt=0,
            create_time=now,
            start_deadline=domain.start_deadline(wanted, now),
            profile_version=self.profile_version,
            **chosen,
        )


async def forget_texts(session: AsyncSession, video: VideoRow) -> None:
    """Take the texts of a deleted video out of its stored answer: a repeat is still answered, and makes no other."""
    answer = await idempotency.answered(session, video.project, METHOD, video.request_id, videos_pb2.Video)
    if answer is None or answer.id != video.id:
        return
    answer.ClearField("external_id")
    for field in ("prompt", "negative_prompt", "image"):
        answer.parameters.ClearField(field)
    await idempotency.finish(session, video.project, METHOD, video.request_id, answer, video.create_time)


async def resolve(
    session: Session,
    request: videos_pb2.CreateVideoRequest,
    project: str,
    clock: Clock,
    draw_seed: Callable[[], int],
) -> domain.Parameters:
    """Resolve an order's parameters against the model on offer and the picture it names.

    The picture's row stays locked against deletion until the transaction ends. Raises MODEL_UNKNOWN,
    MODEL_UNAVAILABLE, FILE_UNKNOWN and what `domain.resolve` raises.
    """
    model = catalog.models().get(request.model)
    capacity = await models.capacity(session, request.model, clock.real_now())
    if model is None or not capacity.proven:
        raise errors.MODEL_UNKNOWN(model=request.model, field="model")
    if capacity.state == "DOWN":
        raise errors.MODEL_UNAVAILABLE(model=request.model, retry_after=30)
    image = None
    if request.image:
        file = await files.picture(session, project, request.image, clock.now())
        if file is None:
            raise errors.FILE_UNKNOWN(file=request.image, field="image")
        image = domain.Image(file.id, file.width or 0, file.height or 0)
    return domain.resolve(request, model, image, draw_seed)


def _check_currency(request: videos_pb2.CreateVideoRequest, quote: Quote) -> None:
    if request.HasField("max_price") and request.max_price.currency_code != quote.currency:
        raise FIELD_INVALID(field="max_price.currency_code", limit=f"be {quote.currency}")


def _drop_caller_deadline() -> None:
    """From here on the caller's remaining time no longer shortens our calls: each has its own deadline."""
    if serving := caller.call():
        caller.enter(dataclasses.replace(serving, deadline=None))
