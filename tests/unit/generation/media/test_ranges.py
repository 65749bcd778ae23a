"""Which bytes are sent: RFC 9110 sections 13 and 14, edge by edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.media.ranges import Span, Unsatisfiable, is_fresh, span

TAG, DATE = '"abc"', "Sat, 21 Nov 2026 12:00:00 GMT"


def asked(text, size=100, **headers):
    return span({"Range": text, **{name.replace("_", "-"): value for name, value in headers.items()}}, size, TAG, DATE)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=0-", 0, 100),
        ("bytes=99-99", 99, 100),
        ("bytes=99-", 99, 100),
        ("bytes=10-1000", 10, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-100", 0, 100),
        ("bytes=-1000", 0, 100),
        ("Bytes = 5-6".replace(" ", ""), 5, 7),
        ("bytes= 5-6", 5, 7),
        (f"bytes=5-{'9' * 18}", 5, 100),
    ],
)
def test_one_range_is_answered(text, start, end):
    assert asked(text) == Span(start, end)


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 18}-"])
def test_a_range_outside_is_not_satisfiable(text):
    with pytest.raises(Unsatisfiable):
        asked(text)


@pytest.mark.parametrize(
    "text",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,5-6", "items=0-1", "bytes=0-1x", "bytes=1",
     "bytes=--1", "bytes=+1-2", "bytes=٣-٤", f"bytes={'9' * 19}-", "bytes=0x1-2"],
)  # fmt: skip
def test_what_is_no_single_range_of_bytes_is_answered_with_the_whole(text):
    assert asked(text) is None


@pytest.mark.parametrize(
    ("condition", "holds"),
    [(TAG, True), ('"other"', False), (f"W/{TAG}", False), (DATE, True), ("Sat, 21 Nov 2026 12:00:01 GMT", False),
     ("garbage", False), ("", False)],
)  # fmt: skip
def test_a_range_of_what_has_changed_since_is_answered_with_the_whole(condition, holds):
    assert (asked("bytes=0-9", If_Range=condition) is not None) == holds


@pytest.mark.parametrize(
    ("text", "fresh"),
    [(TAG, True), (f"W/{TAG}", True), (f'"x", {TAG}', True), ("*", True), ('"x"', False), ("abc", False), ("", False)],
)
def test_what_the_client_has_is_not_sent_again(text, fresh):
    assert is_fresh({"If-None-Match": text}, TAG) == fresh
    assert not is_fresh({}, TAG)


@given(st.text(max_size=40), st.integers(min_value=1, max_value=10**15))
def test_whatever_is_asked_what_is_answered_lies_within_the_content(text, size):
    for prefix in ("", "bytes="):
        try:
            found = asked(prefix + text, size)
        except Unsatisfiable:
            continue
        assert found is None or 0 <= found.start < found.end <= size
