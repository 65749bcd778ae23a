"""What a customer may not exceed: slots, money, tries, keys in time; each refusal is clear and leaves nothing."""

import datetime
from functools import partial

import pytest

from deploy.local.client import Client, Refused, new_phone
from tests.e2e.conftest import ended
from tests.support.waiting import until_refused, until_served

ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
DEAR = {**ORDER, "resolution": "1080p", "duration_seconds": 10}
OPEN_VIDEOS = 3
"""Of the default profile."""
ADULT = {"birth_date": {"year": 1990, "month": 1, "day": 1}, "age_statement": True}


@pytest.fixture
def idle(suite):
    """A worker that takes nothing until the test is over, or has woken it."""
    worker = suite.process("worker")
    worker.stop()
    yield worker
    worker.cont()


def _detail(refused: Refused, kind: str) -> dict:
    return next((row for row in refused.body["details"] if row["@type"].endswith(kind)), {})


async def _refused(call) -> Refused:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value


async def test_another_organizations_videos_take_no_slot_of_mine(customer, newcomer, idle):
    for _ in range(OPEN_VIDEOS):
        await customer.call("POST", "/v1/videos", ORDER)
    other = await newcomer()
    assert (await other.call("POST", "/v1/videos", ORDER))["state"] == "QUEUED"


async def test_the_last_micro_unit_is_spent_and_not_one_more(customer, books, suite):
    """10 CNY of trial credit are 5 orders of 2 CNY, of which 4 are charged by being cancelled while they run."""
    for _ in range(4):
        await _charged(customer)
    worker = suite.process("worker")
    worker.stop()
    try:
        last = await customer.call("POST", "/v1/videos", DEAR)
        assert _micros((await customer.call("GET", "/v1/wallet"))["available"]) == 0
        before = await books.owned(customer.made)
        again = partial(customer.call, "POST", "/v1/videos", ORDER, idempotency_key="poor")
        refused = await _refused(again())
        assert (refused.status, refused.body["code"], refused.reason) == (400, 9, "BALANCE_TOO_LOW")
        told = _detail(refused, "ErrorInfo")["metadata"]
        assert (float(told["needs"]), float(told["available"])) == (0.1, 0)
        assert await books.owned(customer.made) == before
        cancelled = await customer.call("POST", f"/v1/videos/{last['id']}:cancel", {})
        assert _micros(cancelled["price"]) == 0
    finally:
        worker.cont()
    assert (await until_served(again, 10, "BALANCE_TOO_LOW"))["state"] == "QUEUED"


async def _charged(customer: Client) -> None:
    video = (await customer.call("POST", "/v1/videos", DEAR))["id"]
    async for event in customer.watch(video):
        if event.get("video", {}).get("state") == "RUNNING":
            break
    await customer.call("POST", f"/v1/videos/{video}:cancel", {})
    settled = await ended(customer, video)
    assert (settled["state"], _micros(settled["price"])) == ("CANCELLED", 2_000_000)


def _micros(amount: dict) -> int:
    return int(amount.get("units") or 0) * 1_000_000 + int(amount.get("nanos") or 0) // 1000


async def test_a_key_is_refused_from_its_end_on(customer, books):
    customer.credential = customer.session
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    await customer.make_key("short", expire_time=end.isoformat())
    await customer.call("GET", "/v1/videos")
    before = await books.owned(customer.made)
    refused = await until_refused(partial(customer.call, "GET", "/v1/videos"), 5)
    assert datetime.datetime.now(datetime.UTC) >= end
    assert (refused.status, refused.body["code"], refused.reason) == (401, 16, "KEY_EXPIRED")
    assert (await _refused(customer.call("POST", "/v1/videos", ORDER))).reason == "KEY_EXPIRED"
    assert await books.owned(customer.made) == before


async def test_a_contact_point_registers_once(customer, guest, books):
    proof = await guest.send_code(new_phone(), "REGISTER")
    await guest.call("POST", "/v1/accounts", {**proof, **ADULT})
    accounts = await books.value("auth", "SELECT count(*) FROM accounts")
    again = await _refused(guest.call("POST", "/v1/accounts", {**proof, **ADULT}))
    assert again.reason in {"CODE_EXPIRED", "CODE_WRONG"}  # a code works once

    sent = await guest.call(
        "POST", "/v1/codes:send", {"channel": "PHONE", "target": customer.phone, "purpose": "REGISTER"}
    )
    guessed = await _refused(
        guest.call("POST", "/v1/accounts", {"flow_id": sent["flow_id"], "code": "000000", **ADULT})
    )
    assert (guessed.status, guessed.reason) == (400, "CODE_WRONG")  # which says nothing of who is registered
    assert await books.value("auth", "SELECT count(*) FROM accounts") == accounts


async def test_five_wrong_codes_end_a_flow_for_the_right_one_too(guest, books):
    accounts = await books.value("auth", "SELECT count(*) FROM accounts")
    proof = await guest.send_code(new_phone(), "REGISTER")
    wrong = {**proof, "code": f"{(int(proof['code']) + 1) % 1_000_000:06d}", **ADULT}
    for left in (4, 3, 2, 1):
        refused = await _refused(guest.call("POST", "/v1/accounts", wrong))
        assert (refused.status, refused.body["code"], refused.reason) == (400, 3, "CODE_WRONG")
        assert f"tries left: {left}" in refused.body["message"]
    for body in (wrong, {**proof, **ADULT}):
        refused = await _refused(guest.call("POST", "/v1/accounts", body))
        assert (refused.status, refused.body["code"], refused.reason) == (429, 8, "TOO_MANY_TRIES")
        assert "Send a new one" in refused.body["message"]
    assert await books.value("auth", "SELECT count(*) FROM accounts") == accounts


async def test_a_second_code_at_once_is_too_soon(guest):
    phone = new_phone()
    sent = await guest.send_code(phone, "REGISTER")
    assert sent["code"]
    refused = await _refused(guest.send_code(phone, "REGISTER"))
    assert (refused.status, refused.body["code"], refused.reason) == (429, 8, "SEND_TOO_SOON")
    assert "the limit of this phone number or e-mail address is reached" in refused.body["message"]
    assert float(_detail(refused, "RetryInfo")["retry_delay"].rstrip("s")) > 0


async def test_a_person_under_age_is_refused_and_nothing_is_stored(guest, books):
    accounts = await books.value("auth", "SELECT count(*) FROM accounts")
    today = datetime.datetime.now(datetime.UTC).date()
    proof = await guest.send_code(new_phone(), "REGISTER")
    young = {"birth_date": {"year": today.year - 17, "month": 1, "day": 1}, "age_statement": True}
    refused = await _refused(guest.call("POST", "/v1/accounts", {**proof, **young}))
    assert (refused.status, refused.body["code"], refused.reason) == (400, 9, "AGE_NOT_ALLOWED")
    assert "18" in refused.body["message"]
    assert await books.value("auth", "SELECT count(*) FROM accounts") == accounts


async def test_a_session_is_refreshed_and_the_same_token_within_its_grace_answers_the_same(guest):
    made = await guest.register(new_phone())
    first = made["tokens"]["refresh_token"]
    second = await guest.call("POST", "/v1/sessions:refresh", {"refresh_token": first})
    again = await guest.call("POST", "/v1/sessions:refresh", {"refresh_token": first})
    assert second["refresh_token"] != first
    assert (again["access_token"], again["refresh_token"]) == (second["access_token"], second["refresh_token"])
    guest.credential = second["access_token"]
    assert (await guest.call("GET", "/v1/account"))["id"] == made["account"]["id"]
    refused = await _refused(guest.call("POST", "/v1/sessions:refresh", {"refresh_token": "fgr_" + "0" * 43}))
    assert (refused.status, refused.body["code"], refused.reason) == (401, 16, "TOKEN_INVALID")
