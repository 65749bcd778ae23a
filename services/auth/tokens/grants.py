"""Service accounts as data: a YAML file that the operator keeps, applied at start, every change audited.

reporting:                # first DNS name of the certificate
  organization: org_...
  project: prj_...
  scopes: [video.read]
"""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth import clients
from services.auth.keys.domain import SCOPES
from services.auth.tokens import store
from services.auth.tokens.tables import ServiceAccount
from services.runtime import ids
from services.runtime.caller import SUITE
from services.runtime.clock import Clock
from services.runtime.database import Database


@dataclasses.dataclass(frozen=True)
class Grant:
    """What a certificate's name may be."""

    organization: str
    project: str
    scopes: tuple[str, ...]


def read(path: Path) -> dict[str, Grant]:
    """Read the file. Raises ValueError, naming the entry, for anything that is not as the module says."""
    raw: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {str(name): _grant(str(name), entry) for name, entry in dict(raw).items()}


def _grant(name: str, entry: Any) -> Grant:
    if name in SUITE or not isinstance(entry, dict) or set(entry) != {"organization", "project", "scopes"}:
        raise ValueError(f"service account {name} is not in order")
    scopes = tuple(entry["scopes"])
    if (
        not ids.is_id("org", entry["organization"])
        or not ids.is_id("prj", entry["project"])
        or set(scopes) - set(SCOPES)
    ):
        raise ValueError(f"service account {name} names an unknown scope, or no organization or project")
    return Grant(entry["organization"], entry["project"], scopes)


async def apply(database: Database, grants: dict[str, Grant], clock: Clock) -> None:
    """Make the table equal to the file in one transaction; each change is an audit event of the system."""
    now = clock.now()
    async with database.transaction() as session:
        known = {row.name: row for row in await store.service_accounts(session)}
        for name in sorted(known.keys() - grants.keys()):
            await session.delete(known[name])
            await clients.enqueue_audit(session, "RemoveServiceAccount", known[name].id, {"name": name}, now)
        for name, grant in sorted(grants.items()):
            await _set(session, name, grant, known.get(name), now)


async def _set(
    session: AsyncSession, name: str, grant: Grant, row: ServiceAccount | None, now: datetime.datetime
) -> None:
    if row is not None and Grant(row.organization, row.project, tuple(row.scopes)) == grant:
        return
    if row is None:
        row = ServiceAccount(name=name, id=ids.new("acc"))
        session.add(row)
    row.organization, row.project, row.scopes = grant.organization, grant.project, list(grant.scopes)
    row.update_time = now
    detail = {"name": name, "project": grant.project, "scopes": " ".join(grant.scopes)}
    await clients.enqueue_audit(session, "SetServiceAccount", row.id, detail, now)
