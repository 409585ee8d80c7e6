"""The weights that a training begins with, where they are those of a trained network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from torch import Tensor

from fpdm.data import Shape
from fpdm.errors import InvalidValueError, listed
from fpdm.models import DiffusersDiT, DiT, FPDiT, SavedNetwork, implicit_from_explicit
from fpdm.models.diffusers_dit import THEIRS
from fpdm.models.parted import SOLVING
from fpdm.training.classes import fit_classes
from fpdm.training.trained import Trained, classes_of, find_trained

FREE = {"num_classes", "has_null_class", "prediction_type", "out_channels", *SOLVING}
"""In what the configuration of a network may differ from that of the one that it begins as."""


@frozen(eq=False)
class Start:
    """What a training begins with.

    Attributes:
        weights: of the network that is trained, by name.
        notes: what is otherwise than in the trained network, in sentences.
    """

    weights: dict[str, Tensor]
    notes: tuple[str, ...]


def read_start(folder: str, network: SavedNetwork, shape: Shape, *, prediction: str) -> Start:
    """Read the weights that a network begins with.

    Args:
        folder: of a trained network.
        network: that is to be trained, with its first weights; it is left as it is.
        shape: of the data, with the names of their classes.
        prediction: what it is to predict.

    Returns:
        Weights for it, and what is otherwise than in the trained network.

    Raises:
        InvalidValueError: there is no network, or it does not fit; the message says in what.
    """
    try:
        return _read(find_trained(Path(folder)), network, shape, prediction)
    except InvalidValueError as error:
        raise InvalidValueError(f"start_from: {error}") from error


def _read(there: Trained, network: SavedNetwork, shape: Shape, prediction: str) -> Start:
    explicit = isinstance(network, FPDiT) and there.name == DiT.__name__
    if not explicit:
        _check_class(there, network)
    if there.prediction not in (None, prediction):
        raise InvalidValueError(
            f"{there.folder} predicts {there.prediction!r}, and diffusion.prediction="
            f"{prediction!r}: must be the same."
        )
    before = there.load(DiT if explicit else type(network))
    _check_sizes(there, before, network)
    weights, fresh = dict(before.state_dict()), network.state_dict()
    if explicit and isinstance(network, FPDiT):
        weights = implicit_from_explicit(weights, network)
    here = classes_of(network, shape.class_names)
    notes = fit_classes(weights, fresh, there=there.classes(before), here=here)
    _check_tensors(there, weights, fresh)
    fitting = {name: weights[name].to(value.dtype) for name, value in fresh.items()}
    return Start(fitting, tuple(f"start_from: {note}" for note in notes))


def _check_class(there: Trained, network: SavedNetwork) -> None:
    name, implicit = type(network).__name__, isinstance(network, FPDiT)
    if implicit and there.name in (THEIRS, DiffusersDiT.__name__):
        raise InvalidValueError(
            f"{there.folder} holds a {there.name}, whose blocks each embed timestep and class by "
            f"themselves: no {name} can be made of it."
        )
    if there.name != name:
        also = f", or a {DiT.__name__}" if implicit else ""
        raise InvalidValueError(
            f"{there.folder} holds a {there.name}, and a {name} is trained: must be a {name}{also}."
        )


def _check_sizes(there: Trained, before: SavedNetwork, network: SavedNetwork) -> None:
    then, now = (_sizes(each, there.prediction) for each in (before, network))
    differing = [
        f"{key} is {json.dumps(then[key])} there and {json.dumps(now[key])} here"
        for key in sorted(then.keys() & now.keys())
        if then[key] != now[key]
    ]
    if differing:
        raise InvalidValueError(
            f"{there.folder} holds another network: {', '.join(differing)}; must be the same."
        )


def _sizes(network: SavedNetwork, prediction: str | None) -> dict[str, Any]:
    """The configuration of a network, as far as two of them have to agree."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(network.config), default=str))
    found = {key: value for key, value in plain.items() if key not in FREE and key[0] != "_"}
    if found.get("clock", 0) is None and prediction == "epsilon":
        found["clock"] = "thousand"  # which it is taken for
    return found


def _check_tensors(
    there: Trained, weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
) -> None:
    wrong = [*sorted(weights.keys() ^ fresh.keys()), *_misshapen(weights, fresh)]
    if wrong:
        raise InvalidValueError(
            f"{there.folder} holds other tensors than the network that is trained: "
            f"{listed(wrong, 5)}."
        )


def _misshapen(weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> Iterator[str]:
    for name in weights.keys() & fresh.keys():
        then, now = tuple(weights[name].shape), tuple(fresh[name].shape)
        if then != now:
            yield f"{name} ({then} there, {now} here)"
