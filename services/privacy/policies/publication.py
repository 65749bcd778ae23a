"""Publishing a version: the row, its texts, the audit event and the job that tells auth, in one transaction."""

import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.privacy.audit import events
from services.privacy.audit import store as audit
from services.privacy.policies import domain, jobs, store
from services.privacy.policies.tables import PolicyRow, PolicyTextRow
from services.runtime import ids


async def publish(session: AsyncSession, draft: domain.Draft, now: datetime.datetime) -> PolicyRow:
    """Publish a draft, or answer what stands under its number already: compare it by `is_same`.

    Raises FIELD_INVALID for a wrong number, a time before now or a wrong set of languages.
    """
    await store.lock_publication(session)
    policy = await store.find_version(session, draft.kind, draft.version)
    is_new = policy is None
    if policy is None:
        domain.check_draft(draft, await store.newest_version(session, draft.kind), now)
        policy = await _insert(session, draft, now)
    await _tell(session, policy, is_new=is_new, now=now)
    return policy


def is_same(stored: PolicyRow, draft: domain.Draft) -> bool:
    """Say whether a stored version has the texts of a draft, whatever their dates."""
    return draft.mark == frozenset((text.language, text.title, text.sha256) for text in stored.texts)


async def _insert(session: AsyncSession, draft: domain.Draft, now: datetime.datetime) -> PolicyRow:
    policy = PolicyRow(
        id=ids.new("pol"),
        kind=draft.kind,
        version=draft.version,
        effective_time=draft.effective_time,
        publish_time=now,
    )
    texts = [
        PolicyTextRow(policy=policy.id, language=text.language, title=text.title, text=text.text, sha256=text.sha256)
        for text in draft.texts
    ]
    await store.publish(session, policy, texts)
    return policy


async def _tell(session: AsyncSession, policy: PolicyRow, *, is_new: bool, now: datetime.datetime) -> None:
    """Write who published, also when it changed nothing, and tell auth once."""
    detail = {
        "kind": policy.kind,
        "version": str(policy.version),
        "effective_time": policy.effective_time.isoformat(timespec="seconds"),
        "result": "published" if is_new else "unchanged",
    }
    await audit.record(session, events.own("PublishPolicy", policy.id, detail, now))
    await jobs.tell_policies(session, policy.id, now)
