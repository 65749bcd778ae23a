"""The auth service: `python -m services.auth serve` or `migrate`."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from services.auth import clients
from services.auth.accounts.api import Accounts
from services.auth.check.api import Authorization
from services.auth.check.directory import Directory
from services.auth.check.feed import CATCH_UP_SECONDS, Feed
from services.auth.check.limits import Limits
from services.auth.check.minting import Minting
from services.auth.clients import Privacy
from services.auth.config import AuthSettings
from services.auth.keys.api import Keys
from services.auth.keys.uses import LastUsedTracker
from services.auth.logins.api import Logins
from services.auth.logins.sweep import Sweep
from services.auth.notices.api import Notices
from services.auth.notices.jobs import Deliveries
from services.auth.notices.outbox import Outbox
from services.auth.organizations.api import Organizations
from services.auth.standings.api import Standings
from services.auth.tokens import grants
from services.auth.tokens.api import Tokens
from services.auth.tokens.keyring import Keyring, secret_file
from services.runtime import channels, config, metrics, profile, server, telemetry, tracing
from services.runtime.caller import Verifier
from services.runtime.clock import Clock, SystemClock, follow
from services.runtime.config import from_env
from services.runtime.database import Database, migrate
from services.runtime.profile import Profile
from services.runtime.runner import Handler, Runner
from services.runtime.sealed import Sealer
from services.runtime.server import ServiceRegistration

PEPPER_BYTES = 32
Proving = TypeVar("Proving", Accounts, Logins)


class App:
    """The gRPC services and the background tasks beside them. `steady` is the clock that measures ages and rates."""

    def __init__(
        self,
        *,
        database: Database,
        feed_database: Database,
        profile: Profile,
        sealer: Sealer,
        pepper: bytes,
        keyring: Keyring,
        clock: Clock,
        feed_seconds: float = 0.5,
        patience_seconds: float = CATCH_UP_SECONDS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._profile, self._sealer = database, profile, sealer
        self._pepper, self._keyring, self._clock = pepper, keyring, clock
        self.directory = Directory()
        waits = {"pause_seconds": feed_seconds, "patience_seconds": patience_seconds}
        self.feed = Feed(feed_database, self.directory, clock, **waits, steady=steady)
        self.uses = LastUsedTracker(database)
        self.sweep = Sweep(database, sealer, clock)
        self.limits = Limits(profile.limits.requests_per_minute, steady)
        self.creates = Limits(profile.limits.creates_per_minute, steady)
        self.minting = Minting(keyring, clock, steady)

    def registrations(self) -> list[ServiceRegistration]:
        """Return the gRPC services of the process."""
        check = Authorization(
            feed=self.feed,
            directory=self.directory,
            limits=self.limits,
            creates=self.creates,
            minting=self.minting,
            uses=self.uses,
            pepper=self._pepper,
            clock=self._clock,
        )
        return [
            check.registration(),
            self._proving(Accounts).registration(),
            self._proving(Logins).registration(),
            Keys(
                database=self._database, feed=self.feed, profile=self._profile, pepper=self._pepper, clock=self._clock
            ).registration(),
            Organizations(self._database).registration(),
            Standings(self._database, self.feed).registration(),
            Notices(self._database, self._clock).registration(),
            Tokens(self._database, self._keyring, self._clock).registration(),
        ]

    def _proving(self, kind: type[Proving]) -> Proving:
        """Make a service that takes codes as proof."""
        return kind(
            database=self._database,
            feed=self.feed,
            profile=self._profile,
            sealer=self._sealer,
            pepper=self._pepper,
            clock=self._clock,
        )

    def handlers(self, outbox: Path, privacy: Privacy) -> dict[str, Handler]:
        """Return what works off which kind of job."""
        deliveries = Deliveries(self._database, self._sealer, Outbox(outbox), self._profile, self._clock)
        return {"notice": deliveries.notice, "send_code": deliveries.send_code, "audit": privacy.record_event}


async def serve(settings: AuthSettings) -> None:
    """Load keys and the directory, then serve until told to end."""
    clock, database = SystemClock(), Database(settings.database_url)
    feed_database = Database(settings.database_url, pool_size=2)  # its own: no rush of calls may delay the feed
    await database.require_revision("auth")
    if settings.service_accounts is not None:
        with config.reading(f"FILMGATE_SERVICE_ACCOUNTS {settings.service_accounts}"):
            granted = grants.read(settings.service_accounts)
        await grants.apply(database, granted, clock)
    keyring = Keyring(database, settings.secrets, clock)
    await keyring.load()
    app = App(
        database=database,
        feed_database=feed_database,
        profile=profile.load(settings.profile),
        sealer=Sealer(settings.keys),
        pepper=secret_file(settings.secrets, "pepper", os.urandom(PEPPER_BYTES)),
        keyring=keyring,
        clock=clock,
        feed_seconds=settings.feed_seconds,
    )
    await app.feed.catch_up(patient=True)
    privacy = channels.connect("privacy", settings)
    runner = Runner(
        database, app.handlers(settings.outbox, clients.Privacy(privacy)), clock=clock, name="auth",
        lease_seconds=settings.lease_seconds, lease_renewal_seconds=settings.lease_renewal_seconds,
    )  # fmt: skip
    await server.serve(
        settings,
        app.registrations(),
        verifier=Verifier(keyring.public_keys, "auth", clock),
        parts=[app.feed, runner, app.uses, app.sweep, keyring],
        checks={"directory": app.feed.ready},
        on_stop=[privacy.close, feed_database.close, database.close],
        embedded=embedded(settings),
    )


def embedded(settings: AuthSettings) -> list[str]:
    """Name what of auth is made for one machine: a signing key of one's own bears a name of its own."""
    generated = ["a generated signing key"] if (settings.secrets / "signing_key.pem").exists() else []
    return ["the outbox of files", *generated]


def main(arguments: list[str]) -> int:
    """Run the command that is named; returns the exit status, 2 for an unknown one."""
    if arguments not in (["serve"], ["migrate"]):
        sys.stderr.write("use: python -m services.auth serve | migrate\n")
        return 2
    settings = from_env(AuthSettings)
    follow(settings.clock_file, settings.bind)
    telemetry.configure("auth", settings.log_level)
    metrics.configure("auth", settings.otlp_endpoint)
    metrics.count("filmgate_contact_mismatches_total", 0)  # an alarm at the first one needs to have seen a zero
    tracing.configure("auth", settings.otlp_endpoint)
    if arguments == ["migrate"]:
        asyncio.run(migrate(settings.owner_database_url, "auth"))
    else:
        asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(config.told(main, sys.argv[1:]))
