"""The ports of the suite on this machine: their defaults, free ones for tests, and which of them are taken."""

import dataclasses
import errno
import random
import socket
from collections.abc import Iterator
from typing import Any

# Below Linux's range for outgoing connections (32768 up), so that no client takes a port between choice and use.
FREE_RANGE = range(18000, 32000)


@dataclasses.dataclass(frozen=True)
class Ports:
    """A port per listener. The field `auth_port` is set by FILMGATE_AUTH_PORT, and so on."""

    edge_port: int = 8080
    auth_port: int = 8101
    billing_port: int = 8102
    generation_port: int = 8103
    privacy_port: int = 8104
    media_port: int = 8105
    auth_health_port: int = 8111
    billing_health_port: int = 8112
    generation_health_port: int = 8113
    privacy_health_port: int = 8114
    media_health_port: int = 8115
    worker_health_port: int = 8116
    triton_port: int = 8120
    edge_metrics_port: int = 8130
    auth_metrics_port: int = 8131
    billing_metrics_port: int = 8132
    generation_metrics_port: int = 8133
    privacy_metrics_port: int = 8134
    media_metrics_port: int = 8135
    worker_metrics_port: int = 8136

    def of(self, name: str) -> int:
        """The port that `name` serves, such as "auth" or "edge"."""
        return int(getattr(self, f"{name}_port"))

    def health(self, name: str) -> int:
        """The port where `name` answers grpc.health.v1."""
        return int(getattr(self, f"{name}_health_port"))

    def metrics(self, name: str) -> int:
        """The port where Prometheus reads of `name`; 0: nowhere."""
        return int(getattr(self, f"{name}_metrics_port"))

    def settings(self, name: str) -> dict[str, int]:
        """Return the ports where `name` listens, by the settings that change them; those turned off are left out."""
        fields = (f"{name}_port", f"{name}_health_port", f"{name}_metrics_port")
        numbers = {f"FILMGATE_{field.upper()}": int(getattr(self, field, 0)) for field in fields}
        return {setting: number for setting, number in numbers.items() if number}


BLOCK = len(dataclasses.fields(Ports))
"""Ports that are reserved at once, by the number of the first."""


def free(within: range = FREE_RANGE) -> Ports:
    """Return ports `within` that nobody uses now, and that no other call gets while this process lives.

    Suites of several processes and users can start at the same time on one machine. Raises OSError (EADDRINUSE) when
    no block is left.
    """
    blocks = len(within) // BLOCK
    for block in random.sample(range(blocks), blocks):
        first = within[block * BLOCK]
        held = _reserve(first)
        if held is None:
            continue
        numbers = range(first, first + BLOCK)
        if any(_taken(number) for number in numbers):
            held.close()
            continue
        held.detach()  # open until this process ends
        return Ports(*numbers)
    raise OSError(errno.EADDRINUSE, f"no {BLOCK} free ports in a row are left from {within[0]} to {within[-1]}")


def _reserve(first: int) -> socket.socket | None:
    """Reserve the block of a port for this process; None when another has it.

    A name in the abstract namespace of unix(7) is given to one process, goes with it, and holds exactly where the ports
    do: in one network namespace. A program that we start does not inherit it.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0filmgate-ports-{first}")
    except OSError:
        held.close()
        return None
    return held


def faults(*groups: Any) -> Iterator[str]:
    """Yield a sentence per port that is taken or named twice, with the setting that changes it.

    `groups` are Ports and other dataclasses whose fields are port numbers, called as the settings without FILMGATE_.
    """
    seen: dict[int, str] = {}
    chosen = {name: number for group in groups for name, number in dataclasses.asdict(group).items()}
    for name, number in chosen.items():
        if not number and name.endswith("_metrics_port"):
            continue  # turned off
        setting = f"FILMGATE_{name.upper()}"
        if number in seen:
            yield f"{setting} and {seen[number]} are both {number}; choose another."
        elif _taken(number):
            yield taken(setting, number)
        seen[number] = setting


def taken(setting: str, number: int) -> str:
    """Return the sentence about a port that another program has."""
    return f"Port {number} is taken by another program; set {setting} to a free one."


def _taken(number: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose former user is gone is free, though its connections linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return True
    return False
