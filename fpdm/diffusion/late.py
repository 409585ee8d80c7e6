"""Autoencoders that load when one is used.

The pipelines of diffusers import `AutoencoderKL` for one `isinstance`, and with it every
autoencoder, U-Net and transformer there is: a third of what `import fpdm.pipeline` took, for
networks that draw pixels too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

NAME = "AutoencoderKL"
HOME = "diffusers.models.autoencoders.autoencoder_kl"
USER = "diffusers.pipelines.pipeline_utils"


class _Late(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        found = loaded()
        return found is not None and isinstance(instance, found)


class _LateAutoencoderKL(metaclass=_Late):
    """Stands for the class: what is loaded is looked at, and of what is not nothing is one."""


def loaded() -> type | None:
    """`AutoencoderKL`, if anybody has imported it.

    Returns:
        The class, or None.
    """
    return getattr(sys.modules.get(HOME), NAME, None)


@contextmanager
def late_autoencoders() -> Iterator[None]:
    """Have the pipelines of diffusers imported in this block without any autoencoder.

    Where they have been imported before, or the autoencoder has, nothing is done.

    Yields:
        Nothing.
    """
    models = import_module("diffusers.models")
    if USER in sys.modules or NAME in vars(models):
        yield
        return
    setattr(models, NAME, _LateAutoencoderKL)
    try:
        yield
    finally:
        delattr(models, NAME)
