"""Sessions over real gRPC: rotation, theft, devices."""

import asyncio
import datetime

import pytest
import sqlalchemy as sa

from filmgate.auth.v1 import logins_pb2
from services.auth.logins.tables import Session
from tests.support import rpc
from tests.support.auth import ADDRESS, EMAIL, PHONE


def refresh(token: str) -> logins_pb2.RefreshSessionRequest:
    return logins_pb2.RefreshSessionRequest(refresh_token=token)


async def test_a_refresh_token_is_exchanged_for_a_new_pair(auth):
    person = await auth.register()
    auth.clock.advance(600)
    opened = await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    assert opened.session.id == person.session
    assert opened.session.last_seen_time.ToDatetime(datetime.UTC) == auth.clock.now()
    assert {opened.access_token, opened.refresh_token}.isdisjoint({person.access, person.refresh})
    again = await auth.logins.RefreshSession(refresh(opened.refresh_token), metadata=ADDRESS)
    assert again.refresh_token != opened.refresh_token


async def test_within_thirty_seconds_a_used_refresh_token_answers_the_same_successor(auth):
    person = await auth.register()
    first = await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    auth.clock.advance(30)
    again = await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    assert again == first
    await auth.logins.RefreshSession(refresh(again.refresh_token), metadata=ADDRESS)


async def test_a_refresh_token_used_later_ends_the_session_and_tells_its_owner(auth):
    person = await auth.register()
    first = await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    auth.clock.advance(30.001)
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.logins.RefreshSession(refresh(first.refresh_token), metadata=ADDRESS)
    await auth.runner.run_due()
    assert auth.messages()[-1]["template"] == "session_ended"
    assert person.session in auth.messages()[-1]["text"]


async def test_concurrent_refreshes_answer_one_successor(auth):
    person = await auth.register()
    stub = auth.logins
    calls = [stub.RefreshSession(refresh(person.refresh), metadata=ADDRESS) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert len({(answer.access_token, answer.refresh_token) for answer in answers}) == 1
    async with auth.database.transaction() as session:
        assert await session.scalar(sa.text("SELECT count(*) FROM refresh_tokens")) == 2


async def test_a_refresh_token_ends_after_thirty_days(auth):
    person = await auth.register()
    auth.clock.advance(30 * 86400 - 1)
    opened = await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    auth.clock.advance(30 * 86400)
    async with rpc.refused(reason="TOKEN_EXPIRED"):
        await auth.logins.RefreshSession(refresh(opened.refresh_token), metadata=ADDRESS)


@pytest.mark.parametrize("token", ["fgr_x", "x" * 128, "fgr_" + "0" * 49])
async def test_an_unknown_refresh_token_is_refused(auth, token):
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.logins.RefreshSession(refresh(token), metadata=ADDRESS)


async def test_secrets_of_sessions_are_stored_as_digests(auth):
    person = await auth.register()
    opened = await auth.logins.RefreshSession(refresh(person.refresh), metadata=ADDRESS)
    async with auth.database.transaction() as session:
        rows = (await session.execute(sa.text("SELECT s::text, t::text FROM sessions s, refresh_tokens t"))).all()
    for secret in (person.access, person.refresh, opened.access_token, opened.refresh_token):
        assert secret not in repr(rows)
        assert secret.encode().hex() not in repr(rows)


async def test_a_person_sees_his_devices_and_ends_one(auth):
    person = await auth.register()
    second = await auth.login()
    listed = await auth.logins.ListSessions(logins_pb2.ListSessionsRequest(), metadata=person.metadata())
    assert [row.id for row in listed.sessions] == [second.session.id, person.session]
    assert [row.current for row in listed.sessions] == [False, True]
    assert listed.sessions[0].ip_address == "203.0.113.7"
    end = logins_pb2.EndSessionRequest(id=second.session.id)
    for _ in range(2):
        await auth.logins.EndSession(end, metadata=person.metadata())
    listed = await auth.logins.ListSessions(logins_pb2.ListSessionsRequest(), metadata=person.metadata())
    assert [row.id for row in listed.sessions] == [person.session]
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.logins.RefreshSession(refresh(second.refresh_token), metadata=ADDRESS)


async def test_a_session_shows_its_address_program_and_times(auth):
    person = await auth.register()
    begun = auth.clock.now()
    [shown] = (await auth.logins.ListSessions(logins_pb2.ListSessionsRequest(), metadata=person.metadata())).sessions
    assert shown.ip_address == "203.0.113.7"
    assert shown.user_agent.startswith("grpc-python")  # gRPC writes its own over that of the test
    assert shown.create_time.ToDatetime(datetime.UTC) == shown.last_seen_time.ToDatetime(datetime.UTC) == begun


async def test_sessions_come_in_pages(auth):
    person = await auth.register()
    for _ in range(2):
        await auth.login()
    request, seen = logins_pb2.ListSessionsRequest(page_size=1), []
    while True:
        page = await auth.logins.ListSessions(request, metadata=person.metadata())
        seen += [row.id for row in page.sessions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(seen) == len(set(seen)) == 3
    async with rpc.refused(reason="FIELD_INVALID"):
        bad = logins_pb2.ListSessionsRequest(page_token="nonsense")
        await auth.logins.ListSessions(bad, metadata=person.metadata())


async def test_anothers_session_is_not_found(auth):
    bob, eve = await auth.register(PHONE), await auth.register(EMAIL)
    for session in (bob.session, "ses_x", "x" * 300):
        async with rpc.refused(reason="NOT_FOUND"):
            await auth.logins.EndSession(logins_pb2.EndSessionRequest(id=session), metadata=eve.metadata())
    listed = await auth.logins.ListSessions(logins_pb2.ListSessionsRequest(), metadata=eve.metadata())
    assert [row.id for row in listed.sessions] == [eve.session]


@pytest.mark.parametrize("auth", ["default"], indirect=True)
async def test_the_oldest_sessions_end_beyond_the_profiles_number(auth):
    person = await auth.register()
    async with auth.database.transaction() as session:
        row = await session.get(Session, person.session)
        kept = {column.name: getattr(row, column.name) for column in Session.__table__.columns}
        for number in range(auth.profile.limits.sessions_per_account - 1):
            later = row.create_time + datetime.timedelta(seconds=number + 1)
            session.add(Session(**{**kept, "id": f"ses_{number}", "create_time": later}))
    opened = await auth.login()
    listed = await auth.logins.ListSessions(logins_pb2.ListSessionsRequest(), metadata=person.metadata())
    assert len(listed.sessions) == auth.profile.limits.sessions_per_account
    assert listed.sessions[0].id == opened.session.id
    assert person.session not in {row.id for row in listed.sessions}
