"""What both networks share: the saved configuration, the call, and the checks at the door."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import torch
from attrs import asdict
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.models.presets import preset
from fpdm.models.transformer import Conditioning, Embeddings

if TYPE_CHECKING:
    from typing_extensions import Self


class Network(ModelMixin, ConfigMixin):
    """A class-conditional transformer over the patches of a square image.

    Saving and loading, `save_pretrained` and `from_pretrained`, are those of diffusers.
    """

    embeddings: Embeddings

    @classmethod
    def from_preset(cls, name: str, **options: Any) -> Self:
        """Build a published size, such as `"XL/2"`; `options` are those of the class.

        Raises:
            UnknownNameError: there is no such preset.
        """
        allowed = inspect.signature(cls.__init__).parameters
        sizes = {key: value for key, value in asdict(preset(name)).items() if key in allowed}
        return cls(**(sizes | options))

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
        timestep = torch.as_tensor(timestep, device=x.device)
        if timestep.shape not in ((), (1,), x.shape[:1]):
            raise InvalidValueError(
                f"timestep has shape {tuple(timestep.shape)}: must be () or ({x.shape[0]},)."
            )
        timestep = timestep.expand(x.shape[0])
        return cast("Conditioning", self.embeddings(timestep, class_labels))
