"""The rules of wallets, without a database."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing import errors
from services.billing.wallets import domain
from services.billing.wallets.domain import Piece, Terms
from services.runtime.errors import Failure

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
TERMS = Terms("vid_1", "org_1", "prj_1", "acc_1", "animatic", "720p", 5, 1)
pieces = st.lists(
    st.builds(
        Piece,
        st.text(min_size=1),
        st.sampled_from(["PROMOTIONAL", "CASH"]),
        st.integers(1, 10**9),
        st.sampled_from([None, NOON, NOON + datetime.timedelta(seconds=1)]),
    ),
    max_size=5,
)


@pytest.mark.parametrize(
    ("amount", "percent", "charge"),
    [(100, 0, 0), (100, 100, 100), (3, 50, 2), (1, 50, 1), (1, 49, 0), (250_001, 33, 82_500), (0, 100, 0)],
)
def test_a_share_is_rounded_half_up(amount, percent, charge):
    assert domain.share(amount, percent) == charge


@given(pieces, st.integers(0, 100))
def test_an_end_shares_out_exactly_what_was_held(held, percent):
    ending = domain.end(held, "CANCELLED_RUNNING", percent, NOON)
    assert [(part.charged + part.returned + part.lapsed) for part in ending.parts] == [piece.amount for piece in held]
    assert ending.charged == domain.share(sum(piece.amount for piece in held), percent)
    assert ending.state == ("CAPTURED" if percent else "RELEASED")
    for piece, part in zip(held, ending.parts, strict=True):
        assert not (part.lapsed if piece.expire_time != NOON else part.returned), "lapses exactly from its date on"


def test_the_charge_takes_lots_in_order_and_the_rest_goes_back_in_reverse():
    held = [Piece("a", "PROMOTIONAL", 10, None), Piece("b", "CASH", 10, None), Piece("c", "CASH", 10, None)]
    ending = domain.end(held, "CANCELLED_RUNNING", 50, NOON)
    assert [(part.charged, part.returned) for part in ending.parts] == [(10, 0), (5, 5), (0, 10)]


@given(pieces, st.integers(1, 100))
def test_every_movement_sums_to_zero(held, percent):
    ending = domain.end(held, "SUCCEEDED", percent, NOON)
    for movement in (
        domain.grant_of_trial("org_1", "CNY", "lot_1", 10),
        domain.charge_of(TERMS, "CNY", ending),
        domain.lapse_of_hold(TERMS, "CNY", ending),
        domain.lapse_of_lot(organization="org_1", currency="CNY", lot="lot_1", kind="CASH", amount=7, held=3),
    ):
        assert sum(line.amount for line in movement.lines) == 0
        assert all((line.lot is not None) == line.account.startswith("CUSTOMER_") for line in movement.lines)


def test_the_fingerprint_changes_with_what_is_booked():
    made = [domain.grant_of_trial("org_1", "CNY", "lot_1", amount).fingerprint for amount in (10, 11, 10)]
    assert made[0] == made[2] != made[1]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("SUCCEEDED", "Video, 5 s at 720p (animatic)"),
        ("CANCELLED_RUNNING", "Video, 5 s at 720p (animatic), cancelled while it ran"),
        ("MODERATED_AFTER", "Video, 5 s at 720p (animatic), withheld by moderation"),
    ],
)
def test_a_charge_says_what_for(outcome, text):
    ending = domain.end([Piece("a", "CASH", 10, None)], outcome, 100, NOON)
    assert domain.charge_of(TERMS, "CNY", ending).description == text


def test_a_lot_is_over_at_the_very_moment_of_its_date():
    moment = datetime.timedelta(microseconds=1)
    assert domain.is_over(NOON, NOON)
    assert not domain.is_over(NOON, NOON - moment)
    assert not domain.is_over(None, NOON)


@pytest.mark.parametrize(
    "field", ["organization", "project", "account", "model", "resolution", "duration_seconds", "price_version"]
)
def test_every_term_counts(field):
    other = Terms(**{**TERMS.__dict__, field: "other"})
    with pytest.raises(Failure) as refused:
        domain.check_same(TERMS, other)
    assert refused.value.kind is errors.HOLD_DIFFERS


def test_a_bar_has_no_terms():
    domain.check_same(TERMS, TERMS)
    with pytest.raises(Failure) as refused:
        domain.check_same(None, TERMS)
    assert refused.value.kind is errors.HOLD_BARRED
