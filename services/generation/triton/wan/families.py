"""The Wan family: which pipelines there are, what each makes by default, and under which name it is offered. Pure.

Frame rates, frames, steps and guidance are those of the published configurations (Wan-Video/Wan2.1 `generate.py`,
Wan-Video/Wan2.2 `wan/configs`); a folder of weights may say otherwise, see `weights.Settings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEXT_PIPELINE, IMAGE_PIPELINE = "WanPipeline", "WanImageToVideoPipeline"


@dataclass(frozen=True)
class Family:
    """One kind of weights. `offered_as` is the model's name in Triton and in the catalog.

    `most_frames` is the longest clip that it was trained for. `guidance_scale_2` guides the second, low-noise expert.
    """

    title: str
    offered_as: str
    text: bool
    image: bool
    frame_rate: int
    most_frames: int
    steps: int
    guidance_scale: float
    guidance_scale_2: float | None = None


TI2V_5B = Family("Wan 2.2 TI2V-5B", "wan-5b", True, True, 24, 121, 50, 5.0)
T2V_2_1 = Family("Wan 2.1 text to video", "wan", True, False, 16, 81, 50, 5.0)
I2V_2_1 = Family("Wan 2.1 image to video", "wan-image", False, True, 16, 81, 40, 5.0)
T2V_2_2 = Family("Wan 2.2 text to video with two experts", "wan", True, False, 16, 81, 40, 4.0, 3.0)
I2V_2_2 = Family("Wan 2.2 image to video with two experts", "wan-image", False, True, 16, 81, 40, 3.5, 3.5)
FAMILIES = (TI2V_5B, T2V_2_1, I2V_2_1, T2V_2_2, I2V_2_2)


def family_of(index: Mapping[str, Any]) -> Family | None:
    """The family of a model_index.json; None when it is no pipeline of this family."""
    pipeline, experts = index.get("_class_name"), index.get("boundary_ratio") is not None
    if pipeline not in (TEXT_PIPELINE, IMAGE_PIPELINE):
        return None
    if index.get("expand_timesteps"):
        return TI2V_5B
    if pipeline == TEXT_PIPELINE:
        return T2V_2_2 if experts else T2V_2_1
    return I2V_2_2 if experts else I2V_2_1
