"""Personal data sealed under a key per person, so that destroying one small file forgets it everywhere, backups too.

Keys are files of a folder of their own, never in PostgreSQL, never in the same backup as the data.
"""

import hashlib
import hmac
import os
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.runtime import ids

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_INDEX = "index.key"


class Forgotten(Exception):
    """The person's key was destroyed: what it sealed cannot be read by anyone, ever."""


class Sealer:
    """Seals with AES-256-GCM under the key of a subject (an account's or organization's id); see the module.

    Keys are read anew at each use, so that a destroyed key is gone in all processes at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def seal(self, subject: str, element: int, plaintext: str) -> bytes:
        """Seal a text for a subject; its key is made at first use. `element` is the Element of the column."""
        nonce = os.urandom(_NONCE_BYTES)
        key = self._key(self._path(subject), create=True)
        return _VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext.encode(), _bound(subject, element))

    def open(self, subject: str, element: int, blob: bytes) -> str:
        """Read what `seal` made. Raises Forgotten without the key, ValueError when blob, subject or element differ."""
        key = self._key(self._path(subject), create=False)
        nonce, sealed = blob[1 : 1 + _NONCE_BYTES], blob[1 + _NONCE_BYTES :]
        try:
            if blob[:1] != _VERSION:
                raise ValueError("sealed by a version that is not known")
            return AESGCM(key).decrypt(nonce, sealed, _bound(subject, element)).decode()
        except InvalidTag:
            raise ValueError("sealed for another subject or element, or damaged") from None

    def index(self, element: int, text: str) -> bytes:
        """Return the keyed hash by which a sealed text is looked up (32 bytes). Give it the text in normal form."""
        key = self._key(self._folder / _INDEX, create=True)
        return hmac.digest(key, f"{element}|{text}".encode(), hashlib.sha256)

    def forget(self, subject: str) -> bool:
        """Destroy a subject's key for ever; returns whether there was one."""
        path = self._path(subject)
        try:
            with path.open("r+b") as key:
                key.write(bytes(_KEY_BYTES))
                key.flush()
                os.fsync(key.fileno())
        except FileNotFoundError:
            return False
        path.unlink(missing_ok=True)
        self._sync()
        return True

    def _path(self, subject: str) -> Path:
        """The file of a subject's key. Only ids of ours become file names."""
        if not ids.is_id(subject.partition("_")[0], subject) or not subject[:3].isalpha():
            raise ValueError("a subject is the id of an account or an organization")
        return self._folder / f"{subject}.key"

    def _key(self, path: Path, *, create: bool) -> bytes:
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            if not create:
                raise Forgotten(path.stem) from None
            key = self._make(path)
        if len(key) != _KEY_BYTES or key == bytes(_KEY_BYTES):
            raise Forgotten(path.stem)
        return key

    def _make(self, path: Path) -> bytes:
        """Write a new key whole or not at all; the loser of a race takes the winner's."""
        descriptor, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(os.urandom(_KEY_BYTES))
                out.flush()
                os.fsync(out.fileno())
            try:
                os.link(name, path)
            except FileExistsError:
                return path.read_bytes()
        finally:
            Path(name).unlink()
        self._sync()
        return path.read_bytes()

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _bound(subject: str, element: int) -> bytes:
    return f"{element}|{subject}".encode()
