"""What Envoy is answered, over real gRPC: standing, policies, rate, and how old knowledge may be."""

import datetime
import itertools
import json

import pytest
import sqlalchemy as sa
from google.type import date_pb2

from filmgate.auth.v1 import accounts_pb2
from filmgate.auth.v1.accounts_pb2_grpc import AccountsStub
from services.auth.keys import domain
from tests.support import auth as support
from tests.support import rpc
from tests.support.auth import ADDRESS, EMAIL, PHONE
from tests.support.checks import ACCEPT, CREATE, GET, accept, at, check, passes, refused, set_policy, tell_policies


@pytest.mark.promise("KLING-A3.3", "KLING-A11.7")
async def test_a_frozen_account_is_refused_by_all_its_keys_at_once(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    keys = [(await auth.key(person, scopes=scopes)).secret for scopes in ([], ["video.read"])]
    freeze = accounts_pb2.FreezeAccountRequest(account=person.account, scope="ALL", reason="abuse")
    for strictness in ("STRICT", "LENIENT"):  # the second freeze after the first was lifted
        await operator.FreezeAccount(freeze)
        for credential in (*keys, person.access):
            found = await refused(auth, "ACCOUNT_FROZEN", credential, strictness=strictness)
            assert (found.status, found.metadata["scope"]) == (403, "ALL")
            assert "abuse" not in json.dumps(found.body)
        await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(account=person.account, scope="ALL"))
        for credential in keys:
            await passes(auth, credential)


@pytest.mark.promise("KLING-A12.1")
async def test_on_a_guardians_notice_staff_stop_browsing_use_by_key_or_spending(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    made = await auth.key(person)
    read, spend = {"method": GET, "strictness": "LENIENT"}, {"method": CREATE, "verb": "POST"}
    for scope, stopped, served in (
        ("ALL", [(made.secret, read), (person.access, read)], []),
        ("KEYS", [(made.secret, read), (made.secret, spend)], [(person.access, read)]),
        ("SPENDING", [(made.secret, spend), (person.access, spend)], [(made.secret, read), (person.access, read)]),
    ):
        told = {"account": person.account, "scope": scope}
        for _ in range(2):  # also a second time, after the first was lifted
            await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(**told, reason="guardian"))
            for credential, call in stopped:
                assert (await refused(auth, "ACCOUNT_FROZEN", credential, **call)).metadata["scope"] == scope
            for credential, call in served:
                await passes(auth, credential, **call)
            await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(**told))
    await auth.runner.run_due()
    assert {event.detail["reason"] for event in auth.recorded if event.action == "FreezeAccount"} == {"guardian"}


@pytest.mark.promise("SILICON-U1.1", part="nothing is refunded: no payment is taken yet")
async def test_who_is_fourteen_may_not_register_and_an_account_of_his_is_stopped_at_once(auth):
    flow, code = await auth.code(EMAIL)
    for year in (2011, 2015, 2022):
        born = date_pb2.Date(year=year, month=11, day=22)
        request = accounts_pb2.RegisterRequest(flow_id=flow, code=code, birth_date=born, age_statement=True)
        async with rpc.refused(reason="AGE_NOT_ALLOWED"):
            await auth.accounts.Register(request, metadata=ADDRESS)
    liar, operator = await auth.register(PHONE), auth.stub(AccountsStub, "operator")
    made = await auth.key(liar)
    told = {"account": liar.account, "scope": "ALL"}
    for reason in ("abuse", "minor"):  # also who was restricted before and served again
        await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(**told))
        await passes(auth, made.secret)
        await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(**told, reason=reason))
        for credential, strictness in itertools.product((made.secret, liar.access), ("STRICT", "LENIENT")):
            await refused(auth, "ACCOUNT_FROZEN", credential, strictness=strictness)


async def test_a_freeze_of_spending_leaves_reading_and_ends_by_the_clock(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    made = await auth.key(person)
    end = at(auth.clock.now() + datetime.timedelta(minutes=1))
    await operator.FreezeAccount(
        accounts_pb2.FreezeAccountRequest(account=person.account, scope="SPENDING", reason="payment", expire_time=end)
    )
    await passes(auth, made.secret)
    found = await refused(auth, "ACCOUNT_FROZEN", made.secret, method=CREATE, verb="POST")
    assert found.metadata["until"] == "2026-11-21T12:01:00+00:00"
    auth.clock.advance(60)
    await passes(auth, made.secret, method=CREATE, verb="POST")


@pytest.mark.promise("SILICON-U1.3c")
async def test_a_disabled_account_keeps_the_record_of_its_agreement(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    await set_policy(auth)
    await accept(auth, person.account)
    told = {"account": person.account, "scope": "ALL"}
    for reason in ("abuse", "terms"):  # at any time: also who was restricted and served again
        await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(**told))
        await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(**told, reason=reason))
        await refused(auth, "ACCOUNT_FROZEN", person.access)
    async with auth.database.transaction() as session:
        row = (await session.execute(sa.text("SELECT account, accepted, receipt FROM acceptances"))).one()
    assert tuple(row) == (person.account, 1, "rcp_1")


async def test_a_freeze_of_keys_leaves_the_session(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    made = await auth.key(person)
    await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(account=person.account, scope="KEYS", reason="leak"))
    await refused(auth, "ACCOUNT_FROZEN", made.secret)
    await passes(auth, person.access)
    method = {"audience": "auth", "verb": "POST", "method": "filmgate.auth.v1.Keys/CreateKey"}
    await refused(auth, "ACCOUNT_FROZEN", person.access, **method)


@pytest.mark.promise("CARRY-0.1", "KLING-A0.2")
async def test_core_calls_need_the_policy_in_force(auth):
    person = await auth.register()
    made = await auth.key(person)
    await set_policy(auth)
    found = await refused(auth, "POLICY_NOT_ACCEPTED", made.secret, method=CREATE, verb="POST")
    assert (found.status, found.code) == (400, 9)
    expected = {"policy": "pol_1", "version": "1", "accept_at": "/v1/policies/pol_1:accept"}
    assert expected.items() <= found.metadata.items()
    await passes(auth, person.access, gate="ACCOUNT", audience="privacy", method=ACCEPT, verb="POST")
    await accept(auth, person.account)
    await passes(auth, made.secret, method=CREATE, verb="POST")
    await set_policy(auth, kind="terms")
    await refused(auth, "POLICY_NOT_ACCEPTED", made.secret, method=CREATE, verb="POST")
    async with auth.database.transaction() as session:
        row = (await session.execute(sa.text("SELECT accepted, receipt, accept_time FROM acceptances"))).one()
    assert tuple(row) == (1, "rcp_1", auth.clock.now())


async def test_core_calls_are_closed_until_auth_was_told_the_policies(profile, database, clock, tmp_path):
    """No policy known is not the same as none in force: told that there is none, the same call passes."""
    create = {"method": CREATE, "verb": "POST"}
    async with support.house(database, tmp_path, clock, profile, told=False) as auth:
        person = await auth.register()
        made = await auth.key(person)
        for credential, call in ((made.secret, create), (person.access, {"strictness": "LENIENT"})):
            found = await refused(auth, "AUTHORIZER_UNAVAILABLE", credential, **call)
            assert (found.status, found.code, found.headers["retry-after"]) == (503, 14, "1")
        await passes(auth, person.access, gate="ACCOUNT", audience="privacy", method=ACCEPT, verb="POST")
        assert (await check(auth, gate="OPEN", method="filmgate.auth.v1.Logins/SendCode")).status.code == 0
        await tell_policies(auth)
        await passes(auth, made.secret, **create)
    async with support.house(database, tmp_path, clock, profile, told=False) as again:
        await passes(again, made.secret, **create)  # a process that starts later knows that auth was told


async def test_what_opens_core_calls_brings_all_that_they_need(profile, database, clock, tmp_path):
    async with support.house(database, tmp_path, clock, profile, told=False) as auth:
        person = await auth.register()
        await refused(auth, "AUTHORIZER_UNAVAILABLE", person.access)
        await set_policy(auth)
        await refused(auth, "POLICY_NOT_ACCEPTED", person.access)
        await accept(auth, person.account)
        await passes(auth, person.access)


@pytest.mark.promise("CARRY-6.4", "SILICON-P8.4")
@pytest.mark.promise("CARRY-6.1", "AICC-12.1", "KLING-P9.1", "NEXA-8.1", "SILICON-P8.1")
async def test_an_announced_version_is_needed_from_its_time_on(auth):
    person = await auth.register()
    await set_policy(auth, 1)
    await accept(auth, person.account, 1)
    await set_policy(auth, 2, seconds=60)
    auth.clock.advance(59.999)
    await passes(auth, person.access)
    auth.clock.advance(0.001)
    found = await refused(auth, "POLICY_NOT_ACCEPTED", person.access)
    assert found.metadata["version"] == "2"
    await accept(auth, person.account, 2)
    await passes(auth, person.access)


@pytest.mark.promise("CARRY-0.1", "KLING-A0.2")
async def test_one_persons_acceptance_is_not_anothers(auth):
    bob, eve = await auth.register(PHONE), await auth.register(EMAIL)
    await set_policy(auth)
    await accept(auth, bob.account)
    await passes(auth, bob.access)
    await refused(auth, "POLICY_NOT_ACCEPTED", eve.access)


@pytest.mark.promise("CARRY-6.1", "AICC-12.1", "KLING-P9.1", "NEXA-8.1", "SILICON-P8.1")
async def test_consent_to_a_new_version_of_one_document_is_none_to_another(auth):
    person = await auth.register()
    for kind, version in (("privacy", 1), ("terms", 1), ("privacy", 2)):
        await set_policy(auth, version, kind=kind)
        await refused(auth, "POLICY_NOT_ACCEPTED", person.access)
        await accept(auth, person.account, version, kind)
        await passes(auth, person.access)
    await set_policy(auth, 2, kind="terms")
    assert (await refused(auth, "POLICY_NOT_ACCEPTED", person.access)).metadata["version"] == "2"
    await accept(auth, person.account, 2, "terms")
    await passes(auth, person.access)


async def test_the_grades_of_freshness(auth):
    """With a feed that stands still: spending for 5 s, reading one's own for 60 s, anyone's public pages always."""
    made = await auth.key(await auth.register())
    await auth.house.feed.catch_up(patient=True)
    auth.steady.now += 5
    await passes(auth, made.secret, strictness="STRICT")
    auth.steady.now += 0.001
    found = await refused(auth, "AUTHORIZER_UNAVAILABLE", made.secret, strictness="STRICT")
    assert (found.status, found.code, found.headers["retry-after"]) == (503, 14, "1")
    assert found.body["details"][1]["retry_delay"] == "1s"
    await passes(auth, made.secret, strictness="LENIENT")
    auth.steady.now += 54.999
    await passes(auth, made.secret, strictness="LENIENT")
    auth.steady.now += 0.001
    await refused(auth, "AUTHORIZER_UNAVAILABLE", made.secret, strictness="LENIENT")
    assert (await check(auth, gate="OPEN", method="filmgate.auth.v1.Logins/SendCode")).status.code == 0
    await auth.house.feed.catch_up(patient=True)
    await passes(auth, made.secret, strictness="STRICT")


async def test_with_the_database_stopped_what_is_known_goes_on_and_nothing_else_is_judged(auth, postgres):
    """Whether an unknown key is one cannot be known then, so the answer is to try again."""
    made = await auth.key(await auth.register())
    support.stop_database(postgres, auth.database)
    await passes(auth, made.secret)
    await refused(auth, "AUTHORIZER_UNAVAILABLE", domain.new_key())
    await refused(auth, "KEY_UNKNOWN", "nonsense")
    auth.steady.now += 5.001
    assert not await auth.house.feed.catch_up(patient=True)
    await refused(auth, "AUTHORIZER_UNAVAILABLE", made.secret)
    await passes(auth, made.secret, strictness="LENIENT")


@pytest.mark.promise("SILICON-U1.3b")
async def test_the_rate_of_an_account_is_limited_with_a_clear_error(auth):
    person = await auth.register()
    made = await auth.key(person)
    most = auth.profile.limits.requests_per_minute
    for _ in range(most):
        assert not auth.house.limits.take(person.account)
    for credential in (person.access, made.secret):
        found = await refused(auth, "RATE_LIMITED", credential)
        assert (found.status, found.code, found.metadata["limit"]) == (429, 8, str(most))
        assert found.headers["retry-after"] == "1"
    assert found.body["details"][1]["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
    other = await auth.register(EMAIL)
    await passes(auth, other.access)
    auth.steady.now += 60 / most + 0.001
    await passes(auth, made.secret)


async def test_the_rate_of_new_videos_is_limited_apart_from_all_else(auth):
    person = await auth.register()
    made = await auth.key(person)
    most = auth.profile.limits.creates_per_minute
    create = {"method": CREATE, "verb": "POST", "body": b'{"model": "animatic"}'}
    await refused(auth, "UNKNOWN_FIELD", made.secret, **{**create, "body": b'{"modle": 1}'})
    for _ in range(most):
        await passes(auth, made.secret, **create)
    found = await refused(auth, "RATE_LIMITED", made.secret, **create)
    assert (found.status, found.metadata["limit"], found.metadata["what"]) == (429, str(most), "videos")
    await passes(auth, made.secret)
    await passes(auth, (await auth.register(EMAIL)).access, **create)
    auth.steady.now += 60 / most + 0.001
    await auth.house.feed.catch_up(patient=True)
    await passes(auth, made.secret, **create)
