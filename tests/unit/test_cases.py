"""One test over many cases says of each that fails what it found."""

import inspect

import pytest

from tests.support.cases import each


def test_every_failing_case_is_named_with_its_line():
    @each("number", [1, 2, 3, 4])
    def odd(number):
        assert number % 2, f"{number} is even"

    with pytest.raises(AssertionError) as failed:
        odd()
    first, *lines = str(failed.value).splitlines()
    assert first == "2 of 4 cases fail:"
    assert [line.split(":")[0] for line in lines] == ["  2", "  4"]
    assert all("test_cases.py:" in line and "is even" in line for line in lines)


def test_names_come_from_a_function_or_a_list_and_other_arguments_are_fixtures(tmp_path):
    seen = []

    @each(("one", "two"), [(1, 2), (3, 4)], ids=["first", "second"])
    def note(one, two, tmp_path):
        seen.append((one, two, tmp_path))
        pytest.fail("always")

    assert list(inspect.signature(note).parameters) == ["tmp_path"]
    with pytest.raises(AssertionError, match=r"(?s)2 of 2 cases fail:.*first: .*second: "):
        note(tmp_path=tmp_path)
    assert seen == [(1, 2, tmp_path), (3, 4, tmp_path)]


@pytest.mark.parametrize(("cases", "ids"), [([], []), ([1, 2], ["one"])])
def test_a_test_that_cannot_fail_or_name_its_cases_is_refused(cases, ids):
    with pytest.raises(ValueError, match="cases of"):
        each("number", cases, ids=ids)
