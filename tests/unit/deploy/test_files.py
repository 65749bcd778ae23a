"""Private folders and files, and short paths for sockets."""

import pytest

from deploy.local import files, secret_files


def test_a_secret_is_made_once_and_private(tmp_path):
    path = tmp_path / "secrets" / "pepper"
    first = files.secret(path)
    assert len(first) == 32
    assert files.secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_an_open_folder_is_closed(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    files.private_folder(tmp_path / "open")
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "note"
    files.write_private(path, b"old")
    with pytest.raises(TypeError):
        files.write_private(path, "text, not bytes")
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("note", b"old")]


def test_a_stranger_cannot_lay_a_link_where_our_sockets_go(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    deep = tmp_path / ("x" * 120)
    ours = files.socket_folder(deep, "s")
    ours.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    ours.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="not a private folder"):
        files.socket_folder(deep, "s")


def test_the_suites_secrets_are_kept_between_starts(tmp_path):
    secrets, keys = tmp_path / "secrets", tmp_path / "keys"
    secret_files.make(secrets, keys)
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    secret_files.make(secrets, keys)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    assert before["signing_key.pem"].startswith(b"-----BEGIN PRIVATE KEY-----")
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    assert keys.stat().st_mode & 0o777 == 0o700
