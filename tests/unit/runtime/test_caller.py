"""Caller tokens: minted by auth, verified by everyone else; and who may call what."""

import datetime
import json
from collections.abc import Mapping
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.runtime import caller, errors
from services.runtime.caller import CALLER, PUBLIC, SERVICE, STAFF, Access, Caller, Verifier
from tests.support import rpc, toy
from tests.support.clock import FakeClock

WHO = {"audience": "toy", "account": "acc_1", "organization": "org_1", "project": "prj_1"}


class Keys:
    """What auth answers, and how often it was asked."""

    def __init__(self, **keys: Ed25519PrivateKey) -> None:
        self.keys = keys
        self.asked = 0
        self.down = False

    async def __call__(self) -> Mapping[str, bytes]:
        self.asked += 1
        if self.down:
            raise ConnectionError
        return {kid: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for kid, key in self.keys.items()}


def mint(clock: FakeClock, private: Ed25519PrivateKey = rpc.KEY, kid: str = "k1", **claims: Any) -> str:
    return caller.mint(private, kid, clock=clock, **{**WHO, **claims})


@pytest.fixture
def keys() -> Keys:
    return Keys(k1=rpc.KEY)


@pytest.fixture
def verifier(keys: Keys, clock: FakeClock) -> Verifier:
    return Verifier(keys, "toy", clock, clock.steady)


async def refused(verifier: Verifier, token: str) -> str:
    with pytest.raises(errors.Failure) as caught:
        await verifier.verify(token)
    return caught.value.kind.reason


async def test_what_was_minted_is_verified(verifier: Verifier, clock: FakeClock) -> None:
    token = mint(clock, key="key_1", scopes=["video.read", "keys"], request_id="req_1")
    assert await verifier.verify(token) == Caller(
        "org_1", "prj_1", "acc_1", "key_1", "", frozenset({"video.read", "keys"}), "edge", "req_1"
    )


async def test_a_token_ends_at_its_second_even_when_remembered(verifier: Verifier, clock: FakeClock) -> None:
    token = mint(clock, lifetime_seconds=30)
    clock.advance(29)
    await verifier.verify(token)
    clock.advance(1)
    assert await refused(verifier, token) == "TOKEN_EXPIRED"
    assert await refused(verifier, token) == "TOKEN_EXPIRED"


async def test_a_verified_token_is_not_computed_again(verifier: Verifier, keys: Keys, clock: FakeClock) -> None:
    token = mint(clock)
    await verifier.verify(token)
    keys.keys.clear()
    keys.down = True
    assert (await verifier.verify(token)).account == "acc_1"


async def test_tokens_of_another_audience_issuer_key_or_algorithm_are_refused(
    verifier: Verifier, clock: FakeClock
) -> None:
    now = int(clock.now().timestamp())
    claims = {"iss": "auth", "aud": "toy", "sub": "a", "org": "o", "prj": "p", "scp": [], "prs": "edge",
              "iat": now, "exp": now + 30}  # fmt: skip

    def signed(changes: dict[str, Any], **options: Any) -> str:
        body = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode(body, options.pop("key", rpc.KEY), options.pop("algorithm", "EdDSA"), headers={"kid": "k1"})

    assert (await verifier.verify(signed({}))).account == "a"
    public = (await Keys(k1=rpc.KEY)())["k1"]
    tokens = [
        mint(clock, audience="billing"),
        mint(clock, Ed25519PrivateKey.generate()),
        signed({"iss": "edge"}),
        signed({"aud": ["toy", "billing"]}),
        *(signed({name: None}) for name in claims),
        signed({"scp": "video.read"}),
        signed({"scp": [1]}),
        signed({"sub": 5}),
        signed({"exp": "soon"}),
        signed({"iat": now + 120}),
        signed({"rid": {}}),
        signed({}, key=public + b"x", algorithm="HS256"),
        jwt.encode(claims, "", "none", headers={"kid": "k1"}),
        jwt.encode(claims, rpc.KEY, "EdDSA"),
        signed({}) + "x",
        signed({"pad": "x" * 9000}),
        "", "a", "a.b.c", "é", "ü.ö.ä",
    ]  # fmt: skip
    for token in tokens:
        assert await refused(verifier, token) == "TOKEN_INVALID", token


async def test_an_unknown_kid_asks_auth_at_most_every_ten_seconds(
    verifier: Verifier, keys: Keys, clock: FakeClock
) -> None:
    await verifier.ready()
    new = Ed25519PrivateKey.generate()
    keys.keys["k2"] = new
    clock.advance(9)
    for number in range(20):
        assert await refused(verifier, mint(clock, new, f"k{number + 2}")) == "TOKEN_INVALID"
    assert keys.asked == 1
    clock.advance(1)
    assert (await verifier.verify(mint(clock, new, "k2"))).account == "acc_1"
    assert keys.asked == 2


async def test_without_any_key_nothing_is_decided(verifier: Verifier, keys: Keys, clock: FakeClock) -> None:
    keys.down = True
    assert await refused(verifier, mint(clock)) == "PEER_UNAVAILABLE"
    with pytest.raises(errors.Failure):
        await verifier.ready()
    keys.down = False
    clock.advance(1)
    await verifier.ready()
    assert (await verifier.verify(mint(clock))).account == "acc_1"


async def test_the_keys_at_hand_outlive_an_outage_of_auth(verifier: Verifier, keys: Keys, clock: FakeClock) -> None:
    await verifier.ready()
    keys.down = True
    clock.advance(3600)
    assert (await verifier.verify(mint(clock))).account == "acc_1"


async def test_a_key_that_auth_withdrew_is_believed_five_minutes_at_most(
    verifier: Verifier, keys: Keys, clock: FakeClock
) -> None:
    await verifier.ready()
    old, new = keys.keys.pop("k1"), Ed25519PrivateKey.generate()
    keys.keys["k2"] = new
    clock.advance(299)
    await verifier.ready()
    forged = mint(clock, old, "k1", lifetime_seconds=10**9)
    assert (await verifier.verify(forged)).account == "acc_1"
    keys.down = True
    clock.advance(1)
    await verifier.ready()
    keys.down = False
    clock.advance(10)
    await verifier.ready()
    assert keys.asked == 3
    assert await refused(verifier, forged) == "TOKEN_INVALID"
    assert (await verifier.verify(mint(clock, new, "k2"))).account == "acc_1"


async def test_ages_of_keys_are_measured_by_the_steady_clock(verifier: Verifier, keys: Keys, clock: FakeClock) -> None:
    """Review B15: a host's clock that was set back an hour kept the keys from being read for an hour."""
    await verifier.ready()
    keys.keys = {"k2": Ed25519PrivateKey.generate()}
    clock.advance(-3600)
    clock.advance(300)
    await verifier.ready()
    assert keys.asked == 2
    clock.advance(10)
    clock.jump(days=40)
    await verifier.ready()
    assert keys.asked == 2, "a business time that jumps makes no key old"
    assert (await verifier.verify(mint(clock, keys.keys["k2"], "k2"))).account == "acc_1"


async def test_memory_is_bounded(verifier: Verifier, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "_REMEMBERED", 3)
    for number in range(10):
        await verifier.verify(mint(clock, request_id=str(number)))
    assert len(verifier._verified) == 3


async def test_a_stream_goes_on_when_the_token_that_began_it_ends(clock: FakeClock) -> None:
    async with rpc.serve("toy", [toy.registration()], clock=clock) as served:
        stub, hello = served.stub(toy.pb2_grpc.ToysStub), toy.pb2.MakeRequest(text="hello")
        mine = rpc.as_caller("toy", clock=clock, lifetime_seconds=30)
        talk = stub.Talk(metadata=mine, timeout=60)
        for _ in range(3):
            await talk.write(hello)
            assert (await talk.read()).text == "hello"
            clock.advance(300)
        await talk.done_writing()
        assert await talk.read() is grpc.aio.EOF
        async with rpc.refused(reason="TOKEN_EXPIRED"):
            await stub.Make(hello, metadata=mine)


def customer(**fields: Any) -> Caller:
    whole = {"organization": "o", "project": "p", "account": "a", "scopes": frozenset({"s"}), "presenter": "edge"}
    return Caller(**{**whole, **fields})


ALLOWED = [
    (PUBLIC, "edge", None),
    (PUBLIC, "studio", None),
    (CALLER("s"), "edge", customer()),
    (CALLER("s", "media"), "media", customer(presenter="edge")),
    (CALLER("s", "media"), "edge", customer(presenter="edge")),
    (CALLER("s"), "studio", customer(presenter="studio")),
    (SERVICE("generation", "edge"), "edge", None),
    (STAFF("operator"), "operator", None),
]
REFUSED = [
    (PUBLIC, "", None),
    (CALLER("s"), "edge", None),
    (CALLER("s"), "generation", customer(presenter="edge")),
    (CALLER("s"), "media", customer(presenter="edge")),
    (CALLER("s", "media"), "media", customer(presenter="studio")),
    (CALLER("s", "media"), "media", None),
    (CALLER("s", "media"), "generation", customer(presenter="edge")),
    (CALLER("t", "media"), "media", customer(presenter="edge")),
    (CALLER("s"), "edge", customer(presenter="studio")),
    (CALLER("s"), "", customer()),
    (CALLER("t"), "edge", customer()),
    (SERVICE("generation"), "edge", customer()),
    (SERVICE(), "generation", None),
    (STAFF("operator"), "edge", customer()),
    (Access("NOBODY"), "operator", customer()),
]


@pytest.mark.parametrize(("access", "peer", "who"), ALLOWED)
def test_who_may_call(access: Access, peer: str, who: Caller | None) -> None:
    caller.check_peer(access, peer, who)


@pytest.mark.parametrize(("access", "peer", "who"), REFUSED)
def test_who_may_not(access: Access, peer: str, who: Caller | None) -> None:
    with pytest.raises(errors.Failure):
        caller.check_peer(access, peer, who)


def test_the_claims_are_those_of_the_contract(clock: FakeClock) -> None:
    token = mint(clock, session="ses_1", scopes=["b", "a"], request_id="r", lifetime_seconds=40)
    claims = jwt.decode(token, options={"verify_signature": False})
    start = datetime.datetime.fromtimestamp(claims.pop("iat"), datetime.UTC)
    assert start == clock.now()
    assert claims.pop("exp") == int(clock.now().timestamp()) + 40
    assert json.loads(json.dumps(claims)) == {
        "iss": "auth", "aud": "toy", "sub": "acc_1", "org": "org_1", "prj": "prj_1", "ses": "ses_1",
        "scp": ["a", "b"], "prs": "edge", "rid": "r",
    }  # fmt: skip
