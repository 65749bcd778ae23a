"""The servicer of Logins."""

import asyncio
import datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty

from filmgate.auth.v1 import logins_pb2, logins_pb2_grpc
from filmgate.privacy.v1.elements_pb2 import Element
from services.auth import errors
from services.auth.accounts import contacts
from services.auth.accounts import store as accounts
from services.auth.check.feed import Feed
from services.auth.logins import codes, domain, store
from services.auth.logins.origin import origin
from services.auth.logins.sessions import Opened, Refused, Sessions
from services.auth.logins.tables import Flow, Session
from services.auth.notices import store as notices
from services.runtime import caller, ids, jobs, pages
from services.runtime.caller import CALLER, PUBLIC
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import NOT_FOUND
from services.runtime.profile import Profile
from services.runtime.sealed import Sealer
from services.runtime.server import ServiceRegistration

ACCESS = {
    "SendCode": PUBLIC,
    "CreateSession": PUBLIC,
    "RefreshSession": PUBLIC,
    "ListSessions": CALLER("account"),
    "EndSession": CALLER("account"),
}
Request = logins_pb2.SendCodeRequest


def session_message(row: Session, current: str = "") -> logins_pb2.Session:
    """Write a session; `current` is the id of the one that the call was made with."""
    return logins_pb2.Session(
        name=f"sessions/{row.id}",
        id=row.id,
        device_name=row.device_name or "",
        user_agent=row.user_agent or "",
        ip_address=row.ip_address or "",
        create_time=row.create_time,
        last_seen_time=row.last_seen_time,
        current=row.id == current,
    )


def tokens_message(opened: Opened) -> logins_pb2.SessionTokens:
    """Write a session with its secrets."""
    return logins_pb2.SessionTokens(
        session=session_message(opened.session, opened.session.id),
        access_token=opened.tokens.access,
        access_expire_time=opened.access_end,
        refresh_token=opened.tokens.refresh,
        refresh_expire_time=opened.refresh_end,
    )


class Logins(logins_pb2_grpc.LoginsServicer):
    """Sends codes and keeps sessions."""

    def __init__(
        self, *, database: Database, feed: Feed, profile: Profile, sealer: Sealer, pepper: bytes, clock: Clock
    ) -> None:
        self._database = database
        self._feed = feed
        self._profile = profile
        self._sealer = sealer
        self._pepper = pepper
        self._clock = clock
        self._sessions = Sessions(pepper, profile)

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = logins_pb2.DESCRIPTOR.services_by_name["Logins"]
        return ServiceRegistration(service, logins_pb2_grpc.add_LoginsServicer_to_server, self, ACCESS)

    async def SendCode(self, request: Request, context: Any) -> logins_pb2.SendCodeResponse:
        """Send a code. Nothing here looks whether the target is known: the job that delivers it does."""
        channel = Request.Channel.Name(request.channel)
        target = self._target(channel, request.target)
        # Whoever calls past the edge has no address to be counted by, so they are counted by their name.
        now, source = self._clock.now(), domain.network(origin(context).address) or caller.peer()
        async with self._database.transaction() as session:
            await self._count(session, codes.subject_of(self._sealer, channel, target), source, now)
            # Only now: a refused call must not leave a sealing key on the disk, where nothing would find it.
            flow = await asyncio.to_thread(self._flow, request, channel, target, now)
            session.add(flow)
            await jobs.enqueue(session, "send_code", f"send_code:{flow.id}", {"flow": flow.id}, now)
        pause = Duration()
        pause.FromTimedelta(domain.SEND_PAUSE)
        return logins_pb2.SendCodeResponse(flow_id=flow.id, expire_time=flow.expire_time, retry_after=pause)

    async def CreateSession(self, request: logins_pb2.CreateSessionRequest, context: Any) -> logins_pb2.SessionTokens:
        """Log in with a code. A wrong try is counted even though the call is refused."""
        now, opened, frozen = self._clock.now(), None, None
        async with self._database.transaction() as session:
            tried = await self._try(session, request, now)
            account = None
            if tried.outcome is domain.Outcome.RIGHT:
                account = await contacts.owner(session, self._sealer, tried.channel, tried.index, tried.target)
            if account is not None:
                await store.use_flow(session, request.flow_id, account.id, now)
                frozen = await _frozen(session, account.id, now)
                if frozen is None:
                    device = request.device_name
                    opened = await self._sessions.open(session, account, device, origin(context), now)
        tried.refuse()
        if frozen is not None:
            raise frozen
        if opened is None:
            raise errors.CODE_WRONG(tries_left=max(0, tried.tries_left))
        await self._feed.catch_up()
        return tokens_message(opened)

    async def RefreshSession(self, request: logins_pb2.RefreshSessionRequest, context: Any) -> logins_pb2.SessionTokens:
        """Exchange a refresh token. Its use by two ends the session and tells the person."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            found = await self._sessions.refresh(session, request.refresh_token, origin(context), now)
            if isinstance(found, Refused) and found.stolen:
                stolen = found.stolen
                parameters = {"session": stolen.id}
                notice = f"session_ended:{stolen.id}"
                await notices.add(session, notice, stolen.account, "session_ended", parameters, now=now)
        await self._feed.catch_up()
        if isinstance(found, Refused):
            raise found.failure
        return tokens_message(found)

    async def ListSessions(
        self, request: logins_pb2.ListSessionsRequest, _context: Any
    ) -> logins_pb2.ListSessionsResponse:
        """List the caller's open sessions."""
        page, me = pages.page(request), caller.current()
        async with self._database.transaction() as session:
            rows = await store.sessions_of(session, me.account, page, self._clock.now())
        kept, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
        return logins_pb2.ListSessionsResponse(
            sessions=[session_message(row, me.session) for row in kept], next_page_token=token
        )

    async def EndSession(self, request: logins_pb2.EndSessionRequest, _context: Any) -> Empty:
        """End a session of the caller's. Returns when the authorizer of this process refuses its tokens."""
        async with self._database.transaction() as session:
            if await store.session_of(session, request.id, caller.current().account) is None:
                raise NOT_FOUND(resource=f"session {request.id}")
            await store.end_session(session, request.id, self._clock.now())
        await self._feed.catch_up()
        return Empty()

    def _target(self, channel: str, text: str) -> str:
        if channel == "PHONE":
            return domain.normal_phone(text, self._profile.place.region)
        return domain.normal_email(text)

    def _flow(self, request: Request, channel: str, target: str, now: datetime.datetime) -> Flow:
        """Make a flow. Runs in a thread: a new sealing key is written to disk."""
        flow_id, code = ids.new("flw"), domain.new_code()
        return Flow(
            id=flow_id,
            channel=channel,
            purpose=Request.Purpose.Name(request.purpose),
            locale=domain.locale(request.locale, self._profile.place.locale),
            target=self._sealer.seal(flow_id, Element.PHONE, target),
            target_index=codes.subject_of(self._sealer, channel, target),
            code=self._sealer.seal(flow_id, Element.LOGIN_CODE, code),
            digest=domain.code_digest(self._pepper, flow_id, code),
            tries=0,
            create_time=now,
            expire_time=now + datetime.timedelta(minutes=self._profile.sessions.code_minutes),
        )

    async def _count(self, session: Any, target: bytes, source: str, now: datetime.datetime) -> None:
        """Count the code to its target and for its source. Raises SEND_TOO_SOON, which counts nothing.

        It says whose limit is reached, which tells nothing about accounts: codes count alike for every target.
        """
        limits, limit = self._profile.limits, "phone number or e-mail address"
        wait = await store.count_target(session, target, now, limits.codes_per_target_hour, limits.codes_per_target_day)
        if not wait:
            mark = self._sealer.index(Element.IP_ADDRESS, source)
            limit = "network address"
            wait = await store.count_source(session, mark, now, limits.codes_per_address_hour)
        if wait:
            raise errors.SEND_TOO_SOON(limit=limit, seconds=wait, retry_after=wait)

    async def _try(self, session: Any, request: Any, now: datetime.datetime) -> codes.CodeAttempt:
        return await codes.attempt(
            session,
            request.flow_id,
            request.code,
            sealer=self._sealer,
            purpose="LOGIN",
            pepper=self._pepper,
            now=now,
            most=self._profile.limits.code_tries,
        )


async def _frozen(session: Any, account: str, now: datetime.datetime) -> Exception | None:
    """Return the refusal of an account that is frozen in every scope."""
    for freeze in await accounts.freezes_of(session, account, now):
        if freeze.scope == "ALL":
            if freeze.expire_time is None:
                return errors.ACCOUNT_FROZEN(scope="ALL")
            return errors.ACCOUNT_FROZEN(scope="ALL", until=freeze.expire_time.isoformat())
    return None
