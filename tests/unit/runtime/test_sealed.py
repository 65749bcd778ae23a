"""Sealing under a key per person, and forgetting."""

import concurrent.futures
import stat
from pathlib import Path

import pytest

from services.runtime import ids
from services.runtime.sealed import Forgotten, Sealer

PHONE, EMAIL = 6, 7


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(tmp_path / "keys")


@pytest.mark.parametrize("text", ["", "+8613800000000", "影" * 1000])
def test_what_is_sealed_opens(sealer: Sealer, text: str) -> None:
    who = ids.new("acc")
    blob = sealer.seal(who, PHONE, text)
    assert sealer.open(who, PHONE, blob) == text
    assert not text or text.encode() not in blob


def test_the_same_text_never_looks_the_same(sealer: Sealer) -> None:
    who = ids.new("acc")
    assert sealer.seal(who, PHONE, "x") != sealer.seal(who, PHONE, "x")


def test_a_blob_belongs_to_its_subject_and_element(sealer: Sealer) -> None:
    who, other = ids.new("acc"), ids.new("acc")
    blob = sealer.seal(who, PHONE, "x")
    sealer.seal(other, PHONE, "y")
    for subject, element, damaged in (
        (other, PHONE, blob),
        (who, EMAIL, blob),
        (who, PHONE, blob[:-1]),
        (who, PHONE, b"\x02" + blob[1:]),
        (who, PHONE, blob[:20] + bytes([blob[20] ^ 1]) + blob[21:]),
        (who, PHONE, b""),
    ):
        with pytest.raises(ValueError):
            sealer.open(subject, element, damaged)


def test_forgotten_is_forgotten_in_every_process(sealer: Sealer, tmp_path: Path) -> None:
    who = ids.new("acc")
    blob = sealer.seal(who, PHONE, "x")
    elsewhere = Sealer(tmp_path / "keys")
    assert elsewhere.open(who, PHONE, blob) == "x"
    assert sealer.forget(who)
    assert not sealer.forget(who)
    for one in (sealer, elsewhere):
        with pytest.raises(Forgotten):
            one.open(who, PHONE, blob)


def test_a_subject_that_begins_anew_does_not_read_the_old(sealer: Sealer) -> None:
    who = ids.new("acc")
    blob = sealer.seal(who, PHONE, "x")
    sealer.forget(who)
    sealer.seal(who, PHONE, "y")
    with pytest.raises(ValueError):
        sealer.open(who, PHONE, blob)


@pytest.mark.parametrize(
    "subject", ["", "acc", "../../etc/passwd", "acc_../x", "index", "acc_" + "0" * 25, "12_" + "0" * 26]
)
def test_only_ids_are_subjects(sealer: Sealer, subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        sealer.seal(subject, PHONE, "x")


def test_the_index_is_stable_and_keyed(sealer: Sealer, tmp_path: Path) -> None:
    found = sealer.index(PHONE, "+861")
    assert len(found) == 32
    assert found == Sealer(tmp_path / "keys").index(PHONE, "+861")
    assert found != sealer.index(EMAIL, "+861")
    assert found != Sealer(tmp_path / "others").index(PHONE, "+861")


def test_keys_are_private_files(sealer: Sealer, tmp_path: Path) -> None:
    sealer.seal(ids.new("acc"), PHONE, "x")
    sealer.index(PHONE, "x")
    folder = tmp_path / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert len([*folder.iterdir()]) == 2


def test_a_race_for_the_first_key_has_one_winner(sealer: Sealer) -> None:
    who = ids.new("acc")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        blobs = [*pool.map(lambda number: sealer.seal(who, PHONE, str(number)), range(32))]
    assert [sealer.open(who, PHONE, blob) for blob in blobs] == [str(number) for number in range(32)]
