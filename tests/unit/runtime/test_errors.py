"""Kinds, what they look like on the wire, and how a callee's refusal is read."""

import enum

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import errors
from services.runtime.errors import Failure, Kind

LOW = Kind("LOW", grpc.StatusCode.FAILED_PRECONDITION, "This needs {needs}; there are {available}.", "toy.filmgate")


class Reasons(enum.IntEnum):
    """Stands for a generated enum: it has keys()."""

    LOW = 1
    HIGH = 2

    @classmethod
    def keys(cls) -> list[str]:
        return [reason.name for reason in cls]


def test_the_message_is_made_from_the_metadata() -> None:
    failure = LOW(needs=12, available=3)
    assert failure.message == str(failure) == "This needs 12; there are 3."
    assert failure.metadata == {"needs": "12", "available": "3"}


def test_metadata_that_the_text_names_must_be_given() -> None:
    with pytest.raises(TypeError, match="available"):
        LOW(needs=12)


def test_metadata_beyond_the_text_is_carried() -> None:
    assert LOW(needs=1, available=0, wallet="w").metadata["wallet"] == "w"


def test_braces_in_a_value_stay_what_they_are() -> None:
    assert LOW(needs="{needs}", available="{0.__class__}").message == "This needs {needs}; there are {0.__class__}."


def test_a_strangers_text_is_made_short_and_printable() -> None:
    failure = errors.NOT_FOUND(resource="video " + "x\n\x00\u202e" * 1000)
    assert len(failure.metadata["resource"]) == 300
    assert failure.message.isprintable()


TEXT = st.text(st.characters())  # halves of surrogate pairs and NUL too


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3), st.dictionaries(TEXT, TEXT, max_size=3))
def test_any_text_can_be_written_as_a_status(first: str, second: str, pairs: list, more: dict) -> None:
    made = LOW(needs=first, available=second, field=f"{first}.", violations=pairs)
    bare = Failure(LOW, {**more, "needs": first, "available": second}, [(first, second), *pairs], 1.0)
    for failure in (made, bare):
        status = errors.to_status(failure, "own.filmgate", second)
        assert status_pb2.Status.FromString(status.SerializeToString()) == status
        assert status.message.isprintable()
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        status.details[0].Unpack(info)
        status.details[1].Unpack(bad)
        for text in (*info.metadata.values(), *(row.field for row in bad.field_violations)):
            assert text.isprintable()


def test_what_a_stranger_sent_is_repeated_in_part_only() -> None:
    long = "x" * 60_000
    for failure in (errors.FIELD_REQUIRED(field=long), LOW(needs=long, available=long, violations=[(long, long)] * 20)):
        assert len(errors.to_status(failure, "own.filmgate", long).SerializeToString()) < 30_000
    bare = Failure(LOW, {"needs": long, "available": long}, [(long, long)], None)
    status, bad = errors.to_status(bare, "own.filmgate", ""), error_details_pb2.BadRequest()
    status.details[1].Unpack(bad)
    assert len(status.message) == 1000
    assert [(len(row.field), len(row.description)) for row in bad.field_violations] == [(300, 1000)]


def test_a_catalog_takes_the_reasons_of_its_enum_once() -> None:
    kind = errors.catalog("toy.filmgate", Reasons)
    made = kind("LOW", grpc.StatusCode.ABORTED, "Low.")
    assert kind.kinds == {"LOW": made}
    assert made.domain == "toy.filmgate"
    for reason in ("LOW", "UNKNOWN"):
        with pytest.raises(ValueError, match=reason):
            kind(reason, grpc.StatusCode.ABORTED, "x")


def test_the_wire_has_one_error_info_then_the_rest() -> None:
    status = errors.to_status(LOW(needs=1, available=0, field="count", retry_after=1.5), "own.filmgate", "req_1")
    assert status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    kinds = [detail.TypeName() for detail in status.details]
    assert kinds == ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"]
    info, bad, retry = (error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo())
    for detail, message in zip(status.details, (info, bad, retry), strict=True):
        detail.Unpack(message)
    assert (info.reason, info.domain) == ("LOW", "toy.filmgate")
    assert dict(info.metadata) == {"needs": "1", "available": "0", "field": "count", "request_id": "req_1"}
    assert [(one.field, one.description) for one in bad.field_violations] == [("count", "This needs 1; there are 0.")]
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_a_common_kind_bears_the_servers_domain() -> None:
    info = error_details_pb2.ErrorInfo()
    errors.to_status(errors.NOT_FOUND(resource="x"), "billing.filmgate", "r").details[0].Unpack(info)
    assert info.domain == "billing.filmgate"


def test_the_common_kinds_are_those_of_the_contract() -> None:
    from filmgate.auth.v1 import error_reason_pb2 as auth
    from filmgate.billing.v1 import error_reason_pb2 as billing
    from filmgate.generation.v1 import error_reason_pb2 as generation
    from filmgate.privacy.v1 import error_reason_pb2 as privacy

    for module in (auth, billing, generation, privacy):
        assert errors.COMMON.keys() <= set(module.ErrorReason.keys())


def test_a_long_list_of_violations_is_cut() -> None:
    failure = errors.FIELD_INVALID(field="a", limit="b", violations=[(f"f{number}", "x") for number in range(99)])
    assert len(failure.violations) == 20


def test_a_foreign_error_is_a_failure_without_a_reason() -> None:
    metadata = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata, "gone")
    assert errors.of(error) == errors.RemoteFailure(grpc.StatusCode.UNAVAILABLE)
    odd = grpc.aio.Metadata(
        ("grpc-status-details-bin", errors.to_status(LOW(needs=1, available=1), "", "").SerializeToString())
    )
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, odd, "gone")
    assert errors.of(error).reason == ""
