"""Rules of the keys that sign caller tokens."""

import datetime

from services.auth.tokens import domain
from services.auth.tokens.domain import Published

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)
LATER = NOW + domain.NOTICE


def test_the_first_key_signs_at_once_and_every_other_after_five_minutes():
    assert domain.start_of(NOW, first=True) == NOW
    assert domain.start_of(NOW, first=False) == NOW + datetime.timedelta(minutes=5)


def test_the_newest_key_that_may_sign_signs():
    keys = [Published("old", b"", NOW), Published("new", b"", LATER), Published("foreign", b"", NOW)]
    assert domain.signer(keys, {"old", "new"}, LATER - datetime.timedelta(seconds=1)) == "old"
    assert domain.signer(keys, {"old", "new"}, LATER) == "new"
    assert domain.signer(keys, {"old"}, LATER) == "old"
    assert domain.signer(keys, {"none"}, LATER) == ""


def test_a_kid_names_a_key():
    assert domain.kid_of(b"a" * 32) == domain.kid_of(b"a" * 32) != domain.kid_of(b"b" * 32)
    assert len(domain.kid_of(b"a" * 32)) == 16
