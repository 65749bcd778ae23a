"""A suite with short delays, whose processes are killed and frozen; afterwards everything must have ended well."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from deploy.local import ports
from deploy.local.client import Client, new_phone
from deploy.local.suite import Suite
from tests.support import waiting
from tests.support.addresses import an_address
from tests.support.books import Books
from tests.support.locks import Locks
from tests.support.transitions import Recorder

LEASE, RENEWAL, CLEANUP, SWEEP = 4, 1, 4, 2
SETTINGS = {
    "FILMGATE_LEASE_SECONDS": str(LEASE),
    "FILMGATE_LEASE_RENEWAL_SECONDS": str(RENEWAL),
    "FILMGATE_ADMIT_CLEANUP_SECONDS": str(CLEANUP),
    "FILMGATE_HOLD_SWEEP_SECONDS": str(SWEEP),
}
CHARGED = {"SUCCEEDED": 100, "CANCELLED_RUNNING": 100}
ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
LONG = {"model": "animatic", "prompt": "a wide sea", "resolution": "720p", "duration_seconds": 3}
"""Is made for more than a second, so that it can be met on its way. Making films is most of what these tests take."""


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Every part, on free ports."""
    running = Suite(tmp_path_factory.mktemp("faults") / ".filmgate", ports=ports.free(), settings=SETTINGS)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def recorder(suite: Suite) -> Iterator[Recorder]:
    """What the databases did, held against the model of the protocol; at the end it says which steps were seen."""
    opened = Recorder(suite.database_urls)
    asyncio.run(opened.install())
    yield opened
    print(opened.report())


@pytest.fixture
async def books(suite: Suite, recorder: Recorder) -> AsyncIterator[Books]:
    """The databases."""
    opened = Books(suite)
    opened.recorder = recorder
    yield opened
    await opened.close()


@pytest.fixture
def orders(suite: Suite) -> Locks:
    """Breakpoints in generation's database."""
    return Locks(suite, "generation")


@pytest.fixture
def money(suite: Suite) -> Locks:
    """Breakpoints in billing's database."""
    return Locks(suite, "billing")


@pytest.fixture
async def customer(suite: Suite) -> AsyncIterator[Client]:
    """A fresh customer with a wallet."""
    async with Client(suite.url, suite.outbox, timeout_seconds=60, address=an_address()) as client:
        client.made = await client.register(new_phone())
        await client.accept_policies()
        await client.make_key("faults")
        await client.call("GET", "/v1/wallet")
        yield client


class Attack:
    """kill -9 or SIGSTOP of one process, and its way back."""

    def __init__(self, suite: Suite, how: str) -> None:
        self._suite, self.how = suite, how

    async def __call__(self, name: str) -> None:
        """Hit the process `name`, let time pass, and bring it back."""
        process = self._suite.process(name)
        if self.how == "kill":
            process.kill()
            process.launch()
        else:
            process.stop()
            await asyncio.sleep(max(LEASE, CLEANUP) + 1)
            process.cont()
        await waiting.until(lambda: self._back(name), what=f"{name} ready again")

    async def _back(self, name: str) -> bool:
        # As the supervisor does: a Triton that is thawed crashes at times, in its Python backend (SIGSEGV).
        self._suite.tend()
        return await asyncio.to_thread(self._suite.is_ready, name)


@pytest.fixture(params=["kill", "freeze"])
def attack(suite: Suite, request: pytest.FixtureRequest) -> Attack:
    """Each fault happens both ways."""
    return Attack(suite, request.param)


async def balanced(books: Books, organization: str, seconds: float = 120) -> dict[str, asyncpg.Record]:
    """Wait until all of an organization's videos are settled and nothing is held; returns its videos by id.

    Then each video must be charged by the outcome table, once or not at all, and each transaction on the way must be a
    step of the model.
    """

    async def settled() -> bool:
        books.suite.tend()  # as the supervisor does: a Triton that was thawed has been seen to crash
        return not await _open(books, organization)

    await waiting.until(settled, seconds, pause=0.1, what="everything settled")
    videos = {
        row["id"]: row
        for row in await books.rows("generation", "SELECT * FROM videos WHERE organization = $1", organization)
    }
    holds = {
        row["video"]: row
        for row in await books.rows("billing", "SELECT * FROM holds WHERE organization = $1", organization)
    }
    assert set(videos) <= set(holds)
    for video, hold in holds.items():
        outcome = videos[video]["outcome"] if video in videos else None
        assert hold["charged"] == hold["amount"] * CHARGED.get(outcome, 0) // 100, (video, outcome)
    charges = await books.rows(
        "billing", "SELECT video FROM journals WHERE organization = $1 AND kind = 'CHARGE'", organization
    )
    charged = sorted(row["video"] for row in charges)
    assert charged == sorted(video for video, hold in holds.items() if hold["charged"])
    wallet = (await books.rows("billing", "SELECT * FROM wallets WHERE organization = $1", organization))[0]
    assert (wallet["held"], wallet["open_holds"]) == (0, 0)
    sums = await books.rows("billing", "SELECT journal FROM entries GROUP BY journal, currency HAVING sum(amount) <> 0")
    assert not sums
    for video in videos.values():
        if video["state"] == "SUCCEEDED":
            state = await books.value("generation", "SELECT state FROM files WHERE id = $1", video["output"])
            assert state == "READY"
    await books.recorder.check(organization)
    return videos


async def _open(books: Books, organization: str) -> bool:
    open_videos = await books.value(
        "generation",
        "SELECT count(*) FROM videos WHERE organization = $1 "
        "AND (state IN ('ADMITTING', 'QUEUED', 'RUNNING') OR settlement = 'PENDING')",
        organization,
    )
    holds = await books.value(
        "billing", "SELECT count(*) FROM holds WHERE organization = $1 AND state = 'HELD'", organization
    )
    return bool(open_videos or holds)


@contextlib.asynccontextmanager
async def ordering(client: Client, order: dict, key: str = "") -> AsyncIterator[asyncio.Task]:
    """Send an order in the background; what becomes of the call itself is its own business."""
    headers = {"idempotency_key": key} if key else {}
    task = asyncio.create_task(client.call("POST", "/v1/videos", order, **headers))
    try:
        yield task
    finally:
        await asyncio.wait([task])
        task.exception()


async def until(books: Books, database: str, query: str, *values: object, seconds: float = 90) -> object:
    """Wait until a query answers something true; returns it."""
    return await waiting.until(lambda: books.value(database, query, *values), seconds, pause=0.01, what=query)
