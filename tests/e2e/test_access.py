"""Who may reach what from inside: staff by their role only, each service its own database only."""

import asyncio
import importlib
import json
import pkgutil
from collections.abc import Iterator

import asyncpg
import grpc
import pytest

import filmgate.auth.v1
import filmgate.billing.v1
import filmgate.generation.v1
import filmgate.privacy.v1
from deploy.envoy import contracts
from filmgate.auth.v1 import accounts_pb2 as accounts
from filmgate.auth.v1 import accounts_pb2_grpc
from tests.support.edge import DESCRIPTORS
from tests.support.operators import door

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


@pytest.mark.promise("CARRY-3.3b", "AICC-10.2", "NEXA-4.1c", "KLING-P5.3", "SILICON-P5.2")
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
    async with asyncio.timeout(30):
        while True:
            for text in (suite.home / "logs" / "envoy.log").read_text().splitlines():
                if answer.headers["x-request-id"] in text:
                    return json.loads(text)
            await asyncio.sleep(0.1)


@pytest.mark.promise("KLING-A3.9")
async def test_every_call_is_logged_with_its_account_and_its_key_or_session(suite, customer, guest):
    account, key = customer.made["account"]["id"], customer.key["id"]
    nowhere = f"/v1/videos/vid_{'0' * 26}"
    for secret, path, status, credential in (
        (customer.key["secret"], "/v1/models", 200, key),
        (customer.key["secret"], nowhere, 404, key),
        (customer.session, "/v1/keys", 200, "ses_"),
        (customer.session, "/v1/keys?no_such_field=1", 400, "ses_"),
    ):
        answer = await customer.http.get(path, headers={"authorization": f"Bearer {secret}"})
        line = await logged(suite, answer)
        assert (answer.status_code, line["account"]) == (status, account)
        assert line["credential"].startswith(credential)
    for headers in ({}, {"authorization": "Bearer nobody"}):
        line = await logged(suite, await guest.http.get("/v1/models", headers=headers))
        assert (line["account"], line["credential"]) == (None, None)
