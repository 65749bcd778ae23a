"""Money crosses between the contract and the tables without a loss."""

from decimal import Decimal

import pytest
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from services.billing.prices import money


@given(st.integers(-(10**15), 10**15))
def test_micro_units_survive_the_way_there_and_back(micros):
    assert money.read(money.message("CNY", micros)) == micros


@given(st.integers(-(10**15), 10**15))
def test_units_and_nanos_bear_the_same_sign(micros):
    made = money.message("CNY", micros)
    assert made.units * made.nanos >= 0
    assert abs(made.nanos) < 10**9


def test_a_limit_is_rounded_down():
    assert money.read(Money(units=1, nanos=999)) == 1_000_000


@pytest.mark.parametrize(("micros", "text"), [(1_250_000, "1.25"), (0, "0.00"), (1, "0.000001"), (-500_000, "-0.50")])
def test_text_for_a_person(micros, text):
    assert money.text(micros) == text


def test_a_rate_of_nine_places_is_published_exactly():
    assert money.rate("CNY", Decimal("0.000000001")) == Money(currency_code="CNY", units=0, nanos=1)
    assert money.rate("CNY", Decimal("12.05")) == Money(currency_code="CNY", units=12, nanos=50_000_000)
