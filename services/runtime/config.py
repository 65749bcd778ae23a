"""Settings from the environment: a frozen dataclass per process, all faults told at once.

A secret setting may come as a file: FILMGATE_DATABASE_URL_FILE names the file that holds FILMGATE_DATABASE_URL.
"""

import contextlib
import dataclasses
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
CANNOT = "cannot start: "
"""Begins the one line on standard error; the supervisor of one machine finds it in the log by it."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SECRET: Mapping[str, Any] = types.MappingProxyType({"secret": True})
"""Metadata of a setting that may come as a file, so that no value stands in a manifest or in the list of processes."""


class StartFault(RuntimeError):
    """A file or a setting is not as it must be; the message says which, and what is wrong with it."""


class ConfigError(StartFault):
    """The environment does not make valid settings; the message names every fault."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every process of the suite reads. A service's own settings extend it and give its name, port and files."""

    name: str = dataclasses.field(metadata={"fixed": True})
    """Name of the process: its certificate, its port setting and its error domain bear it."""
    home: Path = Path(".filmgate")
    profile: str = "default"
    database_url: str = dataclasses.field(default="", metadata=SECRET)
    """SQLAlchemy URL (postgresql+asyncpg) of the service role."""
    owner_database_url: str = dataclasses.field(default="", metadata=SECRET)
    """The owner role's URL; only `migrate` reads it."""
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    bind: str = "127.0.0.1"
    health_port: int = 0
    metrics_port: int = 0
    """Where Prometheus reads, on plain HTTP; 0: nowhere."""
    otlp_endpoint: str = ""
    """Where traces and metrics go by OTLP over gRPC, such as http://127.0.0.1:4317 or unix:/path; empty: nowhere."""
    secrets: Path = Path(".filmgate/secrets")
    keys: Path = Path(".filmgate-keys")
    objects: str = ".filmgate/objects"
    objects_options: str = dataclasses.field(default="", metadata=SECRET)
    """JSON object of obstore's options for the URL in `objects`, such as endpoint, region and keys."""
    outbox: Path = Path(".filmgate/outbox")
    clock_file: Path | None = None
    """A file with seconds that tests add to the business time: `clock.follow`. On loopback only."""
    public_url: str = "http://127.0.0.1:8080"
    lease_seconds: float = 30.0
    """How long a job is held without a sign of life; more than `lease_renewal_seconds`."""
    lease_renewal_seconds: float = 5.0
    log_level: str = "INFO"
    """One of LEVELS."""
    auth_address: str = "127.0.0.1:8101"
    billing_address: str = "127.0.0.1:8102"
    generation_address: str = "127.0.0.1:8103"
    privacy_address: str = "127.0.0.1:8104"
    media_address: str = "127.0.0.1:8105"
    triton_address: str = "127.0.0.1:8120"

    def faults(self) -> list[str]:
        """Return what is wrong with values that each by itself can be read, a clause for each."""
        found = []
        if (
            not 0 < self.lease_renewal_seconds < self.lease_seconds
        ):  # each lease would end before it is renewed: no job is done
            found.append("FILMGATE_LEASE_RENEWAL_SECONDS is not between 0 and FILMGATE_LEASE_SECONDS")
        if self.log_level not in LEVELS:
            found.append(f"FILMGATE_LOG_LEVEL is none of {', '.join(LEVELS)}")
        return found

    def address(self, peer: str) -> str:
        """Return host:port of a peer by its name."""
        return str(getattr(self, f"{peer}_address"))

    @property
    def port(self) -> int:
        """The port of this process: the field `<name>_port`, 0 where there is none."""
        return int(getattr(self, f"{self.name}_port", 0))

    def tls(self) -> tuple[bytes, bytes, bytes]:
        """Read (authority, certificate, key) in PEM. By default they are the files of `home`/certs."""
        certs = self.home / "certs"
        paths = (self.tls_ca or certs / "ca.crt", self.tls_cert or certs / f"{self.name}.crt")
        return (*(path.read_bytes() for path in paths), (self.tls_key or certs / f"{self.name}.key").read_bytes())  # type: ignore[return-value]


def plain(endpoint: str) -> bool | None:
    """Return how the OTLP exporters reach an endpoint: True without TLS, None as its scheme says.

    A unix socket (`unix:/path`) has no TLS and needs none: its folder lets nobody else in.
    """
    return True if endpoint.startswith("unix:") else None


def from_env(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """Make `cls` from the environment: field `health_port` is FILMGATE_HEALTH_PORT. Raises ConfigError with all faults.

    A field without a default is required; an empty variable counts as absent. A field with metadata SECRET may come as
    a file instead, less the line end at its end.
    """
    environ = os.environ if environ is None else environ
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        variable = f"FILMGATE_{field.name.upper()}"
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        try:
            text = _text(environ, variable, field.metadata)
            if text:
                values[field.name] = _parse(hints[field.name], text)
            elif required:
                faults.append(f"{variable} is required")
        except ValueError as fault:
            faults.append(f"{variable}: {fault}")
    made = None if faults else cls(**values)
    if isinstance(made, Settings):
        faults = made.faults()
    if made is None or faults:
        raise ConfigError("; ".join(faults))
    return made


def _text(environ: Mapping[str, str], variable: str, metadata: Mapping[str, Any]) -> str:
    """The text of a variable, empty for one that is fixed; that of a secret also out of the file <variable>_FILE."""
    if metadata.get("fixed"):
        return ""
    text = environ.get(variable, "")
    place = environ.get(f"{variable}_FILE", "") if metadata.get("secret") else ""
    if not place:
        return text
    if text:
        raise ValueError("is set, and as a file too; one of the two is too many")
    try:
        held = Path(place).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as fault:
        raise ValueError(f"its file cannot be read ({type(fault).__name__})") from None
    if not held:
        raise ValueError("its file is empty")
    return held


def _parse(kind: Any, text: str) -> Any:
    """Read one value; the message of the ValueError never repeats it, since it may be a secret."""
    if isinstance(kind, types.UnionType):
        kind = next(option for option in kind.__args__ if option is not type(None))
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError("is not true or false")
        return text.lower() in ("true", "1")
    try:
        return kind(text)
    except (TypeError, ValueError):
        raise ValueError(f"is not a valid {kind.__name__}") from None


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever is wrong with a file that the block reads into a StartFault that names `what` it is.

    For reading alone: a fault of the network or of a database in the block would be told as one of the file.
    """
    import yaml  # noqa: PLC0415  make clean reads settings by a Python that has none

    try:
        yield
    except StartFault:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as fault:
        raise StartFault(f"{what} cannot be used: {str(fault) or type(fault).__name__}") from fault


def told(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a process's main and return its exit status; a StartFault is one line on standard error, and 1."""
    try:
        return main(arguments)
    except StartFault as fault:
        sys.stderr.write(f"{CANNOT}{' '.join(str(fault).split())}\n")
        return 1
