"""Where a call came from, as the edge tells it."""

import dataclasses
import ipaddress
from typing import Any

from services.runtime import caller

MAX_AGENT_LENGTH = 200


@dataclasses.dataclass(frozen=True)
class Origin:
    """Network address (empty when unknown) and client program (at most 200 characters) of a caller."""

    address: str = ""
    agent: str = ""


def origin(context: Any) -> Origin:
    """Read the origin from the metadata. Only the edge is believed: anyone else could write anything."""
    if caller.peer() != "edge":
        return Origin()
    values = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    forwarded = values.get("x-forwarded-for", "").rpartition(",")[2].strip()
    address = values.get("x-filmgate-address") or values.get("x-envoy-external-address") or forwarded
    agent = "".join(letter for letter in values.get("user-agent", "")[:MAX_AGENT_LENGTH] if letter.isprintable())
    return Origin(_address(address), agent)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
