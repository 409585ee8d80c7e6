"""Whether a calibration is of this model."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any

import torch

from fpdm.calibration import Calibration
from fpdm.errors import InvalidValueError

TENSORS, ELEMENTS = 8, 4096
"""The largest tensors of a network, and how many numbers of each, that a sketch is made of."""
ALIKE = 0.05
"""By which sketches of the same weights may differ: in 16 bits, or with an adapter that says
little. Those of other weights differ by about 1.
"""


def configuration_of(pipe: Any) -> str:
    """The SHA-256 of what is configured of the network and the scheduler.

    What is as it is by default is left out, so that a release with more to configure knows it too.

    Args:
        pipe: the pipeline.
    """
    parts = [pipe.config["prediction_type"]]
    network = getattr(pipe.model, "_orig_mod", pipe.model)  # where it was compiled
    for part in (network, pipe.scheduler):
        parts.append({"class": type(part).__name__, **_configured(part)})
    return hashlib.sha256(_line(parts).encode()).hexdigest()


def _configured(part: Any) -> dict[str, Any]:
    """What is otherwise than by default in the configuration of a part."""
    usual = {
        name: parameter.default
        for cls in reversed(type(part).__mro__)
        for name, parameter in inspect.signature(cls.__init__).parameters.items()  # type: ignore[misc]
    }
    return {
        name: value
        for name, value in part.config.items()
        if not name.startswith("_") and _line(value) != _line(usual.get(name))
    }


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


@torch.no_grad()
def sketch_of(pipe: Any) -> tuple[float, ...]:
    """A few sums of the weights, about standard normal, which hold in any precision.

    Args:
        pipe: the pipeline.

    Returns:
        One number for each of the largest tensors.
    """
    tensors = sorted(pipe.model.state_dict().items(), key=lambda each: (-each[1].numel(), each[0]))
    rng = torch.Generator().manual_seed(0)
    found = []
    for _, tensor in tensors[:TENSORS]:
        flat = tensor.detach().reshape(-1)
        few = flat[:: -(-len(flat) // ELEMENTS)].cpu().double()
        pattern = torch.randn(len(few), generator=rng, dtype=torch.float64)
        size = float(few.norm())
        found.append(float(few @ pattern) / size if size > 0 else 0.0)
    return tuple(found)


def check_identity(calibration: Calibration, pipe: Any) -> None:
    """Check that a calibration is of this pipeline.

    Args:
        calibration: of some model.
        pipe: whose calibration it should be.

    Raises:
        InvalidValueError: it is of another network, of other weights, or of another scheduler.
    """
    if calibration.configuration != configuration_of(pipe):
        other = "is of a network or a scheduler that is configured otherwise"
    elif not _alike(calibration.sketch, sketch_of(pipe)):
        other = "is of other weights"
    else:
        return
    raise InvalidValueError(f"The calibration {other}; run `fpdm calibrate` for this model.")


def _alike(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return len(first) == len(second) and all(
        abs(a - b) <= ALIKE for a, b in zip(first, second, strict=True)
    )
