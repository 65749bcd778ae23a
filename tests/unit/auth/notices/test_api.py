"""Notices over real gRPC, down to the outbox."""

import stat

import pytest
import sqlalchemy as sa

from filmgate.auth.v1 import notices_pb2, notices_pb2_grpc
from services.auth.notices.tables import Notice
from tests.support import rpc
from tests.support.auth import EMAIL, PHONE


def notice(person, **fields) -> notices_pb2.NotifyRequest:
    wanted = {"id": "evt_1", "account": person.account, "template": "account_unfrozen", "parameters": {"scope": "ALL"}}
    return notices_pb2.NotifyRequest(**{**wanted, **fields})


@pytest.mark.parametrize(("target", "channel"), [(PHONE, "PHONE"), (EMAIL, "EMAIL")])
async def test_a_notice_goes_to_the_registered_contact_point(auth, target, channel):
    person = await auth.register(target)
    stub = auth.stub(notices_pb2_grpc.NoticesStub, "billing")
    assert await stub.Notify(notice(person)) == notices_pb2.NotifyResponse()
    await auth.runner.run_due()
    message = next(row for row in auth.messages() if row["id"] == "evt_1")
    assert (message["to"], message["channel"], message["locale"]) == (target, channel, "en")
    assert "scope ALL" in message["text"]
    assert "code" not in message


async def test_the_same_id_is_sent_once(auth):
    person = await auth.register()
    stub = auth.stub(notices_pb2_grpc.NoticesStub, "worker")
    for _ in range(3):
        await stub.Notify(notice(person))
        await auth.runner.run_due()
    assert len([row for row in auth.messages() if row["template"] == "account_unfrozen"]) == 1
    async with auth.database.transaction() as session:
        row = (await session.scalars(sa.select(Notice))).one()
    assert row.deliver_time == auth.clock.now()


async def test_a_message_is_a_private_file_whose_name_sorts_by_time(auth):
    await auth.register(PHONE)
    auth.clock.advance(60)
    await auth.register(EMAIL)
    paths = sorted(auth.outbox.iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]
    assert [path.name[:16] for path in paths] == ["20261121T120000.", "20261121T120100."]
    assert stat.S_IMODE(auth.outbox.stat().st_mode) == 0o700


async def test_messages_lie_open_in_the_outbox_until_the_operator_removes_them(auth):
    await auth.register(PHONE)
    [message] = auth.messages()
    assert (message["to"], message["code"] in message["text"]) == (PHONE, True)
    auth.clock.advance(400 * 86_400)
    await auth.house.sweep.once()
    await auth.runner.run_due()
    assert auth.messages() == [message]


async def test_no_contact_point_is_stored_outside_of_its_seal(auth):
    person = await auth.register(EMAIL)
    await auth.stub(notices_pb2_grpc.NoticesStub, "billing").Notify(notice(person))
    await auth.runner.run_due()
    async with auth.database.transaction() as session:
        tables = (await session.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        rows = [await session.scalar(sa.text(f"SELECT string_agg(t::text, ' ') FROM {name} t")) for name in tables]  # noqa: S608
    assert EMAIL not in "".join(row or "" for row in rows)
    assert EMAIL.encode().hex() not in "".join(row or "" for row in rows)


async def test_nothing_of_a_message_is_logged(auth, caplog):
    with caplog.at_level("INFO"):
        await auth.register(EMAIL)
        await auth.runner.run_due()
    code = auth.messages()[0]["code"]
    for secret in (code, EMAIL, "bob@"):
        assert secret not in caplog.text.replace(auth.messages()[0]["id"], "")


async def test_an_erased_account_gets_nothing_and_its_job_ends(auth):
    person = await auth.register()
    await auth.stub(notices_pb2_grpc.NoticesStub, "billing").Notify(notice(person))
    auth.sealer.forget(person.account)
    await auth.runner.run_due()
    assert [row["template"] for row in auth.messages()] == ["register_code"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"account": "acc_x"}, "NOT_FOUND"),
        ({"template": "nothing"}, "FIELD_INVALID"),
        ({"template": "../etc"}, "FIELD_INVALID"),
        ({"parameters": {}}, "FIELD_INVALID"),
        ({"id": ""}, "FIELD_REQUIRED"),
    ],
)
async def test_what_cannot_be_sent_is_refused(auth, fields, reason):
    person = await auth.register()
    async with rpc.refused(reason=reason):
        await auth.stub(notices_pb2_grpc.NoticesStub, "privacy").Notify(notice(person, **fields))


@pytest.mark.parametrize("peer", ["edge", "media", "operator"])
async def test_only_services_send_notices(auth, peer):
    person = await auth.register()
    async with rpc.refused(reason="PEER_NOT_ALLOWED"):
        await auth.stub(notices_pb2_grpc.NoticesStub, peer).Notify(notice(person), metadata=person.metadata())
