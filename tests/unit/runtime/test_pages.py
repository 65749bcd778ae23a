"""Lists to their end, and tokens that stand for nothing but a place."""

import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import errors, pages
from services.runtime.database import Database
from tests.support.clock import START
from tests.support.toy import pb2
from tests.support.toy_database import Thing


def request(**values: Any) -> Any:
    return pb2.MakeRequest(**values)


async def read(database: Database, asked: Any) -> tuple[list[str], str]:
    page = pages.page(asked)
    async with database.transaction() as session:
        rows = (await session.scalars(page.of(sa.select(Thing), Thing.create_time, Thing.id))).all()
    kept, token = page.cut(rows, asked, lambda row: (row.create_time, row.id))
    return [row.id for row in kept], token


async def fill(database: Database, count: int, per_moment: int = 1) -> list[str]:
    """Write things, several at one moment; returns their ids, newest first."""
    second = datetime.timedelta(microseconds=1)
    things = [
        Thing(id=f"vid_{number:05}", create_time=START + second * (number // per_moment)) for number in range(count)
    ]
    async with database.transaction() as session:
        session.add_all(things)
    return [f"vid_{number:05}" for number in reversed(range(count))]


@pytest.mark.parametrize(("count", "size"), [(0, 5), (1, 5), (5, 5), (6, 5), (11, 3), (10, 1)])
async def test_every_row_comes_once_and_the_end_has_no_token(database: Database, count: int, size: int) -> None:
    wanted = await fill(database, count, per_moment=3)
    found: list[str] = []
    token, reads = "", 0
    while True:
        ids, token = await read(database, request(page_size=size, page_token=token))
        found += ids
        reads += 1
        assert len(ids) <= size
        if not token:
            break
    assert found == wanted
    assert reads == max(1, -(-count // size))


async def test_rows_that_come_meanwhile_do_not_shift_a_page(database: Database) -> None:
    wanted = await fill(database, 6)
    first, token = await read(database, request(page_size=3))
    async with database.transaction() as session:
        session.add(Thing(id="vid_new", create_time=START + datetime.timedelta(hours=1)))
    second, _ = await read(database, request(page_size=3, page_token=token))
    assert first + second == wanted


async def test_sizes(database: Database) -> None:
    await fill(database, 230)
    assert len((await read(database, request()))[0]) == 50
    assert len((await read(database, request(page_size=200)))[0]) == 200
    assert len((await read(database, request(page_size=2_000_000_000)))[0]) == 200
    with pytest.raises(errors.Failure) as caught:
        pages.page(request(page_size=-1))
    assert caught.value.metadata["field"] == "page_size"


def test_a_token_is_for_the_same_arguments() -> None:
    token = pages.token((START, "vid_1"), request(text="a", page_size=3))
    page = pages.page(request(text="a", page_size=7, page_token=token))
    assert page == pages.Page(7, (START, "vid_1"))
    for other in (request(text="b", page_token=token), request(page_token=token)):
        with pytest.raises(errors.Failure) as caught:
            pages.page(other)
        assert caught.value.kind is errors.PAGE_TOKEN_MISMATCH


@given(st.text(max_size=60))
def test_any_other_text_is_refused_cleanly(text: str) -> None:
    if not text:
        return
    with pytest.raises(errors.Failure) as caught:
        pages.page(request(page_token=text))
    assert caught.value.kind in (errors.FIELD_INVALID, errors.PAGE_TOKEN_MISMATCH)


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_in_a_token_are_refused_cleanly(raw: bytes) -> None:
    import base64

    with pytest.raises(errors.Failure) as caught:
        pages.page(request(page_token=base64.urlsafe_b64encode(raw).decode()))
    assert caught.value.kind in (errors.FIELD_INVALID, errors.PAGE_TOKEN_MISMATCH)
