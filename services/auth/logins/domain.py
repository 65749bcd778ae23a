"""Rules of codes and sessions: targets, lifetimes, tries, and the secrets of a session."""

import dataclasses
import datetime
import enum
import hashlib
import hmac
import ipaddress
import math
import re
import secrets

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from services.auth import errors
from services.auth.keys.domain import ALPHABET, SECRET_LENGTH, checksum, random_text, sealed_text
from services.runtime.errors import FIELD_INVALID

SEND_PAUSE = datetime.timedelta(seconds=60)
"""Between two codes to one target."""
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
SESSION_LIFE = datetime.timedelta(days=180)
"""However often it is refreshed, a login ends then (ASVS 5.0, 7.3.2)."""
GRACE = datetime.timedelta(seconds=30)
"""A client that did not get the answer may ask again for so long, and gets the same successor."""
ACCESS_PREFIX = "fgs_"
REFRESH_PREFIX = "fgr_"
LOCALES = ("zh", "en")
_PHONE = re.compile(r"\+?[0-9 ().-]{3,40}")
"""phonenumbers alone would also read letters and extensions."""
_TOKEN = re.compile(r"fg[sr]_[0-9A-Za-z]{49}")


_REACHED = frozenset({phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE})
"""Kinds of numbers that get messages. A premium one would have us pay whoever asks for codes to it."""


class Outcome(enum.Enum):
    """What became of a try with a code."""

    RIGHT = "right"
    WRONG = "wrong"
    ENDED = "ended"
    EXPIRED = "expired"


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The two secrets of a session."""

    access: str
    refresh: str


def normal_phone(text: str, region: str) -> str:
    """Return a mobile number in E.164; a national one is read as of `region`. Raises TARGET_INVALID."""
    try:
        number = phonenumbers.parse(text, region) if _PHONE.fullmatch(text) else None
    except phonenumbers.NumberParseException:
        number = None
    # A number that is not valid has no type.
    if number is None or phonenumbers.number_type(number) not in _REACHED:
        raise errors.TARGET_INVALID(channel="PHONE", field="target", fault="it is no number of a mobile phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_email(text: str) -> str:
    """Return an e-mail address as mail is sent to it: all ASCII, the domain as its A-label (RFC 5890, IDNA 2008).

    The local part keeps its case. Raises TARGET_INVALID, also for a local part that is not ASCII: no standard says
    which of those a mail server takes for one another, so none of them can be told to be the same (S1).
    """
    if not text.rpartition("@")[0].isascii():
        fault = "what stands before the @ must be ASCII"
        raise errors.TARGET_INVALID(channel="EMAIL", field="target", fault=fault)
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=False).ascii_email
    except EmailNotValidError:
        address = None
    if address is None:
        raise errors.TARGET_INVALID(channel="EMAIL", field="target", fault="it is no mailbox of a public domain")
    return address


def contact_key(target: str) -> str:
    """Return the form that a contact point is found by: its letters a to z in lower case, all else as it is.

    Takes what `normal_phone` or `normal_email` returned. Raises UnicodeEncodeError for anything that is not ASCII:
    `str.casefold` and `str.lower` make one of addresses that a mail server tells apart (S1: ß and ss, the long s).
    """
    return target.encode("ascii").lower().decode("ascii")


def is_same_contact(one: str, other: str) -> bool:
    """Return whether two contact points in normal form differ at most in the case of a to z. Else they are two.

    False for an empty one and for what is not ASCII: upper case beyond ASCII would make SS of ß.
    Shares no code with `contact_key`, on purpose: it is the second lock, for the day when the first one is wrong (S1).
    """
    return one != "" and one.isascii() and other.isascii() and one.upper() == other.upper()


def locale(text: str, default: str) -> str:
    """Return "zh" or "en"; "zh-CN" is "zh", an empty text the default. Raises FIELD_INVALID."""
    language = text.split("-", maxsplit=1)[0].lower() or default
    if language not in LOCALES:
        raise FIELD_INVALID(field="locale", limit=f"be one of {', '.join(LOCALES)}")
    return language


def network(address: str) -> str:
    """Return the network that limits count a source by: the address, or the /64 of an IPv6 one; empty when unknown."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def new_code() -> str:
    """Draw six digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def code_digest(pepper: bytes, flow: str, code: str) -> bytes:
    """Return what is stored of a code: bound to its flow, so that equal codes do not look equal."""
    return hmac.digest(pepper, f"code\0{flow}\0{code}".encode(), hashlib.sha256)


def judge(*, tries: int, most: int, expired: bool, right: bool) -> Outcome:
    """Say what became of a try. `tries` counts this one; one beyond the `most` allowed is not looked at."""
    if expired:
        return Outcome.EXPIRED
    if tries > most:
        return Outcome.ENDED
    if right:
        return Outcome.RIGHT
    return Outcome.ENDED if tries == most else Outcome.WRONG


def refuse(outcome: Outcome, tries_left: int) -> None:
    """Raise CODE_WRONG, CODE_EXPIRED or TOO_MANY_TRIES unless the outcome is RIGHT."""
    if outcome is Outcome.WRONG:
        raise errors.CODE_WRONG(tries_left=max(0, tries_left))
    if outcome is Outcome.EXPIRED:
        raise errors.CODE_EXPIRED()
    if outcome is Outcome.ENDED:
        raise errors.TOO_MANY_TRIES()


def new_tokens() -> Tokens:
    """Draw the secrets of a new session, 256 bits each."""
    return Tokens(
        sealed_text(ACCESS_PREFIX + random_text(SECRET_LENGTH)),
        sealed_text(REFRESH_PREFIX + random_text(SECRET_LENGTH)),
    )


def successor(pepper: bytes, refresh: str, nonce: bytes) -> Tokens:
    """Derive the tokens that follow a refresh token.

    The nonce is drawn once and stored, so a repeat within the grace gets the same pair, and neither the pepper nor
    the database alone is enough to make it.
    """
    return Tokens(_derived(ACCESS_PREFIX, pepper, refresh, nonce), _derived(REFRESH_PREFIX, pepper, refresh, nonce))


def is_token(text: str, token_prefix: str) -> bool:
    """Say whether a text has the form and checksum of a session's secret."""
    return text.startswith(token_prefix) and _TOKEN.fullmatch(text) is not None and checksum(text[:-6]) == text[-6:]


def refresh_end(now: datetime.datetime, days: int, session_start: datetime.datetime) -> datetime.datetime:
    """Say until when a refresh token issued now is good: `days`, but no longer than the session may live."""
    return min(now + datetime.timedelta(days=days), session_start + SESSION_LIFE)


def wait_seconds(
    now: datetime.datetime,
    pause_from: datetime.datetime | None,
    windows: list[tuple[datetime.datetime, datetime.timedelta]],
) -> int:
    """Say how long to wait until the pause and every full window (start, length) are over; at least 1."""
    ends = [start + length for start, length in windows]
    if pause_from is not None:
        ends.append(pause_from + SEND_PAUSE)
    return max([1, *(math.ceil((end - now).total_seconds()) for end in ends)])


def _derived(token_prefix: str, pepper: bytes, refresh: str, nonce: bytes) -> str:
    raw = hmac.digest(pepper, b"successor\0" + nonce + token_prefix.encode() + refresh.encode(), hashlib.sha256)
    value, digits = int.from_bytes(raw), []
    for _ in range(SECRET_LENGTH):
        value, digit = divmod(value, 62)
        digits.append(ALPHABET[digit])
    return sealed_text(token_prefix + "".join(digits))
