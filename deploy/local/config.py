"""The settings of the supervisor, and the environment that it hands to each process."""

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from deploy.local.ports import Ports
from services.runtime.config import from_env

ROOT = Path(__file__).resolve().parents[2]
DATABASE_OF = {
    "auth": "auth",
    "billing": "billing",
    "generation": "generation",
    "worker": "generation",
    "privacy": "privacy",
}
TRITON_TLS = {"CA": "ca.crt", "CERT": "worker.crt", "KEY": "worker.key"}
# The rest of a person's environment (proxies above all) has no business in a process that talks to loopback only.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclasses.dataclass(frozen=True)
class Config:
    """What may be set for `make up` by FILMGATE_HOME and so on; the ports are in Ports."""

    home: Path = Path(".filmgate")
    bind: str = "127.0.0.1"
    triton_otlp_url: str = ""
    """Where Triton sends its spans by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; empty: nowhere."""
    triton_otlp_headers: str = ""
    """What it sends with them, `name=value` with commas between, for a receiver that is locked."""


def read() -> tuple[Config, Ports]:
    """The supervisor's settings from the environment. Raises ConfigError with all faults."""
    return from_env(Config), from_env(Ports)


def inherited() -> dict[str, str]:
    """What processes get of this process's environment: a few common names and everything called FILMGATE_."""
    return {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("FILMGATE_")}


def profile() -> str:
    """The name of the profile that the processes get."""
    return os.environ.get("FILMGATE_PROFILE") or "default"


def keys_folder(home: Path) -> Path:
    """Where the keys that seal personal data live: beside the home, so that no copy of the home holds them."""
    return home.with_name(f"{home.name}-keys")


def refuse_outside(bind: str) -> str | None:
    """A sentence when `bind` is not a loopback address: a self-made CA, a file outbox and a generated signing key
    must never face a network."""
    try:
        if ipaddress.ip_address(bind).is_loopback:
            return None
    except ValueError:
        pass
    return (
        f"FILMGATE_BIND is {bind}, but the embedded suite has a self-made CA, a file outbox, a generated signing key "
        "and trial credit: it binds to 127.0.0.1 only. Use deploy/k8s to serve a network."
    )


def environment(
    name: str, home: Path, ports: Ports, database_urls: Mapping[str, tuple[str, str]], *, owner: bool = False
) -> dict[str, str]:
    """The environment of the process `name`. `owner` adds the URL of the role that may migrate."""
    certs, own = home / "certs", {}
    if name in database_urls:
        own["FILMGATE_DATABASE_URL"] = database_urls[name][1]
        if owner:
            own["FILMGATE_OWNER_DATABASE_URL"] = database_urls[name][0]
    if hasattr(ports, f"{name}_health_port"):
        own["FILMGATE_HEALTH_PORT"] = str(ports.health(name))
        own["FILMGATE_METRICS_PORT"] = str(ports.metrics(name))
    if name == "worker":
        own |= {f"FILMGATE_TRITON_TLS_{part}": str(certs / "triton" / file) for part, file in TRITON_TLS.items()}
    for field, number in dataclasses.asdict(ports).items():
        own[f"FILMGATE_{field.upper()}"] = str(number)
    for peer in ("auth", "billing", "generation", "privacy", "media", "triton"):
        own[f"FILMGATE_{peer.upper()}_ADDRESS"] = f"127.0.0.1:{ports.of(peer)}"
    return {
        **inherited(),
        **own,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "PYTHONUNBUFFERED": "1",
        "FILMGATE_HOME": str(home),
        "FILMGATE_BIND": "127.0.0.1",
        "FILMGATE_TLS_CA": str(certs / "ca.crt"),
        "FILMGATE_TLS_CERT": str(certs / f"{name}.crt"),
        "FILMGATE_TLS_KEY": str(certs / f"{name}.key"),
        "FILMGATE_SECRETS": str(home / "secrets"),
        "FILMGATE_KEYS": str(keys_folder(home)),
        "FILMGATE_OBJECTS": str(home / "objects"),
        "FILMGATE_OUTBOX": str(home / "outbox"),
        "FILMGATE_PUBLIC_URL": f"http://127.0.0.1:{ports.edge_port}",
    }
