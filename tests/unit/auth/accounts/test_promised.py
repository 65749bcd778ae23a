"""Promises about accounts: the number or address that one stands for, and that nobody can take or move it."""

import importlib
import itertools
import pkgutil

import pytest
from google.type import date_pb2

import filmgate.auth.v1
from filmgate.auth.v1 import accounts_pb2, logins_pb2
from filmgate.auth.v1.accounts_pb2_grpc import AccountsStub
from services.auth.accounts import store
from services.runtime.caller import Verifier
from tests.support import rpc
from tests.support.auth import ADDRESS, BORN, EMAIL, PHONE
from tests.support.checks import passes, refused

SENT = {
    "Accounts/Register": "age_statement birth_date code display_name flow_id locale request_id",
    "Accounts/GetAccount": "",
    "Accounts/UpdateAccount": "display_name locale",
    "Accounts/FreezeAccount": "account expire_time reason scope",
    "Accounts/UnfreezeAccount": "account scope",
    "Keys/CreateKey": "display_name expire_time request_id scopes",
    "Keys/ListKeys": "page_size page_token",
    "Keys/GetKey": "id",
    "Keys/UpdateKey": "display_name expire_time id scopes",
    "Keys/RevokeKey": "id",
    "Logins/SendCode": "channel locale purpose target",
    "Logins/CreateSession": "code device_name flow_id",
    "Logins/RefreshSession": "refresh_token",
    "Logins/ListSessions": "page_size page_token",
    "Logins/EndSession": "id",
    "Notices/Notify": "account id parameters template",
    "Organizations/GetOrganization": "",
    "Organizations/ListProjects": "page_size page_token",
    "Standings/RecordAcceptance": "accept_time account policy_kind receipt version",
    "Standings/SetPoliciesInForce": "policies",
    "Tokens/ListCallerKeys": "",
    "Tokens/Exchange": "audience",
}
"""All that anybody, staff and services too, can send to auth. Nothing in it moves an account or changes what proved it:
who adds a method or a field looks whether that is still so."""
SCOPES = ("ALL", "KEYS", "SPENDING")
OTHERS = ("+13104158000", "eve@example.org")
"""Contact points of somebody else."""


def wanted(proof: tuple[str, str], **fields) -> accounts_pb2.RegisterRequest:
    flow, code = proof
    return accounts_pb2.RegisterRequest(**{"flow_id": flow, "code": code, "birth_date": BORN, **fields})


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def registers_once_and_logs_in(auth, target: str) -> accounts_pb2.Account:
    """Register and log in by the code that was sent, and by no other; a second registration makes no second account."""
    flow, code = await auth.code(target)
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.accounts.Register(wanted((flow, other(code))), metadata=ADDRESS)
    auth.clock.advance(60)
    second = await auth.code(target)
    made = await auth.accounts.Register(wanted((flow, code)), metadata=ADDRESS)
    async with rpc.refused(reason="ALREADY_REGISTERED"):
        await auth.accounts.Register(wanted(second), metadata=ADDRESS)
    auth.clock.advance(60)
    drawn = {code, second[1]}
    flow, code = await auth.code(target, "LOGIN")
    assert len({*drawn, code}) > 1, "each code is drawn anew"
    login = logins_pb2.CreateSessionRequest(flow_id=flow, code=other(code), device_name="phone")
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.logins.CreateSession(login, metadata=ADDRESS)
    login.code = code
    opened = await auth.logins.CreateSession(login, metadata=ADDRESS)
    token = await passes(auth, opened.access_token, audience="auth", gate="ACCOUNT")
    believed = await Verifier(auth.keyring.public_keys, "auth", auth.clock).verify(token)
    assert believed.account == made.account.id
    return made.account


@pytest.mark.promise("CARRY-1.1", "AICC-1.1", "NEXA-1.1.1", "SILICON-P1.1.1", part="the code goes to a file, by no SMS")
async def test_a_phone_number_and_its_code_make_one_account_and_log_in(auth):
    shown = await registers_once_and_logs_in(auth, PHONE)
    assert (shown.masked_phone, shown.masked_email) == ("+86*********00", "")


@pytest.mark.promise("CARRY-1.1b", part="the code goes to a file, not by e-mail")
async def test_an_email_address_and_its_code_make_one_account_and_log_in(auth):
    shown = await registers_once_and_logs_in(auth, EMAIL)
    assert (shown.masked_phone, shown.masked_email) == ("", "b***@***.com")


@pytest.mark.promise("CARRY-1.1e", part="security alerts only, into files: no change of the service is announced")
@pytest.mark.parametrize(("target", "channel"), [(PHONE, "PHONE"), (EMAIL, "EMAIL")])
async def test_what_touches_the_safety_of_an_account_is_told_to_its_contact_point(auth, target, channel):
    person, operator = await auth.register(target), auth.stub(AccountsStub, "operator")
    for name in SCOPES:
        scope = {"account": person.account, "scope": name}
        await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(**scope, reason="abuse"))
        await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(**scope))
    refresh = logins_pb2.RefreshSessionRequest(refresh_token=person.refresh)
    await auth.logins.RefreshSession(refresh, metadata=ADDRESS)
    auth.clock.advance(31)
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.logins.RefreshSession(refresh, metadata=ADDRESS)
    await auth.runner.run_due()
    told = [message for message in auth.messages() if message["template"] != "register_code"]
    assert {(row["to"], row["channel"]) for row in told} == {(target, channel)}
    wanted = ["account_frozen"] * 3 + ["account_unfrozen"] * 3 + ["session_ended"]
    assert sorted(row["template"] for row in told) == wanted
    for template in ("account_frozen", "account_unfrozen"):
        texts = [row["text"] for row in told if row["template"] == template]
        assert all(any(name in text for text in texts) for name in SCOPES)
    assert all(words in "".join(row["text"] for row in told) for words in ("abuse", person.session))


@pytest.mark.promise("AICC-1.1e", part="no identity is verified that a second account could be bound to")
@pytest.mark.promise("NEXA-1.1.1e", "KLING-P7.3b")
async def test_no_operation_moves_an_account_or_changes_what_proved_it(auth):
    assert {method: " ".join(sorted(fields)) for method, fields in _methods()} == SENT
    spare = await auth.code()
    auth.clock.advance(60)
    person = await auth.register()
    before = await _contact(auth, person)
    again = wanted(spare, birth_date=date_pb2.Date(year=1970, month=1, day=1), display_name="Eve")
    async with rpc.refused(reason="ALREADY_REGISTERED"):
        await auth.accounts.Register(again, metadata=ADDRESS)
    assert await _contact(auth, person) == before
    for sent in (b"\x1a\x0d+861390000000", b"\x2a\x0d+861390000000"):  # fields 3 and 5, which the message lacks
        asked = accounts_pb2.UpdateAccountRequest.FromString(sent)
        await auth.accounts.UpdateAccount(asked, metadata=person.metadata())
    for name in OTHERS:
        asked = accounts_pb2.UpdateAccountRequest(display_name=name)
        await auth.accounts.UpdateAccount(asked, metadata=person.metadata())
    assert await _contact(auth, person) == before


async def _contact(auth, person) -> tuple:
    async with auth.database.transaction() as session:
        row = await store.account(session, person.account)
        assert row is not None
        return row.organization, row.project, row.phone, row.phone_index, row.email, row.email_index, row.birth_date


def _methods():
    for module in pkgutil.iter_modules(filmgate.auth.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"filmgate.auth.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                for method in service.methods:
                    yield f"{service.name}/{method.name}", [field.name for field in method.input_type.fields]


@pytest.mark.promise(
    "AICC-10.2", "SILICON-P5.2", part="there is one role of staff, with one certificate for all of them"
)
@pytest.mark.promise("CARRY-3.3b", "NEXA-4.1c", "KLING-P5.3")
async def test_staff_are_shown_no_contact_point_in_clear(auth):
    for target, shown in ((PHONE, ("+86*********00", "")), (EMAIL, ("", "b***@***.com"))):
        person = await auth.register(target)
        asked = accounts_pb2.UnfreezeAccountRequest(account=person.account, scope="ALL")
        account = await auth.stub(AccountsStub, "operator").UnfreezeAccount(asked)
        assert (account.masked_phone, account.masked_email) == shown
        assert target not in str(account)


@pytest.mark.promise("CARRY-5.3", "SILICON-U1.1b")
async def test_staff_end_the_service_to_a_minor_at_once_with_the_reason_on_record(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    keys = [(await auth.key(person, scopes=scopes)).secret for scopes in ([], ["video.read"])]
    for credential in (*keys, person.access):
        await passes(auth, credential)
    before = {"account": person.account, "scope": "ALL"}
    await operator.FreezeAccount(accounts_pb2.FreezeAccountRequest(**before, reason="abuse"))
    await operator.UnfreezeAccount(accounts_pb2.UnfreezeAccountRequest(**before))
    request = accounts_pb2.FreezeAccountRequest(account=person.account, scope="ALL", reason="minor")
    frozen = await operator.FreezeAccount(request)
    for credential, strictness in itertools.product((*keys, person.access), ("STRICT", "LENIENT")):
        found = await refused(auth, "ACCOUNT_FROZEN", credential, strictness=strictness)
        assert found.metadata["scope"] == "ALL"
    assert [(row.reason, row.HasField("expire_time")) for row in frozen.freezes] == [("minor", False)]
    await auth.runner.run_due()
    [event] = [event for event in auth.recorded if event.detail.get("reason", "") == "minor"]
    assert (event.action, event.actor, event.subject) == ("FreezeAccount", "operator", person.account)
    assert dict(event.detail) == {"scope": "ALL", "reason": "minor"}
