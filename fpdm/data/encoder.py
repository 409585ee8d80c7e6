"""From images to what a shard holds of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Generator, Tensor

from fpdm.data.moments import draw_latent
from fpdm.data.shards import DTYPES, Layout

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


@frozen(eq=False)
class Encoder:
    """A VAE that encodes images as a layout says.

    Attributes:
        vae: the autoencoder, on its device.
        layout: of the shards.
        seed: of samples; each image has its own from this seed and its index.
    """

    vae: AutoencoderKL
    layout: Layout
    seed: int

    def __call__(self, images: Tensor, indices: Sequence[int]) -> dict[str, Tensor]:
        """Encode images, and their mirror images where the layout has these.

        Args:
            images: (B, C, H, H), in [-1, 1].
            indices: which images of the source they are.

        Returns:
            `latents` and, where the layout has it, `flipped`, as they stand in a shard.
        """
        moments = {"latents": self._moments(images)}
        if self.layout.flipped:
            moments["flipped"] = self._moments(images.flip(-1))
        if self.layout.stored == "sample":
            noise = torch.stack([self._noise(index) for index in indices])
            moments = {
                name: draw_latent(own, noise[:, copy])
                for copy, (name, own) in enumerate(moments.items())
            }
        return {name: kept.to(DTYPES[self.layout.dtype]) for name, kept in moments.items()}

    @torch.inference_mode()
    def _moments(self, images: Tensor) -> Tensor:
        """(B, 2C, h, h), float32."""
        with _one_thread(self.vae.device):
            given = images.to(self.vae.device, self.vae.dtype)
            moments: Tensor = self.vae.encode(given).latent_dist.parameters
        return moments.float().cpu()

    def _noise(self, index: int) -> Tensor:
        """The noise of an image and of its mirror image, (2, C, h, h)."""
        generator = Generator().manual_seed(self.seed * 1_000_003 + index)
        layout = self.layout
        return torch.randn(2, layout.channels, layout.size, layout.size, generator=generator)


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, compute in one thread: the last bits depend on how many share the work."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
