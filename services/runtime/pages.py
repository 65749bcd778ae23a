"""Lists by keyset: newest first by (create_time, id), 50 on a page unless asked otherwise, 200 at most.

A page token holds the last key and a fingerprint of the other arguments. It grants nothing: ownership is checked as
ever.
"""

import base64
import binascii
import dataclasses
import datetime
import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from services.runtime import errors

DEFAULT_SIZE = 50
MAX_SIZE = 200
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
Key = tuple[datetime.datetime, str]
Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True)
class Page:
    """What a List request asks for: `size` rows after the key `after` (None: from the newest)."""

    size: int
    after: Key | None = None

    def of(self, query: Select[Any], time: InstrumentedAttribute[Any], id: InstrumentedAttribute[Any]) -> Select[Any]:
        """Narrow a query to this page, one row more than its size, so that `cut` can see whether another follows."""
        if self.after is not None:
            query = query.where(tuple_(time, id) < tuple_(sa.literal(self.after[0]), sa.literal(self.after[1])))
        return query.order_by(time.desc(), id.desc()).limit(self.size + 1)

    def cut(self, rows: Sequence[Row], request: Message, key: Callable[[Row], Key]) -> tuple[list[Row], str]:
        """Return (rows of this page, next_page_token); the token is empty at the end and only there."""
        kept = list(rows[: self.size])
        return kept, token(key(kept[-1]), request) if len(rows) > self.size else ""


def page(request: Message) -> Page:
    """Read page_size and page_token. Raises FIELD_INVALID or PAGE_TOKEN_MISMATCH; more than 200 is brought down."""
    size, text = request.page_size, request.page_token  # type: ignore[attr-defined]
    if size < 0:
        raise errors.FIELD_INVALID(field="page_size", limit="not be negative")
    return Page(min(size or DEFAULT_SIZE, MAX_SIZE), _key(text, request) if text else None)


def token(last: Key, request: Message) -> str:
    """Make the token of the page after the row with the key `last`."""
    micros = (last[0] - _EPOCH) // _MICROSECOND
    raw = _fingerprint(request) + struct.pack(">q", micros) + last[1].encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _key(text: str, request: Message) -> Key:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        time = _EPOCH + struct.unpack(">q", raw[8:16])[0] * _MICROSECOND
        last = raw[16:].decode("ascii")
    except (ValueError, binascii.Error, struct.error, OverflowError):
        raise errors.FIELD_INVALID(field="page_token", limit="be a token of this list") from None
    if not last or "\0" in last:
        raise errors.FIELD_INVALID(field="page_token", limit="be a token of this list")
    if raw[:8] != _fingerprint(request):
        raise errors.PAGE_TOKEN_MISMATCH()
    return time, last


def _fingerprint(request: Message) -> bytes:
    """Eight bytes that stand for all arguments but the page's own."""
    others = type(request)()
    others.CopyFrom(request)
    others.ClearField("page_size")
    others.ClearField("page_token")
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + others.SerializeToString(deterministic=True)).digest()[:8]
