"""What is made for one machine never faces a network: a test per switch."""

import dataclasses
import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local import certificates
from services.auth.__main__ import embedded as embedded_of_auth
from services.auth.config import AuthSettings
from services.billing.__main__ import embedded as embedded_of_billing
from services.runtime import profile, server
from services.runtime.config import Settings


def settings(home: Path, bind: str) -> Settings:
    return Settings(name="auth", home=home, bind=bind)


@pytest.fixture
def home(tmp_path) -> Path:
    certificates.make(tmp_path)
    return tmp_path


@pytest.fixture
def elsewhere(home) -> Path:
    """A home whose CA somebody else made."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Our CA")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    authority = home / "certs" / "ca.crt"
    authority.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return home


@pytest.mark.parametrize("bind", ["0.0.0.0", "10.0.0.7", "::"])
async def test_the_self_made_ca_stays_on_loopback(home, bind):
    with pytest.raises(RuntimeError, match="the self-made CA"):
        await server.serve(settings(home, bind))


async def test_a_clock_that_tests_move_stays_on_loopback(elsewhere, tmp_path):
    own = dataclasses.replace(settings(elsewhere, "0.0.0.0"), clock_file=tmp_path / "offset")
    with pytest.raises(RuntimeError, match="with a clock that tests move this process listens on loopback only"):
        await server.serve(own)


async def test_whatever_a_process_names_stays_on_loopback(elsewhere):
    with pytest.raises(RuntimeError, match="the outbox of files"):
        await server.serve(settings(elsewhere, "0.0.0.0"), embedded=["the outbox of files"])


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.8.9.1", "::1"])
def test_on_loopback_all_of_it_may_be_on(home, bind):
    server.refuse_outside(settings(home, bind), ["the outbox of files"])


def test_what_is_made_for_a_network_may_face_it(elsewhere):
    server.refuse_outside(settings(elsewhere, "0.0.0.0"), [])


def test_auth_names_its_outbox_and_a_key_that_was_made_for_it(tmp_path):
    own = AuthSettings(secrets=tmp_path)
    assert embedded_of_auth(own) == ["the outbox of files"]
    (tmp_path / "signing_key.pem").write_bytes(b"")
    assert embedded_of_auth(own) == ["the outbox of files", "a generated signing key"]


def test_billing_names_credit_that_nobody_decided_to_give():
    assert embedded_of_billing(profile.load("default")) == ["trial credit by default"]
    assert embedded_of_billing(profile.load("kling")) == []
