"""The suite's own secrets: made at first start, 0600, never printed. Production mounts them."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.files import private_folder, secret, write_private


def make(secrets: Path, keys: Path) -> None:
    """Make what is missing: `secrets`/pepper (32 bytes), `secrets`/signing_key.pem (Ed25519, PKCS 8), folder `keys`.

    The pepper keys the hashes of API keys and codes; the signing key signs caller tokens; `keys` holds the keys that
    seal personal data, outside everything that is backed up with it.
    """
    private_folder(secrets)
    private_folder(keys)
    secret(secrets / "pepper")
    signing_key = secrets / "signing_key.pem"
    if not signing_key.exists():
        write_private(
            signing_key,
            Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
