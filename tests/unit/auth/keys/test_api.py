"""Keys over real gRPC."""

import asyncio
import dataclasses
import datetime

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from filmgate.auth.v1 import keys_pb2
from services.auth.keys import domain, store
from services.runtime import profile as profiles
from tests.support import auth as support
from tests.support import rpc
from tests.support.auth import EMAIL, PHONE

Key = keys_pb2.Key


def at(moment: datetime.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def create(**fields) -> keys_pb2.CreateKeyRequest:
    return keys_pb2.CreateKeyRequest(**{"display_name": "key", **fields})


async def test_a_key_is_shown_once(auth):
    person = await auth.register()
    made = await auth.key(person, display_name="server")
    assert domain.is_key(made.secret)
    assert (made.prefix, made.last_four) == (made.secret[:22], made.secret[-4:])
    assert (made.state, made.account, list(made.scopes)) == (Key.ACTIVE, person.account, list(domain.DEFAULT_SCOPES))
    found = await auth.keys.GetKey(keys_pb2.GetKeyRequest(id=made.id), metadata=person.metadata())
    assert found.secret == ""
    made.secret = ""
    assert found == made


async def test_a_replay_answers_the_key_without_its_secret(auth):
    person = await auth.register()
    first = await auth.key(person, request_id="one")
    again = await auth.key(person, request_id="one")
    assert first.secret
    assert again.secret == ""
    assert again.id == first.id
    async with rpc.refused(reason="REQUEST_ID_REUSED"):
        await auth.key(person, request_id="one", display_name="other")
    header = (*person.metadata(), ("idempotency-key", "one"))
    assert (await auth.keys.CreateKey(create(), metadata=header)).id == first.id


async def test_a_secret_is_stored_as_a_digest(auth):
    made = await auth.key(await auth.register(), request_id="one")
    async with auth.database.transaction() as session:
        rows = (await session.execute(sa.text("SELECT k::text, r.answer FROM keys k, requests r"))).all()
        stored = await session.scalar(sa.text("SELECT digest FROM keys"))
    assert made.secret not in repr(rows)
    assert made.secret[22:65] not in repr(rows)
    assert stored == domain.digest(support.PEPPER, made.secret)


async def test_a_maker_gives_no_scope_that_he_lacks(auth):
    """A customer's token bears the scope of its route alone: what counts is what the credential may now."""
    person = await auth.register()
    maker = await auth.key(person, scopes=["keys", "video.read"])
    own = person.metadata(session="", key=maker.id, scopes=["keys"])
    made = await auth.keys.CreateKey(create(scopes=["video.read"]), metadata=own)
    assert list(made.scopes) == ["video.read"]
    for scopes in ([], ["account"], ["video.read", "billing.read"]):
        async with rpc.refused(reason="SCOPE_NOT_GRANTABLE"):
            await auth.keys.CreateKey(create(scopes=scopes), metadata=own)
    every = await auth.keys.CreateKey(create(scopes=list(domain.SCOPES)), metadata=person.metadata(scopes=["keys"]))
    assert list(every.scopes) == list(domain.SCOPES)
    service = person.metadata(session="", scopes=["keys", "video.read"])
    async with rpc.refused(reason="SCOPE_NOT_GRANTABLE"):
        await auth.keys.CreateKey(create(scopes=["video.write"]), metadata=service)
    await auth.keys.RevokeKey(keys_pb2.RevokeKeyRequest(id=maker.id), metadata=person.metadata())
    for key in (maker.id, "key_unknown"):
        async with rpc.refused(reason="SCOPE_NOT_GRANTABLE"):
            lost = person.metadata(session="", key=key, scopes=["keys"])
            await auth.keys.CreateKey(create(scopes=["video.read"]), metadata=lost)
    async with rpc.refused(reason="SCOPE_MISSING"):
        await auth.keys.CreateKey(create(), metadata=person.metadata(scopes=["video.read"]))


async def test_scopes_can_only_be_taken_away(auth):
    person = await auth.register()
    made = await auth.key(person, scopes=["video.read", "video.write"])
    update = keys_pb2.UpdateKeyRequest(id=made.id, scopes=["video.read"], display_name="less")
    changed = await auth.keys.UpdateKey(update, metadata=person.metadata())
    assert (list(changed.scopes), changed.display_name) == (["video.read"], "less")
    async with rpc.refused(reason="SCOPE_NOT_GRANTABLE"):
        again = keys_pb2.UpdateKeyRequest(id=made.id, scopes=["video.read", "video.write"])
        await auth.keys.UpdateKey(again, metadata=person.metadata())


async def test_a_key_is_revoked_for_good(auth):
    person = await auth.register()
    made = await auth.key(person)
    revoke = keys_pb2.RevokeKeyRequest(id=made.id)
    first = await auth.keys.RevokeKey(revoke, metadata=person.metadata())
    auth.clock.advance(60)
    again = await auth.keys.RevokeKey(revoke, metadata=person.metadata())
    assert first.state == Key.REVOKED
    assert again == first
    async with rpc.refused(reason="FIELD_INVALID"):
        update = keys_pb2.UpdateKeyRequest(id=made.id, display_name="again")
        await auth.keys.UpdateKey(update, metadata=person.metadata())


async def test_a_key_keeps_a_name(auth):
    person = await auth.register()
    made = await auth.key(person, display_name="robot")
    async with rpc.refused(reason="FIELD_INVALID"):
        update = keys_pb2.UpdateKeyRequest(id=made.id, display_name="")
        await auth.keys.UpdateKey(update, metadata=person.metadata())
    found = await auth.keys.GetKey(keys_pb2.GetKeyRequest(id=made.id), metadata=person.metadata())
    assert found.display_name == "robot"


async def test_a_key_expires(auth):
    person = await auth.register()
    made = await auth.key(person, expire_time=at(auth.clock.now() + datetime.timedelta(hours=1)))
    auth.clock.advance(3600)
    found = await auth.keys.GetKey(keys_pb2.GetKeyRequest(id=made.id), metadata=person.metadata())
    assert found.state == Key.EXPIRED
    async with rpc.refused(reason="FIELD_INVALID"):
        await auth.key(person, expire_time=at(auth.clock.now()))
    async with rpc.refused(reason="FIELD_INVALID"):
        later = at(auth.clock.now() + datetime.timedelta(hours=1))
        await auth.keys.UpdateKey(keys_pb2.UpdateKeyRequest(id=made.id, expire_time=later), metadata=person.metadata())


async def test_an_end_can_be_moved(auth):
    person = await auth.register()
    made = await auth.key(person)
    later = auth.clock.now() + datetime.timedelta(days=1)
    update = keys_pb2.UpdateKeyRequest(id=made.id, expire_time=at(later))
    changed = await auth.keys.UpdateKey(update, metadata=person.metadata())
    assert changed.expire_time.ToDatetime(datetime.UTC) == later


async def test_keys_come_in_pages_newest_first_revoked_ones_too(auth):
    person = await auth.register()
    made = []
    for number in range(3):
        made.append((await auth.key(person, display_name=str(number))).id)
        auth.clock.advance(1)
    await auth.keys.RevokeKey(keys_pb2.RevokeKeyRequest(id=made[0]), metadata=person.metadata())
    request, seen = keys_pb2.ListKeysRequest(page_size=2), []
    while True:
        page = await auth.keys.ListKeys(request, metadata=person.metadata())
        seen += [key.id for key in page.keys]
        assert all(key.secret == "" for key in page.keys)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == made[::-1]


@pytest.mark.promise("SILICON-U2.2.3")
async def test_a_key_is_its_projects_alone_and_cannot_be_moved(auth):
    bob, eve = await auth.register(PHONE), await auth.register(EMAIL)
    made = await auth.key(bob)
    calls = (
        lambda key: auth.keys.GetKey(keys_pb2.GetKeyRequest(id=key), metadata=eve.metadata()),
        lambda key: auth.keys.RevokeKey(keys_pb2.RevokeKeyRequest(id=key), metadata=eve.metadata()),
        lambda key: auth.keys.UpdateKey(
            keys_pb2.UpdateKeyRequest(id=key, display_name="mine"), metadata=eve.metadata()
        ),
    )
    for call in calls:
        for key in (made.id, "key_x", "x" * 300):
            async with rpc.refused(reason="NOT_FOUND") as found:
                await call(key)
            assert f"key {key}".startswith(found[0].metadata["resource"])
    assert not (await auth.keys.ListKeys(keys_pb2.ListKeysRequest(), metadata=eve.metadata())).keys
    changeable = {field.name for field in keys_pb2.UpdateKeyRequest.DESCRIPTOR.fields}
    assert changeable == {"id", "display_name", "scopes", "expire_time"}
    methods = {method.name for method in keys_pb2.DESCRIPTOR.services_by_name["Keys"].methods}
    assert methods == {"CreateKey", "ListKeys", "GetKey", "UpdateKey", "RevokeKey"}, "none of them hands a key on"


async def test_making_and_revoking_keys_has_an_end(auth, monkeypatch):
    """A revoked key is no active one, but every authorizer remembers it."""
    monkeypatch.setattr(domain, "NEW_PER_DAY", 3)
    person = await auth.register()
    for _ in range(3):
        made = await auth.key(person)
        await auth.keys.RevokeKey(keys_pb2.RevokeKeyRequest(id=made.id), metadata=person.metadata())
    async with rpc.refused(reason="TOO_MANY_NEW_KEYS") as found:
        await auth.key(person)
    assert found[0].metadata["limit"] == "3"
    auth.clock.advance(86400)
    await auth.key(person)


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_project_has_so_many_active_keys(database, clock, tmp_path, at_once):
    default = profiles.load("default")
    profile = dataclasses.replace(default, limits=dataclasses.replace(default.limits, keys_per_project=2))
    async with support.house(database, tmp_path, clock, profile) as auth:
        person = await auth.register()
        if at_once:
            calls = [auth.key(person) for _ in range(5)]
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(made, Key) for made in done) == 2
            return
        soon = at(auth.clock.now() + datetime.timedelta(minutes=1))
        first = await auth.key(person)
        await auth.key(person, expire_time=soon)
        async with rpc.refused(reason="TOO_MANY_KEYS") as found:
            await auth.key(person)
        assert found[0].metadata["limit"] == "2"
        await auth.keys.RevokeKey(keys_pb2.RevokeKeyRequest(id=first.id), metadata=person.metadata())
        await auth.key(person)
        auth.clock.advance(60)
        await auth.key(person)


async def test_last_use_is_noted_to_the_minute_and_never_goes_back(auth):
    person = await auth.register()
    made = await auth.key(person)
    moment = auth.clock.now() + datetime.timedelta(seconds=90)
    for use in (moment, moment - datetime.timedelta(minutes=1)):
        auth.house.uses.note(made.id, use)
        await auth.house.uses.flush()
    auth.house.uses.note("key_gone", moment)
    await auth.house.uses.flush()
    found = await auth.keys.GetKey(keys_pb2.GetKeyRequest(id=made.id), metadata=person.metadata())
    assert found.last_used_time.ToDatetime(datetime.UTC) == moment.replace(second=0)
    async with auth.database.transaction() as session:
        assert await store.uses_of(session, [made.id]) == {made.id: moment}
