"""The SQL of policies on the real PostgreSQL."""

import asyncio
import datetime
import hashlib

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from services.privacy.policies import store
from services.privacy.policies.tables import PolicyRow, PolicyTextRow, ReceiptRow
from services.runtime import ids
from services.runtime.pages import Page
from tests.support.clock import START


def moment(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


async def publish(
    database, version: int, effective: float = 0, kind: str = "privacy", published: float = 0
) -> PolicyRow:
    policy = PolicyRow(
        id=ids.new("pol"), kind=kind, version=version, effective_time=moment(effective), publish_time=moment(published)
    )
    digest = hashlib.sha256(b"text").hexdigest()
    texts = [
        PolicyTextRow(policy=policy.id, language=name, title="t", text="text", sha256=digest) for name in ("zh", "en")
    ]
    async with database.transaction() as session:
        await store.publish(session, policy, texts)
    return policy


def receipt(policy: PolicyRow, account: str = "acc_1") -> ReceiptRow:
    return ReceiptRow(
        id=ids.new("rcp"), account=account, policy=policy.id, kind=policy.kind, version=policy.version, language="en",
        sha256="aa", accept_time=START, method="session",
    )  # fmt: skip


async def test_a_policy_is_found_with_its_texts(database):
    policy = await publish(database, 1)
    async with database.transaction() as session:
        found = await store.find(session, policy.id)
        assert await store.find(session, "pol_no") is None
        assert [text.language for text in found.texts] == ["en", "zh"]
        assert (await store.find_version(session, "privacy", 1)).id == policy.id
        assert await store.find_version(session, "terms", 1) is None


async def test_the_version_in_force_is_the_newest_whose_time_has_come(database):
    await publish(database, 1, effective=0)
    await publish(database, 2, effective=100)
    await publish(database, 3, effective=50)
    await publish(database, 1, effective=70, kind="terms")
    async with database.transaction() as session:
        at = {seconds: await store.versions_in_force(session, moment(seconds)) for seconds in (-1, 0, 49, 50, 70, 100)}
        assert await store.newest_version(session, "privacy") == 3
        assert await store.newest_version(session, "other") == 0
    assert at == {
        -1: {},
        0: {"privacy": 1},
        49: {"privacy": 1},
        50: {"privacy": 3},
        70: {"privacy": 3, "terms": 1},
        100: {"privacy": 3, "terms": 1},
    }


async def test_the_list_holds_what_is_in_force_and_announced_page_by_page(database):
    for version in range(1, 6):
        await publish(database, version, effective=version * 10, published=version)
    async with database.transaction() as session:
        seen, page = [], Page(2)
        while rows := await store.page_of_current(session, moment(30), page):
            seen += rows[:2]
            page = Page(2, (rows[:2][-1].publish_time, rows[:2][-1].id))
    assert [row.version for row in seen] == [5, 4, 3]


async def test_two_acceptances_at_once_leave_one_receipt(database):
    policy = await publish(database, 1)

    async def accept() -> str:
        async with database.transaction() as session:
            return (await store.accept(session, receipt(policy))).id

    assert len(set(await asyncio.gather(*(accept() for _ in range(8))))) == 1
    async with database.transaction() as session:
        assert await store.receipt_of(session, "acc_2", policy.id) is None
        assert await session.scalar(sa.select(sa.func.count()).select_from(ReceiptRow)) == 1


@pytest.mark.promise("CARRY-0.1", "KLING-A0.2", "CARRY-6.4")
@pytest.mark.parametrize("table", ["policies", "policy_texts", "receipts"])
@pytest.mark.parametrize("change", ["UPDATE {} SET version = 9", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_service_can_change_nothing_that_stands(database, profile, table: str, change: str):
    policy = await publish(database, 1)
    async with database.transaction() as session:
        await store.accept(session, receipt(policy))
    change = change.replace("version", "title") if table == "policy_texts" else change
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as session:
            await session.execute(sa.text(change.format(table)))


async def test_the_digest_must_be_that_of_the_text(database):
    policy = PolicyRow(id="pol_1", kind="terms", version=1, effective_time=START, publish_time=START)
    text = PolicyTextRow(policy="pol_1", language="en", title="t", text="text", sha256="0" * 64)
    with pytest.raises(DBAPIError, match="policy_texts_sha256"):
        async with database.transaction() as session:
            await store.publish(session, policy, [text])


async def test_publication_waits_for_the_one_before(database):
    order = []

    async def publish_slowly(name: str, held: asyncio.Event) -> None:
        async with database.transaction() as session:
            await store.lock_publication(session)
            order.append(f"{name} in")
            held.set()
            await asyncio.wait_for(first_may_end.wait(), 60)
            order.append(f"{name} out")

    first_may_end, held = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(publish_slowly("first", held))
    await held.wait()
    second = asyncio.create_task(publish_slowly("second", asyncio.Event()))
    async with database.transaction() as session:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while not await session.scalar(waiting):
            pass
    first_may_end.set()
    await asyncio.gather(first, second)
    assert order == ["first in", "first out", "second in", "second out"]
