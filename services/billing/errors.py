"""What billing refuses with; the reasons stand in error_reason.proto."""

from grpc import StatusCode

from filmgate.billing.v1.error_reason_pb2 import ErrorReason
from services.runtime import errors

KIND = errors.catalog(errors.domain("billing"), ErrorReason)

BALANCE_TOO_LOW = KIND(
    "BALANCE_TOO_LOW",
    StatusCode.FAILED_PRECONDITION,
    "This needs {needs} {currency}; the wallet has {available} {currency}. Add credit or make a cheaper video.",
)
PRICE_ABOVE_MAX = KIND(
    "PRICE_ABOVE_MAX",
    StatusCode.FAILED_PRECONDITION,
    "The price is {price} {currency}, above your max_price {max_price}.",
)
TOO_MANY_OPEN_VIDEOS = KIND(
    "TOO_MANY_OPEN_VIDEOS",
    StatusCode.RESOURCE_EXHAUSTED,
    "At most {limit} videos may be open at once. Wait until one has ended.",
)
WALLET_PARKED = KIND(
    "WALLET_PARKED",
    StatusCode.FAILED_PRECONDITION,
    "The wallet was parked by a safety brake and starts nothing new. Ask the operator to look at it.",
)
PRICE_UNKNOWN = KIND(
    "PRICE_UNKNOWN",
    StatusCode.FAILED_PRECONDITION,
    "No price is in force for {model} at {resolution}. Ask for a new quote.",
)
HOLD_BARRED = KIND("HOLD_BARRED", StatusCode.FAILED_PRECONDITION, "The video {video} ended before it was paid for.")
HOLD_DIFFERS = KIND("HOLD_DIFFERS", StatusCode.INVALID_ARGUMENT, "The video {video} has a hold with other terms.")
