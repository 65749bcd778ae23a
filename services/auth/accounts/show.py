"""An account as its owner may see it."""

from collections.abc import Sequence

from filmgate.auth.v1 import accounts_pb2
from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.accounts import domain
from services.auth.accounts.tables import Account, Freeze
from services.runtime.sealed import Sealer


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
    scope = accounts_pb2.FreezeScope.Value(row.scope)
    return accounts_pb2.Freeze(scope=scope, reason=row.reason, expire_time=row.expire_time)
