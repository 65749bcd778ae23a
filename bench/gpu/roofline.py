"""How many operations a video takes, and what share of a GPU's peak a time stands for. Pure arithmetic.

One forward of the transformer for N latent tokens, width d, feed-forward f, L blocks and T tokens of text:

    L * (8*N*d^2 + 4*N^2*d + (4*N*d^2 + 4*T*d^2 + 4*N*T*d) + 4*N*d*f)
         projections  self-attention  cross-attention        feed-forward
"""

from dataclasses import dataclass

TERA, PETA = 1e12, 1e15
TEXT_TOKENS = 512
PASS, GOOD = 0.40, 0.69
"""Of a denoising step's peak: what plain diffusers reaches, and what the best engines do."""


@dataclass(frozen=True)
class Transformer:
    """The measures of a transformer of the family."""

    width: int
    feed_forward: int
    blocks: int

    def forward(self, tokens: int, text_tokens: int = TEXT_TOKENS) -> float:
        """Operations of one forward."""
        n, d, t = tokens, self.width, text_tokens
        cross = 4 * n * d**2 + 4 * t * d**2 + 4 * n * t * d
        return self.blocks * (8 * n * d**2 + 4 * n**2 * d + cross + 4 * n * d * self.feed_forward)


@dataclass(frozen=True)
class TextEncoder:
    """The measures of a T5 encoder with gated feed-forward."""

    width: int
    inner: int
    feed_forward: int
    blocks: int

    def forward(self, tokens: int = TEXT_TOKENS) -> float:
        """Operations of one forward."""
        projections = 8 * tokens * self.width * self.inner
        return self.blocks * (projections + 4 * tokens**2 * self.inner + 6 * tokens * self.width * self.feed_forward)


def tokens(frames: int, width: int, height: int, spatial: int) -> int:
    """Latent tokens of a clip; `spatial` is what the autoencoder divides by. It takes 4 frames, a patch 2 by 2."""
    return ((frames - 1) // 4 + 1) * (width // spatial // 2) * (height // spatial // 2)


def share(operations: float, seconds: float, peak_tflops: float) -> float:
    """What part of the peak was reached: 1 is the roofline."""
    return operations / (seconds * peak_tflops * TERA)
