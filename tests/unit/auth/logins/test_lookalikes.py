"""Addresses that look or fold alike and reach different people: never one account, never one counter (S1).

The pairs are those of the review and the classes of Unicode behind them. Each attacker's address was one with the
victim's under `str.casefold`, which once decided.
"""

import pytest
import sqlalchemy as sa

from filmgate.auth.v1 import accounts_pb2, logins_pb2
from services.auth.accounts.tables import Account
from services.auth.logins import domain
from services.auth.logins.tables import Flow
from services.runtime.errors import Failure
from tests.support import rpc
from tests.support.auth import ADDRESS, BORN, EMAIL, PHONE, Send
from tests.support.figures import figure

DOMAINS = [
    ("info@x-strasse.de", "info@x-straße.de", "info@xn--x-strae-5va.de"),
    ("a@xβόλοσ.com", "a@xβόλος.com", "a@xn--x-1lb1aqp1d.com"),
]
"""(the victim's, the attacker's, the attacker's as mail is sent to it): different registrable domains, IDNA 2008."""
LOCAL_PARTS = [
    ("sam@example.com", "\u017fam@example.com"),  # ſ, the long s
    ("strasse@example.com", "stra\u00dfe@example.com"),  # ß
    ("fin@example.com", "\ufb01n@example.com"),  # the ligature of f and i
    ("first@example.com", "fir\ufb06@example.com"),  # the ligature of s and t
    ("kim@example.com", "\u212aim@example.com"),  # the Kelvin sign
    ("irma@example.com", "\u0130rma@example.com"),  # İ, which folds to i and a dot above
    ("irma@example.com", "\u0131rma@example.com"),  # ı
    ("nn@example.com", "\u0149n@example.com"),  # ŉ
    ("bob@example.com", "\uff42ob@example.com"),  # a full-width b, one with b under NFKC
    ("bob@example.com", "b\u043eb@example.com"),  # a Cyrillic o
]
MISMATCHES = "filmgate_contact_mismatches_total"


def asked(target: str, purpose: int = Send.LOGIN) -> logins_pb2.SendCodeRequest:
    return Send(channel=Send.EMAIL, target=target, purpose=purpose)


def login(flow: str, code: str) -> logins_pb2.CreateSessionRequest:
    return logins_pb2.CreateSessionRequest(flow_id=flow, code=code)


async def count(auth, table: str) -> int:
    async with auth.database.transaction() as session:
        return int(await session.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608  our own names


@pytest.mark.parametrize(("victim", "attacker", "sent_to"), DOMAINS)
async def test_a_look_alike_domain_gets_no_code_no_session_and_an_account_of_its_own(auth, victim, attacker, sent_to):
    person = await auth.register(victim)
    before = len(auth.messages())
    flow = (await auth.send(attacker, "LOGIN")).flow_id
    assert len(auth.messages()) == before, "there is no such account: nobody is sent a code"
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.logins.CreateSession(login(flow, "000000"), metadata=ADDRESS)
    auth.clock.advance(60)
    other = await auth.register(attacker)
    assert auth.messages()[-1]["to"] == sent_to
    assert other.account != person.account
    assert (await auth.login(victim)).session.id
    assert await count(auth, "accounts") == 2


@pytest.mark.parametrize(("victim", "attacker"), LOCAL_PARTS)
@pytest.mark.parametrize("purpose", ["LOGIN", "REGISTER"])
async def test_a_local_part_that_is_not_ascii_is_refused_and_leaves_nothing(auth, victim, attacker, purpose):
    await auth.register(victim)
    tables = ("flows", "target_sends", "source_sends", "jobs")
    before, messages = [await count(auth, table) for table in tables], auth.messages()
    async with rpc.refused(reason="TARGET_INVALID") as found:
        await auth.send(attacker, purpose)
    assert found[0].metadata["field"] == "target"
    assert found[0].metadata["fault"] == "what stands before the @ must be ASCII"
    assert [await count(auth, table) for table in tables] == before
    assert auth.messages() == messages


@pytest.mark.parametrize(("victim", "attacker", "_"), DOMAINS)
async def test_a_look_alike_neither_squats_nor_uses_up_the_counters_of_another(auth, victim, attacker, _):
    await auth.register(attacker)
    for _more in range(auth.profile.limits.codes_per_target_hour - 1):
        auth.clock.advance(60)
        await auth.send(attacker, "LOGIN")
    auth.clock.advance(60)
    async with rpc.refused(reason="SEND_TOO_SOON"):
        await auth.send(attacker, "LOGIN")
    made = await auth.register(victim)
    assert made.account


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("info@straße.de", "info@xn--strae-oqa.de"),
        ("info@xn--strae-oqa.de", "INFO@STRASSE.de".replace("STRASSE", "straße")),
        ("Bob@Example.com", "bob@EXAMPLE.COM"),
        ("li@例子.中国", "LI@xn--fsqu00a.xn--fiqs8s"),
        ("a@BÜCHER.de", "a@bücher.de"),
        ("a@b\u0075\u0308cher.de", "a@b\u00fccher.de"),  # the same word, decomposed
        ("a@example\uff0ecom", "a@example.com"),  # a full-width dot is a dot of a domain (UTS 46)
    ],
)
async def test_spellings_of_one_address_are_one_account(auth, registered, typed):
    person = await auth.register(registered)
    auth.clock.advance(60)
    await auth.send(typed, "REGISTER")
    assert auth.messages()[-1]["template"] == "already_registered"
    opened = await auth.login(typed)
    async with auth.database.transaction() as session:
        owner = await session.scalar(sa.text("SELECT account FROM sessions WHERE id = :id"), {"id": opened.session.id})
    assert owner == person.account
    assert await count(auth, "accounts") == 1


async def test_a_code_to_log_in_goes_to_the_contact_point_on_file(auth):
    """A mail server may tell Bob from bob (RFC 5321, 2.4); only the one on file was proved."""
    await auth.register("Bob@Example.com")
    auth.clock.advance(60)
    await auth.send("bob@example.com", "LOGIN")
    assert (auth.messages()[-1]["template"], auth.messages()[-1]["to"]) == ("login_code", "Bob@example.com")


@pytest.mark.parametrize(("victim", "attacker"), [(EMAIL, "eve@example.org"), (PHONE, "+8613900139000")])
async def test_an_index_that_leads_to_another_contact_point_opens_nothing_and_is_told(auth, victim, attacker):
    """The second lock, alone: the index of the victim's account is the attacker's, as if the first lock were wrong."""
    person, thief = await auth.register(victim), await auth.register(attacker)
    column = "email_index" if "@" in victim else "phone_index"
    flow, code = await _code_sent(auth, attacker)
    async with auth.database.transaction() as session:
        mark = await session.scalar(sa.select(getattr(Account, column)).where(Account.id == thief.account))
        for account, index in ((thief.account, None), (person.account, mark)):
            await session.execute(sa.update(Account).where(Account.id == account).values({column: index}))
    before, sessions = figure(MISMATCHES), await count(auth, "sessions")
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
    assert await count(auth, "sessions") == sessions
    assert figure(MISMATCHES) == before + 1
    auth.clock.advance(60)
    messages = len(auth.messages())
    await auth.send(attacker, "LOGIN")
    assert len(auth.messages()) == messages, "and no further code is sent to them"
    assert figure(MISMATCHES) == before + 2


async def _code_sent(auth, target: str) -> tuple[str, str]:
    auth.clock.advance(60)
    return await auth.code(target, "LOGIN")


@pytest.mark.parametrize("purpose", ["LOGIN", "REGISTER"])
async def test_a_flow_whose_target_is_not_that_of_its_index_proves_nothing(auth, purpose):
    person = await auth.register(EMAIL)
    auth.clock.advance(60)
    stranger, code = await auth.code("eve@example.org", "REGISTER")
    async with auth.database.transaction() as session:
        mark = await session.scalar(sa.select(Account.email_index).where(Account.id == person.account))
        turned = {"target_index": mark, "purpose": purpose}
        await session.execute(sa.update(Flow).where(Flow.id == stranger).values(turned))
    accounts, sessions, before = await count(auth, "accounts"), await count(auth, "sessions"), figure(MISMATCHES)
    async with rpc.refused(reason="CODE_WRONG"):
        if purpose == "LOGIN":
            await auth.logins.CreateSession(login(stranger, code), metadata=ADDRESS)
        else:
            request = accounts_pb2.RegisterRequest(flow_id=stranger, code=code, birth_date=BORN)
            await auth.accounts.Register(request, metadata=ADDRESS)
    assert (await count(auth, "accounts"), await count(auth, "sessions")) == (accounts, sessions)
    assert figure(MISMATCHES) == before + 1


async def test_an_erased_account_opens_no_session_and_raises_no_alarm(auth):
    person = await auth.register(EMAIL)
    flow, code = await _code_sent(auth, EMAIL)
    auth.sealer.forget(person.account)
    before = figure(MISMATCHES)
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
    assert figure(MISMATCHES) == before


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Bob@example.com", "bOB@EXAMPLE.com", True),
        ("+8613800138000", "+8613800138000", True),
        ("+8613800138000", "+8613800138001", False),
        ("strasse@example.com", "stra\u00dfe@example.com", False),
        ("stra\u00dfe@example.com", "stra\u00dfe@example.com", False),
        ("kim@example.com", "\u212aim@example.com", False),
        ("bob@example.com", "bob@example.com.", False),
        ("", "", False),
        ("", "bob@example.com", False),
    ],
)
def test_the_second_lock_compares_ascii_alone(one, other, same):
    assert domain.is_same_contact(one, other) is same


@pytest.mark.parametrize("text", ["\u017fam@example.com", "stra\u00dfe@x.de", "\ud800@example.com", "a\u0301@b.de"])
def test_no_other_local_part_than_ascii_has_a_normal_form(text):
    with pytest.raises(Failure) as refusal:
        domain.normal_email(text)
    assert refusal.value.kind.reason == "TARGET_INVALID"
