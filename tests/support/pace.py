"""How slow this machine is now: for the lines of the tiers, and for what must happen within so many seconds."""

import time

WORK = range(250_000)
QUICK_MILLISECONDS = 16.0
"""What the fixed piece of work takes on a quick core with nothing beside."""
LOOKS = 5


def probe() -> float:
    """Return the milliseconds that the fixed piece of work takes now: longer than a slice of the scheduler."""
    began = time.perf_counter()
    sum(number * number for number in WORK)
    return (time.perf_counter() - began) * 1000


def in_proportion(seconds: float) -> float:
    """Return how many seconds of this machine, as busy as it is now, stand for so many of a quick one; never fewer."""
    return seconds * max(1.0, max(probe() for _ in range(LOOKS)) / QUICK_MILLISECONDS)
