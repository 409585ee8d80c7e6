"""All that a training is, besides its configuration: what is saved of it, and put back.

The state is one whole, however many processes hold parts of it: a training may go on with another
number of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np
import torch
from accelerate.utils import gather_object
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from fpdm.errors import InvalidValueError, UnknownNameError
from fpdm.models import SavedNetwork
from fpdm.plugins import host
from fpdm.training.checkpoints import INNER, read_json
from fpdm.training.engine import WHOLE, like, put_weights
from fpdm.training.longer import said_of_steps
from fpdm.training.loop import Training
from fpdm.training.reading import flatten, structure_config, unstructure_config

MODEL, OPTIMIZER, RANDOM = "model.safetensors", "optimizer.safetensors", "random.safetensors"
STATE = "state.json"
AVERAGE = Path("model", SAFETENSORS_WEIGHTS_NAME)
SLOT = "/"  # stands in no name of a parameter


class Captured:
    """The state of a training at a moment; all processes capture it, one writes it.

    Args:
        training: the training.
    """

    def __init__(self, training: Training) -> None:
        self.model: dict[str, Any] = get_model_state_dict(training.network, options=WHOLE)
        optimizer: dict[str, Any] = get_optimizer_state_dict(
            training.network, _optimizer(training), options=WHOLE
        )
        self.optimizer = {
            f"{name}{SLOT}{slot}": value
            for name, slots in optimizer.get("state", {}).items()
            for slot, value in slots.items()
        }
        self.pipeline = training.pipeline()
        self.random, python = _random_states(training)
        scaler = training.accelerator.scaler
        self.state = {
            "step": training.step,
            "config": unstructure_config(training.config),
            "data": _describe_data(training),
            "network": _describe_network(training),
            "schedule": training.schedule.state_dict(),
            "ema_step": training.ema.optimization_step,
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": python,
        }

    def write(self, folder: Path) -> None:
        """Write it: the pipeline of the averaged weights, and under `training/` the rest.

        Args:
            folder: of the checkpoint, which is empty.
        """
        self.pipeline.save_pretrained(folder, max_shard_size="1TB")
        inner = folder / INNER
        inner.mkdir()
        for name, tensors in (
            (MODEL, self.model),
            (OPTIMIZER, self.optimizer),
            (RANDOM, self.random),
        ):
            save_file({key: value.contiguous() for key, value in tensors.items()}, inner / name)
        text = json.dumps(self.state, indent=1)
        (inner / STATE).write_text(text + "\n", encoding="utf-8")


def restore(training: Training, folder: Path) -> tuple[str, ...]:
    """Put a training into the state that a checkpoint holds; all processes have to call it.

    Args:
        training: at its beginning.
        folder: of the checkpoint.

    Returns:
        What is otherwise from now on, in sentences.

    Raises:
        InvalidValueError: the checkpoint is of another configuration or other data, or damaged.
    """
    inner = folder / INNER
    state = read_json(inner / STATE)
    notes = keep_options(training, state.get("config", {}))
    refuse_another(training, state, folder)
    try:
        _restore(training, state, inner)
        return (*notes, *said_of_steps(state["config"], training.config, done=training.step))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidValueError(f"{folder} cannot be restored: {reason}") from error


def _restore(training: Training, state: Mapping[str, Any], inner: Path) -> None:
    weights: Any = _renewed(training, load_file(inner / MODEL))
    put_weights(training.network, weights)
    optimizer = _optimizer(training)
    groups: Any = get_optimizer_state_dict(training.network, optimizer)["param_groups"]
    slots: Any = _slots(training, load_file(inner / OPTIMIZER))
    set_optimizer_state_dict(
        training.network, optimizer, {"state": slots, "param_groups": groups}, options=WHOLE
    )
    average = _renewed(training, load_file(inner.parent / AVERAGE))
    names = [name for name, _ in training.bare.named_parameters()]
    for name, kept in zip(names, training.ema.shadow_params, strict=True):
        kept.copy_(like(average[name], kept))
    training.ema.optimization_step = int(state["ema_step"])
    training.schedule.load_state_dict(dict(state["schedule"]))
    rates = _rates(training)  # of this configuration, which may be longer
    training.schedule._last_lr = rates
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    if training.accelerator.scaler is not None and state["scaler"]:
        training.accelerator.scaler.load_state_dict(state["scaler"])
    _restore_random(training, load_file(inner / RANDOM), state["random"])
    training.step = int(state["step"])


def _rates(training: Training) -> list[Any]:
    schedule = training.schedule
    curves = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
    return [base * curve(schedule.last_epoch) for base, curve in curves]


FREE = (
    *("steps", "optimizer.decay_steps", "checkpoints", "guards", "tracking"),
    *("data.root", "data.verify", "data.strict", "data.cache_bytes"),
    *("engine.workers", "engine.compile", "engine.sharding"),
    *("engine.gradient_accumulation", "engine.gradient_checkpointing"),
    "jacobian.radius_every",
)
"""What may change from one part of a run to the next: how long it is, and how the work is done."""


def keep_options(training: Training, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a training what a run keeps from its beginning on: of its data, and what it began with.

    Args:
        training: at its beginning.
        config: of the run that it goes on with.

    Returns:
        What is kept, in sentences.
    """
    return (*_keep_start(training, config), *_keep_data(training, config))


def _keep_start(training: Training, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Whoever goes on need not say again with which weights the run was begun."""
    begun = config.get("start_from")
    if not isinstance(begun, str) or training.config.start_from is not None:
        return ()
    training.config = attrs.evolve(training.config, start_from=begun)
    return (f"start_from stays {json.dumps(begun)}, with which the run was begun.",)


def _keep_data(training: Training, config: Mapping[str, Any]) -> tuple[str, ...]:
    then, now = _with_defaults(config).get("data"), training.config.data
    if training.given is not None or not isinstance(then, Mapping):
        return ()
    if then.get("kind") != now["kind"]:
        return ()
    names = _kept_options(now["kind"])
    kept = {name: then[name] for name in names if then.get(name) != now[name]}
    if kept:
        training.begin(attrs.evolve(training.config, data={**now, **kept}))
    return tuple(
        f"data.{name} stays {json.dumps(value)}, with which the run was begun."
        for name, value in kept.items()
    )


def refuse_another(
    training: Training, state: Mapping[str, Any], folder: Path, *, data: bool = True
) -> None:
    """Check that a saved state is of this training, and of its data.

    Args:
        training: the training.
        state: what was saved; its `config`, and its `data` where this is compared.
        folder: what the message names.
        data: whether to compare the data too.

    Raises:
        InvalidValueError: it is of another; the message says in what they differ.
    """
    now = flatten(unstructure_config(training.config))
    then = flatten(_with_defaults(state.get("config", {})))
    differing = [
        f"{key} ({_said(then, key)} there, {_said(now, key)} here)"
        for key in sorted({*now, *then})
        if then.get(key) != now.get(key)
        and not any(f"{key}.".startswith(f"{part}.") for part in FREE)
    ]
    if differing:
        raise InvalidValueError(
            f"{folder} is of another configuration: {', '.join(differing)}. Go on with the same, "
            f"or begin anew in another folder; what may change is {', '.join(FREE)}."
        )
    if training.config.steps < (done := int(state.get("step", 0))):
        raise InvalidValueError(
            f"{folder}: {done} steps are done, and steps={training.config.steps}: must be at least "
            f"as many."
        )
    if not data:
        return
    for name, what, found in (
        ("data", "other data", _describe_data(training)),
        ("network", "another network", _describe_network(training)),
    ):
        if state.get(name) != found:
            raise InvalidValueError(
                f"{folder} is of {what}: {state.get(name)} there, {found} here."
            )


def _with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration, with the values of options that there were not yet."""
    try:
        data = config["data"]
        kept = _kept_options(data["kind"])
        return unstructure_config(structure_config({**config, "data": {**kept, **data}}))
    except (UnknownNameError, KeyError, TypeError):
        return dict(config)
    except InvalidValueError:  # of a component that is not installed, or damaged
        return dict(config)


def _kept_options(kind: str) -> Mapping[str, Any]:
    return getattr(host().get("dataset", kind), "kept_options", {})


def _said(flat: Mapping[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "absent"


def _describe_data(training: Training) -> dict[str, Any]:
    shape = training.data.shape
    told = {} if shape.condition_size is None else {"condition_size": shape.condition_size}
    described = {
        "samples": len(training.data),
        "channels": shape.channels,
        "size": shape.size,
        "num_classes": shape.num_classes,
        "class_names": {str(number): name for number, name in shape.class_names.items()},
        **told,
    }
    return cast("dict[str, Any]", json.loads(json.dumps(described)))


def _describe_network(training: Training) -> dict[str, Any] | None:
    """The network that was given in place of one that the configuration describes."""
    given = training.given_network
    if given is None:
        return None
    options = {key: value for key, value in given.config.items() if not key.startswith("_")}
    described = {"class": type(given).__qualname__, **options}
    return cast("dict[str, Any]", json.loads(json.dumps(described, default=str)))


def _optimizer(training: Training) -> torch.optim.Optimizer:
    return cast("torch.optim.Optimizer", training.optimizer.optimizer)


def _slots(training: Training, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What the optimizer keeps for each parameter, by the parameter's name."""
    by_slot: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, slot = key.rpartition(SLOT)
        by_slot.setdefault(slot, {})[name] = value
    state: dict[str, dict[str, Tensor]] = {}
    for slot, values in by_slot.items():
        for name, value in _renewed(training, values).items():
            state.setdefault(name, {})[slot] = value
    return state


def _renewed(training: Training, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of parameters, of which an older version had others."""
    if isinstance(training.bare, SavedNetwork):
        training.bare.renew(tensors)
    return tensors


def _random_states(training: Training) -> tuple[dict[str, Tensor], list[Any]]:
    """The global generators of every process: torch's and numpy's as tensors, Python's as lists."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, python_gauss = random.getstate()
    mine = {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(kind), position, has_gauss, gauss],
        "numpy_keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "python": [version, list(words), python_gauss],
    }
    every = gather_object([mine]) if training.accelerator.num_processes > 1 else [mine]
    tensors: dict[str, Tensor] = {}
    for rank, one in enumerate(every):
        tensors[f"{rank}.torch"] = one["torch"]
        tensors[f"{rank}.numpy"] = one["numpy_keys"]
        tensors |= {f"{rank}.cuda.{index}": value for index, value in enumerate(one["cuda"])}
    return tensors, [{"numpy": one["numpy"], "python": one["python"]} for one in every]


def _restore_random(training: Training, tensors: Mapping[str, Tensor], plain: list[Any]) -> None:
    rank = training.accelerator.process_index
    if rank >= len(plain):
        return  # there were fewer processes; nothing of ours is drawn from global generators
    torch.set_rng_state(tensors[f"{rank}.torch"])
    kind, position, has_gauss, gauss = plain[rank]["numpy"]
    keys = tensors[f"{rank}.numpy"].numpy().astype(np.uint32)
    np.random.set_state((kind, keys, position, has_gauss, gauss))
    version, words, python_gauss = plain[rank]["python"]
    random.setstate((version, tuple(words), python_gauss))
    cuda = [tensors[key] for key in sorted(tensors) if key.startswith(f"{rank}.cuda.")]
    if cuda and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(cuda)
