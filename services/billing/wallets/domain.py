"""The rules of wallets: what a hold's terms are, how its end is shared among its lots, what the journal says of it."""

import dataclasses
import datetime
import hashlib
from collections.abc import Sequence

from services.billing import errors

Moment = datetime.datetime
_CUSTOMER = {"PROMOTIONAL": "CUSTOMER_PROMOTIONAL", "CASH": "CUSTOMER_CASH"}
"""Account of what a customer owns, by the kind of its lot."""
_REMARK = {
    "SUCCEEDED": "",
    "MODERATED_BEFORE": ", refused by moderation",
    "MODERATED_AFTER": ", withheld by moderation",
    "CANCELLED_QUEUED": ", cancelled before it ran",
    "CANCELLED_RUNNING": ", cancelled while it ran",
    "INFRASTRUCTURE_ERROR": ", failed",
    "DEADLINE_PASSED": ", not started in time",
}


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a hold is for. Neither max_price nor expire_time belongs to them: those guard a call, not a hold."""

    video: str
    organization: str
    project: str
    account: str
    model: str
    resolution: str
    duration_seconds: int
    price_version: int


@dataclasses.dataclass(frozen=True)
class Order:
    """Terms with what they cost, in micro-units, and when the hold should long have ended."""

    terms: Terms
    currency: str
    amount: int
    expire_time: Moment


@dataclasses.dataclass(frozen=True)
class Piece:
    """What a hold took from one lot, in micro-units."""

    lot: str
    kind: str
    amount: int
    expire_time: Moment | None


@dataclasses.dataclass(frozen=True)
class Part:
    """How a piece ends: charged, returned to its lot, or lapsed because the lot's date has passed."""

    lot: str
    kind: str
    charged: int
    returned: int
    lapsed: int


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a hold ends; an outcome of None stands for a release without one."""

    state: str
    outcome: str | None
    parts: tuple[Part, ...]

    @property
    def charged(self) -> int:
        """What is charged in all."""
        return sum(part.charged for part in self.parts)

    @property
    def lapsed(self) -> int:
        """What comes back to lots past their dates."""
        return sum(part.lapsed for part in self.parts)


@dataclasses.dataclass(frozen=True)
class Line:
    """One entry of a movement: positive when the account owns more after it."""

    account: str
    amount: int
    lot: str | None = None


@dataclasses.dataclass(frozen=True)
class Movement:
    """One journal to be booked; (scope, key) says what for, and is booked once."""

    kind: str
    scope: str
    key: str
    organization: str
    currency: str
    description: str
    lines: tuple[Line, ...]
    video: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of all that the movement does and says; an invariant works it out anew from the tables."""
        head = [self.kind, self.organization, self.video or "", self.description]
        lines = [f"{line.account} {line.lot or ''} {line.amount} {self.currency}" for line in self.lines]
        return hashlib.sha256("\n".join([*head, *lines]).encode()).hexdigest()


def check_same(recorded: Terms | None, asked: Terms) -> None:
    """Raise HOLD_BARRED when the video was barred (no terms recorded), HOLD_DIFFERS when its terms are others."""
    if recorded is None:
        raise errors.HOLD_BARRED(video=asked.video)
    if recorded != asked:
        raise errors.HOLD_DIFFERS(video=asked.video)


def is_over(expire_time: Moment | None, now: Moment) -> bool:
    """Say whether a lot has come to its end: at the very moment of its date it cannot be spent any more."""
    return expire_time is not None and expire_time <= now


def share(amount: int, percent: int) -> int:
    """Return `percent` of an amount, rounded half up to the micro-unit."""
    return (amount * percent + 50) // 100


def end(pieces: Sequence[Piece], outcome: str | None, percent: int, now: Moment) -> Ending:
    """Share the end of a hold among its pieces, which stand in the order in which they were taken.

    The charge takes them in that order, so what is returned goes back in reverse; what goes back to a lot past its
    date lapses at once. An outcome that charges nothing releases.
    """
    charge, parts = share(sum(piece.amount for piece in pieces), percent), []
    for piece in pieces:
        charged = min(piece.amount, charge)
        charge -= charged
        rest = piece.amount - charged
        lapsed = rest if is_over(piece.expire_time, now) else 0
        parts.append(Part(piece.lot, piece.kind, charged, rest - lapsed, lapsed))
    return Ending("CAPTURED" if percent else "RELEASED", outcome, tuple(parts))


def grant_of_trial(organization: str, currency: str, lot: str, amount: int) -> Movement:
    """Book trial credit: once per organization, for ever."""
    lines = (Line("PROMOTION_EXPENSE", -amount), Line("CUSTOMER_PROMOTIONAL", amount, lot))
    return Movement("GRANT", "trial_credit", organization, organization, currency, "Trial credit", lines)


def charge_of(terms: Terms, currency: str, ending: Ending) -> Movement:
    """Book what a video is charged: one line per lot, and revenue."""
    taken = [Line(_CUSTOMER[part.kind], -part.charged, part.lot) for part in ending.parts if part.charged]
    revenue = Line("REVENUE", ending.charged)
    remark = _REMARK[ending.outcome or "SUCCEEDED"]
    text = f"Video, {terms.duration_seconds} s at {terms.resolution} ({terms.model}){remark}"
    return Movement("CHARGE", "charge", terms.video, terms.organization, currency, text, (*taken, revenue), terms.video)


def lapse_of_hold(terms: Terms, currency: str, ending: Ending) -> Movement:
    """Book what came back from a hold to lots past their dates."""
    taken = [Line(_CUSTOMER[part.kind], -part.lapsed, part.lot) for part in ending.parts if part.lapsed]
    lines = (*taken, Line("BREAKAGE", ending.lapsed))
    text = "Credit past its end date, returned by a video and lapsed"
    return Movement("EXPIRY", "hold_expiry", terms.video, terms.organization, currency, text, lines, terms.video)


def lapse_of_lot(*, organization: str, currency: str, lot: str, kind: str, amount: int, held: int) -> Movement:
    """Book the unspent rest of a lot at its date. What is left of a lot only falls, so it makes the key unique."""
    lines = (Line(_CUSTOMER[kind], -amount, lot), Line("BREAKAGE", amount))
    text = "Credit unused at its end date, lapsed"
    return Movement("EXPIRY", "lot_expiry", f"{lot}:{amount + held}", organization, currency, text, lines)
