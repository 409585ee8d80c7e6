"""Where the noise of a run comes from."""

from __future__ import annotations

from typing import Any

import torch

from fpdm.errors import InvalidValueError


def check_generators(generator: Any, count: int) -> None:
    """Check that there is one generator for all images, or one for each.

    Args:
        generator: a `torch.Generator`, a list of them, or None.
        count: how many images.

    Raises:
        InvalidValueError: there is something else.
    """
    if generator is None:
        return
    every = generator if isinstance(generator, list) else [generator]
    if not all(isinstance(one, torch.Generator) for one in every):
        raise InvalidValueError("generator: must be a torch.Generator, or a list of them.")
    if isinstance(generator, list) and len(generator) != count:
        raise InvalidValueError(
            f"generator: a list of {len(generator)} for {count} images; must have one for each."
        )
