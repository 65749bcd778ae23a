"""One authority, one leaf per name; kept between starts, renewed before they run out."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store

from deploy.local import certificates

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def folder(tmp_path):
    return certificates.make(tmp_path, NOW)


@pytest.mark.parametrize("name", certificates.NAMES)
def test_each_leaf_is_good_for_its_name_on_both_ends(folder, name):
    store, leaf = Store([load(folder / "ca.crt")]), load(folder / f"{name}.crt")
    policy = PolicyBuilder().store(store).time(NOW)
    policy.build_server_verifier(x509.DNSName(name)).verify(leaf, [])
    found = policy.build_client_verifier().verify(leaf, [])
    assert found.subjects[0] == x509.DNSName(name)


def test_a_leaf_is_not_good_for_another_name(folder):
    verifier = PolicyBuilder().store(Store([load(folder / "ca.crt")])).time(NOW).build_server_verifier
    with pytest.raises(x509.verification.VerificationError):
        verifier(x509.DNSName("billing")).verify(load(folder / "auth.crt"), [])


def test_keys_and_their_folder_are_private(folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "triton").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.*")} == {0o600}


def test_kept_between_starts(folder, tmp_path):
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    certificates.make(tmp_path, NOW + datetime.timedelta(days=300))
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_leaves_are_renewed_a_month_before_they_run_out(folder, tmp_path):
    authority, leaf = load(folder / "ca.crt"), load(folder / "auth.crt")
    certificates.make(tmp_path, leaf.not_valid_after_utc - datetime.timedelta(days=29))
    assert load(folder / "ca.crt") == authority
    assert load(folder / "auth.crt").not_valid_after_utc > leaf.not_valid_after_utc


def test_tritons_leaves_serve_as_one_end_each_and_for_triton_alone(folder):
    triton = folder / "triton"
    own = PolicyBuilder().store(Store([load(triton / "ca.crt")])).time(NOW)
    own.build_server_verifier(x509.DNSName("triton")).verify(load(triton / "triton.crt"), [])
    own.build_client_verifier().verify(load(triton / "worker.crt"), [])
    foreign = [load(folder / f"{name}.crt") for name in certificates.NAMES]
    for leaf in (load(triton / "triton.crt"), load(triton / "ca.crt"), *foreign):
        with pytest.raises(x509.verification.VerificationError):
            own.build_client_verifier().verify(leaf, [])
    suite = PolicyBuilder().store(Store([load(folder / "ca.crt")])).time(NOW)
    for leaf in (load(triton / "triton.crt"), load(triton / "worker.crt")):
        with pytest.raises(x509.verification.VerificationError):
            suite.build_client_verifier().verify(leaf, [])


def test_the_key_of_tritons_authority_is_nowhere(folder):
    authority = load(folder / "triton" / "ca.crt").public_key()
    keys = [serialization.load_pem_private_key(path.read_bytes(), None) for path in folder.rglob("*.key")]
    assert len(keys) == len(certificates.NAMES) + 1 + 2
    assert authority not in [key.public_key() for key in keys]


@pytest.mark.parametrize("lost", ["ca.crt", "triton.crt", "triton.key", "worker.crt", "worker.key"])
def test_of_tritons_certificates_all_are_made_anew_when_one_is_lost(folder, tmp_path, lost):
    triton = folder / "triton"
    before = {path: path.read_bytes() for path in triton.iterdir()}
    (triton / lost).unlink()
    certificates.make(tmp_path, NOW)
    after = {path: path.read_bytes() for path in triton.iterdir()}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_tritons_certificates_are_renewed_a_month_before_they_run_out(folder, tmp_path):
    leaf = load(folder / "triton" / "worker.crt")
    later = leaf.not_valid_after_utc - datetime.timedelta(days=29)
    certificates.make(tmp_path, later)
    own = PolicyBuilder().store(Store([load(folder / "triton" / "ca.crt")])).time(later + datetime.timedelta(days=60))
    own.build_client_verifier().verify(load(folder / "triton" / "worker.crt"), [])


def test_a_new_authority_makes_all_leaves_anew(folder, tmp_path):
    (folder / "ca.key").unlink()
    certificates.make(tmp_path, NOW)
    for name in certificates.NAMES:
        load(folder / f"{name}.crt").verify_directly_issued_by(load(folder / "ca.crt"))
