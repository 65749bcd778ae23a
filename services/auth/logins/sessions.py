"""Sessions: opened by a proof, carried on by rotation of the refresh token, ended when one is used twice."""

import dataclasses
import datetime
import os

from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.accounts.tables import Account
from services.auth.keys.domain import digest
from services.auth.logins import domain, store
from services.auth.logins.domain import Tokens
from services.auth.logins.origin import Origin
from services.auth.logins.tables import RefreshToken, Session
from services.runtime import ids
from services.runtime.errors import TOKEN_EXPIRED, TOKEN_INVALID, Failure
from services.runtime.profile import Profile

NONCE_BYTES = 32


@dataclasses.dataclass(frozen=True)
class Opened:
    """A session with its present secrets and their ends."""

    session: Session
    tokens: Tokens
    access_end: datetime.datetime
    refresh_end: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Refused:
    """A refresh that is refused; `stolen` names the session that the second use of its token has ended."""

    failure: Failure
    stolen: Session | None = None


class Sessions:
    """Opens and refreshes sessions in a transaction of the caller's."""

    def __init__(self, pepper: bytes, profile: Profile) -> None:
        self._pepper = pepper
        self._access_life = datetime.timedelta(minutes=profile.sessions.access_minutes)
        self._refresh_days = profile.sessions.refresh_days
        self._most = profile.limits.sessions_per_account

    async def open(
        self, session: AsyncSession, account: Account, device_name: str, origin: Origin, now: datetime.datetime
    ) -> Opened:
        """Open a session of an account, new secrets each time; the oldest beyond the profile's number end."""
        tokens = domain.new_tokens()
        row = Session(
            id=ids.new("ses"),
            account=account.id,
            organization=account.organization,
            project=account.project,
            device_name=device_name or None,
            user_agent=origin.agent or None,
            ip_address=origin.address or None,
            create_time=now,
            last_seen_time=now,
            access_digest=digest(self._pepper, tokens.access),
            access_expire_time=now + self._access_life,
            refresh_expire_time=domain.refresh_end(now, self._refresh_days, now),
        )
        session.add(row)
        await session.flush()
        self._remember_refresh(session, row, tokens.refresh)
        await session.flush()
        await store.end_oldest(session, account.id, self._most, now)
        return Opened(row, tokens, row.access_expire_time, row.refresh_expire_time)

    async def refresh(
        self, session: AsyncSession, refresh: str, origin: Origin, now: datetime.datetime
    ) -> Opened | Refused:
        """Return the successor of a refresh token, or why there is none. Commit before raising the refusal."""
        if not domain.is_token(refresh, domain.REFRESH_PREFIX):
            return Refused(TOKEN_INVALID())
        mark, nonce = digest(self._pepper, refresh), os.urandom(NONCE_BYTES)
        claimed = await store.claim_refresh(session, mark, nonce, now)
        if claimed is None:
            return await self._again(session, refresh, mark, now)
        row = await store.locked_session(session, claimed)
        tokens = domain.successor(self._pepper, refresh, nonce)
        row.previous_digest, row.previous_expire_time = row.access_digest, row.access_expire_time
        row.access_digest, row.access_expire_time = digest(self._pepper, tokens.access), now + self._access_life
        row.refresh_expire_time = domain.refresh_end(now, self._refresh_days, row.create_time)
        row.last_seen_time = now
        row.ip_address, row.user_agent = origin.address or None, origin.agent or None
        self._remember_refresh(session, row, tokens.refresh)
        return Opened(row, tokens, row.access_expire_time, row.refresh_expire_time)

    async def _again(
        self, session: AsyncSession, refresh: str, mark: bytes, now: datetime.datetime
    ) -> Opened | Refused:
        """A token that could not be claimed: unknown, over, or used before. Used within the grace: the same answer."""
        found = await store.refresh_token(session, mark)
        if found is None or found[1].end_time is not None:
            return Refused(TOKEN_INVALID())
        token, row = found
        if token.use_time is None or token.nonce is None:
            return Refused(TOKEN_EXPIRED())
        if now > token.use_time + domain.GRACE:
            row.end_time = now
            return Refused(TOKEN_INVALID(), stolen=row)
        tokens = domain.successor(self._pepper, refresh, token.nonce)
        end = domain.refresh_end(token.use_time, self._refresh_days, row.create_time)
        return Opened(row, tokens, token.use_time + self._access_life, end)

    def _remember_refresh(self, session: AsyncSession, row: Session, refresh: str) -> None:
        session.add(
            RefreshToken(digest=digest(self._pepper, refresh), session=row.id, expire_time=row.refresh_expire_time)
        )
