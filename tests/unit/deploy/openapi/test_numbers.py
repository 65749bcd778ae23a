"""Ranges of numbers as regular expressions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.openapi.numbers import pattern

EDGE = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-1200, 1200), st.sampled_from([0, 9, 10, 99, 100, 4294967295])
)


@given(EDGE, EDGE, st.one_of(EDGE, st.integers(-2, 2)))
def test_exactly_the_numbers_of_the_range_match(one, other, near):
    least, most = sorted((one, other))
    expression = pattern(least, most)
    for number in (near, least, most, least - 1, most + 1, least + near, most + near):
        assert bool(re.search(expression, str(number))) == (least <= number <= most)


@pytest.mark.parametrize("text", ["007", "+1", "1.0", "1e3", " 1", "1\n2", "", "-0", "٣"])
def test_another_writing_of_a_number_does_not(text):
    assert not re.search(pattern(-1000, 1000), text)


def test_there_is_none_without_numbers():
    with pytest.raises(ValueError, match="from 2 to 1"):
        pattern(2, 1)
