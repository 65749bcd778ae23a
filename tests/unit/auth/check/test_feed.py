"""The feed: nothing is missed, nothing newer is undone, and its age is known."""

import asyncio
import datetime

import pytest
import sqlalchemy as sa

from services.auth.check import feed as feeds
from services.auth.check.directory import Directory
from services.auth.check.feed import Feed
from services.auth.keys.domain import digest
from services.auth.keys.tables import Key
from services.auth.logins.tables import Session
from services.auth.standings import store
from tests.support.auth import PEPPER, house, stop_database
from tests.support.waiting import until


def known(auth, secret: str):
    """What the directory knows of a secret."""
    found = auth.house.directory.find(digest(PEPPER, secret))
    return found[0] if found else None


async def revoke(auth, key: str) -> None:
    """Revoke behind the back of this process, as another one would."""
    async with auth.database.transaction() as session:
        await session.execute(sa.update(Key).where(Key.id == key).values(revoke_time=auth.clock.now()))


async def test_a_fresh_process_knows_all_that_there_is(auth):
    person = await auth.register()
    made, gone = await auth.key(person), await auth.key(person)
    await revoke(auth, gone.id)
    directory = Directory()
    feed = Feed(auth.database, directory, auth.clock, steady=auth.steady)
    assert feed.age == float("inf")
    with pytest.raises(RuntimeError):
        await feed.ready()
    assert await feed.catch_up(patient=True)
    assert not directory.find(digest(PEPPER, made.secret))[0].ended
    assert directory.find(digest(PEPPER, gone.secret))[0].ended
    assert directory.find(digest(PEPPER, person.access))[0].kind == "session"
    assert feed.age == 0
    await feed.ready()


async def test_a_reading_that_learns_that_policies_were_told_knows_them(profile, database, clock, tmp_path):
    """They are committed in the middle of a reading, which stands before the lock of the row that says so."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'policies_told'::regclass")
    effective = clock.now()
    async with house(database, tmp_path, clock, profile, told=False) as auth:
        async with database.transaction() as session:
            await session.execute(sa.text("LOCK TABLE policies_told"))
            reading = asyncio.create_task(auth.house.feed.catch_up(patient=True))
            await until(lambda: session.scalar(waiting), pause=0.01)
            policy = {"kind": "terms", "number": 1, "policy": "pol_1", "effective_time": effective}
            await store.set_policies(session, [policy])
        assert await reading
        directory = auth.house.directory
        assert (directory.told, list(directory.policies)) == (True, ["terms"])


async def test_a_transaction_that_commits_late_is_seen_though_its_number_is_lower(auth):
    """Number order is not commit order: the first transaction takes the lower id and commits after the second."""
    person = await auth.register()
    first, second = await auth.key(person), await auth.key(person)
    async with auth.database.engine.connect() as slow:
        await slow.execute(sa.text("SELECT pg_current_xact_id()"))
        await revoke(auth, second.id)
        await auth.house.feed.catch_up(patient=True)
        assert known(auth, second.secret).ended
        await slow.execute(sa.update(Key).where(Key.id == first.id).values(revoke_time=auth.clock.now()))
        await auth.house.feed.catch_up(patient=True)
        assert not known(auth, first.secret).ended
        await slow.commit()
    await auth.house.feed.catch_up(patient=True)
    assert known(auth, first.secret).ended


async def test_a_row_changed_last_by_the_older_transaction_is_seen(auth):
    """The same row: written by the newer transaction first, then by the older one, whose lower id comes later."""
    person = await auth.register()
    made = await auth.key(person)
    async with auth.database.engine.connect() as older:
        await older.execute(sa.text("SELECT pg_current_xact_id()"))
        async with auth.database.transaction() as session:
            await session.execute(sa.update(Key).where(Key.id == made.id).values(display_name="other"))
        await auth.house.feed.catch_up(patient=True)
        await older.execute(sa.update(Key).where(Key.id == made.id).values(revoke_time=auth.clock.now()))
        await older.commit()
    await auth.house.feed.catch_up(patient=True)
    assert known(auth, made.secret).ended


async def test_a_late_fill_does_not_undo_a_revocation(auth):
    """The loader is paused between its read and its taking in; meanwhile the key is revoked and that is taken in."""
    person = await auth.register()
    made = await auth.key(person)
    loader = Feed(auth.database, auth.house.directory, auth.clock, steady=auth.steady)
    stale = await loader.read()
    assert any(principal.id == made.id for principal in stale[2].principals)
    await revoke(auth, made.id)
    await auth.house.feed.catch_up(patient=True)
    loader.take(*stale)
    assert known(auth, made.secret).ended
    await auth.house.feed.catch_up(patient=True)
    assert known(auth, made.secret).ended


async def test_a_late_reading_makes_nothing_look_fresher(auth):
    stale = await auth.house.feed.read()
    auth.steady.now += 3
    await auth.house.feed.catch_up(patient=True)
    assert auth.house.feed.age == 0
    auth.house.feed.take(*stale)
    assert auth.house.feed.age == 0
    auth.steady.now += 2
    assert auth.house.feed.age == 2


async def test_the_marks_are_set_by_the_database(auth):
    made = await auth.key(await auth.register())
    for number in (2, 3):
        async with auth.database.transaction() as session:
            values = {"display_name": str(number), "version": 99, "changed": 0}
            await session.execute(sa.update(Key).where(Key.id == made.id).values(**values))
        async with auth.database.transaction() as session:
            row = await session.get(Key, made.id)
            assert row.version == number
            assert row.changed > 0


async def test_noting_a_use_is_no_change(auth):
    made = await auth.key(await auth.register())
    async with auth.database.transaction() as session:
        before = (await session.get(Key, made.id)).version
    auth.house.uses.note(made.id, auth.clock.now())
    await auth.house.uses.flush()
    async with auth.database.transaction() as session:
        assert (await session.get(Key, made.id)).version == before


async def test_who_waits_at_a_time_shares_one_reading(auth, monkeypatch):
    readings = []

    async def count(*arguments):
        readings.append(1)
        return await original(*arguments)

    original = feeds.store.read_changes
    monkeypatch.setattr(feeds.store, "read_changes", count)
    assert all(await asyncio.gather(*(auth.house.feed.catch_up(patient=True) for _ in range(50))))
    assert len(readings) <= 2


async def test_catching_up_sees_what_was_committed_before_it_though_a_reading_is_under_way(auth, monkeypatch):
    person = await auth.register()
    made = await auth.key(person)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(session, floor):
        found = await original(session, floor)
        reached.set()
        await go_on.wait()
        return found

    original = feeds.store.read_changes
    monkeypatch.setattr(feeds.store, "read_changes", slow)
    under_way = asyncio.create_task(auth.house.feed.catch_up(patient=True))
    await reached.wait()
    await revoke(auth, made.id)
    mine = asyncio.create_task(auth.house.feed.catch_up(patient=True))
    go_on.set()
    assert await under_way
    assert await mine
    assert known(auth, made.secret).ended


async def test_a_database_that_does_not_answer_makes_the_feed_age(auth, postgres):
    await auth.house.feed.catch_up(patient=True)
    stop_database(postgres, auth.database)
    auth.steady.now += 4
    assert not await auth.house.feed.catch_up(patient=True)
    assert auth.house.feed.age == 4
    auth.steady.now += 57
    with pytest.raises(RuntimeError):
        await auth.house.feed.ready()


async def test_ended_sessions_leave_the_memory(auth):
    person = await auth.register()
    directory, end = auth.house.directory, auth.clock.now().timestamp() + 900
    directory.prune(end + 3600)
    assert known(auth, person.access)
    directory.prune(end + 3601)
    assert known(auth, person.access) is None


async def test_what_was_changed_behind_this_process_is_seen(auth):
    person = await auth.register()
    async with auth.database.transaction() as session:
        row = await session.get(Session, person.session)
        row.end_time = auth.clock.now() + datetime.timedelta(seconds=1)
    await auth.house.feed.catch_up(patient=True)
    assert known(auth, person.access).ended
