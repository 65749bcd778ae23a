"""The effects of policies in auth, as jobs: what was accepted, and which version is needed from when on."""

import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.privacy.clients import Standings
from services.privacy.policies import store
from services.privacy.policies.tables import PolicyRow, ReceiptRow
from services.runtime import jobs
from services.runtime.database import Database
from services.runtime.jobs import Job
from services.runtime.runner import Handler

RECORD_ACCEPTANCE = "record_acceptance"
SET_POLICY_IN_FORCE = "set_policy_in_force"


def key_of(receipt: ReceiptRow) -> str:
    """Answer the key of the job that tells auth of a receipt."""
    return f"{RECORD_ACCEPTANCE}/{receipt.id}"


async def tell_acceptance(session: AsyncSession, receipt: ReceiptRow, now: datetime.datetime) -> None:
    """Enqueue that auth is told of an acceptance; a second time does nothing."""
    await jobs.enqueue(session, RECORD_ACCEPTANCE, key_of(receipt), {"receipt": receipt.id}, now)


async def tell_publication(session: AsyncSession, policy: PolicyRow, now: datetime.datetime) -> None:
    """Enqueue that auth is told of a published version, at once and with its effective time."""
    key = f"{SET_POLICY_IN_FORCE}/{policy.id}"
    await jobs.enqueue(session, SET_POLICY_IN_FORCE, key, {"policy": policy.id}, now)


class Handlers:
    """Carries the effects out."""

    def __init__(self, database: Database, standings: Standings) -> None:
        self._database = database
        self._standings = standings

    def by_kind(self) -> dict[str, Handler]:
        """Answer the handler of each kind of job."""
        return {RECORD_ACCEPTANCE: self.record_acceptance, SET_POLICY_IN_FORCE: self.set_policy_in_force}

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

    async def set_policy_in_force(self, job: Job) -> None:
        """Tell auth of one published version. A failure of auth passes through, and the job is tried again."""
        async with self._database.transaction() as session:
            policy = await store.stored_policy(session, job.payload["policy"])
        await self._standings.set_policy_in_force(
            kind=policy.kind, policy=policy.id, version=policy.version, effective_time=policy.effective_time
        )
