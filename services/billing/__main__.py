"""The billing service: `python -m services.billing serve`, `migrate`, or `unpark org_...`."""

import asyncio
import sys

from filmgate.billing.v1 import prices_pb2, prices_pb2_grpc, wallets_pb2, wallets_pb2_grpc
from services.billing import audit, clients
from services.billing.config import BillingSettings
from services.billing.prices import api as prices
from services.billing.prices.book_cache import PriceBookCache
from services.billing.prices.domain import BookError
from services.billing.wallets import api as wallets
from services.billing.wallets import store
from services.billing.wallets.census import Census
from services.billing.wallets.expiry import ExpirySweep
from services.billing.wallets.ledger import Ledger
from services.runtime import channels, config, metrics, profile, server, telemetry, tracing
from services.runtime.caller import Verifier
from services.runtime.clock import Clock, SystemClock, follow
from services.runtime.config import from_env
from services.runtime.database import Database, migrate
from services.runtime.profile import Profile
from services.runtime.runner import Runner
from services.runtime.server import ServiceRegistration


def registrations(
    database: Database, book_cache: PriceBookCache, ledger: Ledger, clock: Clock
) -> list[ServiceRegistration]:
    """Return the gRPC services of this process."""
    return [
        ServiceRegistration(
            wallets_pb2.DESCRIPTOR.services_by_name["Wallets"],
            wallets_pb2_grpc.add_WalletsServicer_to_server,
            wallets.Wallets(database, ledger, clock),
            wallets.ACCESS,
        ),
        ServiceRegistration(
            prices_pb2.DESCRIPTOR.services_by_name["Prices"],
            prices_pb2_grpc.add_PricesServicer_to_server,
            prices.Prices(database, book_cache, clock),
            prices.ACCESS,
        ),
    ]


async def serve(settings: BillingSettings) -> None:
    """Publish the price books, then serve until told to end. A published book that was changed stops the start."""
    clock, database = SystemClock(), Database(settings.database_url)
    await database.require_revision("billing")
    book_cache, rules = PriceBookCache(clock), profile.load(settings.profile)
    ledger = Ledger(rules, book_cache, settings.journals_per_hour)
    try:
        async with database.transaction() as session:
            await book_cache.publish(session)
            await ledger.check(session, clock.now())
    except BookError as fault:
        raise config.StartFault(f"the price books cannot be used: {fault}") from fault
    auth, privacy = channels.connect("auth", settings), channels.connect("privacy", settings)
    handlers = audit.handlers(clients.Audit(privacy))
    runner = Runner(
        database, handlers, clock=clock, name="billing",
        lease_seconds=settings.lease_seconds, lease_renewal_seconds=settings.lease_renewal_seconds,
    )  # fmt: skip
    await server.serve(
        settings,
        registrations(database, book_cache, ledger, clock),
        verifier=Verifier(clients.Tokens(auth).caller_keys, "billing", clock),
        parts=[
            runner,
            ExpirySweep(database, ledger, clock, settings.lot_sweep_seconds),
            Census(database, clock, settings.ledger_check_seconds),
        ],
        checks={"database": database.ping},
        on_stop=[auth.close, privacy.close, database.close],
        embedded=embedded(rules),
    )


def embedded(rules: Profile) -> list[str]:
    """Name what of billing is made for one machine: money that nobody decided to give away."""
    given = rules.name == "default" and rules.trial_credit.amount_micros
    return ["trial credit by default"] if given else []


async def unpark(settings: BillingSettings, organization: str) -> bool:
    """Release the safety brake of a wallet, for the operator at this command; audited. False: it was not parked."""
    now, database = SystemClock().now(), Database(settings.database_url)
    async with database.transaction() as session:
        found = await store.unpark(session, organization, now)
        if found:
            await audit.record(
                session, actor="operator", action="UnparkWallet", subject=organization, detail={}, now=now
            )
    await database.close()
    return found


def main(arguments: list[str]) -> int:
    """Run the command that is named. Ends with 2 for an unknown one, with 1 when there was nothing to unpark."""
    command, *rest = arguments or [""]
    if (command, len(rest)) not in (("serve", 0), ("migrate", 0), ("unpark", 1)):
        sys.stderr.write("use: python -m services.billing serve | migrate | unpark org_...\n")
        return 2
    settings = from_env(BillingSettings)
    follow(settings.clock_file, settings.bind)
    telemetry.configure("billing", settings.log_level)
    metrics.configure("billing", settings.otlp_endpoint)
    tracing.configure("billing", settings.otlp_endpoint)
    if command == "migrate":
        asyncio.run(migrate(settings.owner_database_url, "billing"))
    elif command == "serve":
        asyncio.run(serve(settings))
    elif not asyncio.run(unpark(settings, rest[0])):
        sys.stderr.write(f"{rest[0]} is not parked\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(config.told(main, sys.argv[1:]))
