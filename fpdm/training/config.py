"""The configuration of a training, as frozen values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import cattrs
from attrs import field, frozen
from cattrs.errors import ForbiddenExtraKeysError

from fpdm import plugins
from fpdm.checks import choice, real, whole
from fpdm.diffusion import Diffusion
from fpdm.errors import FPDMError, InvalidValueError, UnknownNameError, suggest
from fpdm.layer import ACROSS_TIMESTEPS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = Path(__file__).parent / "configs"


@frozen
class ModelConfig:
    """Size and kind of the network; see [`FPDiT`][fpdm.FPDiT] and [`DiT`][fpdm.DiT].

    Image size, channels and classes are those of the data.
    """

    patch_size: int = field(default=2, validator=whole(minimum=1))
    hidden_size: int = field(default=96, validator=whole(minimum=4))
    num_heads: int = field(default=4, validator=whole(minimum=1))
    mlp_ratio: float = field(default=4.0, validator=real(above=0))
    learn_sigma: bool = False
    """Whether the variance is learned too, by the hybrid loss; not with flow matching."""


def _solver(spec: Any) -> dict[str, Any]:
    return plugins.describe(plugins.resolve("solver", spec))


def _init(spec: Any) -> dict[str, Any]:
    return plugins.describe(plugins.resolve("init", spec))


def _gradient(spec: Any) -> dict[str, Any]:
    return plugins.describe(plugins.resolve("gradient", spec))


@frozen
class FPDiTConfig(ModelConfig):
    """`network = "fpdit"`; a component is a name, or a table with a name and options."""

    pre_depth: int = field(default=1, validator=whole(minimum=0))
    post_depth: int = field(default=1, validator=whole(minimum=0))
    condition_pre_post_on_timestep: bool = True
    solver: dict[str, Any] = field(default=ACROSS_TIMESTEPS, converter=_solver)
    init: dict[str, Any] = field(default="features", converter=_init)
    gradient: dict[str, Any] = field(default="sjfb", converter=_gradient)
    evals: int = field(default=12, validator=whole(minimum=1))
    training_solver: dict[str, Any] = field(default="naive", converter=_solver)


@frozen
class DiTConfig(ModelConfig):
    """`network = "dit"`."""

    depth: int = field(default=12, validator=whole(minimum=1))


NETWORKS = {"fpdit": FPDiTConfig, "dit": DiTConfig}


@frozen
class OptimizerConfig:
    """AdamW with a linear warm-up and a cosine decay."""

    learning_rate: float = field(default=1e-4, validator=real(above=0))
    weight_decay: float = field(default=0.0, validator=real(low=0))
    warmup_steps: int = field(default=200, validator=whole(minimum=0))
    final_learning_rate: float = field(default=0.05, validator=real(low=0, high=1))
    """Where the cosine ends, relative to `learning_rate`."""
    max_grad_norm: float = field(default=1.0, validator=real(above=0))


@frozen
class TrainConfig:
    """All of a training: the same configuration on the same machine gives the same weights."""

    steps: int = field(default=2500, validator=whole(minimum=1))
    batch_size: int = field(default=128, validator=whole(minimum=1))
    seed: int = field(default=0, validator=whole(minimum=0, maximum=2**31 - 1))
    class_dropout: float = field(default=0.1, validator=real(low=0, high=1))
    ema_decay: float = field(default=0.9999, validator=real(low=0, high=1))
    data: str = field(default="digits", validator=choice("digits"))
    model: ModelConfig = field(factory=FPDiTConfig)
    diffusion: Diffusion = field(factory=Diffusion)
    optimizer: OptimizerConfig = field(factory=OptimizerConfig)

    def __attrs_post_init__(self) -> None:
        if self.model.learn_sigma and self.diffusion.prediction == "flow":
            raise InvalidValueError(
                "model.learn_sigma=true: flow matching has no variance to learn; leave it out."
            )


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration.

    Args:
        source: a TOML file, or the name of one that comes with the package, such as `digits`.
        overrides: `key=value` with dots for tables and TOML values, such as
            `optimizer.learning_rate=3e-4`.

    Raises:
        InvalidValueError: the file or an override cannot be read, or a value is not allowed; the
            message names the path of the key.
        UnknownNameError: there is no such file or configuration.
    """
    tree = _read(source)
    for override in overrides:
        _override(tree, override)
    return structure_config(tree)


def structure_config(tree: Mapping[str, Any]) -> TrainConfig:
    """Turn plain data into a configuration; raises like `load_config`."""
    try:
        return _CONVERTER.structure(tree, TrainConfig)
    except Exception as error:  # cattrs collects what is wrong into a group of errors
        problems = cattrs.transform_error(error, path="", format_exception=_explain)
        problem, _, path = problems[0].partition(" @ ")
        where = f"{path.lstrip('.')}: " if path else ""
        raise InvalidValueError(f"Configuration: {where}{problem}") from error


def unstructure_config(config: TrainConfig) -> dict[str, Any]:
    """Turn a configuration into plain data, the inverse of `structure_config`."""
    names = {cls: name for name, cls in NETWORKS.items()}
    model = {"network": names[type(config.model)], **attrs.asdict(config.model)}
    return {**attrs.asdict(config), "model": model}


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if not path.is_file():
        path = CONFIGS / f"{source}.toml"
    if not path.is_file():
        names = [found.stem for found in CONFIGS.glob("*.toml")]
        raise UnknownNameError(
            f"There is no file or configuration {str(source)!r}. {suggest(str(source), names)}"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not (equals and key.strip()):
        raise InvalidValueError(f"--set {override}: must be key=value, such as seed=1.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string
    *tables, name = key.strip().split(".")
    for table in tables:
        inner = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            raise InvalidValueError(f"--set {override}: {table} is not a table.")
        tree = inner
    tree[name] = value


def _structure_model(tree: Any, _: type) -> ModelConfig:
    if not isinstance(tree, Mapping):
        raise InvalidValueError(f"{tree!r}: must be a table.")
    fields = dict(tree)
    network = fields.pop("network", "fpdit")
    if not isinstance(network, str) or network not in NETWORKS:
        raise InvalidValueError(f"network={network!r}: {suggest(str(network), NETWORKS)}")
    return cast("ModelConfig", _CONVERTER.structure(fields, NETWORKS[network]))


def _explain(error: BaseException, _: type | None) -> str:
    """One problem in one sentence."""
    if isinstance(error, ForbiddenExtraKeysError):
        given = min(error.extra_fields)
        allowed = [field.alias for field in attrs.fields(error.cl)]
        return f"there is no {given!r}. {suggest(given, allowed)}"
    return str(error) if isinstance(error, FPDMError) else f"{type(error).__name__}: {error}"


def _exactly(cls: type, described: str) -> Any:
    """A structure hook that takes a value of a plain type as it is, and converts nothing."""

    def structure(value: Any, _: type) -> Any:
        if cls is float and type(value) is int:
            return float(value)
        if type(value) is not cls:
            raise InvalidValueError(f"{value!r}: must be {described}.")
        return value

    return structure


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for cls, described in (
        (int, "a whole number"),
        (float, "a number"),
        (bool, "true or false"),
        (str, "a string"),
    ):
        converter.register_structure_hook(cls, _exactly(cls, described))
    # what a component may be is for its own converter to say
    converter.register_structure_hook_func(lambda cls: cls == dict[str, Any], lambda spec, _: spec)
    converter.register_structure_hook_func(lambda cls: cls is ModelConfig, _structure_model)
    return converter


_CONVERTER = _make_converter()
