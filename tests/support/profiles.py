"""The profile that the running test must use, and the check that what it builds does use it."""

import contextlib
from collections.abc import Iterator

from services.runtime.profile import Profile

_EXPECTED: list[str] = []
"""The name of the profile of the document whose clause the running test shows; empty for any other test."""


@contextlib.contextmanager
def expecting(name: str) -> Iterator[None]:
    """Expect the profile `name` of all that is built in the block; an empty name expects nothing."""
    _EXPECTED[:] = [name] if name else []
    try:
        yield
    finally:
        _EXPECTED.clear()


def used(rules: Profile) -> Profile:
    """Return `rules`, by which a part is built. Raises AssertionError when the running test shows another document."""
    if _EXPECTED and rules.name != _EXPECTED[0]:
        raise AssertionError(f"shows a clause of {_EXPECTED[0]}, but builds a part under profile {rules.name}")
    return rules
