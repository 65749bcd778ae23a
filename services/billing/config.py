"""Settings of the billing service."""

import dataclasses

from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class BillingSettings(Settings):
    """What the environment may set beyond the settings of every process."""

    name: str = dataclasses.field(default="billing", metadata={"fixed": True})
    billing_port: int = 8102
    health_port: int = 8112
    metrics_port: int = 8132
    journals_per_hour: int = 3600
    """Safety brake: with more journals of one kind in a wallet within an hour, the wallet is parked."""
    ledger_check_seconds: float = 600.0
    """How often the rules of the ledger are asked of the whole of it, for the metrics."""
    lot_sweep_seconds: float = 3600.0
    """How often lots past their dates are booked; they cannot be spent from their date on in any case."""
