"""A network that was compiled in the usual way of PyTorch: its timesteps are compiled alike."""

from __future__ import annotations

from typing import Any

from fpdm.compiling.compiled import Compiled


def compiled_alike(model: Any) -> tuple[Any, Compiled | None]:
    """What `torch.compile(model)` and `model.compile()` ask for, of whole timesteps.

    Alone, a network is compiled anew where its past is longer, or a number is another.

    Args:
        model: a network, compiled or not.

    Returns:
        The network as it was, and what computes its timesteps with the same options; None if it was
        not compiled.
    """
    context = getattr(model, "dynamo_ctx", None)
    if context is not None and hasattr(model, "_orig_mod"):
        return model._orig_mod, Compiled(by=context)
    options = getattr(model, "compile_options", None)
    return model, None if options is None else Compiled(**options)
