"""Bodies against the contract."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.check import bodies
from services.runtime.errors import Failure

CREATE = "filmgate.generation.v1.Videos.CreateVideo"
UPDATE = "filmgate.auth.v1.Keys.UpdateKey"
NOTIFY = "filmgate.auth.v1.Notices.Notify"
REGISTER = "filmgate.auth.v1.Accounts.Register"
bodies.load()


def found(method: str, body: object) -> tuple[str, str]:
    """(reason, field) of the refusal, both empty when there is none."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        bodies.check(method, raw)
    except Failure as failure:
        return failure.kind.reason, failure.metadata.get("field", "")
    return "", ""


@pytest.mark.parametrize(
    "body",
    [
        {
            "model": "animatic",
            "prompt": "x",
            "duration_seconds": 5,
            "max_price": {"currency_code": "CNY", "units": "2"},
        },
        {"model": "animatic", "durationSeconds": 5, "maxPrice": {"currencyCode": "CNY"}},
        {"model": "animatic", "camera_control": {"zoom": 4}, "start_deadline": "2026-11-21T12:00:00Z"},
        {"model": None, "camera_control": None},
        {},
        b"",
    ],
)
def test_fields_of_the_contract_pass_by_both_names(body):
    assert found(CREATE, body) == ("", "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"durations": 5}, "durations"),
        ({"Model": "x"}, "Model"),
        ({"camera_control": {"zoom": 4, "tilt": 1}}, "camera_control.tilt"),
        ({"cameraControl": {"roll": 1}}, "cameraControl.roll"),
        ({"max_price": {"currency": "CNY"}}, "max_price.currency"),
        ({"": 1}, '""'),
    ],
)
def test_any_other_field_is_refused_by_name(body, field):
    assert found(CREATE, body) == ("UNKNOWN_FIELD", field)


def test_a_field_that_comes_from_the_path_is_none_of_the_body():
    assert found(UPDATE, {"id": "key_x", "display_name": "x"}) == ("UNKNOWN_FIELD", "id")
    assert found(UPDATE, {"display_name": "x", "scopes": ["video.read"]}) == ("", "")


def test_dates_are_walked_and_maps_take_any_name():
    assert found(REGISTER, {"birth_date": {"year": 2000, "hour": 1}}) == ("UNKNOWN_FIELD", "birth_date.hour")
    assert found(NOTIFY, {"parameters": {"anything": "x"}}) == ("", "")
    assert found(NOTIFY, {"parameters": {"anything": {"x": 1}}})[0] == "BODY_INVALID"
    assert found(NOTIFY, {"parameters": [1]})[0] == "BODY_INVALID"


def test_thirty_two_levels_are_not_too_many():
    assert found(CREATE, b'{"a":' * 32 + b"1" + b"}" * 32) == ("UNKNOWN_FIELD", "a")


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"1",
        b'"x"',
        b"null",
        b"{",
        b"{'model': 'x'}",
        b'{"model": "x",}',
        b'{"model": NaN}',
        b'{"model": Infinity}',
        b'{"model": "a", "model": "b"}',
        b'{"max_price": {"units": 1, "units": 2}}',
        b'{"durationSeconds": 5, "duration_seconds": 8}',
        b"\xff\xfe",
        b'{"model": "\xff"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b'{"model": ' + b"[" * 32 + b"]" * 32 + b"}",
        b"[" * 100_000,
        b'{"model": "' + b"x" * 65536 + b'"}',
        b'{"model": {"hidden": 1}}',
        b'{"start_deadline": {"seconds": 1}}',
        b'{"camera_control": [{"zoom": 1}]}',
        b"model=x",
    ],
)
def test_what_is_no_plain_object_is_invalid(raw):
    assert found(CREATE, raw)[0] == "BODY_INVALID"


def test_a_body_of_64_kib_is_read():
    raw = b'{"prompt": "' + b"x" * (65536 - 14) + b'"}'
    assert len(raw) == 65536
    assert found(CREATE, raw) == ("", "")


def test_what_cannot_be_checked_does_not_pass():
    assert found("filmgate.none.v1.None.Nothing", {"x": 1})[0] == "AUTHORISER_UNAVAILABLE"
    assert found("filmgate.none.v1.None.Nothing", b"") == ("", "")


@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused(raw):
    assert found(CREATE, raw)[0] in ("", "BODY_INVALID", "UNKNOWN_FIELD")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["model", "camera_control"]), inner),
)


@given(JSON)
def test_any_json_passes_or_is_refused(value):
    assert found(CREATE, value)[0] in ("", "BODY_INVALID", "UNKNOWN_FIELD")


def test_null_in_a_list_is_refused_since_the_transcoder_would_drop_it():
    create_key = "filmgate.auth.v1.Keys.CreateKey"
    assert found(create_key, {"scopes": ["video.read", None]})[0] == "BODY_INVALID"
    assert found(create_key, {"scopes": None}) == ("", "")
