"""The process itself: its commands, its start and its end, its refusals to start, and its tables."""

import asyncio
import os
import signal
import sys

import pytest
import sqlalchemy as sa

from deploy.local import ports, ready
from filmgate.billing.v1 import prices_pb2, prices_pb2_grpc
from services.billing import errors
from services.billing.__main__ import main
from services.billing.prices import book_cache, store
from services.runtime import channels, database, ids, subject
from services.runtime.database import Database
from tests.support import rpc, tls
from tests.support.bank import CNY, Bank, rules
from tests.support.clock import START
from tests.support.source import ROOT
from tests.support.waiting import until


async def start(*arguments: str, **settings: object) -> asyncio.subprocess.Process:
    """Start the process with settings by their names."""
    environment = {f"FILMGATE_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.billing", *arguments, env=environment, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, (out + err).decode()


async def until_serving(port: int) -> None:
    await until(lambda: asyncio.to_thread(ready.healthy, port))


@pytest.mark.parametrize("arguments", [[], ["run"], ["serve", "migrate"], ["unpark"]])
def test_an_unknown_command_says_how_to_use_it(arguments, capsys):
    assert main(arguments) == 2
    assert "serve | migrate | unpark" in capsys.readouterr().err


async def test_the_process_migrates_serves_and_ends(postgres, auth):
    owner, service = postgres.urls("billing")
    assert await ended(await start("migrate", owner_database_url=owner)) == (0, "")
    free = ports.free()
    port, health = free.billing_port, free.billing_health_port
    process = await start(
        "serve", database_url=service, home=tls.home(), billing_port=port, health_port=health, metrics_port=0,
        auth_address=auth.address,
    )  # fmt: skip
    await until_serving(health)
    channel = channels.connect("billing", rpc.settings("generation", billing_address=f"127.0.0.1:{port}"))
    usage = prices_pb2.Usage(model="animatic", resolution="720p", duration_seconds=5)
    quote = await prices_pb2_grpc.PricesStub(channel).Quote(prices_pb2.QuoteRequest(usage=usage))
    await channel.close()
    assert quote.price.nanos == 500_000_000
    process.send_signal(signal.SIGTERM)
    code, log = await ended(process)
    assert (code, '"stopped"' in log) == (0, True), log


async def test_a_changed_price_book_stops_the_start(postgres):
    owner, service = postgres.urls("billing")
    opened = Database(owner)
    changed = book_cache.contents()[0] | {"currency": "USD"}
    async with opened.transaction() as session:
        await store.publish(session, [changed], START)
    await opened.close()
    code, log = await ended(await start("serve", database_url=service, home=tls.home()))
    assert (code, "add a new version" in log) == (1, True), log


async def test_the_process_does_not_start_on_an_old_schema(postgres):
    _, url = postgres.postgres.create_database("billing_empty")
    code, log = await ended(await start("serve", database_url=url, home=tls.home()))
    assert (code, "run billing migrate" in log) == (1, True), log


async def test_the_operator_unparks_a_wallet(postgres, clock):
    _, url = postgres.urls("billing")
    opened = Database(url)
    house, wallet = Bank(opened, clock, rules()), ids.new("org")
    await house.publish()
    await house.give(wallet, CNY)
    async with opened.transaction() as session:
        await session.execute(sa.text("UPDATE wallets SET park_time = create_time"))
    assert await ended(await start("unpark", wallet, database_url=url)) == (0, "")
    code, log = await ended(await start("unpark", wallet, database_url=url))
    assert (code, "is not parked" in log) == (1, True), log
    async with opened.transaction() as session:
        assert await session.scalar(sa.text("SELECT park_time FROM wallets")) is None
        told = await session.scalar(sa.text("SELECT payload FROM jobs"))
        assert (told["actor"], told["action"], told["subject"]) == ("operator", "UnparkWallet", wallet)
    await opened.close()


def test_every_column_names_its_element():
    for table in database.tables_of("billing"):
        assert [str(column) for column in table.columns if not column.info.get("element")] == []
        assert all(subject.rule(column.info["element"]) for column in table.columns)


def test_every_reason_of_the_contract_has_its_kind():
    from filmgate.billing.v1.error_reason_pb2 import ErrorReason
    from services.runtime import errors as common

    assert set(errors.KIND.kinds) | set(common.COMMON) == set(ErrorReason.keys()[1:])
