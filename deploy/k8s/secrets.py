"""Secrets for the overlay dev, new each time: `python -m deploy.k8s secrets | kubectl apply -f -`.

Apply them once: PostgreSQL keeps the passwords that it was made with. Production brings its own.
"""

import os
import secrets
import sys

import yaml

from deploy.local.config import DATABASE_OF
from deploy.local.postgres import grants
from services.auth.tokens.keyring import new_key

NAMESPACE = "filmgate"
HOST = "postgresql:5432"
DATABASES = sorted(set(DATABASE_OF.values()))


def make() -> list[dict[str, object]]:
    """The Secrets as objects."""
    passwords = {f"{name}_{role}": secrets.token_urlsafe(24) for name in DATABASES for role in ("owner", "service")}
    made = {
        "auth-secrets": {"pepper": os.urandom(32).hex(), "signing_key-1.pem": new_key().decode()},
        "postgresql": {"password": secrets.token_urlsafe(24), "databases.sql": _sql(passwords)},
    }
    for name in DATABASES:
        made[f"{name}-database"] = {"url": _url(name, f"{name}_service", passwords)}
        made[f"{name}-database-owner"] = {"url": _url(name, f"{name}_owner", passwords)}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "type": "Opaque",
            "stringData": data,
        }
        for name, data in made.items()
    ]


def main() -> int:
    """Write them to standard output."""
    yaml.safe_dump_all(make(), sys.stdout, sort_keys=False)
    return 0


def _url(database: str, role: str, passwords: dict[str, str]) -> str:
    return f"postgresql+asyncpg://{role}:{passwords[role]}@{HOST}/{database}"


def _sql(passwords: dict[str, str]) -> str:
    """What the image's first start runs: the databases with an owner and a service role each."""
    lines = [f"CREATE ROLE {role} LOGIN PASSWORD '{password}';" for role, password in passwords.items()]
    for name in DATABASES:
        lines += [
            f"CREATE DATABASE {name} OWNER {name}_owner TEMPLATE template0;",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;",
            f"GRANT CONNECT ON DATABASE {name} TO {name}_service;",
            f"\\connect {name}",
            *(line.strip() for line in grants(name).strip().splitlines()),
            "\\connect postgres",
        ]
    return "\n".join(lines) + "\n"
