"""Whose a contact point is. The index finds the account; what its seal holds must then be that very contact point."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.accounts import store
from services.auth.accounts.tables import Account
from services.auth.logins import domain
from services.runtime import metrics, telemetry
from services.runtime.sealed import Forgotten, Sealer

log = telemetry.logger(__name__)


async def owner(session: AsyncSession, sealer: Sealer, channel: str, index: bytes, target: str) -> Account | None:
    """Return the account that a contact point belongs to; None when there is none.

    `channel` is PHONE or EMAIL, `target` the contact point that a code went to, in its normal form, and `index` its
    keyed hash. Two independent marks must agree, the index and the unsealed contact point of the account: whoever is
    found by the index alone could be somebody else (S1). When they differ, there is no owner, and an operator is told.
    """
    account = await store.account_by_contact(session, channel, index)
    if account is None:
        return None
    try:
        held = await asyncio.to_thread(unsealed, sealer, account, channel)
    except Forgotten:
        return None  # an erased account: nobody can log in to it, and nothing is wrong
    except ValueError:
        held = ""
    if domain.is_same_contact(held, target):
        return account
    log.error("contact_mismatch", stage="account")
    metrics.count("filmgate_contact_mismatches_total")
    return None


def unsealed(sealer: Sealer, account: Account, channel: str) -> str:
    """Return an account's contact point of a channel, in its normal form; empty when it has none.

    Reads a sealing key from the disk. Raises Forgotten when that was destroyed, ValueError for a damaged seal.
    """
    element, blob = (Element.PHONE, account.phone) if channel == "PHONE" else (Element.EMAIL, account.email)
    return sealer.open(account.id, element, blob) if blob else ""
