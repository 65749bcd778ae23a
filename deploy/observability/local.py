"""What `make up TELEMETRY=1` starts beside the suite: Prometheus with our rules, and the receiver of traces."""

import dataclasses
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from deploy.local import config
from deploy.local.files import private_folder
from deploy.local.ports import Ports
from deploy.local.process import Process
from services.runtime import metrics

RULES = Path(__file__).with_name("rules.yaml")
PROCESSES = ("auth", "billing", "generation", "privacy", "media", "worker")
EDGE_PATH = "/stats/prometheus"
SCRAPE_SECONDS, KEPT_DAYS = 5, 7
START_SECONDS = 30.0


class WatchError(Exception):
    """Prometheus or the receiver did not start; the message says what a person can do."""


@dataclasses.dataclass(frozen=True)
class WatchPorts:
    """Where what watches the suite listens, on loopback: FILMGATE_PROMETHEUS_PORT and so on."""

    prometheus_port: int = 8140
    """Not 9090, where the package's own service listens on a machine with systemd."""
    otlp_port: int = 8141
    """OTLP over gRPC."""
    traces_port: int = 8142
    """OTLP over HTTP, and the pages that show traces."""


def configuration(ports: Ports, rules: Path = RULES) -> str:
    """Prometheus' configuration for a suite on these ports; a port of 0 is left out."""
    targets = {name: ports.metrics(name) for name in PROCESSES}
    jobs = [_job("filmgate", metrics.PATH, targets), _job("edge", EDGE_PATH, {"edge": ports.metrics("edge")})]
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
    """Prometheus and the receiver of traces, beside a suite with its data in `home`."""

    def __init__(
        self, home: Path, ports: Ports, own: WatchPorts, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._home, self._ports, self._own, self._say = home, ports, own, say
        self._processes: list[Process] = []

    @property
    def settings(self) -> dict[str, str]:
        """What makes a suite record every request and send it here."""
        return {
            "FILMGATE_OTLP_ENDPOINT": f"http://127.0.0.1:{self._own.otlp_port}",
            "FILMGATE_TRITON_OTLP_URL": f"http://127.0.0.1:{self._own.traces_port}/v1/traces",
            "FILMGATE_EDGE_TRACE_RATIO": "1",
        }

    @property
    def prometheus(self) -> str:
        """Where Prometheus answers."""
        return f"http://127.0.0.1:{self._own.prometheus_port}"

    @property
    def traces(self) -> str:
        """Where traces are shown."""
        return f"http://127.0.0.1:{self._own.traces_port}"

    def __enter__(self) -> "Watch":
        """Start both, and wait until they answer. Raises WatchError."""
        try:
            for name, command in (("traces", self._receiver()), ("prometheus", self._scraper())):
                log = private_folder(self._home / "logs") / f"{name}.log"
                environment = {**config.inherited(), "PYTHONPATH": f"{config.ROOT}:{config.ROOT / 'gen'}"}
                self._processes.append(Process(name, command, environment, log, config.ROOT))
                self._processes[-1].launch()
            self._until(self._processes[0], f"{self.traces}/")
            self._until(self._processes[1], f"{self.prometheus}/-/ready")
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
        own = self._own
        return [sys.executable, "-m", "deploy.observability.traces", str(own.otlp_port), str(own.traces_port)]

    def _scraper(self) -> list[str]:
        program = shutil.which("prometheus")
        if program is None:
            raise WatchError("there is no Prometheus; run make packages-telemetry")
        file = private_folder(self._home / "run") / "prometheus.yaml"
        file.write_text(configuration(self._ports))
        return [
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={private_folder(self._home / 'prometheus')}",
            f"--storage.tsdb.retention.time={KEPT_DAYS}d",
            f"--web.listen-address=127.0.0.1:{self._own.prometheus_port}",
            "--log.level=warn",
        ]

    def _until(self, process: Process, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                opener.open(url, timeout=1).close()
            except (urllib.error.URLError, OSError) as fault:
                if not process.alive or time.monotonic() > deadline:
                    raise WatchError(f"{process.name} does not answer at {url}:\n{process.last_words()}") from fault
                time.sleep(0.1)
            else:
                return
