"""Where a command computes, as it is written on the command line."""

from __future__ import annotations

import torch

from fpdm.errors import InvalidValueError


def check_device(text: str) -> torch.device:
    """Check that PyTorch can compute there.

    Args:
        text: such as `cpu`, `cuda` or `cuda:1`.

    Returns:
        The device.

    Raises:
        InvalidValueError: there is no such device, or not here.
    """
    try:
        device = torch.device(text)
        torch.zeros(1, device=device).item()
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise InvalidValueError(
            f"--device {text}: PyTorch cannot compute there; here are {', '.join(devices())}."
        ) from error
    return device


def default_device() -> torch.device:
    """Return the accelerator that PyTorch finds, or else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def devices() -> list[str]:
    """Return the names of the devices that this machine has."""
    count = torch.accelerator.device_count()
    accelerator = default_device()
    return ["cpu", *(f"{accelerator.type}:{i}" for i in range(count))]
