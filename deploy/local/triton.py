"""The real Triton of the nvidia-pytriton wheel, on loopback, with the one model repository of Filmgate.

The wheel spreads the Python backend over several folders and carries its libraries beside itself. Here a backend folder
is put together of links: the backend, the stub for the system's Python, and `site-packages`, where the models find
the packages of Triton's own environment (the stub reads no PYTHONPATH). A container has all three in place already.

For Python 3.13 the wheel brings a libpython of its own, which does not fit the system's standard library. The stub asks
for it by the wheel's name and beside itself; so it is copied away from there, and a link of that name to the system's
library stands first on LD_LIBRARY_PATH.
"""

import ctypes
import os
import shutil
from pathlib import Path

from deploy.local import certificates, ready
from deploy.local.files import private_folder

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "services" / "generation" / "triton"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Linux keeps it; the backend names its regions itself
EXIT_SECONDS = 3
PING_MILLISECONDS = 5000


class TritonError(Exception):
    """Triton's environment is not as it must be; the message says what a person can do."""


class Triton:
    """What it takes to run one server: its command, its environment, whether it is ready.

    `site` is the environment of its programs and models, made by the system's own python3: for models that need torch
    the one of `make setup-wan`, if it is there. `models` of `repository` are loaded at start; one that cannot be loaded
    does not keep the others away. The certificates are those of `certificates.make_triton(home)`.
    """

    def __init__(
        self,
        home: Path,
        port: int = 8120,
        site: Path | None = None,
        models: tuple[str, ...] = ("animatic",),
        repository: Path = REPOSITORY,
    ) -> None:
        self.home = home
        self.port = port
        self.models = models
        self.certificates = certificates.triton_folder(home)
        self._repository = repository
        self._site = site or _site(models)

    def command(self) -> list[str]:
        """The server's command line; puts the backend folder together and sweeps what a killed one left behind.

        Raises TritonError when the environment is absent.
        """
        self.sweep()
        certs = self.certificates
        return [
            str(self._wheel / "bin" / "tritonserver"),
            f"--model-repository={self._repository}",
            f"--backend-directory={self._assemble()}",
            f"--backend-config=python,shm-region-prefix-name={self._regions}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in self.models),
            "--disable-auto-complete-config",
            "--exit-on-error=false",
            f"--exit-timeout-secs={EXIT_SECONDS}",
            "--allow-http=false",
            "--allow-metrics=false",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.port}",
            # Loopback is no lock: whoever may call Triton loads a model of their own, which is code (review S2).
            "--grpc-use-ssl-mutual=true",
            f"--grpc-server-cert={certs / 'triton.crt'}",
            f"--grpc-server-key={certs / 'triton.key'}",
            f"--grpc-root-cert={certs / 'ca.crt'}",
            f"--grpc-http2-min-recv-ping-interval-without-data={PING_MILLISECONDS}",
        ]

    def environment(self) -> dict[str, str]:
        """What the command needs beside the usual environment."""
        return {"LD_LIBRARY_PATH": f"{self._own}:{self._carried}", "OMP_NUM_THREADS": "1"}

    def ready(self) -> bool:
        """Whether the server listens and has loaded a model; it listens only when it has tried all of `models`."""
        return ready.makes_videos(self.port, self.certificates)

    def troubles(self) -> dict[str, str]:
        """Why those of `models` that are not loaded are not, by name; only for a server that listens."""
        found = ready.models(self.port, self.certificates)
        return {model: found.get(model) or "It is not loaded." for model in self.models if found.get(model) != ""}

    def missing(self) -> list[str]:
        """The Debian packages that the embedded start lacks: the library that the stub embeds, and venv."""
        try:
            ctypes.CDLL(f"libpython{self._version}.so.1.0")
        except OSError:
            return [f"libpython{self._version}"]
        return []

    def sweep(self) -> None:
        """Removes the shared memory that a killed server of this port has left; call it only when none runs."""
        for region in SHARED_MEMORY.glob(f"{self._regions}*"):
            region.unlink(missing_ok=True)

    @property
    def _packages(self) -> Path:
        found = sorted(self._site.glob("lib/python3.*/site-packages"))
        if not found:
            raise TritonError(f"Triton's environment {self._site} is not there; run make setup")
        return found[-1]

    @property
    def _wheel(self) -> Path:
        return self._packages / "pytriton" / "tritonserver"

    @property
    def _regions(self) -> str:
        return f"filmgate_{os.getuid()}_{self.port}_"

    @property
    def _version(self) -> str:
        return self._packages.parent.name.removeprefix("python")

    @property
    def _carried(self) -> Path:
        """The libraries that the wheel carries."""
        return self._packages / "nvidia_pytriton.libs"

    @property
    def _own(self) -> Path:
        """The libraries that the system has to give in their stead."""
        return self.home / "triton" / "libraries"

    def _assemble(self) -> Path:
        """The backend folder, made anew in the home, and the system's libpython under the wheel's name for it."""
        backend, stub = self._wheel / "backends" / "python", self._wheel / "python_backend_stubs" / self._version
        if not stub.is_dir():
            raise TritonError(f"This Triton has no Python stub for Python {self._version}")
        folder = private_folder(self.home / "triton" / "backends" / "python")
        for link in [*backend.iterdir(), self._packages]:
            _link(folder / link.name, link.resolve())
        for program in stub.iterdir():
            (folder / program.name).unlink(missing_ok=True)
            shutil.copy2(program, folder / program.name)
        major, minor = self._version.split(".")
        for library in self._carried.glob(f"libpython{major}-*.{minor}.so.*"):
            _link(private_folder(self._own) / library.name, _loaded(f"libpython{self._version}.so.1.0"))
        return folder.parent


def _site(models: tuple[str, ...]) -> Path:
    """The environment that has what the models import."""
    wan = ROOT / ".venv-wan"
    return wan if any(model.startswith("wan") for model in models) and wan.is_dir() else ROOT / ".venv-triton"


def _link(place: Path, target: Path) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def _loaded(library: str) -> Path:
    """Where the system's loader finds `library`; TritonError when it does not."""
    try:
        ctypes.CDLL(library)
    except OSError as fault:
        raise TritonError(f"The system has no {library}; run make setup") from fault
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split(maxsplit=5)[5]) for line in lines if line.endswith(f"/{library}"))


def tracing(url: str) -> list[str]:
    """What makes the server send spans to a URL by OTLP over HTTP, of requests alone whose caller records theirs."""
    if not url:
        return []
    settings = ["mode=opentelemetry", "level=TIMESTAMPS", "rate=0"]
    settings += [
        f"opentelemetry,{text}" for text in (f"url={url}", "resource=service.name=triton", "bsp_schedule_delay=1000")
    ]
    return [word for setting in settings for word in ("--trace-config", setting)]
