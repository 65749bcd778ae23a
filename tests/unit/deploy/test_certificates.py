"""One authority, one leaf per name; kept between starts, renewed before they run out."""

import datetime

import pytest
from cryptography import x509
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
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_kept_between_starts(folder, tmp_path):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    certificates.make(tmp_path, NOW + datetime.timedelta(days=300))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_leaves_are_renewed_a_month_before_they_run_out(folder, tmp_path):
    authority, leaf = load(folder / "ca.crt"), load(folder / "auth.crt")
    certificates.make(tmp_path, leaf.not_valid_after_utc - datetime.timedelta(days=29))
    assert load(folder / "ca.crt") == authority
    assert load(folder / "auth.crt").not_valid_after_utc > leaf.not_valid_after_utc


def test_a_new_authority_makes_all_leaves_anew(folder, tmp_path):
    (folder / "ca.key").unlink()
    certificates.make(tmp_path, NOW)
    for name in certificates.NAMES:
        load(folder / f"{name}.crt").verify_directly_issued_by(load(folder / "ca.crt"))
