"""A wallet as a person would keep it with pencil and paper: the reference that billing is compared with.

It shares no code with the service: plain lists, decimals for the share, and returning instead of charging in order.
"""

import dataclasses
from decimal import ROUND_HALF_UP, Decimal

GRACE_SECONDS = 600


@dataclasses.dataclass
class ModelBook:
    """A version of the price book: micro-units per second by resolution, percent by outcome."""

    begins: int
    rates: dict[str, Decimal]
    shares: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Want:
    """What an Authorize asks for."""

    video: str
    organization: str
    resolution: str
    seconds: int
    version: int
    most: int | None = None

    @property
    def terms(self) -> tuple[object, ...]:
        """What a repeated request must have in common."""
        return self.organization, self.resolution, self.seconds, self.version


@dataclasses.dataclass
class ModelLot:
    """A lot; `end` in seconds since the start."""

    id: str
    organization: str
    promotional: bool
    priority: int
    end: int | None
    made: int
    available: int
    held: int = 0

    def is_over(self, now: int) -> bool:
        """Whether its date has come."""
        return self.end is not None and now >= self.end


@dataclasses.dataclass
class ModelHold:
    """A hold and the pieces that it took, in their order."""

    want: Want
    amount: int
    pieces: list[tuple[str, int]]
    state: str = "HELD"
    charged: int | None = None

    @property
    def result(self) -> tuple[object, ...]:
        """What the service answers."""
        return self.state, self.amount, self.charged


@dataclasses.dataclass
class Model:
    """All wallets of a bank."""

    limit: int
    books: dict[int, ModelBook]
    now: int = 0
    lots: dict[str, ModelLot] = dataclasses.field(default_factory=dict)
    holds: dict[str, ModelHold] = dataclasses.field(default_factory=dict)
    barred: set[str] = dataclasses.field(default_factory=set)

    def authorize(self, want: Want) -> object:
        """Return the hold's result, or the reason of the refusal."""
        if want.video in self.barred:
            return "HOLD_BARRED"
        if want.video in self.holds:
            hold = self.holds[want.video]
            return hold.result if hold.want.terms == want.terms else "HOLD_DIFFERS"
        price = self._price(want)
        if refusal := self._refusal(want, price):
            return refusal
        self.holds[want.video] = ModelHold(want, price, self._take(want.organization, price))
        return self.holds[want.video].result

    def end(self, video: str, outcome: str | None) -> object:
        """Return the result of the end."""
        if video in self.barred or video not in self.holds:
            self.barred.add(video)
            return "RELEASED", 0, 0
        hold = self.holds[video]
        if hold.state == "HELD":
            percent = self.books[hold.want.version].shares[outcome] if outcome else 0
            charge = int((Decimal(hold.amount) * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))
            self._give_back(hold, hold.amount - charge)
            hold.state, hold.charged = "CAPTURED" if percent else "RELEASED", charge
        return hold.result

    def sweep(self) -> None:
        """Take away what is past its date and not held."""
        for lot in self.lots.values():
            if lot.is_over(self.now):
                lot.available = 0

    def open_videos(self, organization: str) -> int:
        """Count the open holds."""
        return sum(hold.state == "HELD" and hold.want.organization == organization for hold in self.holds.values())

    def spendable(self, organization: str) -> list[ModelLot]:
        """Return what can be spent, in its order."""
        return [lot for lot in self.in_order(organization) if lot.available and not lot.is_over(self.now)]

    def in_order(self, organization: str) -> list[ModelLot]:
        """Return the lots in the order that they are spent."""
        own = [lot for lot in self.lots.values() if lot.organization == organization]
        never = 10**12

        def key(lot: ModelLot) -> tuple[object, ...]:
            return lot.priority, never if lot.end is None else lot.end, not lot.promotional, lot.made, lot.id

        return sorted(own, key=key)

    def total(self, organization: str) -> int:
        """Return what the customer owns, held or not, lapsed but not swept included."""
        return sum(lot.available + lot.held for lot in self.lots.values() if lot.organization == organization)

    def _price(self, want: Want) -> int:
        """-1 for what is not sold by this version now."""
        book, after = self.books.get(want.version), self.books.get(want.version + 1)
        if book is None or book.begins > self.now or (after and self.now >= after.begins + GRACE_SECONDS):
            return -1
        rate = book.rates.get(want.resolution)
        return -1 if rate is None else int((rate * want.seconds).quantize(Decimal(1), ROUND_HALF_UP))

    def _refusal(self, want: Want, price: int) -> str:
        if price < 0:
            return "PRICE_UNKNOWN"
        if want.most is not None and price > want.most:
            return "PRICE_ABOVE_MAX"
        if self.open_videos(want.organization) >= self.limit:
            return "TOO_MANY_OPEN_VIDEOS"
        poor = price > sum(lot.available for lot in self.spendable(want.organization))
        return "BALANCE_TOO_LOW" if poor else ""

    def _take(self, organization: str, price: int) -> list[tuple[str, int]]:
        pieces = []
        for lot in self.spendable(organization):
            amount = min(price, lot.available)
            if amount:
                lot.available -= amount
                lot.held += amount
                price -= amount
                pieces.append((lot.id, amount))
        return pieces

    def _give_back(self, hold: ModelHold, rest: int) -> None:
        for identity, amount in reversed(hold.pieces):
            lot, back = self.lots[identity], min(rest, amount)
            lot.held -= amount
            rest -= back
            lot.available += 0 if lot.is_over(self.now) else back
