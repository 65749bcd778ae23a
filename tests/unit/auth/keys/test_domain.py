"""The form of a key, and what it may be given."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.keys import domain
from services.runtime.errors import Failure

BASE62 = string.digits + string.ascii_letters


def test_a_key_has_the_published_form():
    key = domain.new_key()
    assert domain.KEY.fullmatch(key)
    assert len(key) == len("fg_live_u_") + 12 + 43 + 6
    assert domain.is_key(key)
    assert domain.prefix(key) == key[: len("fg_live_u_") + 12]
    assert domain.new_key() != key


@given(st.data())
def test_a_typing_error_is_found(data):
    key = domain.new_key()
    place = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.sampled_from(BASE62 + "_"))
    typed = key[:place] + letter + key[place + 1 :]
    assert domain.is_key(typed) == (typed == key)


@given(st.data())
def test_swapped_letters_are_found(data):
    key = domain.new_key()
    place = data.draw(st.integers(10, len(key) - 2))
    typed = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert domain.is_key(typed) == (typed == key)


@given(st.one_of(st.text(max_size=300), st.from_regex(r"fg_live_u_[0-9A-Za-z]{61}", fullmatch=True)))
def test_anything_else_is_no_key(text):
    assert not domain.is_key(text)


@given(st.text(alphabet=BASE62, max_size=80))
def test_a_checksum_is_six_characters(text):
    assert len(domain.checksum(text)) == 6
    assert set(domain.checksum(text)) <= set(BASE62)


def test_the_checksum_is_crc32():
    value = 0
    for letter in domain.checksum("123456789"):
        value = value * 62 + domain.ALPHABET.index(letter)
    assert value == 0xCBF43926  # the check value of CRC-32/ISO-HDLC


def test_a_digest_needs_the_pepper():
    key = domain.new_key()
    assert domain.digest(b"a", key) != domain.digest(b"b", key)
    assert len(domain.digest(b"a", key)) == 32


@pytest.mark.parametrize(
    ("asked", "maker", "given"),
    [
        ([], domain.SCOPES, list(domain.DEFAULT_SCOPES)),
        (["keys", "video.read"], domain.SCOPES, ["video.read", "keys"]),
        (["keys", "keys"], domain.SCOPES, ["keys"]),
        (["video.read"], ["video.read"], ["video.read"]),
    ],
)
def test_scopes_that_are_given(asked, maker, given):
    assert domain.granted_scopes(asked, maker) == given


@pytest.mark.parametrize(
    ("asked", "maker", "reason"),
    [
        (["video.write"], ["video.read", "keys"], "SCOPE_NOT_GRANTABLE"),
        ([], ["keys"], "SCOPE_NOT_GRANTABLE"),
        (["root"], domain.SCOPES, "FIELD_INVALID"),
        ([""], domain.SCOPES, "FIELD_INVALID"),
    ],
)
def test_scopes_that_are_refused(asked, maker, reason):
    with pytest.raises(Failure) as refusal:
        domain.granted_scopes(asked, maker)
    assert refusal.value.kind.reason == reason
