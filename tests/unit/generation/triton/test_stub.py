"""What becomes of a fault that a model did not foresee: its job ends, its text is told nobody, the model lives on."""

import dataclasses

import pytest

from deploy.local.triton import REPOSITORY, ROOT
from services.generation.triton import client
from services.generation.triton.client import ModelGone, ModelUnavailable
from tests.support import triton
from tests.unit.generation.triton.jobs import SMALL, made

CLUMSY = """
from services.generation.triton import stub
from services.generation.triton.contract import ModelUnfit


class TritonPythonModel:
    def initialize(self, args):
        if args["model_name"] == "unfit":
            raise ModelUnfit("The weights are missing.")

    def execute(self, requests):
        stub.serve(requests, _make)


def _make(job, image, answer):
    if job.seed == 13:
        raise ValueError(job.prompt)
    answer.tell("ENCODING", 100.0, b"film", last=True)
"""


@pytest.fixture
def clumsy(tmp_path):
    """A Triton with a model that stumbles over seed 13, and one that cannot be loaded."""
    prelude = (REPOSITORY / "animatic" / "1" / "model.py").read_text().partition("from services.")[0]
    config = (REPOSITORY / "animatic" / "config.pbtxt").read_text()
    for name in ("clumsy", "unfit"):
        folder = tmp_path / "models" / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.py").write_text(
            prelude.replace("Path(__file__).resolve().parents[5]", f"Path({str(ROOT)!r})") + CLUMSY
        )
        (folder.parent / "config.pbtxt").write_text(config.replace('"animatic"', f'"{name}"'))
    server = triton.Server(tmp_path / "home", tmp_path / "models", models=("clumsy", "unfit"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def test_a_fault_ends_its_job_alone_and_its_text_is_told_nobody(clumsy):
    connected = client.connect(clumsy.address, clumsy.tls)
    [stub, *_] = clumsy.model_processes()
    bad = dataclasses.replace(SMALL, seed=13, prompt="a secret wish")
    with pytest.raises(ModelGone, match=r"The model failed: ValueError$") as gone:
        await made(connected, bad, model="clumsy")
    assert not gone.value.dead
    assert (await made(connected, SMALL, model="clumsy"))[0] == b"film"
    assert stub in clumsy.model_processes()
    log = (clumsy.triton.home / "triton.log").read_text()
    assert "ValueError at" in log
    assert "secret" not in log
    with pytest.raises(ModelUnavailable):
        await client.describe(connected, "unfit")
    assert await client.trouble(connected, "unfit") == "The weights are missing."
    assert await client.trouble(connected, "nobody") == "The model server does not know this model."
    await connected.close()
    unreachable = client.connect("127.0.0.1:9", clumsy.tls)
    assert await client.trouble(unreachable, "wan") == "The model server cannot be reached."
