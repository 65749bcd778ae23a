"""Targets, tries, lifetimes and the secrets of sessions."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.logins import domain
from services.auth.logins.domain import Outcome
from services.runtime.errors import Failure

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


@pytest.mark.parametrize(
    "text", ["13800138000", "+86 138 0013 8000", "+8613800138000", "0086 13800138000", "138-0013-8000"]
)
def test_a_phone_has_one_form(text):
    assert domain.normal_phone(text, "CN") == "+8613800138000"


@pytest.mark.parametrize(
    "text", ["123", "abc", "+86138001380001", "+999123456789", "13800138000x", "13800138000 ext. 5", "1380013800O"]
)
def test_what_is_no_phone_is_refused(text):
    with pytest.raises(Failure) as refusal:
        domain.normal_phone(text, "CN")
    assert refusal.value.kind.reason == "TARGET_INVALID"


@given(st.text(max_size=254))
def test_any_text_is_a_target_or_is_refused(text):
    for read in (lambda: domain.normal_phone(text, "CN"), lambda: domain.normal_email(text)):
        reasons = []
        try:
            assert read()
        except Failure as failure:
            reasons.append(failure.kind.reason)
        assert reasons in ([], ["TARGET_INVALID"])


def test_an_address_keeps_its_local_part_and_lowers_its_domain():
    assert domain.normal_email("Bob.X+tag@EXAMPLE.com") == "Bob.X+tag@example.com"


@pytest.mark.parametrize(
    "text", ["bob", "bob@", "@example.com", "bob@localhost", "a b@example.com", "bob@example..com"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(Failure):
        domain.normal_email(text)


@pytest.mark.parametrize(
    ("text", "language"), [("", "zh"), ("zh", "zh"), ("zh-CN", "zh"), ("en-GB", "en"), ("EN", "en")]
)
def test_languages(text, language):
    assert domain.locale(text, "zh") == language


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("nobody", ""),
        ("", ""),
    ],
)
def test_a_source_is_an_address_or_a_64(address, network):
    assert domain.network(address) == network


def test_codes_are_six_digits():
    codes = {domain.new_code() for _ in range(200)}
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    assert len(codes) > 150


def test_a_digest_is_bound_to_its_flow():
    assert domain.code_digest(b"p", "flw_a", "123456") != domain.code_digest(b"p", "flw_b", "123456")
    assert domain.code_digest(b"p", "flw_a", "123456") != domain.code_digest(b"q", "flw_a", "123456")


@pytest.mark.parametrize(
    ("tries", "expired", "right", "outcome"),
    [
        (1, False, True, Outcome.RIGHT),
        (5, False, True, Outcome.RIGHT),
        (6, False, True, Outcome.ENDED),
        (4, False, False, Outcome.WRONG),
        (5, False, False, Outcome.ENDED),
        (1, True, True, Outcome.EXPIRED),
        (6, True, False, Outcome.EXPIRED),
    ],
)
def test_what_becomes_of_a_try(tries, expired, right, outcome):
    assert domain.judge(tries=tries, most=5, expired=expired, right=right) is outcome


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.WRONG, "CODE_WRONG"),
        (Outcome.EXPIRED, "CODE_EXPIRED"),
        (Outcome.ENDED, "TOO_MANY_TRIES"),
    ],
)
def test_each_outcome_has_its_refusal(outcome, reason):
    with pytest.raises(Failure) as refusal:
        domain.refuse(outcome, 3)
    assert refusal.value.kind.reason == reason
    domain.refuse(Outcome.RIGHT, 3)


def test_new_tokens_are_well_formed_and_never_the_same():
    first, second = domain.new_tokens(), domain.new_tokens()
    assert domain.is_token(first.access, "fgs_")
    assert domain.is_token(first.refresh, "fgr_")
    assert not domain.is_token(first.access, "fgr_")
    assert len({first.access, second.access, first.refresh, second.refresh}) == 4


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_successor_depends_on_pepper_token_and_nonce(pepper, nonce):
    token = domain.new_tokens().refresh
    made = domain.successor(pepper, token, nonce)
    assert made == domain.successor(pepper, token, nonce)
    assert domain.is_token(made.access, "fgs_")
    assert domain.is_token(made.refresh, "fgr_")
    assert made.access[4:-6] != made.refresh[4:-6]
    other = domain.new_tokens().refresh
    for pair in ((b"x" * 31 + pepper, token, nonce), (pepper, other, nonce), (pepper, token, nonce + b"x")):
        assert domain.successor(*pair) != made


def test_a_session_ends_however_often_it_is_refreshed():
    assert domain.refresh_end(NOW, 30, NOW) == NOW + datetime.timedelta(days=30)
    begun = NOW - datetime.timedelta(days=170)
    assert domain.refresh_end(NOW, 30, begun) == NOW + datetime.timedelta(days=10)


def test_the_wait_is_the_longest_of_all_limits():
    hour = datetime.timedelta(hours=1)
    assert domain.wait_seconds(NOW, NOW - 0.5 * MINUTE, []) == 30
    assert domain.wait_seconds(NOW, NOW - 2 * MINUTE, [(NOW - 50 * MINUTE, hour)]) == 600
    assert domain.wait_seconds(NOW, None, []) == 1


@pytest.mark.parametrize("text", ["+19005551234", "+33899123456", "+442079460958", "+882161234567", "+861064123456"])
def test_a_number_that_gets_no_messages_or_costs_more_is_refused(text):
    with pytest.raises(Failure) as refused:
        domain.normal_phone(text, "CN")
    assert refused.value.kind.reason == "TARGET_INVALID"


@pytest.mark.parametrize("text", ["+14155552671", "+447911123456", "+819012345678", "+85291234567"])
def test_mobile_numbers_of_the_world_are_taken(text):
    assert domain.normal_phone(text, "CN") == text
