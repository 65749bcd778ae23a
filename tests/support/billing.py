"""The real billing service of a test, asked over mutual TLS by the client that generation asks with."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import sqlalchemy as sa

from services.billing.wallets import store
from services.generation.clients import Billing
from services.runtime import channels
from services.runtime.profile import Profile
from tests.support import bank, rpc
from tests.support.clock import FakeClock
from tests.support.database import Server


@dataclasses.dataclass
class Cashier:
    """A billing process and the way to it."""

    bank: bank.Bank
    billing: Billing
    _server: contextlib.AsyncExitStack
    _channels: contextlib.AsyncExitStack
    _clock: FakeClock

    async def stop(self) -> None:
        """End the process, as when billing is down; its ledger stays."""
        await self._server.aclose()

    async def start(self) -> Billing:
        """Start the process again at another address; returns the client that knows it."""
        self.billing = await _serve(self._server, self._channels, self.bank, self._clock)
        return self.billing

    @contextlib.asynccontextmanager
    async def busy(self, organization: str) -> AsyncIterator[None]:
        """Hold the lock of a wallet for the length of the block: what would move its money waits."""
        async with self.bank.database.transaction() as session:
            await self.bank.ledger.open(session, organization, self._clock.now())
            await store.lock_wallet(session, organization)
            yield

    async def until_waiting(self) -> None:
        """Wait until somebody waits for a lock of the ledger."""
        waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while True:
            async with self.bank.database.transaction() as session:
                if (await session.execute(waits)).scalar():
                    return


@contextlib.asynccontextmanager
async def cashier(
    postgres: Server,
    clock: FakeClock,
    *,
    trial: int = 10 * bank.CNY,
    open_videos: int = 3,
    profile: Profile | None = None,
) -> AsyncIterator[Cashier]:
    """Serve billing under a profile, with a trial credit in micro-units and so many slots."""
    async with (
        bank.bank(postgres, clock, trial=trial, open_videos=open_videos, profile=profile) as opened,
        contextlib.AsyncExitStack() as server,
        contextlib.AsyncExitStack() as ways,
    ):
        yield Cashier(opened, await _serve(server, ways, opened, clock), server, ways, clock)


async def _serve(
    server: contextlib.AsyncExitStack, ways: contextlib.AsyncExitStack, opened: bank.Bank, clock: FakeClock
) -> Billing:
    served = await server.enter_async_context(rpc.serve("billing", opened.registrations))
    channel = channels.connect("billing", rpc.settings("generation", billing_address=served.address))
    ways.push_async_callback(channel.close)
    return Billing(channel, clock.steady)
