"""The servicer of Accounts."""

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any

from filmgate.auth.v1 import accounts_pb2, accounts_pb2_grpc
from filmgate.privacy.v1.elements_pb2 import Element
from services.auth import clients, errors
from services.auth.accounts import domain, store
from services.auth.accounts.registration import Registration
from services.auth.accounts.tables import Account, Freeze
from services.auth.check.feed import Feed
from services.auth.logins.api import tokens_message
from services.auth.logins.domain import locale
from services.auth.logins.origin import origin
from services.auth.notices import store as notices
from services.auth.organizations.api import organization_message, project_message
from services.runtime import caller, idempotency, ids
from services.runtime.caller import CALLER, PUBLIC, STAFF
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import FIELD_INVALID, NOT_FOUND
from services.runtime.profile import Profile
from services.runtime.sealed import Sealer
from services.runtime.server import ServiceRegistration

ACCESS = {
    "Register": PUBLIC,
    "GetAccount": CALLER("account"),
    "UpdateAccount": CALLER("account"),
    "FreezeAccount": STAFF("operator"),
    "UnfreezeAccount": STAFF("operator"),
}
Scope = accounts_pb2.FreezeScope


def account_message(row: Account, sealer: Sealer, freezes: Sequence[Freeze]) -> accounts_pb2.Account:
    """Write an account, contact points masked. Reads its sealing key from disk."""
    phone = sealer.open(row.id, Element.PHONE, row.phone) if row.phone else ""
    email = sealer.open(row.id, Element.EMAIL, row.email) if row.email else ""
    return accounts_pb2.Account(
        name=f"accounts/{row.id}",
        id=row.id,
        display_name=row.display_name or "",
        locale=row.locale or "",
        masked_phone=domain.masked_phone(phone),
        masked_email=domain.masked_email(email),
        freezes=[_freeze_message(freeze) for freeze in freezes],
        create_time=row.create_time,
        update_time=row.update_time,
        profile_version=row.profile_version,
    )


def _freeze_message(row: Freeze) -> accounts_pb2.Freeze:
    return accounts_pb2.Freeze(scope=row.scope, reason=row.reason, expire_time=row.expire_time)


class Accounts(accounts_pb2_grpc.AccountsServicer):
    """Registers and keeps accounts."""

    def __init__(
        self, *, database: Database, feed: Feed, profile: Profile, sealer: Sealer, pepper: bytes, clock: Clock
    ) -> None:
        self._database = database
        self._feed = feed
        self._profile = profile
        self._sealer = sealer
        self._clock = clock
        self._registration = Registration(profile, sealer, pepper)

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
        return ServiceRegistration(service, accounts_pb2_grpc.add_AccountsServicer_to_server, self, ACCESS)

    async def Register(self, request: accounts_pb2.RegisterRequest, context: Any) -> accounts_pb2.RegisterResponse:
        """Make an account with its organization, project and session. A replay answers it without the secrets."""
        now = self._clock.now()
        wanted = self._registration.read(request, now)
        claim = (request.flow_id, "Register", request.request_id)
        made = None
        async with self._database.transaction() as session:
            if old := await idempotency.begin(session, *claim, request, accounts_pb2.RegisterResponse, now):
                return old
            tried = await self._registration.prove(session, wanted, now)
            if tried.outcome.value == "right":
                made = await self._registration.make(session, wanted, tried, origin(context), now)
            if made is None:
                await idempotency.forget(session, *claim)
            else:
                answer = accounts_pb2.RegisterResponse(
                    account=account_message(made.account, self._sealer, []),
                    organization=organization_message(made.organization),
                    project=project_message(made.project),
                    tokens=tokens_message(made.opened),
                )
                await idempotency.finish(session, *claim, _without_secrets(answer))
        tried.refuse()
        if made is None:
            raise errors.ALREADY_REGISTERED()
        await self._feed.catch_up()
        return answer

    async def GetAccount(self, _request: accounts_pb2.GetAccountRequest, _context: Any) -> accounts_pb2.Account:
        """Return the caller's account, contact points masked."""
        return await self._show(caller.current().account)

    async def UpdateAccount(self, request: accounts_pb2.UpdateAccountRequest, _context: Any) -> accounts_pb2.Account:
        """Change the fields that are present."""
        mine, now = caller.current().account, self._clock.now()
        async with self._database.transaction() as session:
            row = await store.account(session, mine)
            if row is None:
                raise NOT_FOUND(resource=f"account {mine}")
            if request.HasField("display_name"):
                row.display_name = request.display_name or None
            if request.HasField("locale"):
                row.locale = locale(request.locale, self._profile.place.locale)
            row.update_time = now
        return await self._show(mine)

    async def FreezeAccount(self, request: accounts_pb2.FreezeAccountRequest, _context: Any) -> accounts_pb2.Account:
        """Freeze a scope; the person is told, and the audit log records it."""
        now, scope = self._clock.now(), Scope.Name(request.scope)
        end = request.expire_time.ToDatetime(datetime.UTC) if request.HasField("expire_time") else None
        if end is not None and end <= now:
            raise FIELD_INVALID(field="expire_time", limit="be in the future")
        until = end.isoformat() if end else ""
        async with self._database.transaction() as session:
            if await store.account(session, request.account) is None:
                raise NOT_FOUND(resource=f"account {request.account}")
            await store.freeze(
                session, request.account, scope, reason=request.reason, actor=caller.peer(), now=now, expire_time=end
            )
            parameters = {"scope": scope, "reason": request.reason, "until": until or "-"}
            await notices.add(session, ids.new("ntc"), request.account, "account_frozen", parameters, now=now)
            detail = {"scope": scope, "reason": request.reason} | ({"until": until} if until else {})
            await clients.enqueue_audit(session, "FreezeAccount", request.account, detail, now)
        await self._feed.catch_up()
        return await self._show(request.account)

    async def UnfreezeAccount(
        self, request: accounts_pb2.UnfreezeAccountRequest, _context: Any
    ) -> accounts_pb2.Account:
        """Lift a freeze. The person is told when there was one; the audit log records it in any case."""
        now, scope = self._clock.now(), Scope.Name(request.scope)
        async with self._database.transaction() as session:
            if await store.account(session, request.account) is None:
                raise NOT_FOUND(resource=f"account {request.account}")
            if await store.unfreeze(session, request.account, scope, now):
                parameters = {"scope": scope}
                await notices.add(session, ids.new("ntc"), request.account, "account_unfrozen", parameters, now=now)
            await clients.enqueue_audit(session, "UnfreezeAccount", request.account, {"scope": scope}, now)
        await self._feed.catch_up()
        return await self._show(request.account)

    async def _show(self, account: str) -> accounts_pb2.Account:
        async with self._database.transaction() as session:
            row = await store.account(session, account)
            if row is None:
                raise NOT_FOUND(resource=f"account {account}")
            freezes = await store.freezes_of(session, account, self._clock.now())
        return await asyncio.to_thread(account_message, row, self._sealer, freezes)


def _without_secrets(answer: accounts_pb2.RegisterResponse) -> accounts_pb2.RegisterResponse:
    """What is stored for a replay: nothing that opens anything."""
    stored = accounts_pb2.RegisterResponse()
    stored.CopyFrom(answer)
    stored.tokens.access_token = stored.tokens.refresh_token = ""
    return stored
