"""Who may reach what from inside: staff by their role only, each service its own database only."""

import importlib
import json
import pkgutil
import re
import secrets
from collections.abc import Iterator
from functools import partial

import asyncpg
import grpc
import pytest

import filmgate.auth.v1
import filmgate.billing.v1
import filmgate.generation.v1
import filmgate.privacy.v1
from deploy.envoy import contracts, routes
from deploy.local.client import Refused, new_phone
from filmgate.auth.v1 import accounts_pb2 as accounts
from filmgate.auth.v1 import accounts_pb2_grpc
from tests.support.addresses import an_address
from tests.support.edge import DESCRIPTORS
from tests.support.floods import BURST, BUSY, flood
from tests.support.operators import door, recorded
from tests.support.pace import in_proportion
from tests.support.waiting import until, until_refused, until_served
from tests.support.witness import Witness

PACKAGES = {
    "auth": filmgate.auth.v1,
    "billing": filmgate.billing.v1,
    "generation": filmgate.generation.v1,
    "privacy": filmgate.privacy.v1,
}
STAFF = {
    "filmgate.auth.v1.Accounts/FreezeAccount",
    "filmgate.auth.v1.Accounts/UnfreezeAccount",
    "filmgate.privacy.v1.Policies/PublishPolicy",
    "filmgate.privacy.v1.Audit/ListAuditEvents",
}
OPEN = {row.name for row in contracts.methods(DESCRIPTORS) if row.gate == "OPEN"} | {"filmgate.auth.v1.Tokens/Exchange"}
WITHOUT_LOGIN = {
    ("POST", "/v1/codes:send"),
    ("POST", "/v1/accounts"),
    ("POST", "/v1/sessions"),
    ("POST", "/v1/sessions:refresh"),
    ("GET", "/v1/prices"),
    ("GET", "/v1/policies"),
    ("GET", "/v1/policies/{id}"),
    *((verb, path) for verb in ("GET", "HEAD") for path in ("/docs", "/docs/{file}", "/openapi.json")),
}
"""All that needs no login, whatever the contracts say: to register or log in, and to look around."""
ROWS = {(row.verb, row.path) for row in (*contracts.methods(DESCRIPTORS), *routes.plain_methods())}
ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
EFFECT_SECONDS = 1.0
"""From the answer of FreezeAccount to the refusal at the edge (architecture, section 4)."""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
LATER = {"audit_events", "job_pools", "job_shares", "jobs", "key_uses", "notices", "requests"}
"""Tables that are also written after the answer: the calls of other customers may still change them."""
OTHERS = ["edge", "auth", "billing", "generation", "media", "worker", "privacy"]
SERVED = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
REFUSED = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}


def _methods(service: str) -> Iterator[str]:
    package = PACKAGES[service]
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"{package.__name__}.{module.name}").DESCRIPTOR
            for room in file.services_by_name.values():
                yield from (f"{room.full_name}/{method.name}" for method in room.methods)


async def _code(channel: grpc.aio.Channel, method: str) -> grpc.StatusCode:
    """What an empty request of a certificate without a customer's token is answered."""
    call = channel.unary_stream(f"/{method}")(b"", timeout=5)
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.promise(
    "AICC-10.2", "SILICON-P5.2", part="there is one role of staff, with one certificate for all of them"
)
@pytest.mark.promise("CARRY-3.3b", "NEXA-4.1c", "KLING-P5.3")
@pytest.mark.parametrize("service", PACKAGES)
async def test_each_role_reaches_what_it_is_there_for_and_nothing_else(suite, customer, service):
    await _staff_by_role(suite, service)
    await _rows_by_role(suite, service)
    if service == "auth":
        await _only_masked(suite, customer)


async def _staff_by_role(suite, service: str) -> None:
    """The operator reaches the operator's methods and no customer's data; nobody else reaches the operator's."""
    methods = list(_methods(service))
    assert methods
    async with door(suite, service, "operator") as channel:
        for method in methods:
            allowed = SERVED if method in STAFF else SERVED | REFUSED if method in OPEN else REFUSED
            assert await _code(channel, method) in allowed, method
    for certificate in OTHERS:
        async with door(suite, service, certificate) as channel:
            for method in STAFF.intersection(methods):
                assert await _code(channel, method) == grpc.StatusCode.PERMISSION_DENIED, (certificate, method)


async def _rows_by_role(suite, service: str) -> None:
    """A service's role reads and writes its own rows: it makes no table and opens no other database."""
    urls = {name: suite.database_urls[name][1].replace("+asyncpg", "") for name in PACKAGES}
    own = await asyncpg.connect(urls[service])
    try:
        rights = await own.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        assert not any(rights)
        for statement in ("CREATE TABLE mine (id text)", "CREATE ROLE mine", "DROP TABLE alembic_version"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await own.execute(statement)
    finally:
        await own.close()
    for other in PACKAGES.keys() - {service}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(urls[service].replace(f"/{service}?", f"/{other}?"))


async def _only_masked(suite, customer) -> None:
    """What the operator is shown of an account does not hold its contact point."""
    account = customer.made["account"]["id"]
    async with door(suite, "auth") as channel:
        stub = accounts_pb2_grpc.AccountsStub(channel)
        shown = await stub.UnfreezeAccount(accounts.UnfreezeAccountRequest(account=account, scope="ALL"), timeout=5)
    assert shown.id == account
    assert customer.phone[3:] not in str(shown)


async def logged(suite, answer) -> dict:
    """The line of the edge's access log for an answer; Envoy writes it when it has time."""
    id_ = answer.headers["x-request-id"]

    def line() -> str:
        lines = (suite.home / "logs" / "envoy.log").read_text().splitlines(keepends=True)
        return next((text for text in lines if id_ in text and text.endswith("\n")), "")

    return json.loads(await until(line, what=f"the line of {id_}"))


@pytest.mark.promise("KLING-A3.9")
async def test_every_call_is_logged_with_its_account_and_its_key_or_session(suite, customer, guest):
    account, key = customer.made["account"]["id"], customer.key["id"]
    nowhere = f"/v1/videos/vid_{'0' * 26}"
    for secret, verb, path, status, credential in (
        (customer.key["secret"], "GET", "/v1/models", 200, key),
        (customer.key["secret"], "GET", nowhere, 404, key),
        (customer.key["secret"], "POST", "/v1/videos", 200, key),
        (customer.session, "GET", "/v1/keys", 200, "ses_"),
        (customer.session, "GET", "/v1/keys?no_such_field=1", 400, "ses_"),
    ):
        body = {"json": ORDER} if verb == "POST" else {}
        answer = await customer.http.request(verb, path, headers={"authorization": f"Bearer {secret}"}, **body)
        line = await logged(suite, answer)
        assert (answer.status_code, line["account"]) == (status, account)
        assert line["credential"].startswith(credential)
    for headers in ({}, {"authorization": "Bearer nobody"}):
        line = await logged(suite, await guest.http.get("/v1/models", headers=headers))
        assert (line["account"], line["credential"]) == (None, None)


@pytest.mark.promise("NEXA-6.1d", part="a program behind a valid picture is stored and served as it came")
@pytest.mark.promise("AICC-10.1e", "SILICON-U2.2.5")
async def test_floods_guesses_and_programs_are_stopped_and_others_go_on(suite, guest, customer):
    statuses = await flood(suite.ports.edge_port, an_address())
    assert {401, 429} <= set(statuses) <= {401, 429, BUSY}
    assert len(statuses) - statuses.count(429) >= BURST
    await until_served(partial(customer.call, "GET", "/v1/videos"), 60, "SERVICE_UNAVAILABLE")  # from another address

    proof = await guest.send_code(new_phone(), "REGISTER")
    guesses = [{**proof, "code": f"{(int(proof['code']) + add) % 1_000_000:06d}"} for add in range(1, 9)]
    outcomes = [await _reason(guest, guess) for guess in [*guesses, proof]]
    assert outcomes == ["CODE_WRONG"] * 4 + ["TOO_MANY_TRIES"] * 5

    with pytest.raises(Refused, match="IMAGE_UNREADABLE"):
        await customer.upload(b"MZ\x90\0" + b"\0" * 56 + b"\x80\0\0\0" + b"PE\0\0" + b"\xcc" * 4096)


async def _reason(client, proof: dict) -> str:
    person = {"birth_date": {"year": 1990, "month": 1, "day": 1}, "age_statement": True}
    with pytest.raises(Refused) as refused:
        await client.call("POST", "/v1/accounts", {**proof, **person})
    return refused.value.reason


@pytest.mark.promise("AICC-1.1f", "NEXA-1.1.1f", "KLING-P1.1.1b")
async def test_browsing_needs_no_login_collects_no_account_data_and_opens_nothing_else(suite, books):
    before, address, program = await _personal(books), an_address(), f"visitor-{secrets.token_hex(8)}"
    async with Witness(suite.url, suite.outbox, address=address) as guest:
        guest.http.headers["user-agent"] = program
        listed = await guest.call("GET", "/v1/policies")
        policy = f"/v1/policies/{listed['policies'][0]['id']}"
        for path in ("/v1/prices", "/v1/policies", policy, "/docs", "/openapi.json"):
            answer = await guest.http.get(path)
            assert answer.status_code == 200, path
            assert not {name for name in answer.headers if "cookie" in name}
        await _refused_without_login(guest)
    assert await _personal(books) == before
    assert await _tables_with(books, address, program) == []


async def _refused_without_login(guest) -> None:
    """Expect 401 of all that the contracts hold but what is open here."""
    assert WITHOUT_LOGIN < ROWS
    for verb, path in ROWS - WITHOUT_LOGIN:
        body = {"content": b"{}"} if verb in {"POST", "PATCH"} else {}
        answer = await guest.http.request(verb, path.replace("{id}", "x"), **body)
        assert answer.status_code == 401, (verb, path)
        if verb != "HEAD":
            assert answer.json()["code"] == 16
            assert answer.json()["details"][0]["reason"] in {"KEY_UNKNOWN", "TOKEN_INVALID"}


async def _personal(books) -> dict[str, object]:
    """How many rows each table has that knows of persons and is written within a call."""
    return {
        f"{service}.{row['tablename']}": await books.value(service, f"SELECT count(*) FROM {row['tablename']}")  # noqa: S608
        for service in ("auth", "privacy")
        for row in await books.rows(service, TABLES)
        if row["tablename"] not in LATER
    }


async def _tables_with(books, *words: str) -> list[str]:
    """The tables that hold one of the words; what a job carries to privacy is found on the way or there."""
    pattern = f"\\y({'|'.join(map(re.escape, words))})\\y"
    return [
        f"{service}.{row['tablename']}"
        for service in ("billing", "generation", "auth", "privacy")
        for row in await books.rows(service, TABLES)
        if await books.value(service, f"SELECT count(*) FROM {row['tablename']} held WHERE held::text ~ $1", pattern)  # noqa: S608
    ]


@pytest.mark.promise("CARRY-1.1c")
async def test_without_a_contact_point_there_is_no_account_and_without_that_no_core_call(guest, books):
    before = await books.value("auth", "SELECT count(*) FROM accounts")
    born = {"birth_date": {"year": 1990, "month": 1, "day": 1}, "age_statement": True}
    for path, body in (
        ("/v1/codes:send", {"channel": "CHANNEL_UNSPECIFIED", "target": "somebody", "purpose": "REGISTER"}),
        ("/v1/codes:send", {"channel": "EMAIL", "target": "somebody", "purpose": "REGISTER"}),
        ("/v1/codes:send", {"channel": "PHONE", "target": "12", "purpose": "REGISTER"}),
        ("/v1/accounts", born),
        ("/v1/accounts", {**born, "flow_id": "flw_x", "code": "123456"}),
    ):
        with pytest.raises(Refused) as refused:
            await guest.call("POST", path, body)
        assert refused.value.status == 400, path
    assert await books.value("auth", "SELECT count(*) FROM accounts") == before

    await _refused_without_login(guest)


@pytest.mark.promise("KLING-A3.3", "KLING-A11.7")
async def test_a_freeze_stops_all_keys_of_the_account_at_once_and_no_other_account(customer, newcomer, books, freezer):
    customer.credential = customer.session
    second = (await customer.make_key("second"))["secret"]
    await customer.call("GET", "/v1/videos")
    other = await newcomer()
    before = await books.owned(customer.made)
    await freezer.freeze(customer.made["account"]["id"], "ALL")
    for secret in (customer.key["secret"], second, customer.session):
        customer.credential = secret
        refused = await until_refused(partial(customer.call, "GET", "/v1/videos"), in_proportion(EFFECT_SECONDS))
        assert refused.reason == "ACCOUNT_FROZEN"
        with pytest.raises(Refused, match="ACCOUNT_FROZEN"):
            await customer.call("POST", "/v1/videos", ORDER)
    assert await books.owned(customer.made) == before  # nothing was ordered, and no compensation booked
    await other.call("GET", "/v1/videos")


@pytest.mark.promise("SILICON-U1.3c")
async def test_what_the_operator_did_and_what_was_agreed_stay_on_record(suite, customer, books, freezer):
    account = customer.made["account"]["id"]
    await freezer.freeze(account, "ALL")
    await until_refused(partial(customer.call, "GET", "/v1/videos"), in_proportion(EFFECT_SECONDS))
    receipts = await books.rows("privacy", "SELECT kind FROM receipts WHERE account = $1", account)
    assert sorted(row["kind"] for row in receipts) == ["privacy", "terms"]
    await freezer.lift(account, "ALL")

    async def both() -> list:
        found = await recorded(suite, account)
        return found if len(found) >= 2 else []

    events = await until(both, what="both events")
    assert [(event.service, event.actor, event.action) for event in events] == [
        ("auth", "operator", "UnfreezeAccount"),
        ("auth", "operator", "FreezeAccount"),
    ]
    assert events[1].detail["scope"] == "ALL"
    assert events[1].detail["reason"] == "abuse"
    assert events[1].event_time.seconds <= events[0].event_time.seconds
