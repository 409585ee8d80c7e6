"""This process, and those that a launcher started beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fpdm.errors import FPDMError

if TYPE_CHECKING:
    from accelerate import PartialState

PATIENCE = timedelta(days=7)
"""How long processes that are done wait for the others."""


def processes() -> PartialState:
    """Join the processes of `torchrun` or `accelerate launch`; alone, there is one process.

    Returns:
        The state of accelerate: which process this is, of how many, and its device.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # without an accelerator, processes find each other only if they are told to use the CPU
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu, timeout=PATIENCE)


def wait(here: PartialState) -> None:
    """Wait until every process is here.

    Args:
        here: what `processes` returned.

    Raises:
        FPDMError: another one has ended, so that this one would wait for ever.
    """
    try:
        here.wait_for_everyone()
    except RuntimeError as error:
        raise FPDMError("Another process has ended early, and said why.") from error
