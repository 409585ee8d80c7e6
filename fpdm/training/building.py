"""The data set and the network that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from diffusers.models.modeling_utils import ModelMixin

from fpdm.checks import sample_shape
from fpdm.data import Dataset, Shape
from fpdm.diffusion.conditions import CONDITION, LABELS, keyword_of
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.models import SavedNetwork
from fpdm.models.offered import check_offered
from fpdm.models.size import condition_extents
from fpdm.plugins import host
from fpdm.plugins.options import parameters
from fpdm.training.config import NAMED


def open_data(table: Mapping[str, Any]) -> Dataset:
    """Open the data set that a configuration names.

    Args:
        table: its kind and options.

    Returns:
        The data set, which holds no open file.

    Raises:
        InvalidValueError: it cannot be read; the message names the file.
        MissingDependencyError: a package that it needs is not installed.
    """
    return cast("Dataset", _create("data", table))


def build_network(table: Mapping[str, Any], shape: Shape) -> SavedNetwork:
    """Build the untrained network that a configuration names, for data of a shape.

    Args:
        table: its name and options.
        shape: sizes, channels and classes of the data; it is given those that it takes.

    Returns:
        The network, with random weights.

    Raises:
        InvalidValueError: sizes do not fit together, or the network cannot be saved.
    """
    told = shape.condition_size is not None
    sizes = {
        "sample_size": shape.size,
        "in_channels": shape.channels,
        "num_classes": 0 if told else shape.num_classes,
        **({"condition_size": shape.condition_size} if told else {}),
    }
    name = table["network"]
    name = table["network"]
    network = _create("model", table, **sizes)
    check_network(network, shape, name=f"model.network={name!r}")
    return cast("SavedNetwork", network)


def check_network(network: object, shape: Shape, *, name: str) -> None:
    """Check that a network can be trained on data of a shape, and saved.

    Args:
        network: in the place of one.
        shape: of the data.
        name: what the message calls it.

    Raises:
        InvalidValueError: it is no network, cannot be saved, or draws something else.
    """
    if not isinstance(network, ModelMixin):
        raise InvalidValueError(
            f"{name}: a {type(network).__name__} cannot be saved: derive it from "
            f"fpdm.models.FixedPointNetwork, or from fpdm.models.SavedNetwork."
        )
    check_offered(network, name=name)
    if (drawn := sample_shape(network.config)) != shape.sample:
        raise InvalidValueError(
            f"{name}: it draws samples of {drawn}, and those of the data are {shape.sample}: "
            f"build it for them."
        )
    keyword = keyword_of(cast("SavedNetwork", network))
    if shape.condition_size is not None and keyword != CONDITION:
        raise InvalidValueError(
            f"{name}: the data have a condition of size {shape.condition_size}, and the network "
            f"takes none: it needs a condition_size."
        )
    size = shape.condition_size
    known = None if size is None else condition_extents(size)
    if keyword == CONDITION and network.condition_size != known:
        raise InvalidValueError(
            f"{name}: it takes a condition of size {network.condition_size}, and that of the data "
            f"is {shape.condition_size}."
        )
    classes = network.config.get("num_classes")
    if keyword == LABELS and classes is not None and classes < shape.num_classes:
        raise InvalidValueError(
            f"{name}: it has {classes} classes, and the data {shape.num_classes}."
        )


def _create(table: str, fields: Mapping[str, Any], **given: Any) -> Any:
    named = NAMED[table]
    options, name = dict(fields), fields[named.key]
    del options[named.key]
    taken = parameters(host().get(named.name, name))
    sizes = {key: value for key, value in given.items() if key in taken}
    try:
        return host().create(named.name, name, **sizes, **options)
    except FPDMError:
        raise
    except Exception as error:
        raise InvalidValueError(f"{table}.{named.key}={name!r}: {error}") from error
