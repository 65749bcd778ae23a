"""What is read of a folder of weights before anything is loaded: without torch, on files that look like weights."""

import json
import struct

import pytest

from services.generation.models.catalog import models
from services.generation.triton import contract
from services.generation.triton.contract import ModelUnfit
from services.generation.triton.wan import weights
from services.generation.triton.wan.families import FAMILIES, I2V_2_1, I2V_2_2, T2V_2_1, T2V_2_2, TI2V_5B

MODELS = ("text_encoder", "transformer", "vae")


def tensors(size: int = 8) -> bytes:
    """The bytes of a safetensors file with one tensor of `size` bytes."""
    header = json.dumps({"one": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def laid_out(folder, pipeline="WanPipeline", experts=None, *, expand=False, spatial=8):
    """A folder as diffusers writes it."""
    index = {"_class_name": pipeline, "boundary_ratio": experts, "expand_timesteps": expand}
    names = [*MODELS, *(["transformer_2"] if experts else [])]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
        (folder / name / "model.safetensors").write_bytes(tensors())
        index[name] = ["diffusers", "Something"]
    (folder / "transformer" / "config.json").write_text('{"patch_size": [1, 2, 2], "rope_max_seq_len": 1024}')
    (folder / "vae" / "config.json").write_text(json.dumps({"scale_factor_spatial": spatial}))
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    (folder / "scheduler").mkdir()
    index |= {"tokenizer": ["transformers", "T5TokenizerFast"], "scheduler": ["diffusers", "UniPCMultistepScheduler"]}
    index["transformer_2"] = index.get("transformer_2", [None, None])
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("layout", "family", "multiple"),
    [
        ({}, T2V_2_1, (16, 16)),
        ({"pipeline": "WanImageToVideoPipeline"}, I2V_2_1, (16, 16)),
        ({"experts": 0.875}, T2V_2_2, (16, 16)),
        ({"pipeline": "WanImageToVideoPipeline", "experts": 0.9}, I2V_2_2, (16, 16)),
        ({"expand": True, "spatial": 16}, TI2V_5B, (32, 32)),
    ],
)
def test_every_kind_is_known_by_its_index(tmp_path, layout, family, multiple):
    found = weights.read(laid_out(tmp_path / "w", **layout))
    assert (found.family, found.multiple, found.frames_per_latent) == (family, multiple, 4)
    assert (found.settings.steps, found.settings.guidance_scale) == (family.steps, family.guidance_scale)
    assert found.longest_side == (multiple[0] * 1024, multiple[1] * 1024)


def remove(name):
    def act(folder):
        path = folder / name
        path.unlink() if path.is_file() else path.rename(folder.with_name("elsewhere"))

    return act


def write(name, data):
    return lambda folder: (folder / name).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def index(**changes):
    def act(folder):
        path = folder / "model_index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return act


def both(*acts):
    return lambda folder: [act(folder) for act in acts]


SHARDS = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (remove("model_index.json"), "model_index.json is missing."),
        (write("model_index.json", b"{"), "model_index.json is no JSON."),
        (write("model_index.json", [1]), "model_index.json is no JSON object."),
        (index(_class_name="LTXPipeline"), "names a LTXPipeline, which is no pipeline of Wan."),
        (index(vae=[None, None]), "names no vae."),
        (index(boundary_ratio=0.9), "names no transformer_2."),
        (index(extra=["a_stranger", "Code"]), "wants the code of a_stranger for extra"),
        (remove("vae"), "vae is missing."),
        (remove("tokenizer/tokenizer.json"), "tokenizer.json is missing."),
        (remove("text_encoder/config.json"), "text_encoder/config.json is missing."),
        (remove("transformer/model.safetensors"), "transformer has no weights as safetensors"),
        (
            both(remove("transformer/model.safetensors"), write("transformer/model.bin", b"pickle")),
            "transformer has no weights as safetensors, and no other format is read.",
        ),
        (write("transformer/x.safetensors.index.json", SHARDS), "model-1.safetensors is missing."),
        (write("transformer/model.safetensors", tensors()[:-1]), "was cut short: 77 of 78 bytes."),
        (write("transformer/model.safetensors", b"x" * 100), "model.safetensors is no safetensors file."),
        (write("transformer/config.json", {}), "lack a measure: KeyError('patch_size')."),
        (write("filmgate.json", {"step": 4}), "filmgate.json has fields that nothing reads: step."),
        (write("filmgate.json", {"steps": 0}), "filmgate.json holds a value out of its range."),
        (write("filmgate.json", {"guidance_scale": "high"}), "filmgate.json holds a value out of its range."),
        (write("filmgate.json", {"dtype": "int8"}), "filmgate.json holds a value out of its range."),
    ],
)
def test_what_is_missing_is_told_in_one_sentence(tmp_path, harm, told):
    folder = laid_out(tmp_path / "w")
    harm(folder)
    with pytest.raises(ModelUnfit) as unfit:
        weights.read(folder)
    sentence = contract.unfit_of_text(f"Internal: ModelUnfit: {unfit.value}\n\nAt: weights.py")
    assert told in sentence
    assert sentence.endswith(".")


def test_a_folder_may_say_what_its_weights_want(tmp_path):
    folder = laid_out(tmp_path / "w")
    write("filmgate.json", {"steps": 3, "guidance_scale": 1.0, "negative_prompt": "blurry"})(folder)
    settings = weights.read(folder).settings
    assert (settings.steps, settings.guidance_scale, settings.negative_prompt) == (3, 1.0, "blurry")
    assert settings.frame_rate == 16


def test_weights_are_found_by_the_models_name(tmp_path, monkeypatch):
    monkeypatch.delenv(weights.SETTING, raising=False)
    with pytest.raises(ModelUnfit, match="FILMGATE_WAN_WEIGHTS is not set"):
        weights.find("wan")
    monkeypatch.setenv(weights.SETTING, str(tmp_path / "none"))
    with pytest.raises(ModelUnfit, match=r"There is no folder .*none"):
        weights.find("wan")
    folder = laid_out(tmp_path / "home" / "wan")
    for place in (folder, folder.parent):
        monkeypatch.setenv(weights.SETTING, str(place))
        assert weights.find("wan").folder == folder
    with pytest.raises(ModelUnfit, match=r"There is neither a folder .*wan-image nor a file .*model_index.json\."):
        weights.find("wan-image")
    folder.rename(tmp_path / "home" / "wan-image")
    with pytest.raises(ModelUnfit, match=r"offer it as wan by FILMGATE_MODELS, not as wan-image\."):
        weights.find("wan-image")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_the_catalog_offers_what_the_weights_can_do(family):
    model = models()[family.offered_as]
    assert (model.text_to_video, model.image_to_video) == (family.text, family.image)
    assert model.frame_rate == family.frame_rate
    assert not model.camera_control
    assert model.negative_prompt
    assert max(model.duration_seconds) * family.frame_rate <= family.most_frames
    multiple = 32 if family is TI2V_5B else 16
    sizes = [model.size(resolution, ratio) for resolution in model.resolutions for ratio in model.aspect_ratios]
    assert all(side % multiple == 0 for size in sizes for side in size)
