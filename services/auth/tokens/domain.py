"""Rules of the keys that sign caller tokens."""

import dataclasses
import datetime
import hashlib
from collections.abc import Sequence

NOTICE = datetime.timedelta(minutes=5)
"""How long a key is published before it signs, so that every verifier has it by then."""
KEPT = datetime.timedelta(hours=1)
"""How long a key that signs no more is still published: longer than any token lives."""
EXCHANGED_SECONDS = 300.0
"""Lifetime of a token that an internal service is given."""


@dataclasses.dataclass(frozen=True)
class Published:
    """A public key, and from when tokens may be signed with it."""

    kid: str
    public_key: bytes
    start_time: datetime.datetime


def kid_of(public_key: bytes) -> str:
    """Return the id of a key: the same in every process."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def start_of(now: datetime.datetime, *, first: bool) -> datetime.datetime:
    """Say from when a new key signs: at once if it is the first of all, since nobody can know another."""
    return now if first else now + NOTICE


def signer(keys: Sequence[Published], mine: set[str], now: datetime.datetime) -> str:
    """Return the id of the newest key at hand that may sign by now; empty when there is none."""
    usable = [(key.start_time, key.kid) for key in keys if key.kid in mine and key.start_time <= now]
    return max(usable)[1] if usable else ""
