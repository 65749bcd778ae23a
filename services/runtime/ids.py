"""Identifiers: a prefix and 26 characters of Crockford base32 that hold a UUIDv7, so they sort by their time."""

import os
import re

from services.runtime import clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_TAIL = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new(prefix: str) -> str:
    """Make an id such as `vid_01K9...`: unique, opaque, sortable by creation to the millisecond.

    Its time is the business time, as `create_time` is: lists break ties of the one by the other.
    """
    value = int.from_bytes(os.urandom(10)) & ((1 << 74) - 1)
    value = clock.milliseconds() << 80 | 7 << 76 | (value >> 62) << 64 | 2 << 62 | value & ((1 << 62) - 1)
    return f"{prefix}_" + "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])


def is_id(prefix: str, text: str) -> bool:
    """Say whether `text` has the form of an id with this prefix; any other string simply names nothing."""
    head, _, tail = text.partition("_")
    return head == prefix and _TAIL.fullmatch(tail) is not None
