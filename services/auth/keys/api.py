"""The servicer of Keys."""

import datetime
from collections.abc import Collection
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.auth.v1 import keys_pb2, keys_pb2_grpc
from services.auth import errors
from services.auth.check.feed import Feed
from services.auth.keys import domain, store
from services.auth.keys.tables import Key
from services.runtime import caller, idempotency, ids, pages
from services.runtime.caller import CALLER
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import FIELD_INVALID, NOT_FOUND
from services.runtime.profile import Profile
from services.runtime.server import ServiceRegistration

ACCESS = {
    "CreateKey": CALLER("keys"),
    "ListKeys": CALLER("keys"),
    "GetKey": CALLER("keys"),
    "UpdateKey": CALLER("keys"),
    "RevokeKey": CALLER("keys"),
}


def key_message(row: Key, now: datetime.datetime, use_time: datetime.datetime | None = None) -> keys_pb2.Key:
    """Write a key, without its secret."""
    state = keys_pb2.Key.ACTIVE
    if row.revoke_time is not None:
        state = keys_pb2.Key.REVOKED
    elif row.expire_time is not None and row.expire_time <= now:
        state = keys_pb2.Key.EXPIRED
    return keys_pb2.Key(
        name=f"keys/{row.id}",
        id=row.id,
        display_name=row.display_name,
        scopes=row.scopes,
        prefix=row.prefix,
        last_four=row.last_four,
        state=state,
        create_time=row.create_time,
        expire_time=row.expire_time,
        last_used_time=use_time.replace(second=0, microsecond=0) if use_time else None,
        revoke_time=row.revoke_time,
        account=row.account,
    )


class Keys(keys_pb2_grpc.KeysServicer):
    """Makes, shows and revokes the keys of the caller's project."""

    def __init__(self, *, database: Database, feed: Feed, profile: Profile, pepper: bytes, clock: Clock) -> None:
        self._database = database
        self._feed = feed
        self._most = profile.limits.keys_per_project
        self._pepper = pepper
        self._clock = clock

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = keys_pb2.DESCRIPTOR.services_by_name["Keys"]
        return ServiceRegistration(service, keys_pb2_grpc.add_KeysServicer_to_server, self, ACCESS)

    async def CreateKey(self, request: keys_pb2.CreateKeyRequest, _context: Any) -> keys_pb2.Key:
        """Make a key; the secret is in this answer alone, not in its replay."""
        me, now = caller.current(), self._clock.now()
        claim = (me.project, "CreateKey", request.request_id)
        async with self._database.transaction() as session:
            if old := await idempotency.begin(session, *claim, request, keys_pb2.Key, now):
                return old
            scopes = domain.granted_scopes(request.scopes, await _grantable(session, me))
            end = _end(request, now)
            if await store.count_active(session, me.project, now) >= self._most:
                raise errors.TOO_MANY_KEYS(limit=self._most)
            if await store.count_made(session, me.project, now - datetime.timedelta(days=1)) >= domain.NEW_PER_DAY:
                raise errors.TOO_MANY_NEW_KEYS(limit=domain.NEW_PER_DAY, retry_after=3600)
            secret = domain.new_key()
            row = self._row(me, request.display_name, scopes, secret, now)
            row.expire_time = end
            session.add(row)
            answer = key_message(row, now)
            await idempotency.finish(session, *claim, answer)
        await self._feed.catch_up()
        answer.secret = secret
        return answer

    async def ListKeys(self, request: keys_pb2.ListKeysRequest, _context: Any) -> keys_pb2.ListKeysResponse:
        """List the keys of the project, revoked ones too."""
        page, now = pages.page(request), self._clock.now()
        async with self._database.transaction() as session:
            rows = await store.keys_of(session, caller.current().project, page)
            uses = await store.uses_of(session, [row.id for row in rows])
        kept, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
        keys = [key_message(row, now, uses.get(row.id)) for row in kept]
        return keys_pb2.ListKeysResponse(keys=keys, next_page_token=token)

    async def GetKey(self, request: keys_pb2.GetKeyRequest, _context: Any) -> keys_pb2.Key:
        """Return one key."""
        async with self._database.transaction() as session:
            row = _found(await store.key(session, request.id, caller.current().project), request.id)
            uses = await store.uses_of(session, [row.id])
        return key_message(row, self._clock.now(), uses.get(row.id))

    async def UpdateKey(self, request: keys_pb2.UpdateKeyRequest, _context: Any) -> keys_pb2.Key:
        """Change the fields that are present; scopes can only be taken away; a dead key stays as it is."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            row = _found(await store.key(session, request.id, caller.current().project, lock=True), request.id)
            if row.revoke_time is not None or (row.expire_time is not None and row.expire_time <= now):
                raise FIELD_INVALID(field="id", limit="name a key that is active")
            if request.HasField("display_name"):
                row.display_name = request.display_name
            if request.scopes:
                row.scopes = domain.granted_scopes(request.scopes, row.scopes)
            if request.HasField("expire_time"):
                row.expire_time = _end(request, now)
            uses = await store.uses_of(session, [row.id])
        await self._feed.catch_up()
        return key_message(row, now, uses.get(row.id))

    async def RevokeKey(self, request: keys_pb2.RevokeKeyRequest, _context: Any) -> keys_pb2.Key:
        """Revoke a key for good. Returns when the authorizer of this process refuses it."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            row = _found(await store.key(session, request.id, caller.current().project, lock=True), request.id)
            row.revoke_time = row.revoke_time or now
            uses = await store.uses_of(session, [row.id])
        await self._feed.catch_up()
        return key_message(row, now, uses.get(row.id))

    def _row(self, me: caller.Caller, name: str, scopes: list[str], secret: str, now: datetime.datetime) -> Key:
        return Key(
            id=ids.new("key"),
            organization=me.organization,
            project=me.project,
            account=me.account,
            digest=domain.digest(self._pepper, secret),
            pepper=domain.PEPPER_VERSION,
            display_name=name,
            scopes=scopes,
            prefix=domain.prefix(secret),
            last_four=secret[-4:],
            create_time=now,
        )


async def _grantable(session: AsyncSession, me: caller.Caller) -> Collection[str]:
    """Return the scopes that a maker may give on: those of its key as it is now, all of them for a session.

    They do not stand in a customer's token, which bears the scope of its route alone (S10); an internal service's bears
    all that it has.
    """
    if me.key:
        own = await store.key(session, me.key, me.project)
        return own.scopes if own is not None and own.revoke_time is None else ()
    return domain.SCOPES if me.session else me.scopes


def _found(row: Key | None, key_id: str) -> Key:
    if row is None:
        raise NOT_FOUND(resource=f"key {key_id}")
    return row


def _end(request: Any, now: datetime.datetime) -> datetime.datetime | None:
    """Read expire_time, which must lie in the future."""
    if not request.HasField("expire_time"):
        return None
    end: datetime.datetime = request.expire_time.ToDatetime(datetime.UTC)
    if end <= now:
        raise FIELD_INVALID(field="expire_time", limit="be in the future")
    return end
