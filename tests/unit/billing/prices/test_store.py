"""Published books are stored once and never change."""

import asyncio

import pytest
import sqlalchemy as sa
import yaml

from services.billing.prices import shelf
from services.billing.prices.domain import BookError
from services.billing.prices.shelf import Shelf


def copy(folder, version=1, **changes):
    book = shelf.contents()[0] | {"version": version} | changes
    (folder / f"{version:04}.yaml").write_text(yaml.safe_dump(book), "utf-8")
    return folder


@pytest.fixture
async def database(postgres):
    async with postgres.database("billing") as opened:
        yield opened


async def test_publishing_twice_or_at_once_changes_nothing(database, clock):
    await asyncio.gather(*(Shelf(database, clock).publish() for _ in range(4)))
    books = await Shelf(database, clock).books()
    assert [book.version for book in books] == [1]


async def test_a_published_version_with_other_content_stops_the_start(database, clock, tmp_path):
    await Shelf(database, clock).publish()
    with pytest.raises(BookError, match="add a new version"):
        await Shelf(database, clock).publish(copy(tmp_path, rates={"animatic": {"720p": "0.01"}}))
    book = (await Shelf(database, clock).books())[0]
    assert str(book.rates["animatic", "720p"]) == "0.10"


async def test_the_layout_of_the_file_is_not_its_content(database, clock, tmp_path):
    await Shelf(database, clock).publish()
    await Shelf(database, clock).publish(copy(tmp_path))


async def test_what_another_process_publishes_is_seen_within_a_minute(database, clock, tmp_path):
    mine, other = Shelf(database, clock), Shelf(database, clock)
    await mine.publish()
    assert len(await mine.books()) == 1
    await other.publish(copy(tmp_path, 2, effective_time="2027-01-01T00:00:00Z"))
    assert len(await mine.books()) == 1
    assert (await mine.book(2)).version == 2, "an unknown version is looked for at once"
    clock.advance(60)
    assert len(await mine.books()) == 2
    with pytest.raises(LookupError):
        await mine.book(3)


@pytest.mark.parametrize("change", ["UPDATE price_books SET content = '{}'", "DELETE FROM price_books"])
async def test_the_service_cannot_change_a_book(database, clock, change):
    await Shelf(database, clock).publish()
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        async with database.transaction() as session:
            await session.execute(sa.text(change))
