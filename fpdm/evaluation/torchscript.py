"""Features of a network in a TorchScript file, such as the Inception network of FID."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor, nn

from fpdm.errors import InvalidValueError
from fpdm.evaluation.archives import levels
from fpdm.runtime.storage import sha256

FLAG = "return_features"
LETTERS = 12  # of the digest of a file


@frozen(slots=False, eq=False)
class TorchScript:
    """The features of a network that somebody has saved with `torch.jit.save`.

    The network is called with images as FID programs hand them over, (B, 3, H, W), uint8; where its
    `forward` has a parameter `return_features`, that is true. It returns (B, D), of any precision.
    So the Inception network of FID (Heusel et al. 2017) does in the file `inception-2015-12-05.pt`
    that is published with StyleGAN2-ADA (Karras et al. 2020): it takes images of any size, enlarges
    them to 299 × 299 itself as the first implementation of FID did, and returns 2048 features.

    The file is a program: take it from somebody whom you trust. Nothing is downloaded.

    Args:
        path: of the file.
        resize: height and width to which images are enlarged or shrunk before, bicubic and without
            aliases; None leaves them as they are, for a network that does it.
        device: where it computes.

    Raises:
        InvalidValueError: there is no such file, it is no TorchScript, or its network does not take
            the images or returns something else.
    """

    path: Path = field(converter=Path)
    resize: int | None = field(default=None, kw_only=True)
    device: Any = field(default="cpu", kw_only=True)
    network: nn.Module = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.path.is_file():
            raise InvalidValueError(f"{self.path}: there is no such file; must be a TorchScript.")
        try:
            with _without_deprecations():
                network = torch.jit.load(str(self.path), map_location=self.device)
        except Exception as error:  # as many as there are ways not to be one
            raise InvalidValueError(
                f"{self.path} is not a TorchScript file: it must be one that torch.jit.save wrote."
            ) from error
        object.__setattr__(self, "network", network.eval())  # of a frozen class

    @cached_property
    def name(self) -> str:
        """The name of the file, with the beginning of its SHA-256."""
        return f"{self.path.name} {sha256(self.path)[:LETTERS]}"

    def __call__(self, images: Tensor) -> NDArray[np.float64]:
        """What the network returns.

        Args:
            images: (B, C, H, W), in [-1, 1], C of 1 or 3.

        Returns:
            (B, D), float64.

        Raises:
            InvalidValueError: they are no images, or the network does not take them.
        """
        if images.dim() != 4 or images.shape[1] not in (1, 3):
            raise InvalidValueError(
                f"{self.path.name} takes images, (B, 1, H, W) or (B, 3, H, W): not "
                f"{tuple(images.shape)}."
            )
        ready = images.to(self.device).expand(-1, 3, -1, -1)
        if self.resize is not None:
            ready = nn.functional.interpolate(
                ready, size=(self.resize, self.resize), mode="bicubic", antialias=True
            )
        try:
            with torch.no_grad(), _without_deprecations():
                found = self.network(levels(ready), **self._flags)
        except Exception as error:  # whatever is in there
            said = (str(error).strip().splitlines() or [type(error).__name__])[-1].rstrip(".")
            raise InvalidValueError(
                f"The network of {self.path} does not take {tuple(ready.shape)}, uint8: {said}."
            ) from error
        if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != len(images):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InvalidValueError(
                f"The network of {self.path} returns {shape} of {len(images)} images: must return "
                f"({len(images)}, D)."
            )
        return found.cpu().double().numpy()

    @cached_property
    def _flags(self) -> dict[str, bool]:
        with _without_deprecations():
            schema = cast("Any", self.network).forward.schema
        return {FLAG: True} if FLAG in [each.name for each in schema.arguments] else {}


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """A context in which PyTorch does not say that TorchScript is old, as files of it are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
