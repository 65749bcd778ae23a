"""What `make up TELEMETRY=1` starts beside the suite: Prometheus with our rules, and the receiver of traces.

Both are closed to other users of the machine: a random password, drawn at each start and kept in a 0600 file of the
home, opens their pages. We look whose a port is before we show it there, so that nobody else learns it (review S2).
"""

import base64
import ctypes
import dataclasses
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from deploy.local import config, listeners, ports
from deploy.local.files import private_folder, socket_folder, write_private
from deploy.local.ports import Ports
from deploy.local.process import Process
from deploy.observability import traces
from services.runtime import metrics

RULES = Path(__file__).with_name("rules.yaml")
PROCESSES = ("auth", "billing", "generation", "privacy", "media", "worker")
EDGE_PATH = "/stats/prometheus"
SCRAPE_SECONDS, KEPT_DAYS = 5, 7
START_SECONDS = 30.0
SECRET_BYTES = 32
ROUNDS = 8
"""Of bcrypt, 2**8: the password is 256 random bits, which no guessing finds at any cost."""


class WatchError(Exception):
    """Prometheus or the receiver did not start; the message says what a person can do."""


@dataclasses.dataclass(frozen=True)
class WatchPorts:
    """Where what watches the suite listens, on loopback: FILMGATE_PROMETHEUS_PORT and so on."""

    prometheus_port: int = 8140
    """Not 9090, where the package's own service listens on a machine with systemd."""
    traces_port: int = 8142
    """OTLP over HTTP, and the pages that show traces."""


def configuration(suite: Ports, rules: Path = RULES) -> str:
    """Prometheus' configuration for a suite on these ports; a port of 0 is left out."""
    targets = {name: suite.metrics(name) for name in PROCESSES}
    jobs = [_job("filmgate", metrics.PATH, targets), _job("edge", EDGE_PATH, {"edge": suite.metrics("edge")})]
    interval = f"{SCRAPE_SECONDS}s"
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [str(rules)],
            "scrape_configs": jobs,
        },
        sort_keys=False,
    )


def _job(name: str, path: str, targets: Mapping[str, int]) -> dict[str, object]:
    listed = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"process": process}} for process, port in targets.items() if port
    ]
    return {"job_name": name, "metrics_path": path, "static_configs": listed}


class Watch:
    """Prometheus and the receiver of traces, beside a suite with its data in `home`; a new password for each object."""

    def __init__(
        self, home: Path, suite: Ports, own: WatchPorts, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._home, self._ports, self._own, self._say = home, suite, own, say
        self._secret = home / "secrets" / "telemetry"
        drawn = os.urandom(SECRET_BYTES)
        write_private(private_folder(self._secret.parent) / self._secret.name, drawn)
        self._password = drawn.hex()
        self._socket = socket_folder(home, traces.SOCKET) / traces.SOCKET
        self._processes: list[Process] = []

    @property
    def settings(self) -> dict[str, str]:
        """What makes a suite record every request and send it here."""
        return {
            **traces.settings(self._socket, self._own.traces_port, self._password),
            "FILMGATE_EDGE_TRACE_RATIO": "1",
        }

    @property
    def prometheus(self) -> str:
        """Where Prometheus answers, with its password."""
        return self._url(self._own.prometheus_port)

    @property
    def traces(self) -> str:
        """Where traces are shown, with the password."""
        return self._url(self._own.traces_port)

    def _url(self, port: int) -> str:
        return f"http://{traces.USER}:{self._password}@127.0.0.1:{port}"

    def __enter__(self) -> "Watch":
        """Start both, and wait until they answer. Raises WatchError, which names a port that is taken."""
        taken = list(ports.faults(self._own))
        if taken:
            raise WatchError("\n".join(taken))
        try:
            for name, command in (("traces", self._receiver()), ("prometheus", self._scraper())):
                log = private_folder(self._home / "logs") / f"{name}.log"
                environment = {**config.inherited(), "PYTHONPATH": f"{config.ROOT}:{config.ROOT / 'gen'}"}
                self._processes.append(Process(name, command, environment, log, config.ROOT))
                self._processes[-1].launch()
            self._until(self._processes[0], self._own.traces_port, "/")
            self._until(self._processes[1], self._own.prometheus_port, "/-/ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.finish()

    def tend(self) -> None:
        """Start again what has died."""
        for process in self._processes:
            process.tend(self._say)

    def _receiver(self) -> list[str]:
        folder, port = str(self._socket.parent), str(self._own.traces_port)
        return [sys.executable, "-m", "deploy.observability.traces", folder, port, str(self._secret)]

    def _scraper(self) -> list[str]:
        program = shutil.which("prometheus")
        if program is None:
            raise WatchError("there is no Prometheus; run make packages-telemetry")
        folder = private_folder(self._home / "run")
        write_private(folder / "prometheus.yaml", configuration(self._ports).encode())
        users = {"basic_auth_users": {traces.USER: hashed(self._password)}}
        write_private(folder / "prometheus-web.yaml", yaml.safe_dump(users).encode())
        return [
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--web.config.file={folder / 'prometheus-web.yaml'}",
            f"--storage.tsdb.path={private_folder(self._home / 'prometheus')}",
            f"--storage.tsdb.retention.time={KEPT_DAYS}d",
            f"--web.listen-address=127.0.0.1:{self._own.prometheus_port}",
            "--log.level=warn",
        ]

    def _until(self, process: Process, port: int, path: str) -> None:
        """Wait until our own process answers on its port; the password goes to nobody else."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(process, port, path):
            if not process.alive or time.monotonic() > deadline:
                if listeners.strangers(process.pid, [port]):
                    raise WatchError(ports.taken(f"FILMGATE_{process.name.upper()}_PORT", port))
                raise WatchError(f"{process.name} does not answer at 127.0.0.1:{port}:\n{process.last_words()}")
            time.sleep(0.1)

    def _answers(self, process: Process, port: int, path: str) -> bool:
        """Whether `process` answers. Asked only while it holds the port: a stranger there would learn the password."""
        if process.pid is None or not listeners.all_of(process.pid, [port]):
            return False
        shown = base64.b64encode(f"{traces.USER}:{self._password}".encode()).decode()
        url = f"http://127.0.0.1:{port}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {shown}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=5).close()
        except OSError:  # URLError is one
            return False
        return process.alive


def hashed(password: str) -> str:
    """Return the bcrypt hash of a password, as Prometheus wants it, made by the system's own crypt(3).

    Raises WatchError where the system has none; on Debian libcrypt1 is essential.
    """
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError as fault:
        raise WatchError("the system has no libcrypt.so.1; install libcrypt1") from fault
    library.crypt_gensalt.restype = library.crypt.restype = ctypes.c_char_p
    salt = library.crypt_gensalt(b"$2b$", ROUNDS, os.urandom(16), 16)
    made: bytes | None = library.crypt(password.encode(), salt) if salt else None
    if made is None or not made.startswith(b"$2b$"):
        raise WatchError("the system's crypt(3) makes no bcrypt hashes")
    return made.decode()
