"""What both networks share: the saved configuration, the call, and the checks at the door."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from fpdm.checks import check_whole
from fpdm.denoiser import Denoised
from fpdm.errors import InvalidValueError
from fpdm.models.transformer import Conditioning, Embeddings


class Network(ModelMixin, ConfigMixin):
    """A class-conditional transformer over the patches of a square image.

    Saving and loading, `save_pretrained` and `from_pretrained`, are those of diffusers.
    """

    embeddings: Embeddings

    @property
    def null_class(self) -> int:
        """The label that stands for no class, for classifier-free guidance."""
        return cast("int", self.config["num_classes"])

    def condition(self, x: Tensor, timestep: Tensor | float, class_labels: Tensor) -> Conditioning:
        """Check a call, and embed its timestep and classes.

        Raises:
            InvalidValueError: the input has a wrong shape.
        """
        channels, size = self.config["in_channels"], self.config["sample_size"]
        if x.dim() != 4 or x.shape[1:] != (channels, size, size):
            raise InvalidValueError(
                f"x has shape {tuple(x.shape)}: must be (batch, {channels}, {size}, {size})."
            )
        if class_labels.shape != x.shape[:1]:
            raise InvalidValueError(
                f"class_labels has shape {tuple(class_labels.shape)}: must be ({x.shape[0]},)."
            )
        timestep = torch.as_tensor(timestep, device=x.device).expand(x.shape[0])
        return cast("Conditioning", self.embeddings(timestep, class_labels))

    def forward(self, x: Tensor, timestep: Tensor | float, class_labels: Tensor) -> Denoised:
        """Denoise a batch."""
        raise NotImplementedError


def check_architecture(config: dict[str, Any]) -> None:
    """Raise `InvalidValueError` unless the sizes of a network fit together."""
    for name in ("sample_size", "patch_size", "in_channels", "hidden_size", "num_heads"):
        check_whole(name, config[name], minimum=1)
    check_whole("num_classes", config["num_classes"], minimum=0)
    for part, whole in (("patch_size", "sample_size"), ("num_heads", "hidden_size")):
        if config[whole] % config[part]:
            raise InvalidValueError(f"{part}={config[part]} must divide {whole}={config[whole]}.")
    if config["hidden_size"] % 4:
        raise InvalidValueError(
            f"hidden_size={config['hidden_size']}: must be a multiple of 4, for the positions."
        )
