"""The self-made authorities of the embedded suite: a CA with a leaf per name, and one for Triton alone.

Kept between starts; made anew before they run out. Production has cert-manager's secrets in their place.
"""

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.files import private_folder, write_private

NAMES = ("edge", "auth", "billing", "generation", "media", "worker", "privacy", "operator")
BOTH_ENDS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
CA_LIFE = datetime.timedelta(days=3650)
LEAF_LIFE = datetime.timedelta(days=397)
TRITON_CA = "Filmgate embedded Triton CA"
TRITON_LEAVES = {"triton": ExtendedKeyUsageOID.SERVER_AUTH, "worker": ExtendedKeyUsageOID.CLIENT_AUTH}
"""The two ends of the connection to Triton. Neither leaf serves as the other end."""
RENEW_BEFORE = datetime.timedelta(days=30)
CLOCK_SKEW = datetime.timedelta(minutes=5)

USAGE_OFF = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


def make(home: Path, now: datetime.datetime | None = None) -> Path:
    """Make what is missing or soon runs out in `home`/certs: ca.crt, ca.key, <name>.crt, <name>.key. Keys are 0600.

    `now` is aware UTC, by default this moment. Return the folder. What Triton needs is beside it: see `make_triton`.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder = private_folder(home / "certs")
    if _runs_out(folder / "ca.crt", folder / "ca.key", now):
        _write(folder / "ca.crt", folder / "ca.key", *_authority("Filmgate embedded CA", now))
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101  we wrote it
    for name in NAMES:
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        if _runs_out(*paths, now) or not _issued_by(paths[0], ca):
            _write(*paths, *_issued(name, (ca, ca_key), now, BOTH_ENDS))
    make_triton(home, now)
    return folder


def make_triton(home: Path, now: datetime.datetime | None = None) -> Path:
    """Make what is missing or soon runs out in `triton_folder(home)`: ca.crt, triton.crt, worker.crt and their keys.

    Whoever may call Triton runs code in it (review S2), so its CA signs nothing else: the suite's certificates do not
    open Triton, and Triton's open nothing. The CA's own key is never written, so that nobody can add a third leaf.
    `now` is aware UTC, by default this moment. Return the folder; keys are 0600.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder = private_folder(triton_folder(home))
    paths = {name: (folder / f"{name}.crt", folder / f"{name}.key") for name in TRITON_LEAVES}
    if any(_runs_out(*pair, now) for pair in paths.values()) or not _all_issued(folder / "ca.crt", paths.values()):
        authority = _authority(TRITON_CA, now)
        write_private(folder / "ca.crt", authority[0].public_bytes(serialization.Encoding.PEM))
        for name, usage in TRITON_LEAVES.items():
            _write(*paths[name], *_issued(name, authority, now, [usage]))
    return folder


def triton_folder(home: Path) -> Path:
    """Return where the certificates of Triton and of its one client lie. The worker's own default is the same."""
    return home / "certs" / "triton"


def _all_issued(authority: Path, leaves: Iterable[tuple[Path, Path]]) -> bool:
    if not authority.exists():
        return False
    ca = x509.load_pem_x509_certificate(authority.read_bytes())
    return all(_issued_by(certificate, ca) for certificate, _ in leaves)


def _runs_out(certificate: Path, key: Path, now: datetime.datetime) -> bool:
    if not certificate.exists() or not key.exists():
        return True
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc - RENEW_BEFORE < now


def _issued_by(certificate: Path, ca: x509.Certificate) -> bool:
    try:
        x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(ca)
    except Exception:  # noqa: BLE001  whatever is wrong with it, it is not a certificate of this authority
        return False
    return True


def _write(certificate: Path, key: Path, signed: x509.Certificate, private: ec.EllipticCurvePrivateKey) -> None:
    encoding = serialization.Encoding.PEM
    write_private(key, private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    write_private(certificate, signed.public_bytes(encoding))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: str, public: ec.EllipticCurvePublicKey, issuer: x509.Name, now: datetime.datetime, life: datetime.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _authority(name: str, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **USAGE_OFF)
    signed = (
        _builder(name, key.public_key(), _name(name), now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return signed, key


def _issued(
    name: str,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    now: datetime.datetime,
    purposes: Sequence[x509.ObjectIdentifier],
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return _leaf(name, key.public_key(), authority[0], now, purposes).sign(authority[1], hashes.SHA256()), key


def _leaf(
    name: str,
    public: ec.EllipticCurvePublicKey,
    ca: x509.Certificate,
    now: datetime.datetime,
    purposes: Sequence[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    """Return a certificate whose first DNS name is the peer's name; the edge is also reached as localhost."""
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "edge":
        names += [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **USAGE_OFF)
    ca_key_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(name, public, ca.subject, now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_key_id), critical=False)
    )
