"""The implicit transformer: one block, iterated to its fixed point, between explicit layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from fpdm import plugins
from fpdm.checks import check_whole
from fpdm.denoiser import FixedPointDenoiser
from fpdm.interfaces import FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.layer import ACROSS_TIMESTEPS, FixedPointLayer
from fpdm.models.block import Block, Modulation
from fpdm.models.bound import Bound
from fpdm.models.conditioning import Conditioning
from fpdm.models.mix import Mix
from fpdm.models.patches import PatchNetwork, embeddings
from fpdm.models.recomputation import Checkpointed
from fpdm.models.size import Size
from fpdm.models.transformer import Decoder, Encoder, initialise
from fpdm.plugins import Spec
from fpdm.solution import Denoised


class FixedPointBlock(Checkpointed):
    """`f(z) = Block(W2 gelu(W1 [z, inj(h)] + b1) + b2, c)`, the map whose fixed point is sought.

    What is kept for the backward pass is kept once for each iteration, so it is kept lean. Source:
    Bai and Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024.

    Args:
        size: of the transformer.
    """

    lean = True

    def __init__(self, size: Size) -> None:
        super().__init__()
        dim = size.hidden_size
        self.injection = nn.Linear(dim, dim)
        self.mix = Mix(dim)  # W1
        self.narrow = nn.Linear(2 * dim, dim)  # W2
        self.block = Block(size)
        self.block.lean = True

    def bind(self, features: Tensor, cond: Conditioning) -> Callable[[Tensor], Tensor]:
        """Return `f` of one timestep, with all that does not depend on z computed once.

        `W1 [z, p] + b1` is `W1z z + (W1p p + b1)`; the bracket is a constant of the solve, and so
        is the modulation of the block.

        Args:
            features: what the explicit first layers made, (B, N, D).
            cond: of this timestep.

        Returns:
            A map of (B, N, D) to (B, N, D); each call is one evaluation, one block pass.
        """
        constant = self.mix.injection(self.injection(features))
        return Bound(self._iterate, constant, *self.block.modulate(cond.full))

    def _iterate(self, z: Tensor, constant: Tensor, *by: Tensor) -> Tensor:
        return cast("Tensor", self(z, constant=constant, by=Modulation(*by)))

    def forward(self, z: Tensor, constant: Tensor, by: Modulation) -> Tensor:
        """Iterate once; (B, N, D) → (B, N, D).

        Args:
            z: the iterate, (B, N, D).
            constant: what the injection adds, (B, N, 2 D).
            by: what the conditioning says to the block.
        """
        return self.recompute(self.run, z, constant, by)

    def run(self, z: Tensor, constant: Tensor, by: Modulation) -> Tensor:
        """Iterate once, keeping all that the gradient needs; (B, N, D) → (B, N, D).

        Args:
            z: the iterate, (B, N, D).
            constant: what the injection adds, (B, N, 2 D).
            by: what the conditioning says to the block.
        """
        x = self.cheaply(self._narrow, self.mix(z, constant))
        return cast("Tensor", self.block(x, by, inside=True))

    def _narrow(self, mixed: Tensor) -> Tensor:
        return cast("Tensor", self.narrow(F.gelu(mixed, approximate="tanh")))


class FPDiT(PatchNetwork):
    """The fixed-point diffusion transformer. Source: Bai and Melas-Kyriazi, CVPR 2024.

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
        pre_depth: explicit blocks before the fixed-point layer.
        post_depth: explicit blocks after it.
        learn_sigma: whether the variance is predicted too, in as many channels again.
        has_null_class: whether the label after the others stands for no class, and a condition of
            NaN for none; guidance needs it.
        stored_positions: whether the position embeddings are saved with the weights; for
            checkpoints that have others than the sines and cosines that can be computed.
        clock: of what the network is told, from the clean image to the noise: `thousand`, 0 to
            1000; `sit`, 1 to 0 as SiT has it; `unit`, 0 to 1. None is not known, taken for
            `thousand` where noise is predicted, and refused by pipelines of flow matching. A call
            takes timesteps from 0 to 1000 all the same.
        condition_pre_post_on_timestep: whether the explicit layers see the timestep and the class,
            or the class alone.
        solver: what iterates outside training by default: a name, a mapping with options, or an
            object.
        init: where solves start by default; likewise.
        gradient: how training differentiates; likewise.
        evals: iterations at a timestep where a call does not say.
        training_solver: what the gradient estimator iterates with; likewise.

    Raises:
        InvalidValueError: a size is not allowed, or two do not fit together.
        UnknownNameError: no component has such a name.

    Examples:
        >>> import torch, fpdm
        >>> model = fpdm.FPDiT(sample_size=8, in_channels=1, hidden_size=32, num_heads=4,
        ...                    num_classes=10).eval()
        >>> x, t, y = torch.randn(2, 1, 8, 8), torch.tensor([999, 10]), torch.tensor([3, 7])
        >>> out = model(x, timestep=t, class_labels=y, evals=5)
        >>> out.sample.shape, out.solution.evals
        (torch.Size([2, 1, 8, 8]), 5)
    """

    name: ClassVar[str] = "fpdit"

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
        pre_depth: int = 1,
        post_depth: int = 1,
        learn_sigma: bool = False,
        has_null_class: bool = True,
        stored_positions: bool = False,
        clock: str | None = "thousand",
        condition_size: int | tuple[int, int] | None = None,
        condition_pre_post_on_timestep: bool = True,
        solver: Spec | FixedPointSolver = ACROSS_TIMESTEPS,
        init: Spec | InitStrategy = "features",
        gradient: Spec | GradientEstimator = "sjfb",
        evals: int = 12,
        training_solver: Spec | FixedPointSolver = "naive",
    ) -> None:
        super().__init__()
        size = self.size()
        self.embeddings = embeddings(size, timestep_in_explicit=condition_pre_post_on_timestep)
        self.denoiser = FixedPointDenoiser(
            Encoder(size, blocks=check_whole("pre_depth", pre_depth, minimum=0)),
            FixedPointLayer(
                FixedPointBlock(size),
                solver=solver,
                init=init,
                gradient=gradient,
                evals=evals,
                training_solver=training_solver,
            ),
            Decoder(size, blocks=check_whole("post_depth", post_depth, minimum=0)),
        )
        initialise(self)
        self.register_to_config(  # as plain data, whatever they were given as
            solver=plugins.describe(self.layer.solver),
            init=plugins.describe(self.layer.init),
            gradient=plugins.describe(self.layer.gradient),
            training_solver=plugins.describe(self.layer.training_solver),
        )

    @property
    def layer(self) -> FixedPointLayer:
        """The implicit layer."""
        return self.denoiser.layer

    @property
    def pre_passes(self) -> int:
        """Block passes before the implicit layer at each timestep."""
        return cast("int", self.config["pre_depth"])

    @property
    def post_passes(self) -> int:
        """Block passes after it."""
        return cast("int", self.config["post_depth"])

    def forward(
        self,
        x: Tensor,
        timestep: Tensor | float | None = None,
        class_labels: Tensor | None = None,
        *,
        condition: Tensor | None = None,
        prepared: Conditioning | None = None,
        **solving: Any,
    ) -> Denoised:
        """Denoise a batch.

        Args:
            x: noisy images, (B, C, H, W).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, (B, *condition_size); `null_condition` for none.
            prepared: in place of all of them, what `prepare` gave for B images, or for a multiple
                of them: x then stands for that many.
            solving: `evals`, `tol`, `history`, `moment`, `solver`, `init`, `generator`,
                `watch` of [`FixedPointLayer`][fpdm.FixedPointLayer].

        Returns:
            The prediction, (B, C, H, W), or (B, 2 C, H, W) where the variance is learned, and the
            solution of the implicit layer, (B, N, D).

        Raises:
            InvalidValueError: an input has a wrong shape, or a label is out of range.
        """
        cond = self.embed(x, timestep, class_labels, condition, prepared)
        return cast("Denoised", self.denoiser(x, cond, **solving))
