"""Logs as JSON lines, and trace ids. Closed by default: a value passes only by a rule that says so.

A value is shown when its key is one of the operational words below, when it comes as `of(Element.X, value)` and the
element's rule lets it, or when it is a proto message (through `redact`). Everything else is "[hidden]".
"""

import hashlib
import hmac
import json
import logging
import os
import re
import sys
import traceback
from typing import Any, NamedTuple, TextIO

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from filmgate.privacy.v1 import elements_pb2
from services.runtime import caller, subject
from services.runtime.clock import SystemClock

HIDDEN = "[hidden]"
OPERATIONAL = frozenset(
    """address attempt audience code count domain error failed frames grade job kid kind level limit method metric
    milliseconds model outcome peer port priority process profile reason removed revision seconds service size_bytes
    slots stage state status table total version worker""".split()  # noqa: SIM905  a list of one word a line would say no more
)
"""Keys whose values are about the service and never about a person."""
_MAX_LENGTH = 200
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_hash_key = os.urandom(32)
_process = ""
_out = logging.getLogger("filmgate")
_clock = SystemClock()
_encode = json.JSONEncoder(ensure_ascii=False).encode


class Value(NamedTuple):
    """A value with the element that says whether a log may hold it."""

    element: int
    value: object


def of(element: int, value: object) -> Value:
    """Name the element of a value to be logged: `log.info("x", account=telemetry.of(Element.ACCOUNT_ID, id))`."""
    return Value(element, value)


class Logger:
    """Writes one JSON line per event: a fixed snake_case name and fields; never a sentence with values in it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, event: str, **fields: object) -> None:
        """Something that happens in ordinary work."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that a person should see when it becomes frequent."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """A defect, or something that needs a person."""
        self._write(logging.ERROR, event, fields)

    def fault(self, event: str, fault: BaseException, **fields: object) -> None:
        """A stranger's exception: its class and where it was raised, never its text."""
        self._write(logging.ERROR, event, {**fields, "error": fault, "frames": _frames(fault)})

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not _out.isEnabledFor(level):
            return
        line: dict[str, Any] = {
            "time": _clock.real_now().isoformat(timespec="milliseconds"),  # as Envoy's and PostgreSQL's lines have it
            "level": logging.getLevelName(level).lower(),
            "process": _process,
            "logger": self._name,
            "event": event,
        }
        if serving := caller.call():
            line |= {"request_id": serving.request_id, "trace_id": serving.trace_id}
        line |= {name: shown(name, value) for name, value in fields.items()}
        # A record made here: where the call stands is no part of a line, and finding it costs more than writing it.
        _out.handle(logging.LogRecord(_out.name, level, "", 0, "%s", (_encode(line),), None))


logger = Logger
"""Makes the logger of a module: `log = telemetry.logger(__name__)`."""


def configure(process: str, level: str = "INFO", hash_key: bytes | None = None, stream: TextIO | None = None) -> None:
    """Start logging to standard output or `stream`. `hash_key` makes hashes comparable between processes and restarts.

    Lines of foreign libraries keep only their logger, level and the class of an exception: their texts may hold
    anything. What any client can make gRPC write by the bytes of a header is left out (see `_of_a_header`).
    """
    global _process, _hash_key  # noqa: PLW0603  one process, one log
    _process = process
    _hash_key = hash_key or _hash_key
    _out.handlers, _out.propagate = [logging.StreamHandler(stream or sys.stdout)], False
    _out.setLevel(level)
    foreign = logging.StreamHandler(stream or sys.stdout)
    foreign.setFormatter(_Foreign())
    foreign.addFilter(lambda record: not _of_a_header(record))
    logging.basicConfig(handlers=[foreign], level=logging.WARNING, force=True)


def _of_a_header(record: logging.LogRecord) -> bool:
    """Return whether gRPC tells of a header value that is not UTF-8 (A3).

    It writes an error with a traceback for each such value and then serves the call, with the value as bytes. So
    anyone could fill our logs and raise our alarms; the call itself is in the log and the metrics like any other.
    """
    return record.name == "grpc._cython.cygrpc" and isinstance((record.exc_info or [None] * 2)[1], UnicodeDecodeError)


class _Foreign(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fault = record.exc_info[1] if record.exc_info else None
        line = {"level": record.levelname.lower(), "process": _process, "logger": record.name, "event": "library"}
        place = {"error": type(fault).__name__, "frames": _frames(fault)} if fault else {}
        return json.dumps({**line, **place})


def redact(message: Message) -> dict[str, object]:
    """Show a proto message as far as the elements of its fields allow.

    Map keys, Struct, Any and fields without an element are hidden; unknown fields do not appear.
    """
    seen: dict[str, object] = {}
    for field, value in message.ListFields():
        if field.is_repeated:
            is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
            seen[field.name] = HIDDEN if is_map else [_leaf(field, item) for item in value]
        else:
            seen[field.name] = _leaf(field, value)
    return seen


def _leaf(field: FieldDescriptor, value: Any) -> object:
    kind = field.message_type.full_name if field.message_type is not None else ""
    if kind.startswith("filmgate."):
        return redact(value)
    if kind in ("google.protobuf.Struct", "google.protobuf.Any"):
        return HIDDEN
    if isinstance(value, Message):
        value = " ".join(str(value).split())
    return _by_rule(subject.element_of(field), value)


def _by_rule(element: int, value: object) -> object:
    rules = elements_pb2.ElementRule
    rule = subject.rule(element).log if element else rules.LOG_UNSPECIFIED
    if rule == rules.PLAIN:
        return _plain(value)
    if rule == rules.HASHED:
        raw = f"{element}|{value}".encode(errors="surrogatepass")
        return "hash:" + hmac.digest(_hash_key, raw, hashlib.sha256).hex()[:12]
    return HIDDEN


def shown(name: str, value: object) -> object:
    """What a log or a span says for a field: closed by default."""
    if isinstance(value, Value):
        return _by_rule(value.element, value.value)
    if isinstance(value, Message):
        return redact(value)
    if isinstance(value, BaseException):
        return type(value).__name__
    return _plain(value) if name in OPERATIONAL else HIDDEN


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in list(value)[:50]]
    return str(value)[:_MAX_LENGTH].encode(errors="replace").decode()  # no line is lost over half a surrogate pair (F4)


def _frames(fault: BaseException) -> list[str]:
    frames = traceback.extract_tb(fault.__traceback__)[-8:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def trace_from(traceparent: str) -> tuple[str, str]:
    """Read a W3C traceparent; answers (trace_id, a new span_id), a new trace when there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent)
    trace = match.group(1) if match and match.group(1) != "0" * 32 else os.urandom(16).hex()
    return trace, os.urandom(8).hex()
