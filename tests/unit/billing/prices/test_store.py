"""Published books are stored once and never change."""

import asyncio

import pytest
import sqlalchemy as sa
import yaml

from services.billing.prices import book_cache
from services.billing.prices.domain import BookError
from tests.support.bank import Bank, rules


def copy(folder, version=1, **changes):
    book = book_cache.contents()[0] | {"version": version} | changes
    (folder / f"{version:04}.yaml").write_text(yaml.safe_dump(book), "utf-8")
    return folder


@pytest.fixture
async def house(postgres, clock):
    async with postgres.database("billing") as database:
        yield Bank(database, clock, rules())


async def test_publishing_twice_or_at_once_changes_nothing(house):
    await asyncio.gather(*(house.publish() for _ in range(4)))
    assert [book.version for book in await house.books()] == [1, 2]


async def test_a_published_version_with_other_content_stops_the_start(house, tmp_path):
    await house.publish()
    with pytest.raises(BookError, match="add a new version"):
        await house.publish(copy(tmp_path, rates={"animatic": {"720p": "0.01"}}))
    book = (await house.books())[0]
    assert str(book.rates["animatic", "720p"]) == "0.10"


async def test_the_layout_of_the_file_is_not_its_content(house, tmp_path):
    await house.publish()
    await house.publish(copy(tmp_path))


async def test_what_another_process_publishes_is_seen_within_a_minute(house, clock, tmp_path):
    await house.publish()
    assert len(await house.books()) == 2
    await Bank(house.database, clock, rules()).publish(copy(tmp_path, 3, effective_time="2027-01-01T00:00:00Z"))
    assert len(await house.books()) == 2
    clock.advance(-3600)  # an age is not measured by a clock that may be set back (review B15)
    clock.jump(days=40)
    clock.advance(59)
    assert len(await house.books()) == 2
    clock.advance(1)
    assert len(await house.books()) == 3


async def test_an_unknown_version_is_looked_for_at_once(house, clock, tmp_path):
    await house.publish()
    await house.books()
    await Bank(house.database, clock, rules()).publish(copy(tmp_path, 3, effective_time="2027-01-01T00:00:00Z"))
    async with house.database.transaction() as session:
        assert (await house.book_cache.book(session, 3)).version == 3
        with pytest.raises(LookupError):
            await house.book_cache.book(session, 4)


@pytest.mark.parametrize("change", ["UPDATE price_books SET content = '{}'", "DELETE FROM price_books"])
async def test_the_service_cannot_change_a_book(house, change):
    await house.publish()
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        async with house.database.transaction() as session:
            await session.execute(sa.text(change))
