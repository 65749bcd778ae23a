"""The texts that come as files: published at the first start, and never changed afterwards."""

import datetime
import re
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from services.privacy.policies import domain, jobs, publication, store
from services.privacy.policies.tables import PolicyRow
from services.runtime import ids
from services.runtime.clock import Clock
from services.runtime.config import StartFault, reading
from services.runtime.database import Database
from services.runtime.errors import Failure

_NAME = re.compile(r"(\d{4})\.([a-z]{2})\.md")


class TextChangedError(StartFault):
    """A file differs from what was published under its version. The message says what to do."""


def read(folder: Path) -> dict[tuple[str, int], tuple[domain.Text, ...]]:
    """Read `<folder>/<kind>/<version>.<language>.md` by kind and version. The first line, `# ...`, is the title.

    Raises ValueError for a folder without texts, a file of another name or without a title.
    """
    found: dict[tuple[str, int], tuple[domain.Text, ...]] = {}
    for path in sorted(folder.glob("*/*")):
        name, text = _NAME.fullmatch(path.name), path.read_text(encoding="utf-8")
        title = text.partition("\n")[0]
        if name is None or not title.startswith("# "):
            raise ValueError(f"{path}: a text is called 0001.en.md and begins with `# ` and its title")
        key = (path.parent.name, int(name[1]))
        found[key] = (*found.get(key, ()), domain.Text(name[2], title[2:].strip(), text))
    if not found:
        raise ValueError(f"{folder} holds no texts, <kind>/0001.en.md and so on")
    return found


async def publish_all(database: Database, folder: Path, clock: Clock) -> str:
    """Publish each version of the files that is not published yet, in force from now on; return the key of a job.

    The job tells auth all published versions, at each start: auth's database may be younger than this one. All is one
    transaction, so that no job finds a part of the first policies and tells auth that these are all.
    Safe to run in several processes at once. Raises TextChangedError when a published version differs from its
    file, StartFault for texts that cannot be published.
    """
    with reading("FILMGATE_POLICY_TEXTS"):
        found = read(folder)
    now = clock.now()
    async with database.transaction() as session:
        for (kind, version), texts in sorted(found.items()):
            await _publish(session, folder, domain.Draft(kind, version, now, texts), now)
        return await jobs.tell_policies(session, ids.new("start"), now)


async def _publish(session: AsyncSession, folder: Path, draft: domain.Draft, now: datetime.datetime) -> None:
    """Publish one version unless it is published. Raises TextChangedError when it was published with other texts."""
    stored = await store.find_version(session, draft.kind, draft.version)
    if stored is None:
        stored = await _published(session, folder, draft, now)
    if not publication.is_same(stored, draft):
        raise TextChangedError(
            f"{folder}/{draft.kind}/{draft.version:04}.*.md differs from the published version {draft.version}: "
            "published text never changes. Restore the files, and publish the next version."
        )


async def _published(session: AsyncSession, folder: Path, draft: domain.Draft, now: datetime.datetime) -> PolicyRow:
    """Publish a draft that comes from files; what is refused is told with the files' names."""
    try:
        return await publication.publish(session, draft, now)
    except Failure as fault:
        raise StartFault(f"{folder}/{draft.kind}/{draft.version:04}.*.md cannot be published: {fault}") from fault
