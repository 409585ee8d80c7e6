"""A network of one's own, of three parts and an embedding of what it is told."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from fpdm import plugins
from fpdm.checks import check_whole
from fpdm.denoiser import FixedPointDenoiser
from fpdm.errors import InvalidValueError
from fpdm.interfaces import FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.layer import ACROSS_TIMESTEPS, FixedPointLayer
from fpdm.models.conditioning import Conditioning, Embeddings
from fpdm.models.embedded import EmbeddedNetwork
from fpdm.models.size import condition_extents
from fpdm.plugins import Spec
from fpdm.solution import Denoised

COMPONENTS = ("solver", "init", "gradient", "training_solver")
SOLVING = (*COMPONENTS, "evals")
"""How a fixed-point layer solves, which a configuration keeps."""


class FixedPointNetwork(EmbeddedNetwork):
    """The base of a network of one's own: a part before, a block that is iterated, a part after.

    A subclass says what it is built from in its `__init__`, under `register_to_config`, and hands
    the three parts on. The base embeds the timestep, and the class or condition, into one vector
    `cond`, (B, width), after a SiLU, which every part is told; solves; and saves and loads all of
    it, with the solver, init and gradient as plain data.

    Of what `__init__` takes, these have a meaning: `in_channels` and `sample_size`, the shape of a
    sample, a point if there is no `sample_size`; `num_classes`, or `condition_size` for what the
    network is told in place of a class; `has_null_class`, whether it knows none of them, True where
    it is not taken. A training builds it with those that it takes, as the data have them. Where
    `__init__` takes `**solving` and hands it on, it takes what stands from `solver` on below.

    Source: Bai and Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024.

    Args:
        pre: `(x, cond) → features`, run once at a timestep; or a tuple of the features and of what
            goes around the implicit layer to `post`.
        block: an `nn.Module` with a `bind(features, cond) → f`; see
            [`Block`][fpdm.layer.Block].
        post: `(z, cond) → prediction`, shaped like x, run once at a timestep; what goes around is
            handed to it after `cond`.
        width: of the vector that they are told.
        solver: what iterates: a name, a mapping with options, or an object.
        init: where solves start; likewise.
        gradient: how training differentiates; likewise.
        evals: iterations at a timestep where a call does not say.
        training_solver: what the gradient estimator iterates with; likewise.

    Raises:
        InvalidValueError: a part is no module, or lacks something; or a size is not allowed.
        UnknownNameError: no component has such a name.

    Examples:
        >>> import torch, fpdm
        >>> from fpdm.models import register_to_config
        >>> from torch import nn
        >>> class Pre(nn.Linear):
        ...     def forward(self, x, cond): return torch.tanh(super().forward(x) + cond)
        >>> class Pull(nn.Linear):
        ...     def bind(self, features, cond):
        ...         return lambda z: features + 0.5 * torch.tanh(self(z) + cond)
        >>> class Post(nn.Linear):
        ...     def forward(self, z, cond): return super().forward(z)
        >>> class Points(FixedPointNetwork):
        ...     @register_to_config
        ...     def __init__(self, *, in_channels=2, num_classes=3, width=16, **solving):
        ...         parts = Pre(in_channels, width), Pull(width, width), Post(width, in_channels)
        ...         super().__init__(*parts, width=width, **solving)
        >>> model = Points(init="reuse").eval()
        >>> model(torch.randn(5, 2), timestep=500, class_labels=torch.arange(5) % 3).sample.shape
        torch.Size([5, 2])
        >>> model.config["init"], model.null_class
        ({'name': 'reuse'}, 3)
    """

    pre_passes: ClassVar[Any] = 1
    """Block passes that the part before costs, in iterations; a subclass may say otherwise."""

    post_passes: ClassVar[Any] = 1
    """Those of the part after."""

    _least: ClassVar[dict[str, int]] = {}
    """Options that are whole numbers, and what each is at least."""

    def __init__(
        self,
        pre: nn.Module,
        block: nn.Module,
        post: nn.Module,
        *,
        width: int,
        solver: Spec | FixedPointSolver = ACROSS_TIMESTEPS,
        init: Spec | InitStrategy = "features",
        gradient: Spec | GradientEstimator = "sjfb",
        evals: int = 12,
        training_solver: Spec | FixedPointSolver = "naive",
    ) -> None:
        super().__init__()
        _check_parts(pre=pre, block=block, post=post)
        self.check_sizes(self.config.get("num_classes"), self.config.get("condition_size"))
        classes = self.config.get("num_classes") or 0
        self.embeddings = Embeddings(
            check_whole("width", width, minimum=1),
            labels=classes + (self.null_class is not None),
            condition_size=self.condition_size,
        )
        layer = FixedPointLayer(
            block,
            solver=solver,
            init=init,
            gradient=gradient,
            evals=evals,
            training_solver=training_solver,
        )
        self.denoiser = FixedPointDenoiser(pre, layer, post)
        self.register_to_config(
            evals=evals, **{name: plugins.describe(getattr(layer, name)) for name in COMPONENTS}
        )

    @staticmethod
    def check_sizes(num_classes: Any, condition_size: Any) -> None:
        """Check of what a network is told.

        Args:
            num_classes: classes; 0 or None for none.
            condition_size: K or `(T, K)`; None for none.

        Raises:
            InvalidValueError: a size is not allowed, or both are given.
        """
        classes = check_whole("num_classes", num_classes or 0, minimum=0)
        if condition_size is not None and condition_extents(condition_size) and classes:
            raise InvalidValueError(
                f"num_classes={classes}, condition_size={condition_size}: a network is told one of "
                f"them; give num_classes=0."
            )

    @classmethod
    def check_option(cls, name: str, value: Any) -> None:
        """Check one option before there are data to build for.

        Args:
            name: of the option.
            value: of it.

        Raises:
            InvalidValueError: it is not allowed.
        """
        if name in cls._least:
            check_whole(name, value, minimum=cls._least[name])

    @property
    def layer(self) -> FixedPointLayer:
        """The implicit layer."""
        return self.denoiser.layer

    @property
    def null_class(self) -> int | None:
        """The label for no class, after all others; None where there are no classes."""
        return super().null_class or None

    def register_to_config(self, **kwargs: Any) -> None:
        """Keep what the network was built with.

        Args:
            kwargs: by name; of what `**solving` stands for, nothing but what it was given.
        """
        missing = inspect.Parameter.empty
        super().register_to_config(**{k: v for k, v in kwargs.items() if v is not missing})

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a saved configuration; how it solves is an argument where `__init__` takes any.

        Args:
            config_dict: the configuration, as it was saved.
            kwargs: of diffusers.

        Returns:
            What diffusers returns: the arguments, those that are not used, and the rest.
        """
        taken = inspect.signature(cls.__init__).parameters
        free = {name: config_dict[name] for name in SOLVING if name in config_dict.keys() - taken}
        given = {key: value for key, value in config_dict.items() if key not in free}
        arguments, unused, rest = super().extract_init_dict(given, **kwargs)
        if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
            return arguments | free, unused, rest
        return arguments, unused, rest | free

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
            x: noisy samples, (B, C, …).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, (B, *condition_size); `null_condition` for none.
            prepared: in place of all of them, what `prepare` gave for B samples, or for a multiple
                of them: x then stands for that many.
            solving: `evals`, `tol`, `history`, `moment`, `solver`, `init`, `generator`,
                `watch` of [`FixedPointLayer`][fpdm.FixedPointLayer].

        Returns:
            The prediction, (B, C, …), and the solution of the implicit layer.

        Raises:
            InvalidValueError: an input has a wrong shape, a label is out of range, or something is
                missing.
        """
        cond = self.embed(x, timestep, class_labels, condition, prepared).full
        return cast("Denoised", self.denoiser(*meeting(x, cond), **solving))


def meeting(x: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
    """Samples and a vector for each, where one stands for more; (S B, C, …) and (S B, D).

    Args:
        x: (B, C, …).
        cond: (S B, D), or (1, D) for all.

    Returns:
        As many samples as vectors, shaped (B, C, …) and (B, D).
    """
    if len(cond) < len(x):
        return x, cond.expand(len(x), -1)
    return (x if len(cond) == len(x) else torch.cat([x] * (len(cond) // len(x)))), cond


def _check_parts(**parts: Any) -> None:
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            raise InvalidValueError(
                f"{name}: a {type(part).__name__} is given: must be a torch.nn.Module."
            )
    if not callable(getattr(parts["block"], "bind", None)):
        raise InvalidValueError(
            f"block: a {type(parts['block']).__name__} has no bind(features, cond) that returns "
            f"the map to iterate."
        )
