"""The ports of the suite on this machine: their defaults, free ones for tests, and which of them are taken."""

import dataclasses
import random
import socket
from collections.abc import Iterator

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


def free() -> Ports:
    """Ports that nobody uses now, for a suite beside others."""
    chosen: set[int] = set()
    names = [field.name for field in dataclasses.fields(Ports)]
    while len(chosen) < len(names):
        candidate = random.choice(FREE_RANGE)  # noqa: S311  no secret
        if not _taken(candidate):
            chosen.add(candidate)
    return Ports(**dict(zip(names, chosen, strict=True)))


def faults(ports: Ports) -> Iterator[str]:
    """A sentence per port that is taken or named twice, with the setting that changes it."""
    seen: dict[int, str] = {}
    for name, number in dataclasses.asdict(ports).items():
        if not number and name.endswith("_metrics_port"):
            continue  # turned off
        setting = f"FILMGATE_{name.upper()}"
        if number in seen:
            yield f"{setting} and {seen[number]} are both {number}; choose another."
        elif _taken(number):
            yield f"Port {number} is taken by another program; set {setting} to a free one."
        seen[number] = setting


def _taken(number: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose former user is gone is free, though its connections linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return True
    return False
