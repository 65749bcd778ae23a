"""What runs beside each other in the worker's process: the slots of its Triton, its reports, and what recurs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from tritonclient.grpc.aio import InferenceServerClient

from services.generation.models import store as models
from services.generation.models.domain import REPORT_SECONDS
from services.generation.triton import client as triton
from services.generation.worker.usage import usage
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.runner import Runner

WAIT_SECONDS, MAX_WAIT_SECONDS = 0.2, 1.0
LOAD_SECONDS = 60.0
CLAIM_ANYWAY_SECONDS = 30.0
Ready = Callable[[], Awaitable[bool]]
log = telemetry.logger(__name__)


class Slots:
    """Claims the videos of one model with as many slots as Triton has instances of it, once Triton has loaded it.

    `make` gets the number of slots and what the runner is to ask before each claim.
    """

    def __init__(self, server: InferenceServerClient, model: str, make: Callable[[int, Ready], Runner]) -> None:
        self._server, self._model, self._make = server, model, make
        self._runner: Runner | None = None
        self._draining = asyncio.Event()
        self._claimed_anyway = time.monotonic()

    async def run(self) -> None:
        """Wait for the model, then work until drained."""
        pause = WAIT_SECONDS
        while not (slots := await ready_slots(self._server, self._model)):
            if await _set_within(self._draining, pause):
                return
            pause = min(1.5 * pause, MAX_WAIT_SECONDS)  # the weights may never come
        if not self._draining.is_set():
            self._runner = self._make(slots, self.may_claim)
            await self._runner.run()

    async def drain(self, seconds: float) -> None:
        """Claim nothing more; hand back what does not end within so many seconds."""
        self._draining.set()
        if self._runner:
            await self._runner.drain(seconds)

    async def may_claim(self) -> bool:
        """Whether Triton has the model now; in any case twice a minute, since only a claim ends what is overdue."""
        if await triton.is_ready(self._server, self._model):
            return True
        if time.monotonic() - self._claimed_anyway < CLAIM_ANYWAY_SECONDS:
            return False
        self._claimed_anyway = time.monotonic()
        return True


class Every:
    """Calls something again and again, `seconds` after it ended; a fault is logged, and the next turn comes."""

    def __init__(self, name: str, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        self._name, self._seconds, self._act = name, seconds, act
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """Call until drained."""
        while not self._draining.is_set():
            try:
                await self._act()
            except Exception as fault:  # noqa: BLE001  what recurs outlives whatever one turn meets
                log.fault("turn_failed", fault, kind=self._name)
            await _set_within(self._draining, self._seconds)

    async def drain(self, seconds: float) -> None:
        """Stop after the present turn."""
        self._draining.set()


class Reports:
    """Says every five seconds how many instances of each model are loaded; says goodbye when drained.

    Why a model is not loaded is logged when it is first seen, and when it changes.
    """

    def __init__(
        self, database: Database, server: InferenceServerClient, offered: Sequence[str], worker: str, clock: Clock
    ) -> None:
        self._database, self._server, self._offered = database, server, offered
        self._worker, self._clock = worker, clock
        self._draining, self._writing = asyncio.Event(), asyncio.Lock()
        self._troubles: dict[str, str] = {}
        self._proven = False

    async def run(self) -> None:
        """Report until drained; often until the first model is loaded, so that the suite is soon ready."""
        usage.watch()
        while not self._draining.is_set():
            try:
                await self.report()
            except Exception as fault:  # noqa: BLE001  the next report may reach the database
                log.fault("report_failed", fault)
            await _set_within(self._draining, REPORT_SECONDS if self._proven else WAIT_SECONDS)

    async def report(self) -> None:
        """Report once; nothing after the goodbye."""
        slots = {model: await ready_slots(self._server, model) for model in self._offered}
        for model, ready in slots.items():
            usage.loaded(model, ready)
        async with self._writing:
            if self._draining.is_set():
                return
            async with self._database.transaction() as session:
                for model, ready in slots.items():
                    await models.report(session, model, self._worker, ready, self._clock.real_now())
        self._proven = self._proven or any(slots.values())
        for model, ready in slots.items():
            await self._explain(model, ready)

    async def _explain(self, model: str, ready: int) -> None:
        trouble = "" if ready else await triton.trouble(self._server, model)
        if trouble and trouble != self._troubles.get(model):
            log.warning("model_not_loaded", model=model, reason=trouble)
        self._troubles[model] = trouble

    async def drain(self, seconds: float) -> None:
        """Forget this worker's reports: a drained worker is not one that may come back soon."""
        self._draining.set()
        async with self._writing, self._database.transaction() as session:
            await models.retire(session, self._worker)

    async def proven(self) -> None:
        """Raise RuntimeError until a model was loaded once: the worker's readiness."""
        if not self._proven:
            told = "; ".join(f"{model}: {trouble}" for model, trouble in self._troubles.items())
            raise RuntimeError(f"no model has been loaded yet: {told}")


async def restore(server: InferenceServerClient, offered: Sequence[str], *, failed: bool = False) -> None:
    """Load the models that were unloaded by a worker that was killed before it loaded them again.

    With `failed` also those that could not be loaded; what loads for longer than a minute goes on in the server.
    """
    for model in offered:
        if not await triton.is_ready(server, model):
            await triton.restore(server, model, seconds=LOAD_SECONDS, failed=failed)


async def ready_slots(server: InferenceServerClient, model: str) -> int:
    """How many instances of a model Triton has loaded; 0 when it cannot be asked."""
    try:
        return (await triton.describe(server, model)).instances
    except triton.ModelUnavailable:
        return 0


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
