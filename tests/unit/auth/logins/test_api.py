"""Codes over real gRPC, and logging in with them."""

import asyncio
import dataclasses
import datetime
import time

import pytest
import sqlalchemy as sa

from filmgate.auth.v1 import accounts_pb2, logins_pb2, logins_pb2_grpc
from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.logins.tables import Flow
from services.runtime.sealed import Forgotten
from tests.support import rpc
from tests.support.auth import ADDRESS, BORN, EMAIL, PHONE, Send

OTHER = "+8613900139000"


def login(flow: str, code: str) -> logins_pb2.CreateSessionRequest:
    return logins_pb2.CreateSessionRequest(flow_id=flow, code=code)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def flow_row(auth, flow: str) -> Flow:
    async with auth.database.transaction() as session:
        return await session.get(Flow, flow)


async def test_a_code_comes_by_phone_or_mail_in_the_language_asked_for(auth):
    for target, locale, word in ((PHONE, "zh", "验证码"), (EMAIL, "en", "code")):
        channel = Send.EMAIL if "@" in target else Send.PHONE
        request = Send(channel=channel, target=target, purpose=Send.REGISTER, locale=locale)
        answer = await auth.logins.SendCode(request, metadata=ADDRESS)
        assert answer.expire_time.ToDatetime(datetime.UTC) == auth.clock.now() + datetime.timedelta(minutes=10)
        assert answer.retry_after.ToTimedelta() == datetime.timedelta(seconds=60)
        await auth.runner.run_due()
        message = next(row for row in auth.messages() if row["id"] == answer.flow_id)
        assert (message["to"], message["locale"]) == (target, locale)
        assert word in message["text"]
        assert message["code"] in message["text"]


async def test_nothing_of_a_code_or_target_is_stored_in_the_clear(auth):
    flow, code = await auth.code()
    row = await flow_row(auth, flow)
    assert row.code is None, "forgotten once it was delivered"
    assert auth.sealer.open(flow, Element.PHONE, row.target) == PHONE
    async with auth.database.transaction() as session:
        payloads = (await session.scalars(sa.text("SELECT payload::text FROM jobs"))).all()
    for stored in (repr(row.__dict__), *payloads):
        assert code not in stored.replace(flow, "")
        assert "13800138000" not in stored


async def test_the_job_of_a_code_that_ran_twice_leaves_one_message(auth):
    flow, _ = await auth.code()
    async with auth.database.transaction() as session:
        await session.execute(sa.text("UPDATE jobs SET state = 'QUEUED', end_time = NULL"))
    await auth.runner.run_due()
    assert [message["id"] for message in auth.messages()] == [flow]


@pytest.mark.parametrize(
    ("channel", "target"), [(Send.PHONE, "123456"), (Send.PHONE, EMAIL), (Send.EMAIL, PHONE), (Send.EMAIL, "a@b")]
)
async def test_an_invalid_target_is_refused(auth, channel, target):
    async with rpc.refused(reason="TARGET_INVALID") as found:
        await auth.logins.SendCode(Send(channel=channel, target=target, purpose=Send.LOGIN), metadata=ADDRESS)
    assert found[0].metadata["channel"] == Send.Channel.Name(channel)


async def test_known_and_unknown_targets_are_answered_alike(auth):
    """Also the same rows are written and the same job: the answer cannot tell, and neither can the time."""
    await auth.register(PHONE)
    auth.clock.advance(60)
    seen = []
    for target in (PHONE, OTHER):
        for purpose in (Send.LOGIN, Send.REGISTER):
            request = Send(channel=Send.PHONE, target=target, purpose=purpose)
            answer = await auth.logins.SendCode(request, metadata=ADDRESS)
            row = await flow_row(auth, answer.flow_id)
            shape = {name: type(value) for name, value in vars(row).items() if not name.startswith("_")}
            answer.flow_id = ""
            seen.append((answer.SerializeToString(), shape))
            auth.clock.advance(0)
            async with auth.database.transaction() as session:
                await session.execute(sa.text("DELETE FROM target_sends"))
    assert all(row == seen[0] for row in seen)


async def test_only_the_owner_gets_a_code_to_log_in_and_only_a_stranger_one_to_register(auth):
    await auth.register(PHONE)
    before = len(auth.messages())
    for target, purpose, template in (
        (PHONE, "LOGIN", "login_code"),
        (PHONE, "REGISTER", "already_registered"),
        (OTHER, "REGISTER", "register_code"),
    ):
        auth.clock.advance(60)
        await auth.send(target, purpose)
        assert auth.messages()[-1]["template"] == template
        assert ("code" in auth.messages()[-1]) == template.endswith("_code")
    auth.clock.advance(60)
    await auth.send(OTHER, "LOGIN")
    assert len(auth.messages()) == before + 3


async def test_the_time_of_a_wrong_code_does_not_tell_whether_the_target_is_known(auth):
    await auth.register(PHONE)
    auth.clock.advance(60)
    spans: dict[str, list[float]] = {PHONE: [], OTHER: []}
    flows = {target: (await auth.send(target, "LOGIN")).flow_id for target in spans}
    stub = auth.logins
    for _ in range(4):
        for target, flow in flows.items():
            begun = time.perf_counter()
            async with rpc.refused(reason="CODE_WRONG"):
                await stub.CreateSession(login(flow, "000000" if target == OTHER else "999999"), metadata=ADDRESS)
            spans[target].append(time.perf_counter() - begun)
    fastest = [min(span) for span in spans.values()]
    assert max(fastest) < 5 * min(fastest)


async def test_a_peer_that_goes_past_the_edge_is_counted_by_its_name(auth):
    stub = auth.stub(logins_pb2_grpc.LoginsStub, "worker")
    for number in range(auth.profile.limits.codes_per_address_hour):
        target = f"+86138001381{number:02d}"
        await stub.SendCode(Send(channel=Send.PHONE, target=target, purpose=Send.LOGIN), metadata=ADDRESS)
    async with rpc.refused(reason="SEND_TOO_SOON"):
        await stub.SendCode(Send(channel=Send.PHONE, target=OTHER, purpose=Send.LOGIN), metadata=ADDRESS)


async def test_a_refused_code_leaves_no_key_on_the_disk(auth, tmp_path):
    await auth.send()
    kept = sorted(tmp_path.rglob("*.key"))
    assert kept
    for _ in range(3):
        async with rpc.refused(reason="SEND_TOO_SOON"):
            await auth.send()
    assert sorted(tmp_path.rglob("*.key")) == kept


async def test_codes_to_a_target_have_a_pause_an_hour_and_a_day(auth):
    limits = auth.profile.limits
    await auth.send()
    auth.clock.advance(59)
    async with rpc.refused(reason="SEND_TOO_SOON") as found:
        await auth.send()
    assert (found[0].metadata["seconds"], found[0].retry_after) == ("1", 1)
    assert found[0].metadata["limit"] == "phone number or e-mail address"
    auth.clock.advance(1)
    for _ in range(limits.codes_per_target_hour - 1):
        await auth.send()
        auth.clock.advance(60)
    async with rpc.refused(reason="SEND_TOO_SOON") as found:
        await auth.send()
    assert int(found[0].metadata["seconds"]) == 3600 - 60 * limits.codes_per_target_hour
    auth.clock.advance(3600)
    for _ in range(limits.codes_per_target_day - limits.codes_per_target_hour):
        await auth.send()
        auth.clock.advance(3600)
    async with rpc.refused(reason="SEND_TOO_SOON") as found:
        await auth.send()
    assert int(found[0].metadata["seconds"]) > 3600
    auth.clock.advance(24 * 3600)
    await auth.send()


async def test_of_many_codes_asked_for_at_once_one_is_sent(auth):
    stub, request = auth.logins, Send(channel=Send.PHONE, target=PHONE, purpose=Send.REGISTER)
    calls = [stub.SendCode(request, metadata=ADDRESS) for _ in range(10)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, logins_pb2.SendCodeResponse) for answer in done) == 1
    assert {rpc_reason(answer) for answer in done if isinstance(answer, Exception)} == {"SEND_TOO_SOON"}
    await auth.runner.run_due()
    assert len(auth.messages()) == 1


async def test_after_a_code_was_used_the_next_may_follow_at_once_within_the_hours_number(auth):
    await auth.register()
    for _ in range(auth.profile.limits.codes_per_target_hour - 1):
        flow, code = await auth.code(PHONE, "LOGIN")
        await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
    async with rpc.refused(reason="SEND_TOO_SOON") as found:
        await auth.send(PHONE, "LOGIN")
    assert found[0].metadata["seconds"] == "3600"


async def test_a_source_may_ask_for_so_many_codes_an_hour(auth):
    most = auth.profile.limits.codes_per_address_hour
    targets = [f"+8613800{number:06d}" for number in range(138000, 138000 + most + 2)]
    for target in targets[:most]:
        await auth.send(target)
    async with rpc.refused(reason="SEND_TOO_SOON") as found:
        await auth.send(targets[most])
    assert (found[0].metadata["limit"], found[0].metadata["seconds"]) == ("network address", "3600")
    elsewhere = (("x-filmgate-address", "2001:db8::1"),)
    await auth.send(targets[most], metadata=elsewhere)
    auth.clock.advance(3600)
    await auth.send(targets[most + 1])


async def test_a_refused_code_counts_nothing(auth):
    most = auth.profile.limits.codes_per_address_hour
    await auth.send(PHONE)
    for _ in range(most):
        async with rpc.refused(reason="SEND_TOO_SOON"):
            await auth.send(PHONE)
    await auth.send(OTHER)


async def test_the_proved_contact_point_logs_in(auth):
    person = await auth.register()
    opened = await auth.login()
    assert opened.session.id != person.session
    assert opened.session.device_name == "phone"
    assert opened.session.current
    assert opened.access_token.startswith("fgs_")
    now = auth.clock.now()
    assert opened.access_expire_time.ToDatetime(datetime.UTC) - now == datetime.timedelta(minutes=15)
    assert opened.refresh_expire_time.ToDatetime(datetime.UTC) - now == datetime.timedelta(days=30)


async def test_only_the_edge_is_believed_about_addresses(auth):
    await auth.register()
    auth.clock.advance(60)
    flow, code = await auth.code(PHONE, "LOGIN")
    stub = auth.stub(type(auth.logins), "billing")
    opened = await stub.CreateSession(login(flow, code), metadata=ADDRESS)
    assert (opened.session.ip_address, opened.session.user_agent) == ("", "")


async def test_a_code_works_until_ten_minutes_exactly(auth):
    await auth.register()
    auth.clock.advance(60)
    for seconds, reason in ((600 - 0.001, ""), (600, "CODE_EXPIRED")):
        flow, code = await auth.code(PHONE, "LOGIN")
        auth.clock.advance(seconds)
        if not reason:
            await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
        else:
            async with rpc.refused(reason=reason):
                await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)


async def test_the_fifth_try_may_be_right(auth):
    await auth.register()
    auth.clock.advance(60)
    flow, code = await auth.code(PHONE, "LOGIN")
    for left in (4, 3, 2, 1):
        async with rpc.refused(reason="CODE_WRONG") as found:
            await auth.logins.CreateSession(login(flow, wrong(code)), metadata=ADDRESS)
        assert found[0].metadata["tries_left"] == str(left)
    await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)


@pytest.mark.promise("NEXA-6.1d", part="a program behind a valid picture is stored and served as it came")
@pytest.mark.promise("AICC-10.1e", "SILICON-U2.2.5")
async def test_the_fifth_wrong_try_ends_the_flow_for_the_right_code_too(auth):
    await auth.register()
    auth.clock.advance(60)
    flow, code = await auth.code(PHONE, "LOGIN")
    for _ in range(4):
        async with rpc.refused(reason="CODE_WRONG"):
            await auth.logins.CreateSession(login(flow, wrong(code)), metadata=ADDRESS)
    for attempt in (wrong(code), code):
        async with rpc.refused(reason="TOO_MANY_TRIES"):
            await auth.logins.CreateSession(login(flow, attempt), metadata=ADDRESS)


async def test_twenty_wrong_codes_at_once_are_five_tries(auth):
    await auth.register()
    auth.clock.advance(60)
    flow, code = await auth.code(PHONE, "LOGIN")
    stub = auth.logins
    tries = [stub.CreateSession(login(flow, wrong(code)), metadata=ADDRESS) for _ in range(20)]
    failures = [rpc_reason(answer) for answer in await asyncio.gather(*tries, return_exceptions=True)]
    assert failures.count("CODE_WRONG") == 4
    assert failures.count("TOO_MANY_TRIES") == 16


def rpc_reason(error: BaseException) -> str:
    from services.runtime import errors

    return errors.of(error).reason if isinstance(error, Exception) else ""


async def test_of_two_uses_of_a_code_at_once_one_wins(auth):
    await auth.register()
    auth.clock.advance(60)
    flow, code = await auth.code(PHONE, "LOGIN")
    stub = auth.logins
    calls = [stub.CreateSession(login(flow, code), metadata=ADDRESS) for _ in range(4)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, logins_pb2.SessionTokens) for answer in done) == 1
    assert {rpc_reason(answer) for answer in done if isinstance(answer, Exception)} == {"CODE_WRONG"}


async def test_a_code_is_bound_to_its_flow_its_purpose_and_one_use(auth):
    flow, code = await auth.code(PHONE, "REGISTER")
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
    request = accounts_pb2.RegisterRequest(flow_id=flow, code=code, birth_date=BORN)
    await auth.accounts.Register(request, metadata=ADDRESS)
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.accounts.Register(request, metadata=ADDRESS)
    auth.clock.advance(60)
    first = await auth.code(PHONE, "LOGIN")
    auth.clock.advance(60)
    second = await auth.code(PHONE, "LOGIN")
    async with rpc.refused(reason="CODE_WRONG"):
        await auth.logins.CreateSession(login(second[0], wrong(second[1])), metadata=ADDRESS)
    if first[1] != second[1]:
        async with rpc.refused(reason="CODE_WRONG"):
            await auth.logins.CreateSession(login(second[0], first[1]), metadata=ADDRESS)
    await auth.logins.CreateSession(login(*second), metadata=ADDRESS)


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "１２３４５６", ""])
async def test_what_is_no_code_is_refused_before_it_is_counted(auth, code):
    flow, _ = await auth.code()
    async with rpc.refused():
        await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
    assert (await flow_row(auth, flow)).tries == 0


async def test_a_stranger_who_guesses_the_code_of_an_unknown_target_gets_no_session(auth):
    request = Send(channel=Send.PHONE, target=OTHER, purpose=Send.LOGIN)
    flow = (await auth.logins.SendCode(request, metadata=ADDRESS)).flow_id
    row = await flow_row(auth, flow)
    code = auth.sealer.open(flow, Element.LOGIN_CODE, row.code)
    async with rpc.refused(reason="CODE_WRONG") as found:
        await auth.logins.CreateSession(login(flow, code), metadata=ADDRESS)
    assert found[0].metadata["tries_left"] == "4"


async def test_codes_are_swept_after_a_day_with_the_keys_that_sealed_them(auth):
    flow, _ = await auth.code()
    row = await flow_row(auth, flow)
    auth.clock.advance(86400)
    assert await auth.house.sweep.once() == 0
    auth.clock.advance(1)
    assert await auth.house.sweep.once() == 1
    assert await flow_row(auth, flow) is None
    with pytest.raises(Forgotten):
        auth.sealer.open(flow, Element.PHONE, row.target)


async def test_ended_jobs_are_swept_when_their_payloads_have_served(auth):
    async def stored() -> int:
        async with auth.database.transaction() as session:
            return await session.scalar(sa.text("SELECT count(*) FROM jobs"))

    await auth.code()
    auth.clock.advance(7 * 86400 - 1)
    await auth.house.sweep.once()
    assert await stored() == 1
    auth.clock.advance(2)
    await auth.house.sweep.once()
    assert await stored() == 0


async def test_the_profile_says_how_many_tries_there_are(auth):
    assert auth.profile.limits.code_tries == 5
    assert dataclasses.asdict(auth.profile.sessions)["code_minutes"] == 10
