"""The whole suite, started once for all stories; each story has customers of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from deploy.local import ports
from deploy.local.client import Client, new_phone
from deploy.local.suite import Suite
from filmgate.auth.v1 import accounts_pb2_grpc
from services.runtime.profile import Profile
from tests.support.addresses import an_address
from tests.support.books import Books
from tests.support.movable import MovableSuite
from tests.support.operators import Freezer, door
from tests.support.profiles import used
from tests.support.witness import Witness


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Iterator[Suite]:
    """Every part, on free ports, under the profile of the test; one at a time, as pytest keeps one for each profile."""
    settings = {"FILMGATE_PROFILE": used(profile).name}
    running = Suite(tmp_path_factory.mktemp("suite") / ".filmgate", ports=ports.free(), settings=settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def movable(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Iterator[MovableSuite]:
    """A suite of the file's own whose time it moves. A file that names it `suite` has all fixtures on it:

    @pytest.fixture(scope="module")
    def suite(movable): return movable
    """
    settings = {"FILMGATE_PROFILE": used(profile).name}
    running = MovableSuite(tmp_path_factory.mktemp("movable") / ".filmgate", ports=ports.free(), settings=settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def books(suite: Suite) -> AsyncIterator[Books]:
    """The databases, to see what a call has stored, held or charged."""
    opened = Books(suite)
    yield opened
    await opened.close()


@pytest.fixture
async def guest(suite: Suite) -> AsyncIterator[Client]:
    """A client without a credential."""
    async with Witness(suite.url, suite.outbox, address=an_address()) as client:
        yield client


@pytest.fixture
async def newcomer(suite: Suite) -> AsyncIterator[Callable]:
    """Makes customers: registered, policies accepted, with a key that may do everything a key may by default."""
    async with AsyncExitStack() as stack:

        async def make() -> Client:
            client = await stack.enter_async_context(Witness(suite.url, suite.outbox, address=an_address()))
            client.phone = new_phone()
            client.made = await client.register(client.phone)
            client.session = client.credential
            await client.accept_policies()
            client.key = await client.make_key("test")
            return client

        yield make


@pytest.fixture
async def customer(newcomer: Callable) -> Client:
    """One customer."""
    return await newcomer()


@pytest.fixture
async def freezer(suite: Suite) -> AsyncIterator[Freezer]:
    """The operator, who leaves no account frozen."""
    async with door(suite, "auth") as channel:
        made = Freezer(accounts_pb2_grpc.AccountsStub(channel))
        yield made
        await made.lift_all()


async def ended(client: Client, video: str, seconds: float = 60) -> dict:
    """Wait until a video is ended and settled; returns it."""
    async with asyncio.timeout(seconds):
        async for event in client.watch(video):
            if event.get("final"):
                return event["video"]
    raise AssertionError("the watch ended without a final event")
