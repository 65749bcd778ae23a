"""From latents to pictures, a latent frame at a time, while what came before is encoded.

diffusers' `AutoencoderKLWan.decode` walks over the latent frames too, keeping what its convolutions need from one
to the next, but collects the whole film before it answers. Here each part is handed on. tests/wan compares the two.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

Item = TypeVar("Item")
AHEAD = 2
LOOK_SECONDS = 0.1


def denormalized(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Latents as the autoencoder wants them, out of those that the pipeline answers as `latent`."""
    with torch.no_grad():
        latents = latents.to(vae.device, dtype=vae.dtype)
        shape = (1, vae.config.z_dim, 1, 1, 1)
        mean = torch.tensor(vae.config.latents_mean).view(shape).to(latents.device, latents.dtype)
        scale = 1.0 / torch.tensor(vae.config.latents_std).view(shape).to(latents.device, latents.dtype)
        return latents / scale + mean


def chunks(vae: Any, latents: torch.Tensor) -> Iterator[torch.Tensor]:
    """Pictures from -1 to 1, as 1 by 3 by frames by height by width: one frame first, then as many as a latent holds.

    `latents` are denormalized ones. One at a time: the autoencoder keeps the state of the walk in itself.
    """
    vae.clear_cache()
    try:
        for index in range(latents.shape[2]):
            with torch.no_grad():
                vae._conv_idx = [0]
                latent = vae.post_quant_conv(latents[:, :, index : index + 1])
                first = {"first_chunk": True} if index == 0 else {}
                pictures = vae.decoder(latent, feat_cache=vae._feat_map, feat_idx=vae._conv_idx, **first)
                if vae.config.patch_size is not None:
                    pictures = unpatchify(pictures, patch_size=vae.config.patch_size)
                pictures = torch.clamp(pictures, min=-1.0, max=1.0)
            yield pictures
    finally:
        vae.clear_cache()


def pixels(pictures: torch.Tensor) -> Any:
    """A chunk as frames by height by width by 3 in 8-bit RGB, in the memory of the CPU."""
    with torch.no_grad():
        levels = ((pictures[0].float() * 0.5 + 0.5) * 255).round().to(torch.uint8)
        return levels.permute(1, 2, 3, 0).contiguous().cpu().numpy()


def ahead(make: Callable[[], Iterator[Item]], most: int = AHEAD) -> Iterator[Item]:
    """Yields what `make` yields, made in a thread of its own, at most `most` ahead; its fault is raised here.

    Closing it ends the thread after what it is making, and waits for that.
    """
    line: queue.Queue[tuple[str, Any]] = queue.Queue(most)
    left = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                line.put((kind, value), timeout=LOOK_SECONDS)
                return True
        return False

    def work() -> None:
        try:
            with contextlib.closing(make()) as items:  # type: ignore[type-var]
                if all(put("item", item) for item in items):
                    put("end", None)
        except Exception as fault:  # noqa: BLE001  it is raised where the items are wanted
            put("fault", fault)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = line.get()
            if kind == "fault":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        left.set()
        thread.join()
