"""Pipelines of the published configurations with random weights: a time does not depend on the values.

The measures are those of the models' own config.json files. `tiny` is for a machine without a GPU.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from bench.gpu.roofline import TextEncoder, Transformer
from services.generation.triton.wan import families
from services.generation.triton.wan.families import Family
from services.generation.triton.wan.weights import Settings, Weights

WORDS = ["a lighthouse at dusk , slow zoom in . 海边的灯塔 the sea is quiet"]
HEAD = 128
UMT5_XXL = {
    "vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}  # fmt: skip
UMT5_TINY = {
    "vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}  # fmt: skip
VAE_5B = {
    "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "patch_size": 2, "in_channels": 12,
    "out_channels": 12, "scale_factor_spatial": 16, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
}  # fmt: skip
VAE_TINY = {
    "base_dim": 3, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1, "patch_size": 2, "in_channels": 12,
    "out_channels": 12, "scale_factor_spatial": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """One published configuration and the clip that its figures are told for. `heads` is width by HEAD."""

    family: Family
    width: int
    height: int
    frames: int
    heads: int
    feed_forward: int
    blocks: int
    channels: int
    vae: dict[str, Any]
    text: dict[str, Any]
    head: int = HEAD

    @property
    def transformer(self) -> Transformer:
        """Its measures for the arithmetic."""
        return Transformer(self.heads * self.head, self.feed_forward, self.blocks)

    @property
    def text_encoder(self) -> TextEncoder:
        """Its measures for the arithmetic."""
        text = self.text
        return TextEncoder(text["d_model"], text["d_kv"] * text["num_heads"], text["d_ff"], text["num_layers"])

    @property
    def spatial(self) -> int:
        """Pixels to a latent pixel."""
        return int(self.vae.get("scale_factor_spatial", 8))


MODELS = {
    "wan2.1-t2v-1.3b": Published(families.T2V_2_1, 832, 480, 81, 12, 8960, 30, 16, {}, UMT5_XXL),
    "wan2.2-ti2v-5b": Published(families.TI2V_5B, 1280, 704, 121, 24, 14336, 30, 48, VAE_5B, UMT5_XXL),
    "wan2.1-t2v-14b": Published(families.T2V_2_1, 832, 480, 81, 40, 13824, 40, 16, {}, UMT5_XXL),
    "wan2.2-t2v-a14b": Published(families.T2V_2_2, 1280, 720, 81, 40, 13824, 40, 16, {}, UMT5_XXL),
    "tiny": Published(families.T2V_2_1, 128, 128, 9, 2, 32, 2, 16, VAE_TINY, UMT5_TINY, head=12),
}


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer trained here in memory: one word, one token."""
    end, unknown, filler = "</s>", "<unk>", "<pad>"
    words = Tokenizer(models.WordLevel(unk_token=unknown))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(WORDS, trainers.WordLevelTrainer(vocab_size=64, special_tokens=[filler, end, unknown]))
    words.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=filler, eos_token=end, unk_token=unknown)


def vae(model: Published) -> AutoencoderKLWan:
    """Its autoencoder, on the device and of the type that are the default."""
    return AutoencoderKLWan(**model.vae).eval()


def pipeline(model: Published, device: str, dtype: torch.dtype) -> WanPipeline:
    """The whole pipeline, made on the device."""
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            shape = {
                "num_attention_heads": model.heads, "attention_head_dim": model.head, "in_channels": model.channels,
                "out_channels": model.channels, "text_dim": model.text["d_model"], "freq_dim": 256,
                "ffn_dim": model.feed_forward, "num_layers": model.blocks, "cross_attn_norm": True,
                "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 1024,
            }  # fmt: skip
            experts = model.family.guidance_scale_2 is not None
            parts = {
                "text_encoder": UMT5EncoderModel(UMT5Config(**model.text)).eval(),
                "transformer": WanTransformer3DModel(**shape).eval(),
                "transformer_2": WanTransformer3DModel(**shape).eval() if experts else None,
                "vae": vae(model),
            }
    finally:
        torch.set_default_dtype(torch.float32)
    for part in (parts["transformer"], parts["transformer_2"]):
        _keep_in_float32(part)
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0)
    changes = {"boundary_ratio": 0.875 if experts else None, "expand_timesteps": model.family is families.TI2V_5B}
    return WanPipeline(tokenizer=tokenizer(), scheduler=scheduler, **parts, **changes)


def _keep_in_float32(transformer: WanTransformer3DModel | None) -> None:
    """As from_pretrained does: some of its parts are never of a shorter type."""
    for name, parameter in transformer.named_parameters() if transformer else ():
        if any(part in name for part in transformer._keep_in_fp32_modules):
            parameter.data = parameter.data.float()


def weights(model: Published) -> Weights:
    """What is known of a folder of such weights."""
    family, multiple = model.family, model.spatial * 2
    settings = Settings(
        family.frame_rate, family.most_frames, family.steps, family.guidance_scale, family.guidance_scale_2
    )
    sides = (multiple * 1024, multiple * 1024)
    return Weights(Path("random"), families.TEXT_PIPELINE, family, settings, (multiple, multiple), 4, sides)
