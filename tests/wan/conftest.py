"""The pipeline model on tiny random weights: built here, loaded by the real Triton, sold by the whole suite."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tritonclient.grpc.aio import InferenceServerClient

from deploy.local import ports
from deploy.local.certificates import triton_folder
from deploy.local.suite import Suite
from services.generation.triton import client
from tests.e2e.conftest import books, customer, newcomer  # noqa: F401  the suite is ours, the customers are theirs
from tests.support import tls, triton
from tests.wan.programs import ROOT, program

OFFERED = {"wan": "t2v", "wan-image": "i2v", "wan-5b": "ti2v"}
START_SECONDS = 300.0
MAX_TEST_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Importing torch takes a busy machine minutes, for each model anew: three minutes a test are too few."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(MAX_TEST_SECONDS))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one folder of weights of each kind."""
    if not (ROOT / ".venv-wan" / ".ok").is_file():
        pytest.fail("The environment of the models that need torch is not there: run make test-wan.")
    folder = tmp_path_factory.mktemp("tiny")
    program("tests.wan.tiny", str(folder))
    return folder


@pytest.fixture(scope="session")
def mounted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights by the names of the models that they are offered as."""
    folder = tmp_path_factory.mktemp("mounted")
    for model, kind in OFFERED.items():
        shutil.copytree(tiny / kind, folder / model)
    return folder


@pytest.fixture(scope="session")
def suite(mounted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Every part, with a Triton that has the three models of the family beside the preview model."""
    settings = {"FILMGATE_MODELS": ",".join(["animatic", *OFFERED]), "FILMGATE_WAN_WEIGHTS": str(mounted)}
    running = Suite(tmp_path_factory.mktemp("suite") / ".filmgate", ports=ports.free(), settings=settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def connection(suite: Suite) -> AsyncIterator[InferenceServerClient]:
    """A client of the suite's Triton."""
    opened = client.connect(f"127.0.0.1:{suite.ports.triton_port}", tls.of_triton(triton_folder(suite.home)))
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[triton.Server, Path]]:
    """A Triton that finds no weights when it starts, and the folder where it looks for them."""
    folder = tmp_path_factory.mktemp("bare")
    home = folder / "weights"
    triton.START_SECONDS = START_SECONDS
    models = ("animatic", "wan", "wan-image")
    server = triton.Server(folder / "home", models=models, settings={"FILMGATE_WAN_WEIGHTS": str(home)})
    try:
        server.start()
        yield server, home
    finally:
        server.stop()


@pytest.fixture(scope="session")
def compared(tiny: Path) -> dict:
    """What our path makes of each kind of weights beside diffusers' own."""
    kinds = ["t2v", "t2v-plain", "t2v-experts", "i2v", "i2v-experts", "ti2v"]
    return json.loads(program("tests.wan.inside", str(tiny), *kinds))
