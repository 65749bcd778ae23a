"""Caller keys and tokens of internal services, over real gRPC."""

import datetime
import stat

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from filmgate.auth.v1 import tokens_pb2, tokens_pb2_grpc
from services.auth.tokens import grants
from services.auth.tokens.keyring import Keyring, new_key
from services.auth.tokens.tables import CallerKey
from services.runtime.caller import Verifier
from services.runtime.errors import Failure
from tests.support import rpc

ORGANIZATION, PROJECT = "org_01K9000000000000000000000A", "prj_01K9000000000000000000000B"
LIST = tokens_pb2.ListCallerKeysRequest()
REPORTING = f"reporting:\n  organization: {ORGANIZATION}\n  project: {PROJECT}\n  scopes: [video.read]\n"


@pytest.mark.parametrize("peer", ["billing", "generation", "media", "worker", "privacy", "auth"])
async def test_every_service_reads_the_keys(auth, peer):
    listed = await auth.stub(tokens_pb2_grpc.TokensStub, peer).ListCallerKeys(LIST)
    assert [key.kid for key in listed.keys] == [auth.keyring.signer()[0]]
    assert len(listed.keys[0].public_key) == 32


@pytest.mark.parametrize("peer", ["edge", "operator"])
async def test_nobody_else_reads_them(auth, peer):
    async with rpc.refused(reason="PEER_NOT_ALLOWED"):
        await auth.stub(tokens_pb2_grpc.TokensStub, peer).ListCallerKeys(LIST)


async def test_a_new_key_is_published_five_minutes_before_it_signs(auth, tmp_path):
    old, _ = auth.keyring.signer()
    (tmp_path / "secrets" / "signing_key.2.pem").write_bytes(new_key())
    auth.clock.advance(3600)
    await auth.keyring.load()
    listed = await auth.stub(tokens_pb2_grpc.TokensStub, "billing").ListCallerKeys(LIST)
    assert listed.keys[0].kid == old
    assert listed.keys[1].start_time.ToDatetime(datetime.UTC) == auth.clock.now() + datetime.timedelta(minutes=5)
    auth.clock.advance(299.999)
    assert auth.keyring.signer()[0] == old
    auth.clock.advance(0.001)
    assert auth.keyring.signer()[0] == listed.keys[1].kid


async def test_a_key_that_has_gone_is_still_published_for_an_hour(auth, tmp_path):
    old, _ = auth.keyring.signer()
    (tmp_path / "secrets" / "signing_key.2.pem").write_bytes(new_key())
    await auth.keyring.load()
    (tmp_path / "secrets" / "signing_key.pem").unlink()
    auth.clock.advance(300)
    await auth.keyring.load()
    assert old in await auth.keyring.public_keys()
    assert auth.keyring.signer()[0] != old
    auth.clock.advance(3600)
    await auth.keyring.load()
    assert old not in await auth.keyring.public_keys()


async def test_all_processes_have_the_same_keys(auth, tmp_path):
    other = Keyring(auth.database, tmp_path / "secrets", auth.clock)
    await other.load()
    assert await other.public_keys() == await auth.keyring.public_keys()
    async with auth.database.transaction() as session:
        assert len((await session.scalars(sa.select(CallerKey))).all()) == 1


async def test_a_key_is_made_once_private_and_never_stored_in_the_database(auth, tmp_path):
    path = tmp_path / "secrets" / "signing_key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with auth.database.transaction() as session:
        row = (await session.scalars(sa.select(CallerKey))).one()
    private = auth.keyring.signer()[1].private_bytes_raw()
    assert private not in (row.public_key, row.kid.encode())


async def test_a_key_of_another_kind_stops_the_start(database, clock, tmp_path):
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "signing_key.pem").write_bytes(pem)
    with pytest.raises(RuntimeError):
        await Keyring(database, tmp_path, clock).load()


async def test_without_a_key_nothing_is_signed(database, clock, tmp_path):
    with pytest.raises(RuntimeError):
        Keyring(database, tmp_path, clock).signer()


async def granted(auth, tmp_path, text: str) -> None:
    path = tmp_path / "service_accounts.yaml"
    path.write_text(text)
    await grants.apply(auth.database, grants.read(path), auth.clock)


async def test_a_certificate_is_exchanged_for_the_token_of_its_service_account(auth, tmp_path):
    async with auth.database.transaction() as session:
        await session.execute(
            sa.text("INSERT INTO service_accounts VALUES ('worker', 'acc_1', :org, :prj, '{video.read}', now())"),
            {"org": ORGANIZATION, "prj": PROJECT},
        )
    stub = auth.stub(tokens_pb2_grpc.TokensStub, "worker")
    answer = await stub.Exchange(tokens_pb2.ExchangeRequest(audience="generation"))
    found = await Verifier(auth.keyring.public_keys, "generation", auth.clock).verify(answer.token)
    assert (found.account, found.organization, found.project) == ("acc_1", ORGANIZATION, PROJECT)
    assert (found.scopes, found.presenter) == (frozenset({"video.read"}), "worker")
    assert answer.expire_time.ToDatetime(datetime.UTC) == auth.clock.now() + datetime.timedelta(minutes=5)
    with pytest.raises(Failure):
        await Verifier(auth.keyring.public_keys, "billing", auth.clock).verify(answer.token)


@pytest.mark.parametrize("peer", ["edge", "billing", "operator"])
async def test_a_certificate_without_a_service_account_gets_none(auth, peer):
    async with rpc.refused(reason="PEER_NOT_ALLOWED"):
        stub = auth.stub(tokens_pb2_grpc.TokensStub, peer)
        await stub.Exchange(tokens_pb2.ExchangeRequest(audience="generation"))


@pytest.mark.parametrize("audience", ["media", "everything", ""])
async def test_an_unknown_audience_is_refused(auth, audience):
    async with rpc.refused():
        stub = auth.stub(tokens_pb2_grpc.TokensStub, "billing")
        await stub.Exchange(tokens_pb2.ExchangeRequest(audience=audience))


async def test_changes_of_service_accounts_are_audited(auth, tmp_path):
    more = REPORTING.replace("[video.read]", "[video.read, billing.read]")
    for text in (REPORTING, REPORTING, more, ""):
        await granted(auth, tmp_path, text)
        await auth.runner.run_due()
    assert [event.action for event in auth.recorded] == [
        "SetServiceAccount",
        "SetServiceAccount",
        "RemoveServiceAccount",
    ]
    assert auth.recorded[0].actor == "system"
    assert auth.recorded[1].detail["scopes"] == "video.read billing.read"
    assert len({event.subject for event in auth.recorded}) == 1


@pytest.mark.parametrize(
    "text",
    [
        REPORTING.replace("reporting", "edge"),
        REPORTING.replace("video.read", "root"),
        REPORTING.replace(ORGANIZATION, "org_x"),
        REPORTING + "  more: 1\n",
        "reporting: yes\n",
    ],
)
async def test_a_file_that_is_not_in_order_stops_the_start(auth, tmp_path, text):
    with pytest.raises(ValueError, match="service account"):
        await granted(auth, tmp_path, text)
