"""What the brake and the operator do to wallets arrives in privacy's audit log, once, over the real wire."""

import datetime

import pytest
import sqlalchemy as sa

from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc
from services.billing import audit
from services.billing.clients import Audit, Tokens
from services.runtime import channels, ids
from services.runtime.jobs import JobRow
from services.runtime.runner import Runner
from tests.support import bank, rpc


@pytest.fixture
async def house(postgres, clock):
    async with bank.bank(postgres, clock) as opened:
        yield opened


async def record(house, wallet):
    now = house.clock.now()
    async with house.database.transaction() as session:
        await audit.record(
            session, actor="operator", action="UnparkWallet", subject=wallet, detail={"kind": "CHARGE"}, now=now
        )


async def events(privacy):
    stub = privacy.stub(audit_pb2_grpc.AuditStub, "operator")
    found = (await stub.ListAuditEvents(audit_pb2.ListAuditEventsRequest())).events
    return [event for event in found if event.service == "billing"]


@pytest.fixture
async def runner(house, privacy):
    channel = channels.connect("privacy", rpc.settings("billing", privacy_address=privacy.address))
    yield Runner(house.database, audit.handlers(Audit(channel)), clock=house.clock)
    await channel.close()


async def test_an_event_is_told_with_all_that_it_is(house, privacy, runner, clock):
    wallet = ids.new("org")
    await record(house, wallet)
    assert await runner.run_due() == 1
    (event,) = await events(privacy)
    assert (event.actor, event.action, event.subject) == ("operator", "UnparkWallet", wallet)
    assert dict(event.detail) == {"kind": "CHARGE"}
    assert event.event_time.ToDatetime(tzinfo=datetime.UTC) == clock.now()


async def test_an_event_that_is_told_twice_is_recorded_once(house, privacy, runner):
    await record(house, ids.new("org"))
    for _ in range(2):
        await runner.run_due()
        async with house.database.transaction() as session:
            await session.execute(sa.update(JobRow).values(state="QUEUED", end_time=None))
    assert len(await events(privacy)) == 1


async def test_an_event_of_an_action_that_failed_is_not_told(house, privacy, runner):
    async def fail():
        async with house.database.transaction() as session:
            await audit.record(session, actor="system", action="X", subject="x", detail={}, now=house.clock.now())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await runner.run_due() == 0


async def test_an_event_waits_for_privacy(house, privacy, clock):
    closed = channels.connect("privacy", rpc.settings("billing", privacy_address="127.0.0.1:1"))
    await record(house, ids.new("org"))
    assert await Runner(house.database, audit.handlers(Audit(closed)), clock=clock).run_due() == 1
    await closed.close()
    async with house.database.transaction() as session:
        assert await session.scalar(sa.select(JobRow.state)) == "WAITING"


async def test_told_events_are_forgotten_when_their_term_is_over(house, runner, clock):
    await record(house, ids.new("org"))
    await runner.run_due()
    assert await house.sweep.forget_jobs() == 0
    clock.advance(7 * bank.DAY + 1)
    assert await house.sweep.forget_jobs() == 1


async def test_the_keys_of_caller_tokens_come_from_auth(auth):
    channel = channels.connect("auth", rpc.settings("billing", auth_address=auth.address))
    assert await Tokens(channel).caller_keys() == await rpc.fetch_keys()
    await channel.close()
