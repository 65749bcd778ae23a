"""Accounts over real gRPC."""

import asyncio
import dataclasses
import datetime

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from filmgate.auth.v1 import accounts_pb2, logins_pb2, organizations_pb2
from filmgate.auth.v1.accounts_pb2_grpc import AccountsStub
from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.accounts.tables import Account, Freeze
from services.auth.notices.domain import templates
from services.runtime import profile as profiles
from services.runtime.database import tables_of
from tests.support import auth as support
from tests.support import rpc
from tests.support.auth import ADDRESS, BORN, EMAIL, PHONE

MINOR = date_pb2.Date(year=2008, month=11, day=22)
MINORS = (MINOR, date_pb2.Date(year=2012, month=11, day=22), date_pb2.Date(year=2020, month=1, day=1))
EIGHTEEN = date_pb2.Date(year=2008, month=11, day=21)
TABLES = ("accounts", "organizations", "projects", "sessions", "refresh_tokens")


async def rows(auth) -> dict[str, int]:
    """How many rows registration has made."""
    async with auth.database.transaction() as session:
        return {table: await session.scalar(sa.text(f"SELECT count(*) FROM {table}")) for table in TABLES}  # noqa: S608


def wanted(flow: str, code: str, **fields) -> accounts_pb2.RegisterRequest:
    return accounts_pb2.RegisterRequest(**{"flow_id": flow, "code": code, "birth_date": BORN, **fields})


async def test_registration_by_phone_makes_all_that_an_account_needs(auth):
    flow, code = await auth.code(PHONE)
    made = await auth.accounts.Register(wanted(flow, code, display_name="Bob", locale="zh-CN"), metadata=ADDRESS)
    assert made.account.name == f"accounts/{made.account.id}"
    assert (made.account.masked_phone, made.account.masked_email) == ("+86*********00", "")
    assert (made.account.display_name, made.account.locale) == ("Bob", "zh")
    assert made.account.profile_version == auth.profile.version
    assert made.organization.personal
    assert made.project.id.startswith("prj_")
    assert made.tokens.session.ip_address == "203.0.113.7"
    assert await rows(auth) == dict.fromkeys(TABLES, 1)
    again = await auth.login(PHONE)
    assert again.session.id != made.tokens.session.id


async def test_registration_by_email(auth):
    person = await auth.register(EMAIL)
    account = await auth.accounts.GetAccount(accounts_pb2.GetAccountRequest(), metadata=person.metadata())
    assert (account.masked_phone, account.masked_email) == ("", "b***@***.com")


async def test_what_is_personal_is_sealed_under_the_accounts_own_key(auth):
    person = await auth.register(PHONE)
    async with auth.database.transaction() as session:
        row = await session.get(Account, person.account)
    assert auth.sealer.open(person.account, Element.PHONE, row.phone) == PHONE
    assert auth.sealer.open(person.account, Element.BIRTH_DATE, row.birth_date) == "2000-01-31"
    dump = repr(row.__dict__)
    assert "13800138000" not in dump
    assert "2000-01-31" not in dump


@pytest.mark.promise("CARRY-5.1", "AICC-11.1", "NEXA-7.1")
async def test_nobody_under_eighteen_and_nothing_is_stored(auth):
    flow, code = await auth.code()
    before = await rows(auth)
    for born in MINORS:
        async with rpc.refused(reason="AGE_NOT_ALLOWED") as found:
            await auth.accounts.Register(wanted(flow, code, birth_date=born, age_statement=True), metadata=ADDRESS)
        assert found[0].metadata["minimum_age"] == "18"
    async with rpc.refused(reason="FIELD_REQUIRED") as found:
        await auth.accounts.Register(accounts_pb2.RegisterRequest(flow_id=flow, code=code), metadata=ADDRESS)
    assert found[0].metadata["field"] == "birth_date"
    assert await rows(auth) == before == dict.fromkeys(TABLES, 0)
    await auth.accounts.Register(wanted(flow, code, birth_date=EIGHTEEN), metadata=ADDRESS)


@pytest.mark.parametrize("profile", ["silicon"], indirect=True)
async def test_nobody_of_fourteen_and_under(auth):
    flow, code = await auth.code()
    async with rpc.refused(reason="AGE_NOT_ALLOWED"):
        fourteen = date_pb2.Date(year=2011, month=11, day=22)
        await auth.accounts.Register(wanted(flow, code, birth_date=fourteen, age_statement=True), metadata=ADDRESS)
    fifteen = date_pb2.Date(year=2011, month=11, day=21)
    await auth.accounts.Register(wanted(flow, code, birth_date=fifteen), metadata=ADDRESS)


async def test_a_statement_suffices_where_the_profile_says_so(database, clock, tmp_path):
    default = profiles.load("default")
    age = dataclasses.replace(default.age, birth_date_required=False)
    async with support.house(database, tmp_path, clock, dataclasses.replace(default, age=age)) as auth:
        flow, code = await auth.code()
        async with rpc.refused(reason="FIELD_REQUIRED"):
            await auth.accounts.Register(accounts_pb2.RegisterRequest(flow_id=flow, code=code), metadata=ADDRESS)
        request = accounts_pb2.RegisterRequest(flow_id=flow, code=code, age_statement=True)
        await auth.accounts.Register(request, metadata=ADDRESS)
        async with auth.database.transaction() as session:
            row = (await session.scalars(sa.select(Account))).one()
    assert row.age_statement is True
    assert row.birth_date is None


async def test_where_a_guardian_would_have_to_consent_nobody_is_let_in(database, clock, tmp_path):
    default = profiles.load("default")
    age = dataclasses.replace(default.age, minimum_age=14, guardian_below=18)
    async with support.house(database, tmp_path, clock, dataclasses.replace(default, age=age)) as auth:
        flow, code = await auth.code()
        async with rpc.refused(reason="AGE_NOT_ALLOWED"):
            await auth.accounts.Register(wanted(flow, code, birth_date=MINOR), metadata=ADDRESS)


async def test_a_contact_point_belongs_to_one_account_and_only_who_holds_the_code_is_told(auth):
    first = await auth.code()
    auth.clock.advance(60)
    second = await auth.code()
    await auth.accounts.Register(wanted(*first), metadata=ADDRESS)
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.accounts.Register(wanted(second[0], "000000" if second[1] != "000000" else "1" * 6))
    async with rpc.refused(reason="ALREADY_REGISTERED"):
        await auth.accounts.Register(wanted(*second), metadata=ADDRESS)
    assert (await rows(auth))["accounts"] == 1


async def test_of_two_registrations_at_once_one_wins(auth):
    first = await auth.code()
    auth.clock.advance(60)
    second = await auth.code()
    calls = [auth.accounts.Register(wanted(*flow), metadata=ADDRESS) for flow in (first, second)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(isinstance(answer, Exception) for answer in done) == [False, True]
    assert (await rows(auth))["accounts"] == 1


@pytest.mark.promise("CARRY-1.1b", part="the code goes to a file, not by e-mail")
async def test_addresses_that_differ_in_case_are_one(auth):
    await auth.register("Bob@Example.com")
    auth.clock.advance(60)
    await auth.send("bob@example.COM")
    assert auth.messages()[-1]["template"] == "already_registered"


@pytest.mark.promise("CARRY-1.1c")
async def test_without_a_proved_contact_point_there_is_no_account(auth):
    flow, code = await auth.code()
    others = [(await auth.code(target))[1] for target in (EMAIL, "eve@example.org")]
    assert len({code, *others}) > 1, "the code that proves another contact point proves this one"
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for request in (wanted(flow, wrong), wanted("flw_unknown", code)):
        async with rpc.refused(reason="CODE_WRONG"):
            await auth.accounts.Register(request, metadata=ADDRESS)
    async with rpc.refused(reason="FIELD_REQUIRED"):
        await auth.accounts.Register(accounts_pb2.RegisterRequest(code=code, birth_date=BORN), metadata=ADDRESS)
    assert await rows(auth) == dict.fromkeys(TABLES, 0)


async def test_a_code_to_log_in_registers_nobody(auth):
    await auth.register(EMAIL)
    auth.clock.advance(60)
    flow, code = await auth.code(EMAIL, "LOGIN")
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.accounts.Register(wanted(flow, code), metadata=ADDRESS)


async def test_a_replayed_registration_answers_the_same_without_its_secrets(auth):
    flow, code = await auth.code()
    first = await auth.accounts.Register(wanted(flow, code, request_id="one"), metadata=ADDRESS)
    again = await auth.accounts.Register(wanted(flow, code, request_id="one"), metadata=ADDRESS)
    assert first.tokens.access_token
    assert (again.tokens.access_token, again.tokens.refresh_token) == ("", "")
    first.tokens.access_token = first.tokens.refresh_token = ""
    assert again == first
    async with rpc.refused(reason="REQUEST_ID_REUSED"):
        await auth.accounts.Register(wanted(flow, code, request_id="one", display_name="X"), metadata=ADDRESS)
    async with auth.database.transaction() as session:
        answer = await session.scalar(sa.text("SELECT answer FROM requests"))
    assert b"fgs_" not in answer
    assert b"fgr_" not in answer


async def test_a_refused_registration_may_be_tried_again_with_its_request_id(auth):
    flow, code = await auth.code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.accounts.Register(wanted(flow, wrong, request_id="one"), metadata=ADDRESS)
    await auth.accounts.Register(wanted(flow, code, request_id="one"), metadata=ADDRESS)


async def test_an_account_changes_what_is_given(auth):
    person = await auth.register(display_name="Bob")
    update = accounts_pb2.UpdateAccountRequest
    changed = await auth.accounts.UpdateAccount(update(locale="zh"), metadata=person.metadata())
    assert (changed.display_name, changed.locale) == ("Bob", "zh")
    changed = await auth.accounts.UpdateAccount(update(display_name=""), metadata=person.metadata())
    assert (changed.display_name, changed.locale) == ("", "zh")
    async with rpc.refused(reason="FIELD_INVALID"):
        await auth.accounts.UpdateAccount(update(locale="fr"), metadata=person.metadata())


@pytest.mark.promise("SILICON-U1.2.4c")
async def test_nobody_is_asked_for_a_password_and_none_is_stored(auth):
    files = (accounts_pb2, logins_pb2, organizations_pb2)
    fields = {
        field.name for file in files for kind in file.DESCRIPTOR.message_types_by_name.values() for field in kind.fields
    }
    columns = {column.name for table in tables_of("auth") for column in table.columns}
    assert not [name for name in fields | columns if "password" in name]
    said = [f"{text.subject} {text.text}".lower() for texts in templates().values() for text in texts.values()]
    assert not [words for words in said if any(name in words for name in ("password", "passcode", "密码", "口令"))]


async def test_every_caller_sees_his_own_account(auth):
    bob, eve = await auth.register(PHONE), await auth.register(EMAIL)
    for person in (bob, eve):
        account = await auth.accounts.GetAccount(accounts_pb2.GetAccountRequest(), metadata=person.metadata())
        assert account.id == person.account
    async with rpc.refused(reason="NOT_FOUND"):
        gone = bob.metadata(account="acc_01K9000000000000000000000Z")
        await auth.accounts.GetAccount(accounts_pb2.GetAccountRequest(), metadata=gone)
    async with rpc.refused(reason="SCOPE_MISSING"):
        await auth.accounts.GetAccount(accounts_pb2.GetAccountRequest(), metadata=bob.metadata(scopes=["keys"]))
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.accounts.GetAccount(accounts_pb2.GetAccountRequest())


def freeze(person, scope="SPENDING", **fields) -> accounts_pb2.FreezeAccountRequest:
    return accounts_pb2.FreezeAccountRequest(account=person.account, scope=scope, reason="abuse", **fields)


def at(moment: datetime.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


async def test_a_freeze_is_shown_told_and_audited_and_can_be_lifted(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    request = accounts_pb2.FreezeAccountRequest(account=person.account, scope="ALL", reason="minor")
    account = await operator.FreezeAccount(request)
    assert [(row.scope, row.reason) for row in account.freezes] == [(accounts_pb2.ALL, "minor")]
    assert not account.freezes[0].HasField("expire_time")
    lift = accounts_pb2.UnfreezeAccountRequest(account=person.account, scope="ALL")
    assert not (await operator.UnfreezeAccount(lift)).freezes
    await operator.UnfreezeAccount(lift)
    await auth.runner.run_due()
    told = [message["template"] for message in auth.messages()]
    assert told == ["register_code", "account_frozen", "account_unfrozen"]
    assert [event.action for event in auth.recorded] == ["FreezeAccount", "UnfreezeAccount", "UnfreezeAccount"]
    event = auth.recorded[0]
    assert (event.service, event.actor, event.subject) == ("auth", "operator", person.account)
    assert dict(event.detail) == {"scope": "ALL", "reason": "minor"}
    assert event.id.startswith("evt_")
    assert event.request_id
    assert event.event_time.ToDatetime(datetime.UTC) == auth.clock.now()


async def test_a_freeze_is_kept_as_a_record_when_it_is_lifted(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    await operator.FreezeAccount(freeze(person))
    await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(account=person.account, scope="SPENDING"))
    async with auth.database.transaction() as session:
        row = (await session.scalars(sa.select(Freeze))).one()
    assert (row.actor, row.reason, row.lift_time) == ("operator", "abuse", auth.clock.now())


async def test_freezing_again_replaces_reason_and_end(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    await operator.FreezeAccount(freeze(person))
    end = auth.clock.now() + datetime.timedelta(hours=1)
    account = await operator.FreezeAccount(freeze(person, expire_time=at(end)))
    assert [row.expire_time.ToDatetime(datetime.UTC) for row in account.freezes] == [end]
    auth.clock.advance(3600)
    mine = await auth.accounts.GetAccount(accounts_pb2.GetAccountRequest(), metadata=person.metadata())
    assert not mine.freezes


async def test_freezes_are_the_operators_alone_and_of_known_accounts(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    async with rpc.refused(reason="PEER_NOT_ALLOWED"):
        await auth.accounts.FreezeAccount(freeze(person), metadata=person.metadata())
    unknown = accounts_pb2.FreezeAccountRequest(account="acc_x", scope="ALL", reason="abuse")
    async with rpc.refused(reason="NOT_FOUND"):
        await operator.FreezeAccount(unknown)
    async with rpc.refused(reason="NOT_FOUND"):
        await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(account="acc_x", scope="ALL"))
    async with rpc.refused(reason="FIELD_REQUIRED"):
        await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(account=person.account, reason="abuse"))
    async with rpc.refused(reason="FIELD_INVALID"):
        await operator.FreezeAccount(freeze(person, expire_time=at(auth.clock.now())))


@pytest.mark.parametrize("words", ["asked for by Bob", "+8613800138000", "bob@example.com", "Abuse"])
async def test_the_reason_of_a_freeze_is_a_code_and_no_words_about_a_person(auth, words):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    request = accounts_pb2.FreezeAccountRequest(account=person.account, scope="ALL", reason=words)
    async with rpc.refused(reason="FIELD_INVALID") as found:
        await operator.FreezeAccount(request)
    assert found[0].metadata["field"] == "reason"


async def test_who_is_frozen_altogether_cannot_log_in_and_learns_it_by_his_code_only(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    await operator.FreezeAccount(freeze(person, "ALL"))
    async with rpc.refused(reason="ACCOUNT_FROZEN") as found:
        await auth.login()
    assert found[0].metadata["scope"] == "ALL"
    auth.clock.advance(60)
    flow, code = await auth.code(PHONE, "LOGIN")
    async with rpc.refused(reason="CODE_WRONG"):
        wrong = f"{(int(code) + 1) % 1_000_000:06d}"
        await auth.logins.CreateSession(logins_pb2.CreateSessionRequest(flow_id=flow, code=wrong))
