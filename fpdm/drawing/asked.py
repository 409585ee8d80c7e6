"""What each of many samples is to be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from fpdm.checks import check_condition
from fpdm.diffusion.conditions import CONDITION, LABELS, keyword_of
from fpdm.errors import InvalidValueError


@frozen(eq=False)
class Asked:
    """What each of many samples is to be: of some classes or conditions in turn, or of none.

    Attributes:
        classes: by number; empty if none are asked for.
        condition: (N, K) or (N, T, K); None if none are asked for.
    """

    classes: tuple[int, ...] = ()
    condition: Tensor | None = None

    @property
    def count(self) -> int:
        """How many different ones there are."""
        return len(self.classes) if self.condition is None else len(self.condition)

    def of(self, numbers: Sequence[int]) -> dict[str, Any]:
        """What to ask a pipeline for.

        Args:
            numbers: of the samples, from 0.

        Returns:
            One of the keywords `class_labels`, `condition` and `num_images`.
        """
        if self.condition is not None:
            return {CONDITION: self.condition[[i % len(self.condition) for i in numbers]]}
        if self.classes:
            return {LABELS: [self.classes[i % len(self.classes)] for i in numbers]}
        return {"num_images": len(numbers)}

    def record(self) -> dict[str, Any]:
        """What is asked for as plain data: the classes, or the digest of the conditions."""
        if self.condition is None:
            return {"classes": list(self.classes)}
        values = self.condition.detach().cpu().float().contiguous()
        digest = hashlib.sha256(repr(tuple(values.shape)).encode() + values.numpy().tobytes())
        return {"condition_sha256": digest.hexdigest()}


def asked(pipe: Any, classes: Iterable[int | str] | None, condition: Any = None) -> Asked:
    """Read what is asked for.

    Args:
        pipe: what draws.
        classes: by number or by name; None is every class of the model.
        condition: (N, K) or (N, T, K), of a model that takes one; None is none.

    Returns:
        What each sample is to be.

    Raises:
        InvalidValueError: it is not what the model takes.
        UnknownNameError: no class has a name.
    """
    keyword = keyword_of(pipe.model)
    if condition is not None:
        if keyword != CONDITION:
            raise InvalidValueError("condition: the model takes none; leave it out.")
        rows = torch.as_tensor(condition)
        check_condition(rows, size=pipe.model.condition_size)
        return Asked(condition=rows)
    if classes is not None and keyword != LABELS:
        raise InvalidValueError("classes: the model has none; leave them out.")
    if keyword != LABELS:
        return Asked()
    every = range(pipe.classes.count) or [pipe.classes.null]
    return Asked(tuple(pipe.classes.numbers(every if classes is None else classes)))
