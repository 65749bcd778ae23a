"""Registration: who may, and what is made in the one transaction of it."""

import asyncio
import dataclasses
import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.auth.v1 import accounts_pb2
from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.accounts import domain, store
from services.auth.accounts.tables import Account
from services.auth.logins import codes
from services.auth.logins import store as logins
from services.auth.logins.domain import locale
from services.auth.logins.origin import Origin
from services.auth.logins.sessions import Opened, Sessions
from services.auth.organizations import store as organizations
from services.auth.organizations.tables import Organization, Project
from services.runtime import ids
from services.runtime.profile import Profile
from services.runtime.sealed import Sealer


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A registration that the age rule admits."""

    flow: str
    code: str
    born: datetime.date | None
    statement: bool
    display_name: str
    locale: str


@dataclasses.dataclass(frozen=True)
class Made:
    """What a registration made."""

    account: Account
    organization: Organization
    project: Project
    opened: Opened


class Registration:
    """Makes accounts under one profile."""

    def __init__(self, profile: Profile, sealer: Sealer, pepper: bytes) -> None:
        self._profile = profile
        self._sealer = sealer
        self._pepper = pepper
        self._sessions = Sessions(pepper, profile)

    def read(self, request: accounts_pb2.RegisterRequest, now: datetime.datetime) -> Wanted:
        """Read a request and apply the age rule, before anything is looked at or stored.

        Raises FIELD_REQUIRED, FIELD_INVALID, AGE_NOT_ALLOWED. Between `minimum_age` and `guardian_below` a guardian
        would have to consent, which nobody can record yet: refused.
        """
        age, day = self._profile.age, domain.today(now, self._profile.place.time_zone)
        born = None
        if request.HasField("birth_date"):
            given = request.birth_date
            born = domain.birth_date(given.year, given.month, given.day, day)
        minimum = max(age.minimum_age, age.guardian_below)
        domain.admit(born, request.age_statement, day, minimum=minimum, date_required=age.birth_date_required)
        language = locale(request.locale, self._profile.place.locale)
        return Wanted(request.flow_id, request.code, born, request.age_statement, request.display_name, language)

    async def prove(self, session: AsyncSession, wanted: Wanted, now: datetime.datetime) -> codes.CodeAttempt:
        """Try the code."""
        return await codes.attempt(
            session,
            wanted.flow,
            wanted.code,
            sealer=self._sealer,
            purpose="REGISTER",
            pepper=self._pepper,
            now=now,
            most=self._profile.limits.code_tries,
        )

    async def make(
        self, session: AsyncSession, wanted: Wanted, proof: codes.CodeAttempt, origin: Origin, now: datetime.datetime
    ) -> Made | None:
        """Make everything, or nothing (None) when the contact point has an account already. Uses the flow up."""
        await store.lock_contact(session, proof.index)
        known = await store.account_by_contact(session, proof.channel, proof.index)
        if known is not None:
            await logins.use_flow(session, wanted.flow, known.id, now)
            return None
        organization, project = await organizations.add_personal(session, now)
        account = Account(
            id=ids.new("acc"),
            organization=organization.id,
            project=project.id,
            display_name=wanted.display_name or None,
            locale=wanted.locale,
            age_statement=wanted.statement,
            profile_version=self._profile.version,
            create_time=now,
            update_time=now,
        )
        await asyncio.to_thread(self._seal, account, wanted, proof)
        session.add(account)
        await session.flush()
        await logins.use_flow(session, wanted.flow, account.id, now)
        opened = await self._sessions.open(session, account, "", origin, now)
        return Made(account, organization, project, opened)

    def _seal(self, account: Account, wanted: Wanted, proof: codes.CodeAttempt) -> None:
        """Seal what is personal under the account's own key. Runs in a thread: the key is written to disk."""
        if proof.channel == "PHONE":
            account.phone = self._sealer.seal(account.id, Element.PHONE, proof.target)
            account.phone_index = proof.index
        else:
            account.email = self._sealer.seal(account.id, Element.EMAIL, proof.target)
            account.email_index = proof.index
        if wanted.born is not None:
            account.birth_date = self._sealer.seal(account.id, Element.BIRTH_DATE, wanted.born.isoformat())
