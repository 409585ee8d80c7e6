"""The configuration of a training, as frozen values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen, validators

from fpdm import plugins
from fpdm.checks import choice, flag, real, whole
from fpdm.data import Dataset
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError, suggest
from fpdm.layer import ACROSS_TIMESTEPS

PRECISIONS = ("fp32", "bf16", "fp16")
SHARDINGS = ("none", "fsdp")


@frozen
class DataConfig(ABC):
    """The data set."""

    @abstractmethod
    def open(self) -> Dataset:
        """Open it.

        Returns:
            The data set, which holds no open file.

        Raises:
            InvalidValueError: it cannot be read; the message names the file.
        """


@frozen
class DigitsData(DataConfig):
    """`kind = "digits"`: handwritten digits of 8 × 8 pixels, from scikit-learn."""

    def open(self) -> Dataset:
        """Open the data set.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
        """
        from fpdm.data import digits

        return digits()


@frozen
class ImageFolderData(DataConfig):
    """`kind = "image-folder"`: `root/class/*.png`, or `root/*.png` without classes.

    Args:
        root: the folder.
        size: height and width to which images are cropped and resized.
        channels: 3 for colour, 1 for grey.
        flip: mirror images at random.
        strict: stop at a file that cannot be read, instead of passing over it.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    root: str
    size: int = field(default=32, validator=whole(minimum=1))
    channels: int = field(default=3, validator=whole(minimum=1, maximum=3))
    flip: bool = field(default=True, validator=flag)
    strict: bool = field(default=False, validator=flag)

    def open(self) -> Dataset:
        """Open the data set."""
        from fpdm.data import ImageFolder

        return ImageFolder(
            self.root, size=self.size, channels=self.channels, flip=self.flip, strict=self.strict
        )


@frozen
class LatentsData(DataConfig):
    """`kind = "latents"`: what `fpdm encode` wrote.

    Args:
        root: the folder.
        flip: take the latents of mirrored images at random, where they were stored.
        verify: compare the checksums of all shards before training.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    root: str
    flip: bool = field(default=True, validator=flag)
    verify: bool = field(default=True, validator=flag)

    def open(self) -> Dataset:
        """Open the data set."""
        from fpdm.data import Latents

        return Latents(self.root, flip=self.flip, verify=self.verify)


@frozen
class FastDiTData(DataConfig):
    """`kind = "fast-dit"`: features of fast-DiT, `*_features/*.npy` beside `*_labels/*.npy`.

    Args:
        root: the folder that holds both.
        num_classes: one more than the largest label if not given.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    root: str
    num_classes: int | None = field(default=None, validator=validators.optional(whole(minimum=1)))

    def open(self) -> Dataset:
        """Open the data set."""
        from fpdm.data import FastDiT

        return FastDiT(self.root, num_classes=self.num_classes)


@frozen
class ModelConfig:
    """Size and kind of the network; see [`FPDiT`][fpdm.FPDiT] and [`DiT`][fpdm.DiT].

    Image size, channels and classes are those of the data.

    Args:
        patch_size: side of a patch; divides the size of the data.
        hidden_size: width; a multiple of 4 and of `num_heads`.
        num_heads: attention heads.
        mlp_ratio: hidden width of a block's MLP, relative to the width.
        learn_sigma: learn the variance too, by the hybrid loss; not with flow matching.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    patch_size: int = field(default=2, validator=whole(minimum=1))
    hidden_size: int = field(default=96, validator=whole(minimum=4))
    num_heads: int = field(default=4, validator=whole(minimum=1))
    mlp_ratio: float = field(default=4.0, validator=real(above=0))
    learn_sigma: bool = field(default=False, validator=flag)


def _solver(spec: Any) -> dict[str, Any]:
    return plugins.describe(plugins.resolve("solver", spec))


def _init(spec: Any) -> dict[str, Any]:
    return plugins.describe(plugins.resolve("init", spec))


def _gradient(spec: Any) -> dict[str, Any]:
    return plugins.describe(plugins.resolve("gradient", spec))


@frozen
class FPDiTConfig(ModelConfig):
    """`network = "fpdit"`; a component is a name, or a table with a name and options.

    Args:
        pre_depth: explicit blocks before the fixed-point layer.
        post_depth: explicit blocks after it.
        condition_pre_post_on_timestep: whether the explicit layers see the timestep.
        solver: what iterates in sampling.
        init: where solves start in sampling; in training, from the features.
        gradient: how training differentiates.
        evals: iterations at a timestep where sampling does not say.
        training_solver: what iterates in training.

    Raises:
        InvalidValueError: a value or an option of a component is not allowed.
        UnknownNameError: no component has such a name.
    """

    pre_depth: int = field(default=1, validator=whole(minimum=0))
    post_depth: int = field(default=1, validator=whole(minimum=0))
    condition_pre_post_on_timestep: bool = field(default=True, validator=flag)
    solver: dict[str, Any] = field(default=ACROSS_TIMESTEPS, converter=_solver)
    init: dict[str, Any] = field(default="features", converter=_init)
    gradient: dict[str, Any] = field(default="sjfb", converter=_gradient)
    evals: int = field(default=12, validator=whole(minimum=1))
    training_solver: dict[str, Any] = field(default="naive", converter=_solver)


@frozen
class DiTConfig(ModelConfig):
    """`network = "dit"`.

    Args:
        depth: blocks.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    depth: int = field(default=12, validator=whole(minimum=1))


@frozen
class OptimizerConfig:
    """AdamW with a linear warm-up and a cosine decay.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.

    Args:
        learning_rate: the highest, between warm-up and decay.
        weight_decay: decoupled, as in AdamW.
        warmup_steps: steps of the linear warm-up.
        final_learning_rate: where the cosine ends, relative to `learning_rate`; 1 is constant.
        max_grad_norm: gradients are scaled down to this norm.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    learning_rate: float = field(default=1e-4, validator=real(above=0))
    weight_decay: float = field(default=0.0, validator=real(minimum=0))
    warmup_steps: int = field(default=200, validator=whole(minimum=0))
    final_learning_rate: float = field(default=0.05, validator=real(minimum=0, maximum=1))
    max_grad_norm: float = field(default=1.0, validator=real(above=0))


@frozen
class EngineConfig:
    """How the work is done; but for the precision, not what comes out of it.

    Args:
        precision: `fp32`, or mixed with `bf16` or `fp16`; the weights stay in fp32.
        gradient_accumulation: parts into which each process cuts its share of a batch.
        gradient_checkpointing: keep only the inputs of block passes, and compute the rest again.
        compile: compile the blocks with `torch.compile`.
        sharding: `none` keeps all weights in each process (DDP); `fsdp` spreads them (FSDP2).
        workers: processes that read data ahead; 0 reads in the training process.

    Raises:
        InvalidValueError: a value is not allowed, or `fp16` is asked for with `fsdp`.
    """

    precision: str = field(default="fp32", validator=choice(*PRECISIONS))
    gradient_accumulation: int = field(default=1, validator=whole(minimum=1))
    gradient_checkpointing: bool = field(default=False, validator=flag)
    compile: bool = field(default=False, validator=flag)
    sharding: str = field(default="none", validator=choice(*SHARDINGS))
    workers: int = field(default=0, validator=whole(minimum=0))

    def __attrs_post_init__(self) -> None:
        if self.sharding == "fsdp" and self.precision == "fp16":
            raise InvalidValueError(
                "precision='fp16' with sharding='fsdp': the scale of the loss would differ between "
                "processes; use precision='bf16'."
            )


@frozen
class CheckpointsConfig:
    """When the state of a training is saved.

    Args:
        every: steps from one checkpoint to the next; there is one at the end in any case.
        keep: how many are kept, the newest; 0 keeps all.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    every: int = field(default=1000, validator=whole(minimum=1))
    keep: int = field(default=3, validator=whole(minimum=0))


@frozen
class GuardsConfig:
    """When a training has gone wrong.

    Args:
        max_skipped: steps in a row whose loss or gradients are not finite, after which it stops; a
            single one is left out.
        max_residual: relative residual of a solve, on average over recent steps, beyond which there
            is a warning.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    max_skipped: int = field(default=20, validator=whole(minimum=1))
    max_residual: float = field(default=1.0, validator=real(above=0))


def _trackers(_: Any, field: Any, value: Any) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    for name in value:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise InvalidValueError(f"{field.name}={name!r}: {suggest(name, LOGGER_TYPE_TO_CLASS)}")


@frozen
class TrackingConfig:
    """What is written down of a training; `log.jsonl` always is.

    Args:
        every: steps from one line of the log to the next.
        trackers: where figures go as well, such as `["tensorboard"]` or `["wandb"]`.
        samples_every: steps from one picture of samples to the next; 0 for none.
        samples: how many a picture shows.
        samples_budget: block passes for each; a DiT makes as many whole timesteps as it pays for.

    Raises:
        InvalidValueError: a value is not allowed, or accelerate knows no such tracker.
    """

    every: int = field(default=10, validator=whole(minimum=1))
    trackers: list[str] = field(factory=list, validator=_trackers)
    samples_every: int = field(default=1000, validator=whole(minimum=0))
    samples: int = field(default=40, validator=whole(minimum=1))
    samples_budget: int = field(default=120, validator=whole(minimum=1))


@frozen
class TrainConfig:
    """All of a training: the same configuration on the same machine gives the same weights.

    Args:
        steps: optimizer steps, from the first to the last.
        batch_size: samples in a step, over all processes.
        seed: decides the first weights, and all that is drawn at random.
        class_dropout: share of labels dropped, for classifier-free guidance.
        ema_decay: how long the average of the weights remembers, with which samples are drawn.
        ema_warmup: begin the average with a short memory that grows to `ema_decay`.
        data: what is learned from.
        model: the network.
        diffusion: how images are noised, and what the network predicts.
        optimizer: how the weights are changed.
        engine: how the work is done.
        checkpoints: when the state is saved.
        guards: when it has gone wrong.
        tracking: what is written down.

    Raises:
        InvalidValueError: a value is not allowed, or two do not fit together.
    """

    steps: int = field(default=2500, validator=whole(minimum=1))
    batch_size: int = field(default=128, validator=whole(minimum=1))
    seed: int = field(default=0, validator=whole(minimum=0, maximum=2**31 - 1))
    class_dropout: float = field(default=0.1, validator=real(minimum=0, maximum=1))
    ema_decay: float = field(default=0.9999, validator=real(minimum=0, maximum=1))
    ema_warmup: bool = field(default=False, validator=flag)
    data: DataConfig = field(factory=DigitsData)
    model: ModelConfig = field(factory=FPDiTConfig)
    diffusion: Diffusion = field(factory=Diffusion)
    optimizer: OptimizerConfig = field(factory=OptimizerConfig)
    engine: EngineConfig = field(factory=EngineConfig)
    checkpoints: CheckpointsConfig = field(factory=CheckpointsConfig)
    guards: GuardsConfig = field(factory=GuardsConfig)
    tracking: TrackingConfig = field(factory=TrackingConfig)

    def __attrs_post_init__(self) -> None:
        if self.model.learn_sigma and self.diffusion.prediction == "flow":
            raise InvalidValueError(
                "model.learn_sigma=true: flow matching has no variance to learn; leave it out."
            )
        if self.batch_size % self.engine.gradient_accumulation:
            raise InvalidValueError(
                f"batch_size={self.batch_size} cannot be cut into engine.gradient_accumulation="
                f"{self.engine.gradient_accumulation} equal parts; use a multiple of it."
            )


DATA: dict[str, type[DataConfig]] = {
    "digits": DigitsData,
    "image-folder": ImageFolderData,
    "latents": LatentsData,
    "fast-dit": FastDiTData,
}
NETWORKS: dict[str, type[ModelConfig]] = {"fpdit": FPDiTConfig, "dit": DiTConfig}
KINDS: dict[str, tuple[str, Mapping[str, type]]] = {
    "data": ("kind", DATA),
    "model": ("network", NETWORKS),
}
"""Tables of several kinds: the key that says which, and the class of each."""
