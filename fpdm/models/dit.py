"""The explicit transformer of the same blocks, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from diffusers.configuration_utils import register_to_config
from torch import Tensor

from fpdm.checks import check_whole
from fpdm.models.caching import CachesBlocks
from fpdm.models.conditioning import Conditioning
from fpdm.models.diffusers_dit import THEIRS, is_their_pipeline, open_dit
from fpdm.models.explicit import Explicit
from fpdm.models.loading import class_of
from fpdm.models.patches import PatchNetwork, embeddings
from fpdm.models.transformer import Decoder, Encoder, initialise
from fpdm.solution import Denoised, Visited


class DiT(CachesBlocks, Explicit, PatchNetwork):
    """The diffusion transformer. Source: Peebles and Xie, ICCV 2023.

    Args:
        sample_size: height and width of the image or latent: a number of a square one, or both.
        patch_size: side of a patch; divides them.
        in_channels: channels of the image or latent.
        hidden_size: width D; a multiple of 4 and of `num_heads`.
        num_heads: attention heads.
        num_classes: classes, without the null class; 0 for none.
        condition_size: in place of classes, K of a vector that the network is told, or `(T, K)` of
            a sequence of tokens; None is none.
        mlp_ratio: hidden width of a block's MLP, relative to D.
        depth: blocks, each with weights of its own.
        learn_sigma: whether the variance is predicted too, in as many channels again.
        has_null_class: whether the label after the others stands for no class, and a condition of
            NaN for none; guidance needs it.
        stored_positions: whether the position embeddings are saved with the weights; for
            checkpoints that have others than the sines and cosines that can be computed.
        clock: of what the network is told, from the clean image to the noise: `thousand`, 0 to
            1000; `sit`, 1 to 0 as SiT has it; `unit`, 0 to 1. None is not known, taken for
            `thousand` where noise is predicted, and refused by pipelines of flow matching. A call
            takes timesteps from 0 to 1000 all the same.

    Raises:
        InvalidValueError: a size is not allowed, or two do not fit together.

    Examples:
        >>> import torch, fpdm
        >>> model = fpdm.DiT(sample_size=8, in_channels=1, hidden_size=32, num_heads=4, depth=3,
        ...                  num_classes=10).eval()
        >>> x, y = torch.randn(2, 1, 8, 8), torch.tensor([3, 7])
        >>> model(x, timestep=500, class_labels=y).sample.shape
        torch.Size([2, 1, 8, 8])
    """

    name: ClassVar[str] = "dit"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        sample_size: int | tuple[int, int] = 32,
        patch_size: int = 2,
        in_channels: int = 4,
        hidden_size: int = 384,
        num_heads: int = 6,
        num_classes: int = 1000,
        mlp_ratio: float = 4.0,
        depth: int = 12,
        learn_sigma: bool = False,
        has_null_class: bool = True,
        stored_positions: bool = False,
        clock: str | None = "thousand",
        condition_size: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        size = self.size()
        self.embeddings = embeddings(size, timestep_in_explicit=True)
        self.encoder = Encoder(size, blocks=check_whole("depth", depth, minimum=1))
        self.decoder = Decoder(size, blocks=0)
        initialise(self)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **options: Any) -> Any:
        """Load a network that `save_pretrained` has saved, or that diffusers has.

        Args:
            pretrained_model_name_or_path: the folder, or its name on the hub.
            options: of diffusers, such as `torch_dtype`.

        Returns:
            The network, in evaluation mode; a `DiffusersDiT` if it is a `DiTTransformer2DModel`.

        Raises:
            InvalidValueError: it was saved from another class, or weights are missing or too many.
        """
        name = pretrained_model_name_or_path
        whole = "subfolder" not in options and is_their_pipeline(name)
        if whole or class_of(cls, name, options) == THEIRS:
            return open_dit(name, **options)
        return super().from_pretrained(name, **options)

    @property
    def pre_passes(self) -> int:
        """Block passes of a timestep: all of them."""
        return cast("int", self.config["depth"])

    def forward(
        self,
        x: Tensor,
        timestep: Tensor | float | None = None,
        class_labels: Tensor | None = None,
        *,
        condition: Tensor | None = None,
        prepared: Conditioning | None = None,
        evals: int | None = None,
        history: Sequence[Visited] = (),
    ) -> Denoised:
        """Denoise a batch; called like [`FPDiT`][fpdm.FPDiT], with nothing to iterate.

        Args:
            x: noisy images, (B, C, H, W).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, (B, *condition_size); `null_condition` for none.
            prepared: in place of all of them, what `prepare` gave for B images, or for a multiple
                of them: x then stands for that many.
            evals: None or 0: there is no implicit layer.
            history: empty: nothing was solved before.

        Returns:
            The prediction, (B, C, H, W), or (B, 2 C, H, W) where the variance is learned; no
            solution.

        Raises:
            InvalidValueError: an input has a wrong shape, or there is something to iterate.
        """
        self.check_nothing_to_iterate(evals, history)
        cond = self.embed(x, timestep, class_labels, condition, prepared)
        return Denoised(sample=self.decoder(self.encoder(x, cond), cond))
