"""A try with a code: counted, judged, and taken as proof of a contact point."""

import asyncio
import dataclasses
import datetime
import hmac

from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.logins import domain, store
from services.auth.logins.domain import Outcome
from services.runtime import metrics, telemetry
from services.runtime.sealed import Forgotten, Sealer

log = telemetry.logger(__name__)


@dataclasses.dataclass(frozen=True)
class CodeAttempt:
    """What became of a try. Channel, target and its index say what a right code proves; target is empty otherwise."""

    outcome: Outcome
    tries_left: int
    channel: str = ""
    target: str = ""
    index: bytes = b""

    def refuse(self) -> None:
        """Raise CODE_WRONG, CODE_EXPIRED or TOO_MANY_TRIES unless the code was right. Commit the count before."""
        domain.refuse(self.outcome, self.tries_left)


UNKNOWN = CodeAttempt(Outcome.WRONG, 0)


async def attempt(
    session: AsyncSession,
    flow_id: str,
    code: str,
    *,
    sealer: Sealer,
    purpose: str,
    pepper: bytes,
    now: datetime.datetime,
    most: int,
) -> CodeAttempt:
    """Count and judge a try. The flow stays locked until the transaction ends, so a right code is right once.

    A flow whose sealed target is not the one of its index proves nothing: its code is wrong.
    """
    tried = await store.count_try(session, flow_id, purpose)
    if tried is None:
        return UNKNOWN
    right = hmac.compare_digest(domain.code_digest(pepper, flow_id, code), tried.digest)
    outcome = domain.judge(tries=tried.tries, most=most, expired=now >= tried.expire_time, right=right)
    if outcome is not Outcome.RIGHT:
        return CodeAttempt(outcome, most - tried.tries)
    target = await asyncio.to_thread(_target, sealer, flow_id, tried)
    if not target:
        return CodeAttempt(Outcome.WRONG, most - tried.tries)
    return CodeAttempt(outcome, most - tried.tries, tried.channel, target, tried.target_index)


def _target(sealer: Sealer, flow_id: str, tried: store.Tried) -> str:
    """Unseal what a flow's code was sent to; empty when it is gone or is not what the index stands for."""
    try:
        target = sealer.open(flow_id, Element.PHONE, tried.target)
    except (Forgotten, ValueError):
        target = ""
    if target.isascii() and subject_of(sealer, tried.channel, target) == tried.target_index:
        return target
    log.error("contact_mismatch", stage="flow")
    metrics.count("filmgate_contact_mismatches_total")
    return ""


def subject_of(sealer: Sealer, channel: str, target: str) -> bytes:
    """Return the index of a contact point in its normal form. Those that differ in the case of a to z only are one."""
    element = Element.PHONE if channel == "PHONE" else Element.EMAIL
    return sealer.index(element, domain.contact_key(target))
