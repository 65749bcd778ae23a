"""The development customer of `make up`: one, remembered, mended for what it lacks, and never needed (review A1)."""

import asyncio
import dataclasses
import datetime
import json
import secrets

import pytest

from deploy.local import customer, ports
from deploy.local.client import Client
from deploy.local.suite import Suite
from filmgate.auth.v1 import accounts_pb2, accounts_pb2_grpc
from filmgate.privacy.v1 import policies_pb2, policies_pb2_grpc
from tests.support.books import Books
from tests.support.operators import door
from tests.support.waiting import until_refused

PARTS = ("postgres", "auth", "billing", "privacy", "envoy")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The parts that a customer without videos needs."""
    running = Suite(tmp_path_factory.mktemp("suite") / ".filmgate", ports=ports.free(), names=PARTS)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def home(suite):
    """The suite's home without a remembered customer."""
    (suite.home / customer.FILE).unlink(missing_ok=True)
    return suite.home


@pytest.fixture
async def accounts(suite):
    """Counts the accounts that there are."""
    books = Books(suite)

    async def count():
        return await books.value("auth", "SELECT count(*) FROM accounts")

    yield count
    await books.close()


async def a_code(client):
    target = f"{secrets.token_hex(6)}@example.com"
    return await client.call("POST", "/v1/codes:send", {"channel": "EMAIL", "target": target, "purpose": "REGISTER"})


async def ready(suite):
    return await customer.ready(suite.url, suite.outbox, suite.home)


async def wallet(suite, key):
    async with Client(suite.url, suite.outbox) as client:
        client.credential = key
        return await client.call("GET", "/v1/wallet")


async def test_it_is_made_once_and_kept_private(suite, home, accounts):
    before = await accounts()
    first = await ready(suite)
    assert first.said == ""
    await wallet(suite, first.key)
    assert await ready(suite) == first
    assert await accounts() == before + 1
    assert (home / customer.FILE).stat().st_mode & 0o777 == 0o600


async def test_a_revoked_key_is_replaced_by_one_of_the_same_account(suite, home, accounts):
    first = await ready(suite)
    before, known = await accounts(), customer.remembered(home)
    async with Client(suite.url, suite.outbox) as client:
        await client.log_in(known.phone)
        [key] = (await client.call("GET", "/v1/keys"))["keys"]
        await client.call("POST", f"/v1/keys/{key['id']}:revoke", {})
    await until_refused(lambda: wallet(suite, first.key), 10)
    second = await ready(suite)
    assert second.key != first.key
    assert "no longer worked" in second.said
    await wallet(suite, second.key)
    assert await accounts() == before
    assert customer.remembered(home) == dataclasses.replace(known, key=second.key)


async def test_policies_that_have_changed_are_accepted_with_the_same_key(suite, home, accounts):
    first = await ready(suite)
    before = await accounts()
    async with door(suite, "privacy") as channel:
        texts = [policies_pb2.PolicyText(language=code, title="Terms", text=f"New, {code}.") for code in ("zh", "en")]
        effective = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
        request = policies_pb2.PublishPolicyRequest(kind="terms", version=2, texts=texts, effective_time=effective)
        await policies_pb2_grpc.PoliciesStub(channel).PublishPolicy(request, timeout=10)
    refused = await until_refused(lambda: wallet(suite, first.key), 20)
    assert refused.reason == "POLICY_NOT_ACCEPTED"
    second = await ready(suite)
    assert second == customer.Found(first.key, "The policies have changed; the development customer has accepted them.")
    await wallet(suite, second.key)
    assert await accounts() == before


async def test_a_frozen_account_is_replaced(suite, home, accounts):
    first = await ready(suite)
    known = customer.remembered(home)
    async with door(suite, "auth") as channel:
        request = accounts_pb2.FreezeAccountRequest(account=known.account, scope="ALL", reason="abuse")
        await accounts_pb2_grpc.AccountsStub(channel).FreezeAccount(request, timeout=10)
    await until_refused(lambda: wallet(suite, first.key), 10)
    before = await accounts()
    second = await ready(suite)
    assert second.said == f"The account {known.account} is frozen; this is a new one."
    await wallet(suite, second.key)
    assert await accounts() == before + 1
    assert await ready(suite) == customer.Found(second.key)


async def test_a_file_that_cannot_be_read_is_made_anew(suite, home):
    (home / customer.FILE).write_bytes(b"{")
    found = await ready(suite)
    assert json.loads((home / customer.FILE).read_bytes())["key"] == found.key


async def test_a_suite_that_does_not_answer_costs_a_sentence_and_no_key(suite, home):
    remembered = await ready(suite)
    found = await customer.ready("http://127.0.0.1:9", suite.outbox, home)
    assert found.key == ""
    assert found.said.startswith("The suite runs, but without a ready-made key: ")
    assert await ready(suite) == remembered


async def test_used_up_limits_cost_a_sentence_and_leave_a_remembered_key_alone(suite, home):
    remembered = await ready(suite)
    async with Client(suite.url, suite.outbox) as client:
        await until_refused(lambda: a_code(client), 60, "SEND_TOO_SOON")
    assert await ready(suite) == remembered
    (home / customer.FILE).unlink()
    found = await asyncio.wait_for(ready(suite), 30)
    assert found.key == ""
    assert "429 SEND_TOO_SOON" in found.said
    assert "make up tries again" in found.said
