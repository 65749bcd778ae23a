"""The real billing service of a test, asked over mutual TLS by the client that generation asks with."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator

from services.generation.clients import Billing
from services.runtime import channels
from tests.support import bank, rpc
from tests.support.clock import FakeClock
from tests.support.database import Server


@dataclasses.dataclass
class Cashier:
    """A billing process and the way to it. `stop` ends it, as when billing is down."""

    bank: bank.Bank
    billing: Billing
    served: rpc.Served
    _server: contextlib.AsyncExitStack

    async def stop(self) -> None:
        """End the process; its ledger stays."""
        await self._server.aclose()


@contextlib.asynccontextmanager
async def cashier(
    postgres: Server, clock: FakeClock, *, trial: int = 10 * bank.CNY, open_videos: int = 3
) -> AsyncIterator[Cashier]:
    """Serve billing with a trial credit in micro-units and so many slots; tokens are by the system's clock."""
    async with (
        bank.bank(postgres, clock, trial=trial, open_videos=open_videos) as opened,
        contextlib.AsyncExitStack() as server,
    ):
        served = await server.enter_async_context(rpc.serve("billing", opened.rooms))
        channel = channels.connect("billing", rpc.settings("generation", billing_address=served.address))
        try:
            yield Cashier(opened, Billing(channel, clock), served, server)
        finally:
            await channel.close()
