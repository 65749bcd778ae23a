"""Bodies against the contract."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.check import bodies
from services.runtime.errors import Failure, to_status

CREATE = "filmgate.generation.v1.Videos.CreateVideo"
UPDATE = "filmgate.auth.v1.Keys.UpdateKey"
NOTIFY = "filmgate.auth.v1.Notices.Notify"
REGISTER = "filmgate.auth.v1.Accounts.Register"
bodies.load()


def found(method: str, body: object) -> tuple[str, str]:
    """(reason, field) of the refusal, which can be sent; both empty when there is none."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        bodies.check(method, raw)
    except Failure as failure:
        to_status(failure, "auth.filmgate", "req_1")
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


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "\\uD83D x \\uDE00", "\\ude00\\ud83d"])
@pytest.mark.parametrize(
    ("method", "body"),
    [
        (CREATE, '{"HALF": 1}'),
        (CREATE, '{"model": "HALF"}'),
        (CREATE, '{"camera_control": {"HALF": 1}}'),
        (CREATE, '{"nothing": [[{"x": "HALF"}]]}'),
        (NOTIFY, '{"parameters": {"HALF": "x"}}'),
        (NOTIFY, '{"parameters": {"x": "HALF"}}'),
        (UPDATE, '{"scopes": ["HALF"]}'),
    ],
)
def test_half_a_surrogate_pair_is_no_text_wherever_it_stands(method, body, half):
    assert found(method, body.replace("HALF", half).encode())[0] == "BODY_INVALID"


def test_a_whole_pair_is_a_letter_as_any_other():
    assert found(CREATE, b'{"prompt": "\\ud83d\\ude00 \\u6d77"}') == ("", "")
    assert found(CREATE, b'{"\\ud83d\\ude00": 1}') == ("UNKNOWN_FIELD", "\U0001f600")


def test_a_long_name_is_not_repeated_whole():
    with pytest.raises(Failure) as refusal:
        bodies.check(CREATE, json.dumps({"x" * 60_000: 1}).encode())
    status = to_status(refusal.value, "auth.filmgate", "req_1")
    assert "x" * 300 in status.message
    assert len(status.SerializeToString()) < 3000


def test_a_body_of_64_kib_is_read():
    raw = b'{"prompt": "' + b"x" * (65536 - 14) + b'"}'
    assert len(raw) == 65536
    assert found(CREATE, raw) == ("", "")


def test_what_cannot_be_checked_does_not_pass():
    assert found("filmgate.none.v1.None.Nothing", {"x": 1})[0] == "AUTHORIZER_UNAVAILABLE"
    assert found("filmgate.none.v1.None.Nothing", b"") == ("", "")


@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused(raw):
    assert found(CREATE, raw)[0] in ("", "BODY_INVALID", "UNKNOWN_FIELD")


TEXT = st.text(st.characters())  # halves of surrogate pairs too
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT | st.sampled_from(["model", "camera_control"]), inner),
)


@given(JSON)
def test_any_json_passes_or_is_refused_in_words_that_can_be_sent(value):
    assert found(CREATE, value)[0] in ("", "BODY_INVALID", "UNKNOWN_FIELD")


@given(JSON)
def test_what_passes_can_be_written_as_utf_8(value):
    raw = json.dumps(value).encode()
    if found(CREATE, raw) == ("", ""):
        assert json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8")


def test_null_in_a_list_is_refused_since_the_transcoder_would_drop_it():
    create_key = "filmgate.auth.v1.Keys.CreateKey"
    assert found(create_key, {"scopes": ["video.read", None]})[0] == "BODY_INVALID"
    assert found(create_key, {"scopes": None}) == ("", "")
