"""API keys and other bearer secrets: their form, their digest, and what a key may be given."""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Collection, Sequence

from services.auth import errors
from services.runtime.errors import FIELD_INVALID

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_PREFIX = "fg_live_u_"
PUBLIC_ID_LENGTH = 12
SECRET_LENGTH = 43
"""Base62 characters that hold 256 bits."""
KEY = re.compile(r"fg_live_u_[0-9A-Za-z]{61}")
"""The published form: 12 characters of public id, 43 of secret, 6 of CRC32 over everything before."""
PEPPER_VERSION = 1

NEW_PER_DAY = 200
"""Keys that a project may make in a day. Revoked ones do not count as active but stay known to every authorizer, so
without this one customer could fill its memory."""
SCOPES = ("video.read", "video.write", "billing.read", "keys", "account")
DEFAULT_SCOPES = SCOPES[:3]


def random_text(length: int) -> str:
    """Draw base62 characters from the system's source of randomness."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def checksum(text: str) -> str:
    """Return the CRC32 of a text in 6 base62 characters: it finds typing errors, and proves nothing."""
    value = zlib.crc32(text.encode())
    digits = []
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def sealed_text(text: str) -> str:
    """Append the checksum."""
    return text + checksum(text)


def new_key() -> str:
    """Make an API key."""
    return sealed_text(KEY_PREFIX + random_text(PUBLIC_ID_LENGTH + SECRET_LENGTH))


def is_key(text: str) -> bool:
    """Say whether a text has the form and the checksum of a key. Reads nothing but the text."""
    return KEY.fullmatch(text) is not None and checksum(text[:-6]) == text[-6:]


def prefix(key: str) -> str:
    """Return the part of a key that may be shown: everything up to its public id."""
    return key[: len(KEY_PREFIX) + PUBLIC_ID_LENGTH]


def digest(pepper: bytes, secret: str) -> bytes:
    """Return what is stored of a bearer secret. A fast hash is enough for 256 random bits (ASVS 5.0, 6.5.2)."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)


def granted_scopes(asked: Sequence[str], maker: Collection[str]) -> list[str]:
    """Return the scopes of a new key, in their documented order. Raises FIELD_INVALID, SCOPE_NOT_GRANTABLE."""
    wanted = set(asked) or set(DEFAULT_SCOPES)
    for scope in sorted(wanted):
        if scope not in SCOPES:
            raise FIELD_INVALID(field="scopes", limit=f"be of {', '.join(SCOPES)}")
        if scope not in maker:
            raise errors.SCOPE_NOT_GRANTABLE(scope=scope)
    return [scope for scope in SCOPES if scope in wanted]
