"""What a network is told of a sample beside the timestep: its class, another condition, or nothing.

A network takes one of them, and says what stands for none of it, by which guidance compares and
which training puts in the place of some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from fpdm.checks import check_condition, check_labels
from fpdm.errors import InvalidValueError
from fpdm.interfaces import Network
from fpdm.runtime.signatures import takes

LABELS, CONDITION = "class_labels", "condition"
"""The keywords under which a network is told."""


def keyword_of(network: Network) -> str | None:
    """Under which keyword a network is told what it draws.

    Args:
        network: any.

    Returns:
        `condition` of a network that says its `condition_size`, `class_labels` of one that has
        classes, and None of one that is told nothing.
    """
    if getattr(network, "condition_size", None) is not None:
        return CONDITION
    if network.null_class is not None:
        return LABELS
    config = getattr(network, "config", None)
    if config is None:  # it does not say
        return LABELS if takes(getattr(network, "forward", network), LABELS) else None
    return LABELS if config.get("num_classes") else None


def null_of(network: Network) -> Tensor | None:
    """What stands for none of what a network is told: one label, (), or one condition.

    Args:
        network: any.

    Returns:
        Shaped like what a single sample is told; None where nothing stands for none.
    """
    if keyword_of(network) == CONDITION:
        return cast("Tensor | None", getattr(network, "null_condition", None))
    return None if network.null_class is None else torch.tensor(network.null_class)


def told(
    network: Network, class_labels: Tensor | None, condition: Tensor | None, *, like: Tensor
) -> dict[str, Tensor]:
    """What a network is told of the samples of a run: what it is given, or that it is given none.

    Args:
        network: any.
        class_labels: (B,), int64; None if none are given.
        condition: (B, K) or (B, T, K); likewise.
        like: the samples, (B, C, …).

    Returns:
        One tensor by its keyword, or none.

    Raises:
        InvalidValueError: the network takes something else, or what is missing nothing stands for,
            or it does not fit the samples.
    """
    keyword, name = keyword_of(network), type(network).__name__
    given = {LABELS: class_labels, CONDITION: condition}
    if extra := [key for key, value in given.items() if value is not None and key != keyword]:
        raise InvalidValueError(f"{extra[0]}: a {name} takes {_wanted(network)}; leave it out.")
    if keyword is None:
        return {}
    value = given[keyword]
    if value is None:
        none = null_of(network)
        if none is None:
            raise InvalidValueError(
                f"{keyword}: a {name} takes {_wanted(network)}, and nothing stands for none: must "
                f"be given."
            )
        none = none.to(like.device)
        return {keyword: none.expand(len(like), *none.shape)}
    if keyword == LABELS:
        check_labels(value, like=like, last=network.null_class)
    else:
        check_condition(value, size=cast("Any", network).condition_size, like=like)
    return {keyword: value}


def with_none(said: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """What a network is told under guidance: of each sample, and then of each that it is none.

    Args:
        said: as of `told`, of B samples.
        network: that has something that stands for none.

    Returns:
        Of 2 B samples.
    """
    none = cast("Tensor", null_of(network))
    return {
        keyword: torch.cat([value, none.to(value).expand_as(value)])
        for keyword, value in said.items()
    }


def _wanted(network: Network) -> str:
    keyword = keyword_of(network)
    if keyword is None:
        return "no classes and no condition"
    if keyword == LABELS:
        return "class_labels"
    size = ", ".join(map(str, ("batch", *cast("Any", network).condition_size)))
    return f"a condition of shape ({size})"
