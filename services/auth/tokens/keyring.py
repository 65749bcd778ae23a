"""The keys that sign caller tokens: files of the secrets folder, their public halves published before use.

To rotate, put another Ed25519 key (PKCS 8, PEM) beside `signing_key.pem` under a name that begins with
`signing_key`; five minutes after every process has read it (within a minute) it signs. Then remove the old file.
"""

import asyncio
import datetime
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.auth.tokens import domain, store
from services.auth.tokens.domain import Published
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.config import StartFault, reading
from services.runtime.database import Database

RELOAD_SECONDS = 60.0
log = telemetry.logger(__name__)


class Keyring:
    """The private keys at hand and all published public ones."""

    def __init__(self, database: Database, secrets: Path, clock: Clock) -> None:
        self._database = database
        self._secrets = secrets
        self._clock = clock
        self._private: dict[str, Ed25519PrivateKey] = {}
        self.published: Sequence[Published] = ()

    async def load(self) -> None:
        """Read the files and publish what is new. Raises StartFault for a file that is no key."""
        private = await asyncio.to_thread(_read, self._secrets)
        public = {kid: key.public_key().public_bytes_raw() for kid, key in private.items()}
        async with self._database.transaction() as session:
            self.published = await store.publish(session, public, self._clock.now())
        self._private = private

    async def run(self) -> None:
        """Load again once a minute, for as long as the process lives."""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                await self.load()
            except Exception as fault:  # noqa: BLE001  the keys at hand go on working
                log.fault("caller_keys_not_loaded", fault, kind="keyring")

    async def drain(self, _seconds: float) -> None:
        """Nothing is under way."""

    def signer(self) -> tuple[str, Ed25519PrivateKey]:
        """Return (kid, private key) to sign with now. Raises RuntimeError when no key may sign yet."""
        kid = domain.signer(self.published, set(self._private), self._clock.now())
        if not kid:
            raise RuntimeError("no key may sign caller tokens")
        return kid, self._private[kid]

    async def public_keys(self) -> Mapping[str, bytes]:
        """Return the public keys by kid, as a Verifier fetches them."""
        return {key.kid: key.public_key for key in self.published}


def secret_file(folder: Path, name: str, content: bytes) -> bytes:
    """Read a secret, made with this content (0600, whole or not at all) when it is missing."""
    path = folder / name
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=folder, prefix=".")
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        finally:
            Path(part).unlink()
    return path.read_bytes()


def _read(secrets: Path) -> dict[str, Ed25519PrivateKey]:
    if not list(secrets.glob("signing_key*.pem")):
        secret_file(secrets, "signing_key.pem", new_key())
    keys = {}
    for path in sorted(secrets.glob("signing_key*.pem")):
        with reading(f"the signing key {path.name}"):
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise StartFault(f"{path.name} is no Ed25519 key")
        keys[domain.kid_of(key.public_key().public_bytes_raw())] = key
    return keys


def new_key() -> bytes:
    """Make a key as a PEM file holds it."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def lifetime_end(now: datetime.datetime, seconds: float) -> datetime.datetime:
    """Say when a token made now ends; tokens count whole seconds."""
    return datetime.datetime.fromtimestamp(int(now.timestamp() + seconds), datetime.UTC)
