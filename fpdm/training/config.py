"""The configuration of a training, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import field, fields, frozen
from attrs.validators import optional

from fpdm.checks import choice, flag, real, whole
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.plugins import KINDS, host
from fpdm.plugins.options import parameters
from fpdm.plugins.plain import plain_options

NAMED = {kind.table: kind for kind in KINDS.values() if kind.table}
"""Tables that are a component of a plugin, which one of their keys names."""

DEFAULTS = {"data": "digits", "model": "fpdit"}
"""The names where a table has none."""

PRESET = "preset"
"""In the place of the sizes of a network: the name of a published size, such as `XL/2`."""

PRECISIONS = ("fp32", "bf16", "fp16")
SHARDINGS = ("none", "fsdp")


@frozen
class OptimizerConfig:
    """AdamW with a linear warm-up and a cosine decay.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.

    Args:
        learning_rate: the highest, between warm-up and decay.
        weight_decay: decoupled, as in AdamW.
        warmup_steps: steps of the linear warm-up.
        final_learning_rate: where the cosine ends, relative to `learning_rate`; 1 is constant.
        decay_steps: the step at which it ends, and after which the rate stays; that of the training
            if not given.
        max_grad_norm: gradients are scaled down to this norm.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    learning_rate: float = field(default=1e-4, validator=real(above=0))
    weight_decay: float = field(default=0.0, validator=real(minimum=0))
    warmup_steps: int = field(default=200, validator=whole(minimum=0))
    final_learning_rate: float = field(default=0.05, validator=real(minimum=0, maximum=1))
    decay_steps: int | None = field(default=None, validator=optional(whole(minimum=1)))
    max_grad_norm: float = field(default=1.0, validator=real(above=0))


@frozen
class EngineConfig:
    """How the work is done; but for the precision, not what comes out of it.

    Args:
        precision: `fp32`, or mixed with `bf16` or `fp16`; the weights stay in fp32.
        gradient_accumulation: parts into which each process cuts its share of a batch.
        gradient_checkpointing: keep only the inputs of block passes, and compute the rest again.
        compile: compile blocks, or else what is iterated and what is around it.
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


@frozen
class JacobianConfig:
    """What is done about the Jacobian of the iterated map at the solution, J, D × D.

    The penalty is an unbiased estimate of `‖J‖² / D`, of the Frobenius norm. Source: Bai, Koltun
    and Kolter, Stabilizing equilibrium models by Jacobian regularization, ICML 2021.

    Args:
        weight: of the penalty in the loss; 0 is without.
        frequency: share of the steps on which it is added, drawn by the seed.
        probes: random vectors for an estimate of it.
        radius_every: steps from one spectral radius of J in the log to the next; 0 for none.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    weight: float = field(default=0.0, validator=real(minimum=0))
    frequency: float = field(default=1.0, validator=real(above=0, maximum=1))
    probes: int = field(default=1, validator=whole(minimum=1))
    radius_every: int = field(default=0, validator=whole(minimum=0))

    @property
    def wanted(self) -> str:
        """The key and the value for which `f` is evaluated; empty if it is not."""
        if self.weight:
            return f"weight={self.weight:g}"
        return f"radius_every={self.radius_every}" if self.radius_every else ""


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
        samples_budget: block passes for each; an explicit network makes as many whole timesteps as
            it pays for.

    Raises:
        InvalidValueError: a value is not allowed, or accelerate knows no such tracker.
    """

    every: int = field(default=10, validator=whole(minimum=1))
    trackers: list[str] = field(factory=list, validator=_trackers)
    samples_every: int = field(default=1000, validator=whole(minimum=0))
    samples: int = field(default=40, validator=whole(minimum=1))
    samples_budget: int = field(default=120, validator=whole(minimum=1))


SMALL = {"network": "fpdit", "hidden_size": 96, "num_heads": 4}
"""The network where none is named."""


def _folder(given: Any) -> str | None:
    """A folder as a text, without a slash at its end."""
    if given is None:
        return None
    if not isinstance(given, str | Path) or not str(given) or "\0" in str(given):
        raise InvalidValueError(f"start_from={given!r}: must name a folder.")
    return str(Path(given))


def as_table(table: str, given: Any) -> Any:
    """A table that names a component may be given by the name alone.

    Args:
        table: its name.
        given: what stands in its place; what is no name comes back as it is.
    """
    return {NAMED[table].key: given} if table in NAMED and isinstance(given, str) else given


def _data(given: Any) -> dict[str, Any]:
    return _named("data", given)


def _model(given: Any) -> dict[str, Any]:
    return _named("model", given)


def _named(table: str, given: Any) -> dict[str, Any]:
    """A table that names a component of a plugin, with all of its options."""
    named = NAMED[table]
    fields = as_table(table, given)
    if not isinstance(fields, Mapping):
        raise InvalidValueError(
            f"{table}: {given!r}: must be a table, or the name of a {named.name}."
        )
    name = fields.get(named.key, DEFAULTS[table])
    options = {key: value for key, value in fields.items() if key != named.key}
    names = [found.name for found in host().components(named.name)]
    if name not in names:
        nearest = f"{suggest(str(name), names)}{host().absent()}"
        raise InvalidValueError(f"{table}: {named.key}={name!r}: {nearest}")
    if has_presets(table, name) and PRESET in options:
        options = _preset(table, name, options.pop(PRESET)) | options
    return {named.key: name, **plain_options(named.name, name, options, where=table)}


def has_presets(table: str, name: str) -> bool:
    """Whether a table may name a published size, beside which its own keys go before.

    Args:
        table: of the configuration.
        name: of the component that it names.

    Raises:
        UnknownNameError: there is no such component.
    """
    cls = host().get(NAMED[table].name, name)
    return hasattr(cls, "preset_options") and PRESET not in parameters(cls)


def _preset(table: str, name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, str):
        raise InvalidValueError(f"{table}.{PRESET}: {given!r}: must be a string, such as 'XL/2'.")
    cls: Any = host().get(NAMED[table].name, name)
    try:
        return dict(cls.preset_options(given))
    except UnknownNameError as error:
        raise UnknownNameError(f"{table}.{PRESET}: {error}") from error


def _table(cls: type, given: Any) -> Any:
    """A table that is given as a mapping; an object comes back as it is."""
    if not isinstance(given, Mapping):
        return given
    names = [each.alias for each in fields(cls)]
    for name in given:
        if name not in names:
            raise InvalidValueError(
                f"{cls.__name__}: there is no {name!r}. {suggest(str(name), names)}"
            )
    return cls(**given)


TABLES = {
    cls.__name__: cls
    for cls in (
        *(Diffusion, OptimizerConfig, JacobianConfig, EngineConfig),
        *(CheckpointsConfig, GuardsConfig, TrackingConfig),
    )
}
"""The tables of a configuration that are values of ours, by the names of their classes."""


def _tables_as_mappings(_: type, attributes: list[Any]) -> list[Any]:
    """Let a table be given as a mapping too."""
    return [
        each.evolve(converter=partial(_table, TABLES[each.type])) if each.type in TABLES else each
        for each in attributes
    ]


@frozen(field_transformer=_tables_as_mappings)
class TrainConfig:
    """All of a training: the same configuration on the same machine gives the same weights.

    Each table may also be given as a mapping: `optimizer={"learning_rate": 1e-3}`.

    Args:
        steps: optimizer steps, from the first to the last.
        batch_size: samples in a step, over all processes.
        seed: decides the first weights, and all that is drawn at random.
        class_dropout: share of labels dropped, for classifier-free guidance.
        ema_decay: how long the average of the weights remembers, with which samples are drawn.
        ema_warmup: begin the average with a short memory that grows to `ema_decay`.
        start_from: folder of a trained network, whose weights it begins with; random ones if not
            given.
        data: what is learned from: the `kind` of a data set with its options, or the kind alone.
        model: the `network` with its options, or its name alone. Image size, channels and classes
            are those of the data. A `preset`, such as `XL/2`, stands for the sizes of a published
            transformer. The default is small, for the digits.
        diffusion: how images are noised, and what the network predicts.
        optimizer: how the weights are changed.
        engine: how the work is done.
        checkpoints: when the state is saved.
        guards: when it has gone wrong.
        tracking: what is written down.
        jacobian: what is done about the Jacobian of the iterated map.

    Raises:
        InvalidValueError: a value is not allowed, or two do not fit together.
    """

    steps: int = field(default=2500, validator=whole(minimum=1))
    batch_size: int = field(default=128, validator=whole(minimum=1))
    seed: int = field(default=0, validator=whole(minimum=0, maximum=2**31 - 1))
    class_dropout: float = field(default=0.1, validator=real(minimum=0, maximum=1))
    ema_decay: float = field(default=0.9999, validator=real(minimum=0, maximum=1))
    ema_warmup: bool = field(default=False, validator=flag)
    start_from: str | None = field(default=None, converter=_folder)
    data: dict[str, Any] = field(default="digits", converter=_data)
    model: dict[str, Any] = field(default=SMALL, converter=_model)
    diffusion: Diffusion = field(factory=Diffusion)
    optimizer: OptimizerConfig = field(factory=OptimizerConfig)
    engine: EngineConfig = field(factory=EngineConfig)
    checkpoints: CheckpointsConfig = field(factory=CheckpointsConfig)
    guards: GuardsConfig = field(factory=GuardsConfig)
    tracking: TrackingConfig = field(factory=TrackingConfig)
    jacobian: JacobianConfig = field(factory=JacobianConfig)

    def __attrs_post_init__(self) -> None:
        if self.model.get("learn_sigma") and self.diffusion.prediction == "flow":
            raise InvalidValueError(
                "model.learn_sigma=true: flow matching has no variance to learn; leave it out."
            )
        if wanted := self.jacobian.wanted:
            _check_differentiable(self.engine, wanted)
        if self.batch_size % self.engine.gradient_accumulation:
            raise InvalidValueError(
                f"batch_size={self.batch_size} cannot be cut into engine.gradient_accumulation="
                f"{self.engine.gradient_accumulation} equal parts; use a multiple of it."
            )


def _check_differentiable(engine: EngineConfig, wanted: str) -> None:
    if engine.compile:
        raise InvalidValueError(
            f"jacobian.{wanted} with engine.compile=true: what is compiled has no second "
            f"derivative; leave one of them out."
        )
    if engine.sharding != "none":
        raise InvalidValueError(
            f"jacobian.{wanted} with engine.sharding={engine.sharding!r}: weights that are spread "
            f"are gathered for one backward pass only; use 'none'."
        )
