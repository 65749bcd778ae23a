"""Certificates that the edge reads anew when they change: Envoy's secret discovery, from files.

cert-manager puts a renewed certificate into the mounted folder. What Envoy's configuration itself names is read once;
what a discovered secret names is read whenever that folder changes. So each pair gets a small file of its own.
"""

from pathlib import Path
from typing import Any

import yaml

from deploy.envoy.routes import TYPE


def own(name: str, certificate: Path, key: Path, secrets: Path | None) -> dict[str, Any]:
    """What a TLS context says of its own certificate: read once, or by the secret `name` that `write` keeps there."""
    if secrets is None:
        return {"tls_certificates": [_pair(certificate, key)]}
    source = {"path_config_source": {"path": str(_file(name, secrets))}, "resource_api_version": "V3"}
    return {"tls_certificate_sds_secret_configs": [{"name": name, "sds_config": source}]}


def write(name: str, certificate: Path, key: Path, secrets: Path) -> None:
    """Write the file of a secret into the folder `secrets`."""
    kept = {**_pair(certificate, key), "watched_directory": {"path": str(certificate.parent)}}
    kind = f"{TYPE}extensions.transport_sockets.tls.v3.Secret"
    resource = {"@type": kind, "name": name, "tls_certificate": kept}
    _file(name, secrets).write_text(yaml.safe_dump({"resources": [resource]}, sort_keys=False))


def _pair(certificate: Path, key: Path) -> dict[str, Any]:
    """A certificate with its key, as files."""
    return {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}


def _file(name: str, secrets: Path) -> Path:
    return secrets / f"secret-{name}.yaml"
