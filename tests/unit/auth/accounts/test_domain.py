"""The age rule and the masks."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.accounts import domain
from services.runtime.errors import Failure

DAY = datetime.date(2026, 11, 21)


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        ("2008-11-22", "2026-11-21", 17),
        ("2008-11-21", "2026-11-21", 18),
        ("2008-11-20", "2026-11-21", 18),
        ("2008-02-29", "2026-02-28", 17),
        ("2008-02-29", "2026-03-01", 18),
        ("2008-02-29", "2028-02-29", 20),
        ("2026-11-21", "2026-11-21", 0),
    ],
)
def test_age_is_exact_on_the_birthday(born, day, age):
    assert domain.age(datetime.date.fromisoformat(born), datetime.date.fromisoformat(day)) == age


def test_the_day_is_that_of_the_profile():
    evening = datetime.datetime(2026, 11, 20, 16, 0, tzinfo=datetime.UTC)
    assert domain.today(evening, "Asia/Shanghai") == datetime.date(2026, 11, 21)
    assert domain.today(evening - datetime.timedelta(seconds=1), "Asia/Shanghai") == datetime.date(2026, 11, 20)


@pytest.mark.parametrize(
    ("born", "statement", "required", "reason"),
    [
        (None, True, True, "FIELD_REQUIRED"),
        (None, False, False, "FIELD_REQUIRED"),
        (None, True, False, ""),
        (datetime.date(2008, 11, 21), False, True, ""),
        (datetime.date(2008, 11, 21), False, False, ""),
        (datetime.date(2008, 11, 22), True, True, "AGE_NOT_ALLOWED"),
        (datetime.date(2008, 11, 22), True, False, "AGE_NOT_ALLOWED"),
    ],
)
def test_who_is_let_in(born, statement, required, reason):
    try:
        domain.admit(born, statement, DAY, minimum=18, date_required=required)
        found = ""
    except Failure as failure:
        found = failure.kind.reason
    assert found == reason


@pytest.mark.parametrize("parts", [(2027, 1, 1), (2000, 2, 30), (0, 1, 1), (2000, 0, 0), (1890, 1, 1), (2000, 13, 1)])
def test_impossible_birth_dates_are_refused(parts):
    with pytest.raises(Failure) as refusal:
        domain.birth_date(*parts, DAY)
    assert refusal.value.kind.reason == "FIELD_INVALID"


@given(st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True))
def test_a_masked_phone_shows_three_and_two_characters(phone):
    masked = domain.masked_phone(phone)
    assert len(masked) == len(phone)
    assert masked.replace("*", "") == phone[:3] + phone[-2:]


@pytest.mark.parametrize(
    ("email", "masked"), [("bob@example.com", "b***@***.com"), ("b@x.co.uk", "b***@***.uk"), ("", "")]
)
def test_a_masked_address_shows_the_first_letter_and_the_last_label(email, masked):
    assert domain.masked_email(email) == masked
