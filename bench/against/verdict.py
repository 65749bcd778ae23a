"""What pairs of measurements say: ratios before divided by after, their median and quartiles. Pure."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

MIN_RATIO = 0.95
"""A case below it is 5 percent dearer than before: the bound of issue "First aid", must show 4."""
SPREAD = 0.05
"""A rate is judged only where the quartiles of its ratios lie within this share of the median."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """One case on one side in one turn: CPU milliseconds per request, and requests per second (0: no rate)."""

    cpu_ms: float
    rate: float = 0.0


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The median and the quartiles of paired ratios: 1.0 is equal, below it the newer side is worse."""

    median: float
    low: float
    high: float

    @property
    def steady(self) -> bool:
        """Whether the quartiles lie within SPREAD of the median, so that the median can be judged."""
        return self.high - self.low <= SPREAD * self.median


def turns(pairs: int) -> list[tuple[str, str]]:
    """Return the order of each pair, A B, B A and so on: what drifts with time harms both sides alike."""
    return [("before", "after") if number % 2 == 0 else ("after", "before") for number in range(pairs)]


def ratio(values: Sequence[float]) -> Ratio:
    """Return the median and quartiles of paired ratios. Raises ValueError for fewer than two pairs."""
    if len(values) < 2:
        raise ValueError("it takes at least two pairs")
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Ratio(median, low, high)


def cpu(before: Sequence[Seen], after: Sequence[Seen]) -> Ratio:
    """Return the ratios of CPU per request, before divided by after: 0.95 is 5 percent dearer."""
    return ratio([old.cpu_ms / new.cpu_ms for old, new in zip(before, after, strict=True)])


def rate(before: Sequence[Seen], after: Sequence[Seen]) -> Ratio | None:
    """Return the ratios of rates, after divided by before: 0.95 is 5 percent slower; None where no rate was taken."""
    if not all(seen.rate for seen in (*before, *after)):
        return None
    return ratio([new.rate / old.rate for old, new in zip(before, after, strict=True)])


def table(before: Mapping[str, Sequence[Seen]], after: Mapping[str, Sequence[Seen]]) -> list[str]:
    """Return a line per case: CPU of both sides, the ratio with its quartiles, the verdict, and the rate's ratio."""
    lines = [f"{'case':<10} {'before':>9} {'after':>9} {'ratio':>7} {'quartiles':>13}  verdict   rate"]
    for case, old in before.items():
        new = after[case]
        found, rates = cpu(old, new), rate(old, new)
        costs = [statistics.median(seen.cpu_ms for seen in side) for side in (old, new)]
        verdict = "ok" if found.median >= MIN_RATIO else "DEARER"
        lines.append(
            f"{case:<10} {costs[0]:>6.2f} ms {costs[1]:>6.2f} ms {found.median:>7.3f} "
            f"{found.low:>6.3f}-{found.high:<6.3f}  {verdict:<8}  {_rate(rates)}".rstrip()
        )
    return lines


def dearer(before: Mapping[str, Sequence[Seen]], after: Mapping[str, Sequence[Seen]]) -> list[str]:
    """Return the cases whose median ratio of CPU per request lies below MIN_RATIO."""
    return [case for case, old in before.items() if cpu(old, after[case]).median < MIN_RATIO]


def _rate(found: Ratio | None) -> str:
    if found is None:
        return ""
    if not found.steady:
        return f"not judged, quartiles {found.low:.3f}-{found.high:.3f}"
    return f"{found.median:.3f}"
