"""The mounted weights: found by the model's name, known by their model_index.json, complete before anything is loaded.

Every fault is a ModelUnfit: one sentence that tells an operator what is missing. Knows neither torch nor diffusers.
"""

import importlib.util
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from services.generation.triton.contract import GUIDANCE_SCALES, STEPS, ModelUnfit
from services.generation.triton.wan.families import Family, family_of

SETTING = "FILMGATE_WAN_WEIGHTS"
INDEX, SETTINGS = "model_index.json", "filmgate.json"
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "tokenizers")
LIBRARIES = ("diffusers", "transformers")
WEIGHTLESS = ("Scheduler", "Tokenizer", "Processor", "TokenizersBackend")
MAX_HEADER_BYTES = 100 * 2**20
DTYPES = ("bfloat16", "float32")
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_VERBOSITY": "error"}


@dataclass(frozen=True)
class Settings:
    """What filmgate.json in the folder may say; what it leaves out is the family's.

    `dtype` and `vae_dtype` are bfloat16 or float32; left out, bfloat16 on a GPU and float32 on a CPU.
    """

    frame_rate: int
    most_frames: int
    steps: int
    guidance_scale: float
    guidance_scale_2: float | None
    negative_prompt: str = ""
    dtype: str = ""
    vae_dtype: str = ""


@dataclass(frozen=True)
class Weights:
    """A folder of weights that is whole, with what its own configurations say. `pipeline` is a class of diffusers."""

    folder: Path
    pipeline: str
    family: Family
    settings: Settings
    multiple: tuple[int, int]
    """Width and height are multiples of these: a latent pixel's size times a patch's."""
    frames_per_latent: int
    longest_side: tuple[int, int]
    """Pixels, as far as positions are known to the transformer."""


def stay_offline() -> None:
    """Has the libraries that will be imported never ask the network for anything."""
    os.environ.update(OFFLINE)


def find(model: str) -> Weights:
    """The weights of a model: FILMGATE_WAN_WEIGHTS, or its folder of the model's name. Raises ModelUnfit."""
    home = os.environ.get(SETTING, "")
    if not home:
        raise ModelUnfit(f"{SETTING} is not set: it names the folder with the weights.")
    whole, own = Path(home), Path(home) / model
    if whole.is_dir() and not own.is_dir() and not (whole / INDEX).exists():
        raise ModelUnfit(f"There is neither a folder {own} nor a file {whole / INDEX}.")
    found = read(own if own.is_dir() else whole)
    if found.family.offered_as != model:
        told = f"{found.folder} holds {found.family.title}: offer it as {found.family.offered_as} by FILMGATE_MODELS"
        raise ModelUnfit(f"{told}, not as {model}.")
    return found


def packages() -> None:
    """Raises ModelUnfit unless everything that a pipeline imports is installed."""
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        raise ModelUnfit(f"Not installed for Triton's Python: {', '.join(lacking)}; `make setup-wan` installs them.")


def read(folder: Path) -> Weights:
    """A folder as diffusers writes it, checked file by file. Raises ModelUnfit."""
    if not folder.is_dir():
        raise ModelUnfit(f"There is no folder {folder}, which {SETTING} names.")
    index = _json(folder / INDEX)
    family = family_of(index)
    if family is None:
        raise ModelUnfit(f"{folder / INDEX} names a {index.get('_class_name')}, which is no pipeline of Wan.")
    for name in _components(folder, index, experts=family.guidance_scale_2 is not None):
        _check_model(folder / name)
    vae, transformer = _json(folder / "vae" / "config.json"), _json(folder / "transformer" / "config.json")
    try:
        patch, spatial = transformer["patch_size"], int(vae.get("scale_factor_spatial") or 8)
        multiple = spatial * int(patch[2]), spatial * int(patch[1])
        known = int(transformer.get("rope_max_seq_len") or 1024)
        per_latent = int(vae.get("scale_factor_temporal") or 4)
    except (KeyError, IndexError, TypeError, ValueError) as fault:
        raise ModelUnfit(f"The configurations below {folder} lack a measure: {fault!r}.") from fault
    longest = multiple[0] * known, multiple[1] * known
    return Weights(folder, index["_class_name"], family, _settings(folder, family), multiple, per_latent, longest)


def _components(folder: Path, index: dict[str, Any], *, experts: bool) -> Iterator[str]:
    """The names of the components that have weights. The others are looked for here."""
    needed = ["tokenizer", "text_encoder", "transformer", "vae", "scheduler", *(["transformer_2"] if experts else [])]
    if lacking := [name for name in needed if not (index.get(name) or [None])[0]]:
        raise ModelUnfit(f"{folder / INDEX} names no {', '.join(lacking)}.")
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2 or value[0] is None:
            continue
        library, kind = value
        if library not in LIBRARIES:
            raise ModelUnfit(f"{folder / INDEX} wants the code of {library} for {name}; no stranger's code is run.")
        if not (folder / name).is_dir():
            raise ModelUnfit(f"The folder {folder / name} is missing.")
        if not any(word in kind for word in WEIGHTLESS):
            yield name
        elif name == "tokenizer" and not (folder / name / "tokenizer.json").is_file():
            raise ModelUnfit(f"{folder / name / 'tokenizer.json'} is missing.")


def _check_model(folder: Path) -> None:
    """Its configuration and every file of its weights, none cut short."""
    _json(folder / "config.json")
    indexes, files = sorted(folder.glob("*.safetensors.index.json")), sorted(folder.glob("*.safetensors"))
    if indexes:
        files = [folder / name for name in sorted(set(_json(indexes[0]).get("weight_map", {}).values()))]
    if not files:
        raise ModelUnfit(f"{folder} has no weights as safetensors, and no other format is read.")
    for file in files:
        _check_whole(file)


def _check_whole(file: Path) -> None:
    """The header of a safetensors file says how long it is: a download that was cut off is seen before the load."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, MAX_HEADER_BYTES)))
        end = 8 + length + max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"))
    except OSError as fault:
        raise ModelUnfit(f"{file} is missing.") from fault
    except (ValueError, struct.error, KeyError, TypeError, AttributeError) as fault:
        raise ModelUnfit(f"{file} is no safetensors file.") from fault
    if size < end:
        raise ModelUnfit(f"{file} was cut short: {size} of {end} bytes.")


def _settings(folder: Path, family: Family) -> Settings:
    """The family's defaults, changed by filmgate.json where there is one."""
    shared = {field.name for field in fields(Settings)} & {field.name for field in fields(Family)}
    default = Settings(**{name: getattr(family, name) for name in shared})
    path = folder / SETTINGS
    if not path.exists():
        return default
    told = _json(path)
    if odd := told.keys() - {field.name for field in fields(Settings)}:
        raise ModelUnfit(f"{path} has fields that nothing reads: {', '.join(sorted(odd))}.")
    try:
        read_ = replace(default, **told)
        sound = (
            8 <= read_.frame_rate <= 60 and 1 <= read_.most_frames <= 4096 and STEPS[0] <= read_.steps <= STEPS[1]
            and all(
                scale is None or GUIDANCE_SCALES[0] <= scale <= GUIDANCE_SCALES[1]
                for scale in (read_.guidance_scale, read_.guidance_scale_2)
            )
            and isinstance(read_.negative_prompt, str) and {read_.dtype, read_.vae_dtype} <= {"", *DTYPES}
        )  # fmt: skip
    except TypeError:
        sound = False
    if not sound:
        raise ModelUnfit(f"{path} holds a value out of its range.")
    return read_


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except OSError as fault:
        raise ModelUnfit(f"{path} is missing.") from fault
    except ValueError as fault:
        raise ModelUnfit(f"{path} is no JSON.") from fault
    if not isinstance(told, dict):
        raise ModelUnfit(f"{path} is no JSON object.")
    return told
