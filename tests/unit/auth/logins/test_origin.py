"""Where a call came from: what the edge says, and nobody else."""

import pytest

from services.auth.logins.origin import Origin, origin
from services.runtime import caller
from services.runtime.caller import Call


class Context:
    """The metadata of a call."""

    def __init__(self, **metadata: str) -> None:
        self._metadata = tuple((name.replace("_", "-"), value) for name, value in metadata.items())

    def invocation_metadata(self):
        return self._metadata


def seen(peer: str, **metadata: str) -> Origin:
    current = caller.enter(Call(peer=peer))
    try:
        return origin(Context(**metadata))
    finally:
        caller.leave(current)


@pytest.mark.parametrize(
    ("metadata", "address"),
    [
        ({"x_filmgate_address": "203.0.113.7"}, "203.0.113.7"),
        ({"x_filmgate_address": "203.0.113.7", "x_forwarded_for": "198.51.100.1"}, "203.0.113.7"),
        ({"x_envoy_external_address": "2001:DB8::1"}, "2001:db8::1"),
        ({"x_forwarded_for": "198.51.100.1, 203.0.113.7"}, "203.0.113.7"),
        ({"x_filmgate_address": "<script>"}, ""),
        ({}, ""),
    ],
)
def test_the_address_is_the_one_that_the_edge_saw(metadata, address):
    assert seen("edge", **metadata).address == address


def test_nobody_but_the_edge_is_believed():
    assert seen("billing", x_filmgate_address="203.0.113.7", user_agent="x") == Origin()


def test_a_user_agent_is_cut_and_printable():
    assert seen("edge", user_agent="x" * 500).agent == "x" * 200
    assert seen("edge", user_agent="a\tb\x00c").agent == "abc"
