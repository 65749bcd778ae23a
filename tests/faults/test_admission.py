"""kill -9 and SIGSTOP at each arrow between the order and the queue (architecture, section 5, steps 1 to 5)."""

from functools import partial

import pytest

from tests.faults.conftest import ORDER, balanced, ordering, until
from tests.support.waiting import until_served

pytestmark = pytest.mark.group("fault cells")

ADMITTING = "SELECT id FROM videos WHERE organization = $1 AND state = 'ADMITTING'"
ROW = "SELECT 1 FROM videos WHERE id = $1 FOR UPDATE"
WALLET = "SELECT 1 FROM wallets WHERE organization = $1 FOR UPDATE"


def _organization(customer) -> str:
    return customer.made["organization"]["id"]


async def test_generation_dies_after_the_row_and_before_the_hold(suite, books, customer, attack):
    suite.process("billing").stop()
    async with ordering(customer, ORDER):
        await until(books, "generation", ADMITTING, _organization(customer))
        await attack("generation")
        suite.process("billing").cont()
    await suite.until_ready("billing")
    await balanced(books, _organization(customer))
    await _orders_again(customer, books)


async def test_generation_dies_while_the_hold_is_made(books, customer, money, attack):
    async with money.hold(WALLET, _organization(customer)), ordering(customer, ORDER):
        await money.until_waiting()
        await attack("generation")
    await balanced(books, _organization(customer))
    await _orders_again(customer, books)


async def test_generation_dies_between_the_hold_and_the_queue(books, customer, money, orders, attack):
    wallet = money.hold(WALLET, _organization(customer))
    await wallet.__aenter__()
    async with ordering(customer, ORDER):
        await money.until_waiting()
        video = await until(books, "generation", ADMITTING, _organization(customer))
        async with orders.hold(ROW, video):
            await wallet.__aexit__(None, None, None)
            await until(books, "billing", "SELECT 1 FROM holds WHERE video = $1", video)
            await orders.until_waiting()
            await attack("generation")
    await balanced(books, _organization(customer))
    await _orders_again(customer, books)


async def test_billing_dies_while_the_hold_is_made(books, customer, money, attack):
    async with money.hold(WALLET, _organization(customer)), ordering(customer, ORDER):
        await money.until_waiting()
        await attack("billing")
    await balanced(books, _organization(customer))
    await _orders_again(customer, books)


async def test_an_answer_that_was_lost_is_answered_again(suite, books, customer, attack):
    suite.process("worker").stop()
    made = await customer.call("POST", "/v1/videos", ORDER, idempotency_key="lost")
    await attack("generation")
    again = await customer.call("POST", "/v1/videos", ORDER, idempotency_key="lost")
    assert again["id"] == made["id"]
    suite.process("worker").cont()
    videos = await balanced(books, _organization(customer))
    assert [row["state"] for row in videos.values()] == ["SUCCEEDED"]


async def _orders_again(customer, books) -> None:
    """The slot and the money are free, and the same request may be tried again."""
    order = partial(customer.call, "POST", "/v1/videos", ORDER, idempotency_key="again")
    await until_served(order, 90, "REQUEST_IN_PROGRESS", "SERVICE_UNAVAILABLE", "PEER_UNAVAILABLE")
    videos = await balanced(books, _organization(customer))
    assert "SUCCEEDED" in {row["state"] for row in videos.values()}
