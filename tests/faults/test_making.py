"""kill -9 and SIGSTOP at each arrow between the queue and the settled film (architecture, section 5, steps 6 to 10)."""

import asyncio
import contextlib

import pytest

from deploy.local.client import Refused
from tests.faults.conftest import LONG, ORDER, balanced, until

pytestmark = pytest.mark.group("fault cells")

ROW = "SELECT 1 FROM videos WHERE id = $1 FOR UPDATE"
WALLET = "SELECT 1 FROM wallets WHERE organization = $1 FOR UPDATE"
CLAIMED = "SELECT 1 FROM jobs WHERE key = 'generate:' || $1 AND state = 'RUNNING'"
MADE = "SELECT 1 FROM videos WHERE id = $1 AND state = 'RUNNING' AND progress_percent > 0"
STAGED = "SELECT 1 FROM files WHERE video = $1 AND state = 'STAGING'"
BEGUN = "SELECT attempt FROM videos WHERE id = $1 AND stage = 'GENERATING' AND attempt > $2"
PENDING = "SELECT 1 FROM videos WHERE id = $1 AND settlement = 'PENDING'"


def _organization(customer) -> str:
    return customer.made["organization"]["id"]


async def _order(customer, order: dict) -> str:
    return (await customer.call("POST", "/v1/videos", order))["id"]


async def _succeeded(books, customer, video: str) -> None:
    videos = await balanced(books, _organization(customer))
    assert videos[video]["state"] == "SUCCEEDED", dict(videos[video])


async def test_the_worker_dies_between_claim_and_start(suite, books, customer, orders, attack):
    suite.process("triton").stop()
    video = await _order(customer, ORDER)
    async with orders.hold(ROW, video):
        suite.process("triton").cont()
        await until(books, "generation", CLAIMED, video)
        await orders.until_waiting()
        await attack("worker")
    await _succeeded(books, customer, video)


async def test_the_worker_dies_while_the_model_works(books, customer, attack):
    video = await _order(customer, LONG)
    await until(books, "generation", MADE, video)
    await attack("worker")
    await _succeeded(books, customer, video)


async def test_the_worker_dies_before_the_row_of_the_film(books, customer, orders, attack):
    async with orders.hold("LOCK TABLE files IN SHARE MODE"):
        video = await _order(customer, ORDER)
        await orders.until_waiting()
        await attack("worker")
    await _succeeded(books, customer, video)


async def test_the_worker_dies_between_upload_and_the_one_update(books, customer, orders, attack):
    async with orders.hold("LOCK TABLE files IN SHARE MODE"):
        video = await _order(customer, ORDER)
        await orders.until_waiting()
        breakpoint_ = orders.hold(ROW, video)
        await breakpoint_.__aenter__()
    await until(books, "generation", STAGED, video)
    await orders.until_waiting()
    await attack("worker")
    await breakpoint_.__aexit__(None, None, None)
    await _succeeded(books, customer, video)


async def test_the_worker_dies_between_the_one_update_and_the_charge(suite, books, customer, attack):
    video = await _order(customer, LONG)
    await until(books, "generation", MADE, video)
    suite.process("billing").stop()
    await until(books, "generation", PENDING, video)
    await attack("worker")
    suite.process("billing").cont()
    await _succeeded(books, customer, video)


async def test_billing_dies_while_it_charges(books, customer, money, attack):
    video = await _order(customer, LONG)
    async with money.hold(WALLET, _organization(customer)):
        await until(books, "generation", PENDING, video)
        await money.until_waiting()
        await attack("billing")
    await _succeeded(books, customer, video)


async def test_the_worker_dies_between_the_charge_and_its_answer(books, customer, money, orders, attack):
    video = await _order(customer, LONG)
    async with money.hold(WALLET, _organization(customer)):
        await until(books, "generation", PENDING, video)
        await money.until_waiting()
        breakpoint_ = orders.hold(ROW, video)
        await breakpoint_.__aenter__()
    await until(books, "billing", "SELECT 1 FROM holds WHERE video = $1 AND state = 'CAPTURED'", video)
    await attack("worker")
    await breakpoint_.__aexit__(None, None, None)
    await _succeeded(books, customer, video)


async def test_triton_dies_in_mid_task(books, customer, attack):
    video = await _order(customer, LONG)
    await until(books, "generation", MADE, video)
    await attack("triton")
    await _succeeded(books, customer, video)


async def test_generation_dies_while_the_worker_works(books, customer, attack):
    video = await _order(customer, LONG)
    await attack("generation")
    await _succeeded(books, customer, video)


async def test_cancel_and_success_compete_for_the_one_update(books, customer, orders, attack):
    """Both stand before the row when the worker is hit; whichever wins, the money follows it."""
    async with orders.hold("LOCK TABLE files IN SHARE MODE"):
        video = await _order(customer, ORDER)
        await orders.until_waiting()
        breakpoint_ = orders.hold(ROW, video)
        await breakpoint_.__aenter__()
    await until(books, "generation", STAGED, video)
    cancelling = asyncio.create_task(customer.call("POST", f"/v1/videos/{video}:cancel", {}))
    await orders.until_waiting()
    await attack("worker")
    await breakpoint_.__aexit__(None, None, None)
    with contextlib.suppress(Refused):
        await cancelling
    videos = await balanced(books, _organization(customer))
    assert videos[video]["state"] in {"SUCCEEDED", "CANCELLED"}


async def test_a_model_that_keeps_dying_ends_the_video_uncharged(suite, books, customer):
    video, attempt = await _order(customer, LONG), 0
    while not await books.value("generation", "SELECT end_time IS NOT NULL FROM videos WHERE id = $1", video):
        with contextlib.suppress(TimeoutError):
            attempt = await until(books, "generation", BEGUN, video, attempt, seconds=3)
            suite.process("triton").kill()
            suite.process("triton").launch()
            await suite.until_ready("triton")
    videos = await balanced(books, _organization(customer))
    assert (videos[video]["state"], videos[video]["error_reason"]) == ("FAILED", "GENERATION_FAILED")
