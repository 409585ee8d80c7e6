"""The data set and the network that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from diffusers.models.modeling_utils import ModelMixin

from fpdm.data import Dataset, Shape
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.models import SavedNetwork
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
    sizes = {
        "sample_size": shape.size,
        "in_channels": shape.channels,
        "num_classes": shape.num_classes,
    }
    network = _create("model", table, **sizes)
    if not isinstance(network, ModelMixin):
        raise InvalidValueError(
            f"model.network={table['network']!r}: a {type(network).__name__} cannot be saved: "
            f"derive it from fpdm.models.SavedNetwork."
        )
    return cast("SavedNetwork", network)


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
