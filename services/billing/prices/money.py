"""Money between the contract and the tables: google.type.Money there, integer micro-units (1e-6) here."""

from decimal import Decimal

from google.type import money_pb2

from services.billing.prices.domain import MICROS

_NANOS_PER_MICRO = 1000


def read(money: money_pb2.Money) -> int:
    """Return the micro-units of a Money, rounded down: as a limit it never allows more than it says."""
    return money.units * MICROS + money.nanos // _NANOS_PER_MICRO


def message(currency: str, micros: int) -> money_pb2.Money:
    """Make a Money of micro-units; units and nanos bear the same sign."""
    sign = -1 if micros < 0 else 1
    units, rest = divmod(abs(micros), MICROS)
    return money_pb2.Money(currency_code=currency, units=sign * units, nanos=sign * rest * _NANOS_PER_MICRO)


def rate(currency: str, amount: Decimal) -> money_pb2.Money:
    """Make a Money of a price with at most nine places, exactly."""
    units, nanos = divmod(int(amount.scaleb(9)), 1_000_000_000)
    return money_pb2.Money(currency_code=currency, units=units, nanos=nanos)


def text(micros: int) -> str:
    """Write micro-units for a person, with at least two places: `1.25`, `0.000001`."""
    whole, _, places = f"{Decimal(micros) / MICROS:.6f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"
