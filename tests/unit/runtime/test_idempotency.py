"""The first answer wins and is replayed; also when two come at once."""

import asyncio
import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from services.runtime import errors, idempotency
from services.runtime.database import Database
from tests.support.clock import START, FakeClock
from tests.support.toy import pb2
from tests.support.toy_database import Thing

Time = datetime.datetime
DAY = datetime.timedelta(hours=24)


async def make(
    database: Database,
    key: str = "k",
    text: str = "a",
    scope: str = "prj_1",
    now: datetime.datetime = START,
    **more: Any,
) -> Any:
    """What a method does: begin, effect, finish."""
    asked = pb2.MakeRequest(text=text, request_id=more.pop("body_key", key))
    async with database.transaction() as session:
        if old := await idempotency.begin(session, scope, "Make", key, asked, pb2.Toy, now):
            return old
        count = (await session.execute(sa.select(sa.func.count()).select_from(Thing))).scalar()
        session.add(Thing(id=f"thing {count}", create_time=now))
        await session.flush()
        await asyncio.sleep(0)
        answer = pb2.Toy(text=f"thing {count}")
        await idempotency.finish(session, scope, "Make", key, answer)
        if more.get("fail"):
            raise RuntimeError
        return answer


async def things(database: Database) -> int:
    async with database.transaction() as session:
        return (await session.execute(sa.select(sa.func.count()).select_from(Thing))).scalar() or 0


async def test_a_second_arrival_gets_the_first_answer(database: Database) -> None:
    first = await make(database)
    assert await make(database) == first
    assert await things(database) == 1


async def test_the_id_may_come_as_field_or_header(database: Database) -> None:
    assert await make(database) == await make(database, body_key="")


async def test_another_body_is_refused(database: Database) -> None:
    await make(database)
    with pytest.raises(errors.Failure) as caught:
        await make(database, text="b")
    assert caught.value.kind is errors.REQUEST_ID_REUSED


async def test_scopes_and_ids_are_apart(database: Database) -> None:
    answers = [await make(database), await make(database, scope="prj_2"), await make(database, key="k2")]
    assert len({answer.text for answer in answers}) == 3


async def test_without_an_id_nothing_is_stored(database: Database) -> None:
    await make(database, key="")
    await make(database, key="")
    assert await things(database) == 2


async def test_of_many_at_once_one_works_and_all_get_its_answer(database: Database) -> None:
    answers = await asyncio.gather(*(make(database) for _ in range(8)))
    assert {answer.text for answer in answers} == {"thing 0"}
    assert await things(database) == 1


async def test_of_two_at_once_with_different_bodies_one_is_refused(database: Database) -> None:
    answers = await asyncio.gather(*(make(database, text=text) for text in "ab"), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, errors.Failure)]
    assert [failure.kind for failure in refused] == [errors.REQUEST_ID_REUSED]
    assert await things(database) == 1


async def test_a_failed_first_leaves_the_id_free(database: Database) -> None:
    with pytest.raises(RuntimeError):
        await make(database, fail=True)
    assert (await make(database)).text == "thing 0"


async def test_the_loser_of_a_race_takes_over_when_the_winner_fails(database: Database) -> None:
    answers = await asyncio.gather(
        make(database, fail=True), *(make(database) for _ in range(3)), return_exceptions=True
    )
    assert len({answer.text for answer in answers if isinstance(answer, pb2.Toy)}) == 1
    assert await things(database) == 1


async def test_without_an_answer_the_first_is_in_progress_until_forgotten(database: Database) -> None:
    asked = pb2.MakeRequest(text="a")
    async with database.transaction() as session:
        assert await idempotency.begin(session, "prj_1", "Make", "k", asked, pb2.Toy, START) is None
    with pytest.raises(errors.Failure) as caught:
        await make(database)
    assert caught.value.kind is errors.REQUEST_IN_PROGRESS
    async with database.transaction() as session:
        await idempotency.forget(session, "prj_1", "Make", "k")
    assert (await make(database)).text == "thing 0"


async def test_an_answer_is_kept_for_24_hours_and_not_longer(database: Database, clock: FakeClock) -> None:
    await make(database)
    assert (await make(database, now=START + DAY - datetime.timedelta(seconds=1))).text == "thing 0"
    assert (await make(database, now=START + DAY, text="another body")).text == "thing 1"
    async with database.transaction() as session:
        assert await idempotency.sweep(session, START + DAY) == 0
        assert await idempotency.sweep(session, START + 2 * DAY) == 1


async def test_a_scope_can_be_erased(database: Database) -> None:
    await make(database)
    await make(database, key="k2")
    await make(database, scope="prj_2")
    async with database.transaction() as session:
        assert await idempotency.erase(session, "prj_1") == 2
    assert (await make(database, scope="prj_2")).text == "thing 2"
