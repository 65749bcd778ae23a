"""Rules of audit events: who may record what."""

from collections.abc import Mapping

from services.runtime.errors import FIELD_INVALID

MAX_DETAILS = 20
MAX_KEY_LENGTH = 40
MAX_VALUE_LENGTH = 200

_ROOMS = {"worker": "generation", "media": "generation"}
"""Processes whose events belong to another process's service."""


def check_source(service: str, peer: str) -> None:
    """Raise FIELD_INVALID when a peer reports for another service: the record must be able to say who told it."""
    if _ROOMS.get(service, service) != _ROOMS.get(peer, peer):
        raise FIELD_INVALID(field="event.service", limit="be the service of the reporting process")


def check_detail(detail: Mapping[str, str]) -> None:
    """Raise FIELD_INVALID for more than 20 details, a key above 40 characters or a value above 200."""
    if len(detail) > MAX_DETAILS:
        raise FIELD_INVALID(field="event.detail", limit=f"have at most {MAX_DETAILS} entries")
    for key, value in detail.items():
        if not 0 < len(key) <= MAX_KEY_LENGTH or len(value) > MAX_VALUE_LENGTH:
            raise FIELD_INVALID(
                field="event.detail",
                limit=f"have keys of 1 to {MAX_KEY_LENGTH} and values of at most {MAX_VALUE_LENGTH} characters",
            )
