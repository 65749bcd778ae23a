"""The effects of policies in auth, as jobs: what was accepted, and which version is needed from when on."""

import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.privacy.clients import Published, Standings
from services.privacy.policies import store
from services.privacy.policies.tables import ReceiptRow
from services.runtime import jobs
from services.runtime.database import Database
from services.runtime.jobs import Job
from services.runtime.runner import Handler

RECORD_ACCEPTANCE = "record_acceptance"
SET_POLICIES_IN_FORCE = "set_policies_in_force"


def key_of(receipt: ReceiptRow) -> str:
    """Return the key of the job that tells auth of a receipt."""
    return f"{RECORD_ACCEPTANCE}/{receipt.id}"


async def tell_acceptance(session: AsyncSession, receipt: ReceiptRow, now: datetime.datetime) -> None:
    """Enqueue that auth is told of an acceptance; a second time does nothing."""
    await jobs.enqueue(session, RECORD_ACCEPTANCE, key_of(receipt), {"receipt": receipt.id}, now)


async def tell_policies(session: AsyncSession, cause: str, now: datetime.datetime) -> str:
    """Enqueue that auth is told all published versions; return the key of the job, which is one for each `cause`.

    The cause is the id of a version that was published, or of a start.
    """
    key = f"{SET_POLICIES_IN_FORCE}/{cause}"
    await jobs.enqueue(session, SET_POLICIES_IN_FORCE, key, {}, now)
    return key


class Told:
    """Whether the job of this start has told auth the policies: a health check. Core calls are refused until then."""

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self._key = key
        self._told = False

    async def ready(self) -> None:
        """Raise RuntimeError until auth was told; once it was, its absence is no fault of this process."""
        self._told = self._told or await jobs.wait(self._database, self._key, 0)
        if not self._told:
            raise RuntimeError("auth has not been told the policies in force")


class Handlers:
    """Carries the effects out."""

    def __init__(self, database: Database, standings: Standings) -> None:
        self._database = database
        self._standings = standings

    def by_kind(self) -> dict[str, Handler]:
        """Return the handler of each kind of job."""
        return {RECORD_ACCEPTANCE: self.record_acceptance, SET_POLICIES_IN_FORCE: self.set_policies_in_force}

    async def record_acceptance(self, job: Job) -> None:
        """Tell auth of one receipt. A failure of auth passes through, and the job is tried again."""
        async with self._database.transaction() as session:
            receipt = await store.stored_receipt(session, job.payload["receipt"])
        await self._standings.record_acceptance(
            account=receipt.account,
            kind=receipt.kind,
            version=receipt.version,
            receipt=receipt.id,
            accept_time=receipt.accept_time,
        )

    async def set_policies_in_force(self, _job: Job) -> None:
        """Tell auth all published versions. A failure of auth passes through, and the job is tried again.

        All at once: told one by one, auth would take the first for all there are, and let core calls pass without the
        others.
        """
        async with self._database.transaction() as session:
            rows = await store.published(session)
        await self._standings.set_policies_in_force(
            [Published(row.kind, row.id, row.version, row.effective_time) for row in rows]
        )
