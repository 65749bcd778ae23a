"""Nothing personal reaches a log: closed by default."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf import any_pb2

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime import telemetry
from tests.support import frames, rpc, tls, toy
from tests.support.toy import pb2

SECRET = "sesame-4711"
MAKE = b"/filmgate.toy.v1.Toys/Make"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Iterator[Lines]:
    """Configure logging for one test and read its lines."""
    root = logging.getLogger()
    before, ours = root.handlers[:], logging.getLogger("filmgate")
    telemetry.configure("toy", "INFO", b"k" * 32, stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = before
    ours.handlers, ours.propagate = [], True


log = telemetry.logger("toy.things")


def test_a_line_is_json_with_its_event_and_no_sentence(lines: Lines) -> None:
    log.info("thing_made", kind="film", attempt=2)
    line = lines()[0]
    assert {name: line[name] for name in ("level", "process", "logger", "event", "kind", "attempt")} == {
        "level": "info", "process": "toy", "logger": "toy.things", "event": "thing_made", "kind": "film", "attempt": 2,
    }  # fmt: skip


def test_a_key_that_nobody_declared_is_hidden(lines: Lines) -> None:
    log.info("x", prompt=SECRET, email=SECRET, anything=[SECRET])
    assert SECRET not in json.dumps(lines()[0])


def test_an_element_decides(lines: Lines) -> None:
    log.info(
        "x",
        account=telemetry.of(Element.ACCOUNT_ID, "acc_1"),
        phone=telemetry.of(Element.PHONE, SECRET),
        address=telemetry.of(Element.IP_ADDRESS, "10.0.0.1"),
        other=telemetry.of(Element.IP_ADDRESS, "10.0.0.2"),
        none=telemetry.of(Element.ELEMENT_UNSPECIFIED, SECRET),
    )
    line = lines()[0]
    assert (line["account"], line["phone"], line["none"]) == ("acc_1", "[hidden]", "[hidden]")
    assert line["address"].startswith("hash:")
    assert line["address"] != line["other"]
    assert "10.0.0" not in json.dumps(line)


def test_an_exception_shows_its_class_and_place_but_no_word(lines: Lines) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as fault:
        log.fault("method_failed", fault)
        log.info("x", error=fault)
    first, second = lines()
    assert first["error"] == second["error"] == "ValueError"
    assert first["frames"][0].startswith("test_telemetry.py:")
    assert SECRET not in json.dumps([first, second])


def test_a_message_is_shown_as_far_as_its_elements_allow(lines: Lines) -> None:
    packed = any_pb2.Any()
    packed.Pack(pb2.Toy(text=SECRET))
    message = pb2.MakeRequest(
        text=SECRET, number=3, tags=["a"], color=1, address="10.0.0.1", bare=SECRET, packed=packed,
        words={SECRET: SECRET}, loose={SECRET: SECRET}, part={"label": "fine"}, boxes={SECRET: {"label": SECRET}},
        price={"currency_code": "CNY", "units": 2},
    )  # fmt: skip
    shown = telemetry.redact(message)
    assert {name: shown[name] for name in ("number", "tags", "part")} == {
        "number": 3, "tags": ["a"], "part": {"label": "fine"},
    }  # fmt: skip
    for name in ("text", "bare", "packed", "words", "loose", "boxes"):
        assert shown[name] == "[hidden]", name
    assert str(shown["address"]).startswith("hash:")
    assert "CNY" in str(shown["price"])
    log.info("x", request=message)
    assert SECRET not in json.dumps(lines())


def test_unknown_fields_do_not_appear() -> None:
    message = pb2.Toy.FromString(pb2.MakeRequest(bare=SECRET, number=7).SerializeToString())
    assert telemetry.redact(message) == {}


def test_a_long_value_is_cut(lines: Lines) -> None:
    log.info("x", reason="r" * 10_000)
    assert len(lines()[0]["reason"]) == 200


def test_half_a_surrogate_pair_loses_no_line(stream: io.StringIO, lines: Lines) -> None:
    half = "a\ud800b"
    log.info("x", reason=half, address=[half], key=telemetry.of(Element.IDEMPOTENCY, half))
    stream.getvalue().encode("utf-8")
    assert (lines()[0]["reason"], lines()[0]["address"]) == ("a?b", ["a?b"])
    assert lines()[0]["key"].startswith("hash:")


def test_a_library_keeps_its_words_to_itself(lines: Lines) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("sqlalchemy.pool").exception("broken %s", SECRET)
    logging.getLogger("aiohttp").info("GET /?code=%s", SECRET)
    (line,) = lines()
    assert (line["logger"], line["level"], line["error"]) == ("sqlalchemy.pool", "error", "ValueError")
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize("name", [b"x-filmgate-note", b"user-agent", b"x-request-id", b"authorization"])
async def test_bytes_in_a_header_that_are_no_text_write_no_line_of_a_library(lines: Lines, name: bytes) -> None:
    """gRPC writes a traceback for each (A3). Clients of gRPC refuse to send such bytes, so the frames are made here."""
    async with rpc.serve("toy", [toy.registration()]) as served:
        answer = await frames.call(served.port, MAKE, (name, b"\xff\xfe"), context=tls.context("edge"))
    assert b"grpc-status" in answer
    written = lines()
    assert [line["event"] for line in written if line["event"] != "library"], "the call itself is told"
    assert [line for line in written if line["event"] == "library"] == []


def test_what_grpc_itself_breaks_of_is_told(lines: Lines) -> None:
    logging.getLogger("grpc._cython.cygrpc").error("Unexpected %s", SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("grpc._cython.cygrpc").exception("broken")
    assert [line["event"] for line in lines()] == ["library", "library"]


def test_the_level_is_kept(lines: Lines, stream: io.StringIO) -> None:
    telemetry.configure("toy", "WARNING", stream=stream)
    log.info("x")
    log.warning("y")
    assert [line["event"] for line in lines()] == ["y"]


@pytest.mark.parametrize(
    "text", ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "01-" + "a" * 32 + "-" + "1" * 16 + "-01"]
)
def test_a_malformed_trace_begins_anew(text: str) -> None:
    trace, span = telemetry.trace_from(text)
    assert len(trace) == 32
    assert len(span) == 16
    assert trace not in ("0" * 32, "a" * 32)


def test_a_trace_is_kept_and_the_span_is_new() -> None:
    assert telemetry.trace_from(f"00-{'a' * 32}-{'b' * 16}-01")[0] == "a" * 32
    assert telemetry.trace_from(f"00-{'a' * 32}-{'b' * 16}-01")[1] != "b" * 16
