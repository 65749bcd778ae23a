"""How the rooms of auth are put together: which gets what, in one place for the process and for tests."""

import time
from collections.abc import Callable
from pathlib import Path

from services.auth.accounts.api import Accounts
from services.auth.check.api import Authorization
from services.auth.check.directory import Directory
from services.auth.check.feed import Feed
from services.auth.check.limits import Limits
from services.auth.check.minting import Minting
from services.auth.clients import Privacy
from services.auth.keys.api import Keys
from services.auth.keys.uses import Uses
from services.auth.logins.api import Logins
from services.auth.logins.sweep import Sweep
from services.auth.notices.api import Notices
from services.auth.notices.jobs import Deliveries
from services.auth.notices.outbox import Outbox
from services.auth.organizations.api import Organizations
from services.auth.standings.api import Standings
from services.auth.tokens.api import Tokens
from services.auth.tokens.keyring import Keyring
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.profile import Profile
from services.runtime.runner import Handler
from services.runtime.sealed import Sealer
from services.runtime.server import Room


class House:
    """The rooms and the parts that work beside them. `steady` is the clock that measures ages and rates."""

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
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._profile, self._sealer = database, profile, sealer
        self._pepper, self._keyring, self._clock = pepper, keyring, clock
        self.directory = Directory()
        self.feed = Feed(feed_database, self.directory, clock, pause_seconds=feed_seconds, steady=steady)
        self.uses = Uses(database)
        self.sweep = Sweep(database, sealer, clock)
        self.limits = Limits(profile.limits.requests_per_minute, steady)
        self.minting = Minting(keyring, clock, steady)

    def rooms(self) -> list[Room]:
        """Answer the gRPC services of the process."""
        shared = {"database": self._database, "feed": self.feed, "profile": self._profile, "clock": self._clock}
        proving = {**shared, "sealer": self._sealer, "pepper": self._pepper}
        check = Authorization(
            feed=self.feed,
            directory=self.directory,
            limits=self.limits,
            minting=self.minting,
            uses=self.uses,
            pepper=self._pepper,
            clock=self._clock,
        )
        return [
            check.room(),
            Accounts(**proving).room(),
            Logins(**proving).room(),
            Keys(**shared, pepper=self._pepper).room(),
            Organizations(self._database).room(),
            Standings(self._database, self.feed).room(),
            Notices(self._database, self._clock).room(),
            Tokens(self._database, self._keyring, self._clock).room(),
        ]

    def handlers(self, outbox: Path, privacy: Privacy) -> dict[str, Handler]:
        """Answer what works off which kind of job."""
        deliveries = Deliveries(self._database, self._sealer, Outbox(outbox), self._profile, self._clock)
        return {"notice": deliveries.notice, "send_code": deliveries.send_code, "audit": privacy.record_event}
