"""Weights of every kind of the Wan family, tiny and random, made without a network: `python -m tests.wan.tiny FOLDER`.

It runs on the Python of .venv-wan. Each kind becomes a folder below FOLDER, as `save_pretrained` writes it, with a
tokenizer that is trained in memory. The autoencoders halve the picture once more than the published ones (as
that of Wan 2.2 TI2V-5B does), which makes them four times as fast; `t2v-plain` is built as that of Wan 2.1.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from bench.gpu.models import tokenizer

STEPS = 4
HALVED = {"scale_factor_spatial": 16, "patch_size": 2, "in_channels": 12, "out_channels": 12}


def text_encoder() -> UMT5EncoderModel:
    """As in Wan, with two layers."""
    return UMT5EncoderModel(UMT5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4))


def autoencoder(**changes: Any) -> AutoencoderKLWan:
    """Three channels wide, and 4 frames to a latent one, as in Wan."""
    shape: dict[str, Any] = {
        "base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    }  # fmt: skip
    return AutoencoderKLWan(**{**shape, **changes}).eval()


def transformer(**changes: Any) -> WanTransformer3DModel:
    """Two blocks of width 24."""
    shape: dict[str, Any] = {
        "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 16,
        "out_channels": 16, "text_dim": 32, "freq_dim": 256, "ffn_dim": 32, "num_layers": 2, "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 128,
    }  # fmt: skip
    return WanTransformer3DModel(**{**shape, **changes}).eval()


def parts(**changes: Any) -> dict[str, Any]:
    """What every pipeline has."""
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    usual = {"tokenizer": tokenizer(), "text_encoder": text_encoder(), "scheduler": scheduler}
    return {**usual, "vae": autoencoder(**HALVED), "transformer": transformer(), **changes}


def clip() -> dict[str, Any]:
    """The eye of Wan 2.1's image pipeline."""
    config = CLIPVisionConfig(
        hidden_size=4, projection_dim=4, num_hidden_layers=2, num_attention_heads=2, image_size=32,
        intermediate_size=16, patch_size=8,
    )  # fmt: skip
    size = {"crop_size": 32, "size": 32}
    return {"image_encoder": CLIPVisionModel(config), "image_processor": CLIPImageProcessor(**size)}


def pipelines() -> dict[str, Any]:
    """Every kind by the name of its folder."""
    seeing = {"in_channels": 36}
    mean = {"latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
    wide = autoencoder(**HALVED, **mean, z_dim=48, is_residual=True, decoder_base_dim=3)
    return {
        "t2v": WanPipeline(**parts()),
        "t2v-plain": WanPipeline(**parts(vae=autoencoder())),
        "t2v-experts": WanPipeline(**parts(transformer_2=transformer()), boundary_ratio=0.875),
        "i2v": WanImageToVideoPipeline(
            **parts(transformer=transformer(**seeing, image_dim=4, added_kv_proj_dim=24)), **clip()
        ),
        "i2v-experts": WanImageToVideoPipeline(
            **parts(transformer=transformer(**seeing), transformer_2=transformer(**seeing)), boundary_ratio=0.9
        ),
        "ti2v": WanPipeline(
            **parts(vae=wide, transformer=transformer(in_channels=48, out_channels=48)), expand_timesteps=True
        ),
    }


def main(folder: Path) -> None:
    """Write all of them."""
    torch.manual_seed(0)
    for name, pipeline in pipelines().items():
        pipeline.save_pretrained(folder / name, safe_serialization=True)
        (folder / name / "filmgate.json").write_text(json.dumps({"steps": STEPS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
