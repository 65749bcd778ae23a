"""Money as the public API shows it."""

from typing import Any


def micros(amount: dict[str, Any]) -> int:
    """Return an amount of the API's JSON in millionths of its currency."""
    return int(amount.get("units") or 0) * 1_000_000 + int(amount.get("nanos") or 0) // 1000
