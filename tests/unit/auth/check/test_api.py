"""What Envoy is answered, over real gRPC: whose credential, which token, which body."""

import asyncio
import datetime
import json

import pytest
from envoy.service.auth.v3 import external_auth_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filmgate.auth.v1 import keys_pb2, logins_pb2
from filmgate.auth.v1.keys_pb2_grpc import KeysStub
from services.auth.check.api import Authorization
from services.auth.keys import domain
from services.auth.keys.tables import Key
from services.generation.files import api as generation_files
from services.generation.videos import api as videos
from services.runtime.caller import Verifier, check_peer
from services.runtime.errors import Failure
from tests.support import rpc
from tests.support.auth import ADDRESS
from tests.support.checks import (
    CREATE,
    EXTENSIONS,
    GET,
    at,
    check,
    passes,
    refused,
    request,
    set_policy,
)


async def test_a_key_becomes_a_token_that_the_service_believes(auth):
    person = await auth.register()
    made = await auth.key(person, scopes=["video.read"])
    token = await passes(auth, made.secret)
    found = await Verifier(auth.keyring.public_keys, "generation", auth.clock).verify(token)
    assert (found.organization, found.project, found.account) == (person.organization, person.project, person.account)
    assert (found.key, found.session, found.scopes) == (made.id, "", frozenset({"video.read"}))
    assert (found.presenter, found.request_id) == ("edge", "req-1")


@pytest.mark.parametrize("scope", domain.SCOPES)
async def test_a_token_bears_the_scope_of_its_route_alone(auth, scope):
    """Who takes a process over holds tokens of the calls that it served, and no other right (S10)."""
    person = await auth.register()
    every = await auth.key(person, scopes=list(domain.SCOPES))
    verifier = Verifier(auth.keyring.public_keys, "generation", auth.clock)
    for secret in (person.access, every.secret):
        assert (await verifier.verify(await passes(auth, secret, scope=scope))).scopes == {scope}
    session = await verifier.verify(await passes(auth, person.access, scope=scope))
    assert (session.key, session.session) == ("", person.session)
    others = await auth.key(person, scopes=[name for name in domain.SCOPES if name != scope])
    for asked in (scope, "", "nothing", " ".join(domain.SCOPES)):
        assert (await verifier.verify(await passes(auth, others.secret, scope=asked))).scopes == set()


async def test_a_token_is_of_its_audience_and_lives_half_a_minute_on_each_route(auth):
    person = await auth.register()
    verifier = Verifier(auth.keyring.public_keys, "generation", auth.clock)
    methods = ("Videos/GetVideo", "Videos/WatchVideo", "Videos/DownloadVideo", "Files/UploadFile")
    tokens = {await passes(auth, person.access, method=f"filmgate.generation.v1.{method}") for method in methods}
    tokens |= {await passes(auth, person.access, scope="video.write")}
    other = await passes(auth, person.access, audience="billing")
    async with rpc_failure("TOKEN_INVALID"):
        await verifier.verify(other)
    auth.clock.advance(29)
    for token in tokens:
        await verifier.verify(token)
    auth.clock.advance(1)
    for token in tokens:
        async with rpc_failure("TOKEN_EXPIRED"):
            await verifier.verify(token)


async def test_what_a_download_brings_media_orders_no_video(auth):
    """The review's attack: a download's token, with media's certificate, at the method that spends (S10)."""
    made = await auth.key(await auth.register())
    token = await passes(auth, made.secret, method="filmgate.generation.v1.Videos/DownloadVideo")
    who = await Verifier(auth.keyring.public_keys, "generation", auth.clock).verify(token)
    for method, policy in {**generation_files.ACCESS, **videos.ACCESS}.items():
        if policy.kind == "CALLER" and method != "LocateContent":
            with pytest.raises(Failure) as refusal:
                check_peer(policy, "media", who)
            expected = "SCOPE_MISSING" if method == "BeginUpload" else "PEER_NOT_ALLOWED"
            assert refusal.value.kind.reason == expected, method
    with pytest.raises(Failure) as refusal:
        check_peer(videos.ACCESS["CreateVideo"], "edge", who)
    assert refusal.value.kind.reason == "SCOPE_MISSING"
    check_peer(generation_files.ACCESS["LocateContent"], "media", who)


def rpc_failure(reason: str):
    import contextlib

    @contextlib.asynccontextmanager
    async def expecting():
        with pytest.raises(Failure) as refusal:
            yield
        assert refusal.value.kind.reason == reason

    return expecting()


async def test_a_token_is_used_for_ten_seconds_and_then_good_for_nineteen_more(auth):
    person = await auth.register()
    auth.clock.advance(0.9)
    first = await passes(auth, person.access)
    auth.steady.now += 9.9
    auth.clock.advance(9.9)
    await auth.house.feed.catch_up(patient=True)
    assert await passes(auth, person.access) == first
    auth.clock.advance(19.1)
    await Verifier(auth.keyring.public_keys, "generation", auth.clock).verify(first)
    auth.steady.now += 0.1
    await auth.house.feed.catch_up(patient=True)
    assert await passes(auth, person.access) != first


@pytest.mark.parametrize("seconds", [20, 40 * 86400])
async def test_a_business_time_that_jumps_ends_a_young_token(auth, seconds):
    """Both clocks must call it young: it would be expired where it is used."""
    made = await auth.key(await auth.register())
    first = await passes(auth, made.secret)
    assert await passes(auth, made.secret) == first
    auth.clock.jump(seconds=seconds)
    second = await passes(auth, made.secret)
    assert second != first
    assert (await Verifier(auth.keyring.public_keys, "generation", auth.clock).verify(second)).key == made.id


async def test_less_scope_is_a_new_token_at_once(auth):
    person = await auth.register()
    made = await auth.key(person)
    verifier, found = Verifier(auth.keyring.public_keys, "generation", auth.clock), []
    for scopes in (["video.read", "video.write"], ["video.read"]):
        update = keys_pb2.UpdateKeyRequest(id=made.id, scopes=scopes)
        await auth.keys.UpdateKey(update, metadata=person.metadata())
        found.append((await verifier.verify(await passes(auth, made.secret, scope="video.write"))).scopes)
    assert found == [{"video.write"}, set()]


async def test_an_open_method_passes_without_a_token_whatever_is_sent(auth):
    for credential in ("", "nonsense"):
        answer = await check(auth, credential, gate="OPEN", audience="auth", method="filmgate.auth.v1.Logins/SendCode")
        assert answer.status.code == 0
        assert not answer.ok_response.headers
        assert list(answer.ok_response.headers_to_remove) == ["x-filmgate-caller"]


@pytest.mark.promise("AICC-10.1b", "NEXA-6.1", "CARRY-1.1c")
async def test_a_missing_expired_or_revoked_credential_is_refused(auth):
    person = await auth.register()
    soon = at(auth.clock.now() + datetime.timedelta(seconds=60))
    made, short = await auth.key(person), await auth.key(person, expire_time=soon)
    missing = await refused(auth, "TOKEN_INVALID")
    assert (missing.status, missing.code) == (401, 16)
    assert missing.headers["www-authenticate"].startswith("Bearer")
    await auth.keys.RevokeKey(keys_pb2.RevokeKeyRequest(id=made.id), metadata=person.metadata())
    assert (await refused(auth, "KEY_REVOKED", made.secret)).status == 401
    auth.clock.advance(59.999)
    await passes(auth, short.secret)
    auth.clock.advance(0.001)
    await refused(auth, "KEY_EXPIRED", short.secret)
    auth.clock.advance(840)
    await refused(auth, "TOKEN_EXPIRED", person.access)
    opened = await auth.login()
    await passes(auth, opened.access_token)
    end = logins_pb2.EndSessionRequest(id=opened.session.id)
    await auth.logins.EndSession(end, metadata=person.metadata())
    assert (await refused(auth, "TOKEN_INVALID", opened.access_token)).status == 401


async def test_what_touches_the_account_needs_a_login_by_the_proved_contact_point(auth):
    await auth.register()
    sensitive = ("filmgate.auth.v1.Keys/CreateKey", "filmgate.auth.v1.Accounts/UpdateAccount")
    for method in sensitive:
        await refused(auth, "TOKEN_INVALID", method=method, audience="auth", verb="POST")
    opened = await auth.login()
    for method in sensitive:
        await passes(auth, opened.access_token, method=method, audience="auth", verb="POST")


async def test_strangers_learn_nothing(auth):
    made = await auth.key(await auth.register())
    altered, texts = made.secret[:-1] + ("y" if made.secret.endswith("x") else "x"), set()
    for secret in (domain.new_key(), altered, "fg_live_u_x", "sk-123", "fgs_" + "0" * 49, "x" * 5000):
        found = await refused(auth, "KEY_UNKNOWN", secret)
        texts.add(json.dumps(found.body))
    assert len(texts) == 1


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic eDp5", "bearer", "", "Token x", " "])
async def test_what_is_no_bearer_credential_is_missing(auth, header):
    await refused(auth, "TOKEN_INVALID", "x", header=header)


async def test_the_scheme_is_read_in_any_case(auth):
    made = await auth.key(await auth.register())
    await passes(auth, made.secret, header=f"bearer   {made.secret} ")


async def test_a_refresh_token_is_no_credential(auth):
    person = await auth.register()
    await refused(auth, "KEY_UNKNOWN", person.refresh)


async def test_a_key_is_known_at_once_also_when_another_process_made_it(auth):
    person = await auth.register()
    made = await auth.key(person)
    copy = domain.new_key()
    async with auth.database.transaction() as session:
        row = await session.get(Key, made.id)
        values = {column.name: getattr(row, column.name) for column in Key.__table__.columns}
        session.add(Key(**{**values, "id": "key_copy", "digest": domain.digest(b"p" * 32, copy)}))
    await passes(auth, copy)


async def test_ending_a_session_refuses_it_at_once(auth):
    person = await auth.register()
    await passes(auth, person.access)
    end = logins_pb2.EndSessionRequest(id=person.session)
    await auth.logins.EndSession(end, metadata=person.metadata())
    await refused(auth, "TOKEN_INVALID", person.access)


async def test_after_a_refresh_both_access_tokens_work_until_their_ends(auth):
    person = await auth.register()
    auth.clock.advance(600)
    request = logins_pb2.RefreshSessionRequest(refresh_token=person.refresh)
    opened = await auth.logins.RefreshSession(request, metadata=ADDRESS)
    await passes(auth, person.access)
    await passes(auth, opened.access_token)
    auth.clock.advance(300)
    await refused(auth, "TOKEN_EXPIRED", person.access)
    await passes(auth, opened.access_token)


async def test_a_stolen_refresh_token_ends_the_access_tokens_too(auth):
    person = await auth.register()
    request = logins_pb2.RefreshSessionRequest(refresh_token=person.refresh)
    opened = await auth.logins.RefreshSession(request, metadata=ADDRESS)
    auth.clock.advance(31)
    async with rpc.refused(reason="TOKEN_INVALID"):
        await auth.logins.RefreshSession(request, metadata=ADDRESS)
    for token in (person.access, opened.access_token):
        await refused(auth, "TOKEN_INVALID", token)


async def test_an_unknown_field_is_refused_by_name(auth):
    made = await auth.key(await auth.register())
    method = {"method": CREATE, "verb": "POST"}
    await passes(auth, made.secret, body=b'{"model": "animatic", "prompt": "x"}', **method)
    found = await refused(auth, "UNKNOWN_FIELD", made.secret, body=b'{"modle": "animatic"}', **method)
    assert (found.status, found.metadata["field"]) == (400, "modle")
    await refused(auth, "BODY_INVALID", made.secret, body=b"[]", **method)
    await refused(auth, "UNKNOWN_FIELD", body=b'{"x": 1}', gate="OPEN", method="filmgate.auth.v1.Accounts/Register")
    for body in (b'{"\\ud800": 1}', b'{"flow_id": "\\ud800"}', b'{"birth_date": {"\\udfff": 1}}'):
        register = "filmgate.auth.v1.Accounts/Register"
        assert (await refused(auth, "BODY_INVALID", body=body, gate="OPEN", method=register)).status == 400
    missing = await refused(auth, "TOKEN_INVALID", body=b'{"modle": 1}', **method)
    assert missing.status == 401


async def test_a_query_neither_fills_a_body_nor_replaces_what_the_path_names(auth):
    made = await auth.key(await auth.register())
    get, watch = {"method": GET}, {"method": "filmgate.generation.v1.Videos/WatchVideo"}
    create = {"method": CREATE, "verb": "POST", "body": b'{"model": "animatic"}'}
    for query, route in (("duration_seconds=10", create), ("", get), ("after_sequence=1", watch)):
        path = "/v1/videos/vid_x?" + query
        if route is create:
            found = await refused(auth, "UNKNOWN_FIELD", made.secret, path=path, **route)
            assert found.metadata["field"] == "?duration_seconds"
        else:
            await passes(auth, made.secret, path=path, **route)
    for query in ("id=vid_y", "%69d=vid_y", "id", "after_sequence=1&id=vid_y"):
        found = await refused(auth, "UNKNOWN_FIELD", made.secret, path=f"/v1/videos/vid_x?{query}", **get)
        assert found.metadata["field"] == "?id"
    code = {"method": "filmgate.auth.v1.Logins/CreateSession", "gate": "OPEN", "verb": "POST"}
    await refused(auth, "UNKNOWN_FIELD", path="/v1/sessions?code=123456", **code)


async def test_an_error_body_has_the_shape_of_every_other(auth):
    found = await refused(auth, "KEY_UNKNOWN", "nonsense")
    assert found.body == {
        "code": 16,
        "message": "The API key or access token is not known.",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "KEY_UNKNOWN",
                "domain": "auth.filmgate",
                "metadata": {"request_id": "req-1"},
            }
        ],
    }
    assert found.headers["content-type"] == "application/json"


async def test_a_gate_that_is_not_known_asks_for_everything(auth):
    person = await auth.register()
    await set_policy(auth)
    for gate in ("", "open", "NONE"):
        await refused(auth, "TOKEN_INVALID", gate=gate)
        await refused(auth, "POLICY_NOT_ACCEPTED", person.access, gate=gate)


async def test_only_the_edge_may_ask(auth):
    for peer in ("media", "billing", "operator"):
        async with rpc.refused(reason="PEER_NOT_ALLOWED"):
            await auth.stub(external_auth_pb2_grpc.AuthorizationStub, peer).Check(request())


async def test_a_call_bears_account_and_key_of_its_maker(auth):
    person = await auth.register()
    made = await auth.key(person)
    found = await Verifier(auth.keyring.public_keys, "generation", auth.clock).verify(await passes(auth, made.secret))
    assert (found.account, found.key) == (person.account, made.id)


async def test_a_use_is_noted(auth):
    person = await auth.register()
    made = await auth.key(person)
    await passes(auth, made.secret)
    await auth.house.uses.flush()
    found = await auth.stub(KeysStub).GetKey(keys_pb2.GetKeyRequest(id=made.id), metadata=person.metadata())
    assert found.last_used_time.ToDatetime(datetime.UTC) == auth.clock.now()


async def test_many_at_once(auth):
    made = await auth.key(await auth.register())
    stub = auth.stub(external_auth_pb2_grpc.AuthorizationStub)
    answers = await asyncio.gather(*(stub.Check(request(made.secret)) for _ in range(200)))
    assert {answer.status.code for answer in answers} == {0}


TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])  # no HTTP message holds a NUL


HEADERS = st.dictionaries(st.text(TEXT, min_size=1, max_size=20), st.text(TEXT, max_size=60), max_size=3)


async def test_no_header_path_or_body_breaks_it(auth):
    """Fuzz: whatever is sent, the answer is a clean one: pass or a documented refusal, never an error."""
    made = await auth.key(await auth.register())
    stub = auth.stub(external_auth_pb2_grpc.AuthorizationStub)
    loop, seen = asyncio.get_running_loop(), []

    async def ask(asked):
        return await stub.Check(asked)

    @settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
    @given(
        headers=HEADERS,
        credential=st.one_of(st.text(TEXT, max_size=90), st.just(f"Bearer {made.secret}")),
        body=st.binary(max_size=80),
        extensions=st.dictionaries(st.sampled_from([*EXTENSIONS, "method"]), st.text(TEXT, max_size=30)),
    )
    def fuzz(headers, credential, body, extensions) -> None:
        asked = request(method=CREATE, body=body)
        asked.attributes.request.http.headers.update({**headers, "authorization": credential})
        asked.attributes.context_extensions.update(extensions)
        answer = asyncio.run_coroutine_threadsafe(ask(asked), loop).result(10)
        seen.append(answer.status.code)
        assert answer.status.code in (0, 3, 8, 9, 14, 16)

    await asyncio.to_thread(fuzz)
    assert len(seen) >= 100


def test_every_refusal_of_the_contract_has_its_kind():
    from filmgate.auth.v1.error_reason_pb2 import ErrorReason
    from services.auth import errors
    from services.runtime.errors import COMMON

    assert set(errors.CATALOG.kinds) | set(COMMON) == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    assert Authorization.Check
