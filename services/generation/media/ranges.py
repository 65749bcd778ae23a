"""Which bytes of a content a request asks for (RFC 9110, 13 and 14). Pure."""

import dataclasses
import email.utils
import re
from collections.abc import Mapping

_RANGE = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.I)
_TAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclasses.dataclass(frozen=True)
class Span:
    """Bytes from `start` to before `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range lies outside of the content."""


def is_fresh(headers: Mapping[str, str], tag: str) -> bool:
    """Say whether the client has this content already: If-None-Match names its tag, or any."""
    asked = headers.get("If-None-Match")
    if asked is None:
        return False
    return asked.strip() == "*" or any(_weak(known) == _weak(tag) for known in _TAG.findall(asked))


def span(headers: Mapping[str, str], size: int, tag: str, modified: str) -> Span | None:
    """Return the asked range, None for the whole. Raises Unsatisfiable.

    More than one range, another unit or what is no range at all is answered with the whole, as the RFC allows; so is
    a range of a content that has changed since (If-Range).
    """
    match = _RANGE.fullmatch(headers.get("Range", "").strip())
    if match is None or match.groups() == ("", "") or not _is_same(headers.get("If-Range"), tag, modified):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise Unsatisfiable
    return Span(start, end)


def _is_same(condition: str | None, tag: str, modified: str) -> bool:
    """If-Range: a strong tag or the very date, else the content counts as changed."""
    if condition is None:
        return True
    condition = condition.strip()
    if condition.startswith('"'):
        return condition == tag
    return email.utils.parsedate_tz(condition) is not None and condition == modified


def _weak(tag: str) -> str:
    return tag.removeprefix("W/")
