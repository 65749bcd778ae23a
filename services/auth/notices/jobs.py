"""Deliveries: who gets which words, at which contact point; the one place where contact points are opened for use."""

import contextlib
import datetime

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.accounts import contacts
from services.auth.accounts import store as accounts
from services.auth.accounts.tables import Account
from services.auth.logins import store as logins
from services.auth.logins.tables import Flow
from services.auth.notices import domain, store
from services.auth.notices.outbox import Message, Outbox
from services.runtime import jobs
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.profile import Profile
from services.runtime.sealed import Forgotten, Sealer


class Deliveries:
    """The handlers of the jobs `notice` and `send_code`."""

    def __init__(self, database: Database, sealer: Sealer, outbox: Outbox, profile: Profile, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._outbox = outbox
        self._profile = profile
        self._clock = clock

    async def notice(self, job: jobs.Job) -> None:
        """Send a notice to its account. An account that was erased gets none."""
        async with self._database.transaction() as session:
            notice = await store.notice(session, job.payload["notice"])
            account = await accounts.account(session, notice.account) if notice else None
        if notice is None or account is None:
            return
        contact = self._contact(account)
        if contact:
            locale = account.locale or self._profile.place.locale
            text = domain.render(notice.template, locale, notice.parameters)
            await self._outbox.send(
                Message(
                    notice.id,
                    notice.create_time,
                    contact[1],
                    contact[0],
                    locale,
                    notice.template,
                    text.subject,
                    text.text,
                )
            )
        async with self._database.transaction() as session:
            await store.mark_delivered(session, notice.id, self._clock.now())
            await jobs.finish(session, job)

    async def send_code(self, job: jobs.Job) -> None:
        """Send a code, if there is somebody to send it to.

        Only here it is looked up whether the target is known; the RPC cannot tell, so neither can who calls it.
        """
        async with self._database.transaction() as session:
            flow = await logins.flow(session, job.payload["flow"])
            if flow is None or flow.use_time or flow.code is None or flow.expire_time <= self._clock.now():
                return
            target = self._sealer.open(flow.id, Element.PHONE, flow.target)
            if flow.purpose == "LOGIN":
                owner = await contacts.owner(session, self._sealer, flow.channel, flow.target_index, target)
                # To the contact point on file and not as it was typed: a mail server may tell Bob from bob (RFC 5321,
                # 2.4), and only the one on file was ever proved.
                target = contacts.unsealed(self._sealer, owner, flow.channel) if owner else ""
                known = owner is not None
            else:
                known = await accounts.account_by_contact(session, flow.channel, flow.target_index) is not None
        await self._send(flow, target, known)
        async with self._database.transaction() as session:
            await logins.forget_code(session, flow.id)
            await jobs.finish(session, job)

    async def _send(self, flow: Flow, target: str, known: bool) -> None:
        """Login: the owner gets the code, a stranger nothing. Registration: a stranger gets it, the owner a hint."""
        if flow.purpose == "LOGIN" and not known:
            return
        if flow.purpose == "REGISTER" and known:
            await self._write(flow, target, "already_registered", {})
            return
        code = self._sealer.open(flow.id, Element.LOGIN_CODE, flow.code or b"")
        minutes = (flow.expire_time - flow.create_time) // datetime.timedelta(minutes=1)
        template = "login_code" if flow.purpose == "LOGIN" else "register_code"
        await self._write(flow, target, template, {"code": code, "minutes": str(minutes)})

    async def _write(self, flow: Flow, target: str, template: str, parameters: dict[str, str]) -> None:
        text = domain.render(template, flow.locale, parameters)
        await self._outbox.send(
            Message(
                flow.id, flow.create_time, target, flow.channel, flow.locale, template, text.subject, text.text,
                parameters.get("code", ""),
            )
        )  # fmt: skip

    def _contact(self, account: Account) -> tuple[str, str] | None:
        with contextlib.suppress(Forgotten):
            for channel in ("PHONE", "EMAIL"):
                if held := contacts.unsealed(self._sealer, account, channel):
                    return channel, held
        return None
