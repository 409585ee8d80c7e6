"""Where a command computes, as it is written on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    import torch


def check_device(text: str) -> torch.device:
    """Check that PyTorch can compute there.

    Args:
        text: such as `cpu`, `cuda` or `cuda:1`.

    Returns:
        The device.

    Raises:
        InvalidValueError: there is no such device, or not here.
    """
    import torch

    try:
        device = torch.device(text)
        torch.zeros(1, device=device).item()
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise InvalidValueError(
            f"--device {text}: PyTorch cannot compute there; here are {', '.join(devices())}."
        ) from error
    return device


def devices() -> list[str]:
    """Return the names of the devices that this machine has."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if accelerator else 0
    return ["cpu", *(f"{accelerator}:{i}" for i in range(count))]
