"""What an operator is told when weights are missing, and that they are offered as soon as they are there."""

import dataclasses
import shutil

import pytest

from deploy.local import ready
from services.generation.triton import client
from services.generation.triton.client import ModelUnavailable
from tests.wan.test_model import PICTURE, SMALL, made


@pytest.fixture
async def connection(bare):
    opened = client.connect(bare[0].address, bare[0].tls)
    yield opened
    await opened.close()


async def test_a_model_without_weights_keeps_no_other_away_and_says_what_is_missing(bare, connection):
    server, home = bare
    assert (await client.describe(connection, "animatic")).instances == 1
    with pytest.raises(ModelUnavailable):
        await client.describe(connection, "wan")
    sentence = f"There is no folder {home}, which FILMGATE_WAN_WEIGHTS names."
    assert await client.trouble(connection, "wan") == sentence
    assert server.triton.troubles() == {"wan": sentence, "wan-image": sentence}
    assert ready.models(server.triton.port, server.triton.certificates) == {
        "animatic": "",
        "wan": sentence,
        "wan-image": sentence,
    }
    assert sentence in (server.triton.home / "triton.log").read_text()


async def _refused(connection, tiny, home, harm, model="wan"):
    """What is told of weights that were harmed."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(tiny / "t2v", home / model)
    harm(home / model)
    with pytest.raises(ModelUnavailable):
        await client.restore(connection, model, seconds=120, failed=True)
    return await client.trouble(connection, model)


async def test_each_missing_thing_is_told_by_its_name(bare, connection, tiny):
    _, home = bare
    told = await _refused(connection, tiny, home, lambda folder: shutil.rmtree(folder / "vae"))
    assert told == f"The folder {home / 'wan' / 'vae'} is missing."
    file = home / "wan" / "transformer" / "diffusion_pytorch_model.safetensors"
    told = await _refused(connection, tiny, home, lambda _: file.rename(file.with_suffix(".bin")))
    assert told == f"{file.parent} has no weights as safetensors, and no other format is read."
    told = await _refused(connection, tiny, home, lambda _: None, model="wan-image")
    assert told.endswith("offer it as wan by FILMGATE_MODELS, not as wan-image.")


async def test_weights_that_do_not_fit_their_configuration_are_told_too(bare, connection, tiny):
    def harm(folder):
        path = folder / "transformer" / "config.json"
        path.write_text(path.read_text().replace('"ffn_dim": 32', '"ffn_dim": 64'))

    told = await _refused(connection, tiny, bare[1], harm)
    assert told.startswith(f"The weights in {bare[1] / 'wan'} cannot be loaded: ")


async def test_weights_of_two_experts_are_offered_once_they_are_there(bare, connection, tiny):
    shutil.rmtree(bare[1], ignore_errors=True)
    for model, kind, image in (("wan", "t2v-experts", b""), ("wan-image", "i2v-experts", PICTURE)):
        shutil.copytree(tiny / kind, bare[1] / model)
        assert await client.restore(connection, model, seconds=300, failed=True)
        data, steps = await made(connection, dataclasses.replace(SMALL, steps=8), image, model)
        assert len(data) > 1000
        assert steps[-1].final
