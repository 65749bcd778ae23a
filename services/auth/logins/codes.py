"""A try with a code: counted, judged, and taken as proof of a contact point."""

import dataclasses
import datetime
import hmac

from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.logins import domain, store
from services.auth.logins.domain import Outcome
from services.runtime.sealed import Sealer


@dataclasses.dataclass(frozen=True)
class Try:
    """What became of a try. Channel, target (sealed) and index say what the flow's code proves."""

    outcome: Outcome
    tries_left: int
    channel: str = ""
    target: bytes = b""
    index: bytes = b""

    def refuse(self) -> None:
        """Raise CODE_WRONG, CODE_EXPIRED or TOO_MANY_TRIES unless the code was right. Commit the count before."""
        domain.refuse(self.outcome, self.tries_left)


UNKNOWN = Try(Outcome.WRONG, 0)


async def attempt(
    session: AsyncSession,
    flow_id: str,
    code: str,
    *,
    purpose: str,
    pepper: bytes,
    now: datetime.datetime,
    most: int,
) -> Try:
    """Count and judge a try. The flow stays locked until the transaction ends, so a right code is right once."""
    tried = await store.count_try(session, flow_id, purpose)
    if tried is None:
        return UNKNOWN
    right = hmac.compare_digest(domain.code_digest(pepper, flow_id, code), tried.digest)
    outcome = domain.judge(tries=tried.tries, most=most, expired=now >= tried.expire_time, right=right)
    return Try(outcome, most - tried.tries, tried.channel, tried.target, tried.target_index)


def subject_of(sealer: Sealer, channel: str, target: str) -> bytes:
    """Answer the index of a contact point. E-mail addresses that differ in case only are one."""
    element = Element.PHONE if channel == "PHONE" else Element.EMAIL
    return sealer.index(element, target.casefold())
