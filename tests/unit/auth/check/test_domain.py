"""Decisions on a call: credentials, freezes, policies."""

import pytest

from services.auth.check import domain
from services.auth.check.domain import Frozen, Policy, Principal, Route
from services.runtime.errors import Failure

NOW = 1000.0
ENDLESS = float("inf")
CREATE = "filmgate.generation.v1.Videos.CreateVideo"


def route(method: str = "filmgate.generation.v1.Videos.GetVideo", **fields) -> Route:
    base = {"audience": "generation", "gate": "CORE", "strict": True, "scope": "video.read", "verb": "GET"}
    return Route(method=method, **{**base, **fields})


def principal(kind: str = "key", *, ended: bool = False) -> Principal:
    return Principal(1, kind, "id", "org", "prj", "acc", ("video.read",), ended, ((b"d", ENDLESS),))


def reason(call, *arguments) -> str:
    try:
        call(*arguments)
    except Failure as failure:
        return failure.kind.reason
    return ""


@pytest.mark.parametrize(
    ("kind", "ended", "end", "found"),
    [
        ("key", False, ENDLESS, ""),
        ("key", False, NOW + 0.001, ""),
        ("key", False, NOW, "KEY_EXPIRED"),
        ("key", True, ENDLESS, "KEY_REVOKED"),
        ("key", True, NOW - 1, "KEY_REVOKED"),
        ("session", False, NOW, "TOKEN_EXPIRED"),
        ("session", True, ENDLESS, "TOKEN_INVALID"),
    ],
)
def test_credentials(kind, ended, end, found):
    assert reason(domain.check_credential, principal(kind, ended=ended), end, NOW) == found


SESSION, KEY = principal("session"), principal("key")


@pytest.mark.parametrize(
    ("scope", "call", "who", "refused"),
    [
        ("ALL", route(), KEY, True),
        ("ALL", route(gate="ACCOUNT"), SESSION, True),
        ("KEYS", route(), KEY, True),
        ("KEYS", route(), SESSION, False),
        ("KEYS", route("filmgate.auth.v1.Keys.CreateKey", audience="auth", verb="POST"), SESSION, True),
        ("KEYS", route("filmgate.auth.v1.Keys.UpdateKey", audience="auth", verb="PATCH"), SESSION, True),
        ("KEYS", route("filmgate.auth.v1.Keys.RevokeKey", audience="auth", verb="POST"), SESSION, False),
        ("KEYS", route("filmgate.auth.v1.Keys.ListKeys", audience="auth"), SESSION, False),
        ("SPENDING", route(), KEY, False),
        ("SPENDING", route(CREATE, verb="POST"), KEY, True),
        ("SPENDING", route("filmgate.generation.v1.Files.UploadFile", verb="POST"), SESSION, True),
        ("SPENDING", route("filmgate.generation.v1.Chats.CreateChat", verb="POST"), SESSION, True),
        ("SPENDING", route("filmgate.generation.v1.Videos.EstimateVideo", verb="POST"), SESSION, False),
        ("SPENDING", route("filmgate.generation.v1.Videos.CancelVideo", verb="POST"), SESSION, False),
        ("SPENDING", route("filmgate.auth.v1.Keys.CreateKey", audience="auth", verb="POST"), SESSION, True),
        ("SPENDING", route("filmgate.privacy.v1.Policies.AcceptPolicy", audience="privacy", verb="POST"), KEY, False),
    ],
)
def test_what_a_freeze_stops(scope, call, who, refused):
    found = reason(domain.check_freezes, call, who, {scope: Frozen(1, ENDLESS)}, NOW)
    assert found == ("ACCOUNT_FROZEN" if refused else "")


@pytest.mark.parametrize(
    ("freeze", "refused"),
    [
        (Frozen(1, NOW), False),
        (Frozen(1, NOW + 0.001), True),
        (Frozen(1, ENDLESS, lifted=True), False),
    ],
)
def test_a_freeze_ends_by_the_clock_or_by_hand(freeze, refused):
    assert bool(reason(domain.check_freezes, route(), KEY, {"ALL": freeze}, NOW)) == refused


def test_a_freeze_says_its_scope_and_end():
    with pytest.raises(Failure) as refusal:
        domain.check_freezes(route(), KEY, {"ALL": Frozen(1, NOW + 60)}, NOW)
    assert refusal.value.metadata == {"scope": "ALL", "until": "1970-01-01T00:17:40+00:00"}


def policies(*rows: tuple[str, int, float]) -> dict[str, list[Policy]]:
    by_kind: dict[str, list[Policy]] = {}
    for kind, number, effective in rows:
        by_kind.setdefault(kind, []).append(Policy(1, kind, number, f"pol_{kind}", effective))
    return by_kind


@pytest.mark.parametrize(
    ("in_force", "accepted", "missing"),
    [
        ([], {}, None),
        ([("privacy", 1, NOW)], {}, 1),
        ([("privacy", 1, NOW + 1)], {}, None),
        ([("privacy", 1, NOW)], {"privacy": 1}, None),
        ([("privacy", 1, NOW)], {"terms": 1}, 1),
        ([("privacy", 1, NOW - 9), ("privacy", 2, NOW)], {"privacy": 1}, 2),
        ([("privacy", 1, NOW - 9), ("privacy", 2, NOW + 1)], {"privacy": 1}, None),
        ([("privacy", 1, NOW - 9), ("privacy", 2, NOW + 1)], {"privacy": 2}, None),
        ([("privacy", 1, 0), ("terms", 3, 0)], {"privacy": 1, "terms": 2}, 3),
    ],
)
def test_policies_in_force_must_be_accepted(in_force, accepted, missing):
    found = domain.missing_policy(policies(*in_force), accepted, NOW)
    assert (found.number if found else None) == missing


def test_grades():
    assert route(strict=True).oldest_seconds == 5
    assert route(strict=False).oldest_seconds == 60
