"""Required fields, limits, and forms that nobody may send."""

import math
from typing import Any

import pytest

from services.runtime import errors, fields
from tests.support.toy import pb2


def request(**values: Any) -> Any:
    return pb2.MakeRequest(**{"text": "hello", **values})


def faults(message: Any) -> list[tuple[str, str]]:
    try:
        fields.check(message)
    except errors.Failure as failure:
        return [(field, text.removeprefix(f"{field} must ").removesuffix(".")) for field, text in failure.violations]
    return []


GOOD: list[dict[str, Any]] = [
    {},
    {"text": "xx"},
    {"text": "影片影片影片影片影片"},
    {"number": -3},
    {"number": 5},
    {"ratio": 0.5},
    {"tags": ["abc", "d"]},
    {"code": "abc"},
    {"code": "12"},
    {"code": ""},
    {"color": 1},
    {"part": {"label": "x", "inner": {"label": "y"}}},
    {"words": {"a": "b"}},
    {"time": {"seconds": 253402300799, "nanos": 999999999}},
    {"time": {"seconds": -62135596800}},
    {"price": {"currency_code": "CNY", "units": 1, "nanos": 5}},
    {"price": {"currency_code": "CNY", "units": -1, "nanos": -999999999}},
    {"span": {"seconds": -1, "nanos": -1}},
    {"loose": {"a": 1}},
]
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"text": ""}, "text", "be given"),
    ({"text": "x"}, "text", "have at least 2 characters"),
    ({"text": "x" * 11}, "text", "have at most 10 characters"),
    ({"text": "影" * 11}, "text", "have at most 10 characters"),
    ({"text": "a\0b"}, "text", "not contain a NUL character"),
    ({"bare": "\0"}, "bare", "not contain a NUL character"),
    ({"number": -4}, "number", "be at least -3"),
    ({"number": 6}, "number", "be at most 5"),
    ({"ratio": 0.49}, "ratio", "be at least 0.5"),
    ({"ratio": 0.0}, "ratio", "be at least 0.5"),
    ({"ratio": math.nan}, "ratio", "be a finite number"),
    ({"ratio": math.inf}, "ratio", "be a finite number"),
    ({"tags": ["a", "b", "c"]}, "tags", "have at most 2 items"),
    ({"tags": ["a", "abcd"]}, "tags[1]", "have at most 3 characters"),
    ({"code": "abc1"}, "code", "match [a-z]+|[0-9]{2}"),
    ({"code": "12\n"}, "code", "match [a-z]+|[0-9]{2}"),
    ({"color": 7}, "color", "be a known value"),
    ({"part": {}}, "part.label", "be given"),
    ({"part": {"label": "x", "inner": {}}}, "part.inner.label", "be given"),
    ({"parts": [{"label": "x"}, {}]}, "parts[1].label", "be given"),
    ({"boxes": {"a": {}}}, "boxes.label", "be given"),
    ({"words": {"a": "\0"}}, "words", "not contain a NUL character"),
    ({"words": {"\0": "a"}}, "words", "not contain a NUL character"),
    ({"time": {"seconds": 253402300800}}, "time", "be a time of the years 1 to 9999"),
    ({"time": {"seconds": -62135596801}}, "time", "be a time of the years 1 to 9999"),
    ({"time": {"nanos": -1}}, "time", "be a time of the years 1 to 9999"),
    ({"price": {"currency_code": "cny", "units": 1}}, "price", "have a currency_code of three capital letters"),
    ({"price": {"units": 1}}, "price", "have a currency_code of three capital letters"),
    ({"price": {"currency_code": "CNY", "units": 1, "nanos": -1}}, "price", "be a valid amount"),
    ({"price": {"currency_code": "CNY", "nanos": 1000000000}}, "price", "be a valid amount"),
    ({"span": {"seconds": 1, "nanos": -1}}, "span", "be a valid duration"),
    ({"loose": {"a": "\0"}}, "loose.fields.string_value", "not contain a NUL character"),
]


@pytest.mark.parametrize("values", GOOD)
def test_what_is_in_order_passes(values: dict[str, Any]) -> None:
    assert faults(request(**values)) == []


@pytest.mark.parametrize(("values", "field", "limit"), BAD)
def test_what_is_not_is_named(values: dict[str, Any], field: str, limit: str) -> None:
    assert faults(request(**values)) == [(field, limit)]


def test_required_follows_the_presence_of_the_field() -> None:
    everything = {"count": 0, "plain": 1, "list": ["x"], "part": {"label": "y"}, "name": "n", "color": 1}
    assert faults(pb2.Strict(**everything)) == []
    for name in everything:
        left = {key: value for key, value in everything.items() if key != name}
        assert faults(pb2.Strict(**left)) == [(name, "be given")]
    assert faults(pb2.Strict(**{**everything, "name": ""})) == [("name", "be given")]
    assert faults(pb2.Strict(**{**everything, "plain": 0})) == [("plain", "be given")]


def test_a_missing_field_goes_before_an_invalid_one_and_all_are_listed() -> None:
    with pytest.raises(errors.Failure) as caught:
        fields.check(pb2.MakeRequest(number=9, code="!"))
    assert caught.value.kind is errors.FIELD_REQUIRED
    assert [field for field, _ in caught.value.violations] == ["text", "number", "code"]
    with pytest.raises(errors.Failure) as caught:
        fields.check(request(number=9, code="!"))
    assert caught.value.kind is errors.FIELD_INVALID
    assert caught.value.metadata == {"field": "number", "limit": "be at most 5"}
    assert caught.value.message == "number must be at most 5."


def test_a_tower_of_messages_is_refused_and_does_not_break_us() -> None:
    message = request()
    part = message.part
    for _ in range(60):
        part.label = "x"
        part = part.inner
    part.label = "x"
    assert [limit for _, limit in faults(message)] == ["not be nested so deeply"]


def test_a_list_of_faults_ends() -> None:
    assert len(faults(request(parts=[{} for _ in range(900)]))) == 20


def test_the_key_fills_the_request_id_only_where_there_is_one() -> None:
    message = request()
    fields.fill_request_id(message, ["k-1"])
    assert message.request_id == "k-1"
    fields.fill_request_id(pb2.Strict(), ["k-1"])
    for keys in (["a", "b"], [""], [" "], ["é"], ["x" * 256]):
        with pytest.raises(errors.Failure):
            fields.fill_request_id(request(), keys)
    fields.fill_request_id(request(), ["x" * 255])
    fields.fill_request_id(request(), [])


def test_a_list_without_a_limit_has_one() -> None:
    assert faults(request(parts=[{"label": "x"}] * 1000)) == []
    assert faults(request(parts=[{"label": "x"}] * 1001)) == [("parts", "have at most 1000 items")]
    assert faults(request(words={str(number): "" for number in range(1001)})) == [("words", "have at most 1000 items")]
