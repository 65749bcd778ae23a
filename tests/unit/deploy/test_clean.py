"""`make clean` keeps data; `make destroy` removes it, only when told so, and nothing that is not the suite's."""

from pathlib import Path

import pytest

from deploy.local import clean, secret_files
from deploy.local.config import keys_folder
from deploy.local.lock import Lock

CACHES = (".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "gen", "services/auth/__pycache__")


@pytest.fixture
def home(tmp_path):
    """A home with data, its keys beside it, in a folder with caches and sources."""
    place = tmp_path / ".filmgate"
    secret_files.make(place / "secrets", keys_folder(place))
    for name in ("pg/PG_VERSION", "objects/film.mp4", "outbox/1.json", "bench/plans.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x" * 2**19)
    (keys_folder(place) / "2026-11.key").write_bytes(b"key")
    for name in CACHES:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "made").write_bytes(b"x")
    (tmp_path / "services" / "auth" / "api.py").write_bytes(b"x")
    for name in (".venv/lib/__pycache__/made", ".git/objects/made"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    return place


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_clean_removes_caches_and_nothing_else(home, tmp_path):
    before = files(tmp_path)
    done, said = clean.clean(home, tmp_path)
    assert done
    assert said == (
        "Removed gen, .mypy_cache, .pytest_cache, .ruff_cache, .hypothesis, __pycache__; "
        f"the data in {home}, the keys in {tmp_path / '.filmgate-keys'} and the Python environments stay."
    )
    gone = before - files(tmp_path)
    assert gone == {f"{name}/made" for name in CACHES}


def test_clean_works_without_a_home_and_makes_none(tmp_path):
    (tmp_path / "gen").mkdir()
    assert clean.clean(tmp_path / ".filmgate", tmp_path)[1].startswith("Removed gen; the data in ")
    assert clean.clean(tmp_path / ".filmgate", tmp_path)[1].startswith("There was nothing to remove; the data in ")
    assert list(tmp_path.iterdir()) == []


def test_destroy_says_first_what_would_be_lost(home, tmp_path):
    before = files(tmp_path)
    done, said = clean.destroy(home, confirmed=False)
    assert not done
    assert all(word in said for word in (str(home), str(keys_folder(home)), "2 MiB", "wallets", "no way back"))
    assert files(tmp_path) - before <= {".filmgate/run/suite.lock"}


def test_destroy_removes_data_and_keys_and_leaves_what_is_not_the_suites(home, tmp_path):
    done, said = clean.destroy(home, confirmed=True)
    assert done
    assert files(home) == {"bench/plans.json"}
    assert "bench there is not the suite's data, and stays" in said
    assert not keys_folder(home).exists()
    assert (tmp_path / "gen" / "made").exists()


def test_destroy_leaves_a_running_suite_alone(home, tmp_path):
    lock = Lock(home)
    lock.take()
    before = files(tmp_path)
    assert clean.destroy(home, confirmed=True) == (False, clean.RUNNING)
    assert clean.clean(home, tmp_path) == (False, clean.RUNNING)
    assert files(tmp_path) == before
    lock.release()


def test_a_folder_that_no_suite_has_used_is_left_alone(tmp_path):
    for name in ("logs", "secrets", "certs"):
        (tmp_path / "me" / name).mkdir(parents=True)
        (tmp_path / "me" / name / "mine").write_bytes(b"")
    before = files(tmp_path)
    done, said = clean.destroy(tmp_path / "me", confirmed=True)
    assert (done, "left alone" in said) == (False, True)
    assert files(tmp_path) == before


def test_what_a_link_leads_to_stays_and_is_named(home):
    place = home / "objects"
    place.rename(home / "elsewhere")
    place.symlink_to(home / "elsewhere")
    done, said = clean.destroy(home, confirmed=True)
    assert done
    assert f"{place} was a link: what lies in {home / 'elsewhere'} stays." in said
    assert files(home / "elsewhere") == {"film.mp4"}


def test_what_does_not_go_is_named():
    assert clean._removed([Path("/proc/self/status")]) == (
        "/proc/self/status cannot be removed: Operation not permitted."
    )
