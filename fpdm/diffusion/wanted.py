"""What a run is asked for: how many samples, and of what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from fpdm.checks import check_condition, check_whole
from fpdm.diffusion.conditions import CONDITION, LABELS, keyword_of
from fpdm.diffusion.labels import Classes
from fpdm.errors import InvalidValueError


@frozen(eq=False)
class Wanted:
    """What a run is asked for.

    Attributes:
        count: samples, B.
        class_labels: (B,), int64; None where none are given.
        condition: (B, K) or (B, T, K); likewise.
    """

    count: int
    class_labels: Tensor | None = None
    condition: Tensor | None = None

    @property
    def told(self) -> dict[str, Tensor | None]:
        """As [`fpdm.sample`][fpdm.sample] takes it."""
        return {LABELS: self.class_labels, CONDITION: self.condition}


def wanted(
    network: Any,
    classes: Classes,
    class_labels: Iterable[Any] | Tensor | None,
    condition: Any,
    *,
    num: int | None,
    each: int,
    device: torch.device,
) -> Wanted:
    """Read what a run is asked for.

    Args:
        network: that draws.
        classes: of it.
        class_labels: (B,) numbers or names; None if none are given.
        condition: (B, K) or (B, T, K), of a network that takes one; None if none is given.
        num: how many samples, of a network that is told nothing, or of none of what it knows; None
            is one, or as many as labels or conditions are given.
        each: how often each label or condition is repeated.
        device: where they go.

    Returns:
        How many samples, and of what.

    Raises:
        InvalidValueError: they do not go together, or are not what the network takes.
        UnknownNameError: no class has a name.
    """
    check_whole("num_images_per_class", each, minimum=1)
    given = {LABELS: class_labels, CONDITION: condition}
    named = [name for name, value in given.items() if value is not None]
    if num is not None:
        check_whole("num_images", num, minimum=1)
        named.append("num_images")
    if len(named) > 1:
        raise InvalidValueError(f"{', '.join(named)}: give one of them.")
    if class_labels is not None:
        if keyword_of(network) != LABELS:
            raise InvalidValueError(
                f"class_labels: the network has no classes; {_instead(network)}."
            )
        numbers = classes.numbers(class_labels, each=each)
        return Wanted(len(numbers), class_labels=torch.tensor(numbers, device=device))
    if condition is not None:
        if keyword_of(network) != CONDITION:
            raise InvalidValueError(f"condition: the network takes none; {_instead(network)}.")
        rows = torch.as_tensor(condition)
        check_condition(rows, size=network.condition_size)
        rows = rows.to(device, network.dtype).repeat_interleave(each, dim=0)
        return Wanted(len(rows), condition=rows)
    return Wanted((num or 1) * each)


def _instead(network: Any) -> str:
    keyword = keyword_of(network)
    if keyword == CONDITION:
        return f"give a condition of (B, {', '.join(map(str, network.condition_size))})"
    return "give class_labels" if keyword == LABELS else "give num_images"
