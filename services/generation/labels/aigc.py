"""The `AIGC` metadata of GB 45438-2025, Annex E: its fields in order, what they may hold, how they are written."""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

KEY = "AIGC"
# The standard's names, in its order, beside ours.
FIELDS = {
    "Label": "label",
    "ContentProducer": "content_producer",
    "ProduceID": "produce_id",
    "ReservedCode1": "reserved_code_1",
    "ContentPropagator": "content_propagator",
    "PropagateID": "propagate_id",
    "ReservedCode2": "reserved_code_2",
}
GENERATED = "1"
MAX_FIELD_LENGTH = 1024
MAX_LABEL_LENGTH = 8 * 1024
# Annex E j): no space, no quotation mark, no backslash, nothing beyond ASCII.
ALLOWED = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]*")
# TC260-PG-20252A: 00, the kind of provider and of code, an 18-character code, 1 for generation, 4 of our own.
PROVIDER = re.compile(r"00[0-9]{2}[0-9A-Z]{18}1[0-9A-Za-z]{4}")


class AigcInvalid(ValueError):
    """A field breaks the standard; the message names it."""


@dataclass(frozen=True)
class Aigc:
    """One label. Every field is text of allowed code points; Label is "1" (is), "2" (may be) or "3" (is suspected)."""

    label: str
    content_producer: str
    produce_id: str
    reserved_code_1: str
    content_propagator: str
    propagate_id: str
    reserved_code_2: str

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            value = getattr(self, field)
            if not isinstance(value, str) or len(value) > MAX_FIELD_LENGTH or not ALLOWED.fullmatch(value):
                raise AigcInvalid(f"{name} holds what GB 45438 does not allow.")
        if self.label not in ("1", "2", "3"):
            raise AigcInvalid("Label must be 1, 2 or 3.")

    def to_text(self) -> str:
        """As the JSON object that the container holds, fields in the standard's order."""
        return json.dumps({name: getattr(self, field) for name, field in FIELDS.items()}, separators=(",", ":"))


def generated(provider_code: str, reserved_code_1: str = "") -> Aigc:
    """The first label of new content, its id random (128 bits) and the same for production and propagation.

    `provider_code` is the provider's 27 characters. Nothing in the label comes from the user. Raises AigcInvalid.
    """
    if not PROVIDER.fullmatch(provider_code):
        raise AigcInvalid("The provider's code must be the 27 characters of TC260-PG-20252A, of a generating provider.")
    identity = secrets.token_hex(16)
    return Aigc(GENERATED, provider_code, identity, reserved_code_1, provider_code, identity, "")


def of_text(text: str) -> Aigc:
    """Reads the bare object, or the wrapped `{"AIGC": {...}}` of other containers. Raises AigcInvalid."""
    if len(text) > MAX_LABEL_LENGTH:
        raise AigcInvalid("The label is too long.")
    try:
        told: Any = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise AigcInvalid("The label is not JSON.") from fault
    if isinstance(told, dict) and list(told) == [KEY]:
        told = told[KEY]
    if not isinstance(told, dict) or list(told) != list(FIELDS):
        raise AigcInvalid("The label has not the standard's fields in their order.")
    return Aigc(*told.values())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names must not repeat: two readers must never see two labels."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name occurs twice")
    return read
