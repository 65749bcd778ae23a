"""The real PostgreSQL as we run it: a private socket, passwords, roles, and getting up again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from deploy.local.postgres import ADMIN, Postgres, PostgresError, _working_in


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    postgres = Postgres(tmp_path_factory.mktemp("pg"))
    postgres.start()
    postgres.create_database("toys")
    yield postgres
    postgres.stop()


def listening_inodes():
    """The sockets that listen on TCP, by inode."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}


def test_nothing_listens_on_tcp(server):
    held = {os.readlink(entry) for entry in Path(f"/proc/{server.process.pid}/fd").iterdir()}
    assert not held & listening_inodes()


def test_the_socket_stands_in_a_private_folder(server):
    assert server.sockets.stat().st_mode & 0o777 == 0o700
    assert server.data.stat().st_mode & 0o777 == 0o700


async def test_a_wrong_password_is_refused(server):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host=str(server.sockets), user=ADMIN, password="wrong", database="postgres")


def test_the_urls_work_and_name_their_roles(server):
    owner, service = server.create_database("toys")
    assert make_url(owner).username == "toys_owner"
    assert make_url(service).query["host"] == str(server.sockets)
    assert server.sql("SELECT current_user", "toys", "toys_service").strip() == "toys_service"


def test_the_service_role_writes_rows_and_makes_nothing(server):
    server.sql("CREATE TABLE IF NOT EXISTS marbles (id bigserial, color text)", "toys", "toys_owner")
    server.sql("INSERT INTO marbles (color) VALUES ('red')", "toys", "toys_service")
    for statement in ("CREATE TABLE mine (id int)", "DROP TABLE marbles", "TRUNCATE marbles", "CREATE SCHEMA mine"):
        with pytest.raises(PostgresError, match=r"permission denied|must be owner"):
            server.sql(statement, "toys", "toys_service")


def test_one_service_cannot_enter_the_database_of_another(server):
    server.create_database("games")
    with pytest.raises(PostgresError, match="permission denied for database"):
        server.sql("SELECT 1", "games", "toys_service")


def test_a_copy_of_a_template_has_its_rows_and_roles(server):
    server.sql("CREATE TABLE IF NOT EXISTS dolls AS SELECT 7 AS size", "toys", "toys_owner")
    _, service = server.create_database("toys_copy", template="toys")
    assert make_url(service).username == "toys_service"
    assert server.sql("SELECT size FROM dolls", "toys_copy", "toys_service").strip() == "7"
    server.drop_database("toys_copy")
    assert "toys_copy" not in server.sql("SELECT datname FROM pg_database")


@pytest.mark.parametrize("name", ["", "Toys", "toys; DROP DATABASE games", "1toys", "t" * 60])
def test_a_name_that_is_no_name_is_refused(server, name):
    with pytest.raises(ValueError, match="not a database name"):
        server.create_database(name)


def test_failing_statements_and_their_values_stay_out_of_the_log(server):
    server.sql("CREATE TABLE IF NOT EXISTS people (phone text PRIMARY KEY)", "toys", "toys_owner")
    insert = "INSERT INTO people VALUES ('+8613800138000')"
    server.sql(insert, "toys", "toys_service")
    with pytest.raises(PostgresError, match="duplicate key"):
        server.sql(insert, "toys", "toys_service")
    assert "duplicate key" in server.log.read_text()
    assert "13800138000" not in server.log.read_text()


def test_a_second_starter_of_the_same_folder_is_refused(server):
    with pytest.raises(PostgresError, match="already runs"):
        Postgres(server.home).start()
    assert server.alive


def test_it_gets_up_after_kill_9_with_all_that_was_written(tmp_path):
    postgres = Postgres(tmp_path)
    postgres.start()
    postgres.create_database("toys")
    postgres.sql("CREATE TABLE balls AS SELECT 3 AS count", "toys", "toys_owner")
    os.kill(postgres.process.pid, signal.SIGKILL)
    postgres.process.wait()
    postgres.stop()
    postgres.start()
    assert postgres.sql("SELECT count FROM balls", "toys", "toys_service").strip() == "3"
    postgres.stop()


STARTER = """
import sys, os, pathlib
from deploy.local.postgres import Postgres
postgres = Postgres(pathlib.Path(sys.argv[1]))
postgres.start()
print(postgres.process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_ends_when_its_starter_is_killed(tmp_path):
    ran = subprocess.run([sys.executable, "-c", STARTER, str(tmp_path)], capture_output=True, text=True, check=False)
    left = Postgres(tmp_path)
    left.start()  # waits for the former server to end, then works on the same folder
    assert left.process.pid != int(ran.stdout)
    assert left.sql("SELECT 1").strip() == "1"
    left.stop()
    assert _working_in(left.data) == []


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path):
    deep = tmp_path / ("a 'quoted' \"name\" " * 6)
    postgres = Postgres(deep)
    postgres.start()
    try:
        assert len(str(postgres.sockets)) < 60
        assert postgres.sockets.stat().st_mode & 0o777 == 0o700
        assert postgres.sql("SELECT 1").strip() == "1"
    finally:
        postgres.stop()
        postgres.sockets.rmdir()


def test_root_without_user_namespaces_is_told_what_to_do(tmp_path):
    as_root = ["unshare", "--user", "--map-root-user"]
    if os.geteuid() and subprocess.run([*as_root, "true"], capture_output=True, check=False).returncode:
        pytest.skip("here an ordinary user can bear no other number, so none can be root")
    start = "import sys, pathlib, deploy.local.postgres as it; it.Postgres(pathlib.Path(sys.argv[1])).start()"
    forbid = f'echo 0 > /proc/sys/user/max_user_namespaces; exec {sys.executable} -c "$0" "$1"'
    command = [*as_root, "sh", "-c", forbid, start, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "Run this as an ordinary user, or allow user namespaces." in ran.stderr
    assert not (tmp_path / "pg.new").exists()
