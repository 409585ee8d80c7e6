"""What both networks share: the saved configuration, the call, and the checks at the door."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from attrs import asdict
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.models.conditioning import Conditioning, Embeddings
from fpdm.models.presets import preset
from fpdm.models.size import Size

if TYPE_CHECKING:
    from typing_extensions import Self


class Network(ModelMixin, ConfigMixin):
    """A class-conditional transformer over the patches of a square image.

    Saving and loading, `save_pretrained` and `from_pretrained`, are those of diffusers, and so is
    `enable_gradient_checkpointing`, which keeps the inputs of each block pass for the backward pass
    and computes the rest again.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Block", "FixedPointBlock"]
    _repeated_blocks: ClassVar[list[str]] = ["Block"]

    embeddings: Embeddings

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a saved configuration; what follows from the sizes is no argument.

        Args:
            config_dict: the configuration, as it was saved.
            kwargs: of diffusers.

        Returns:
            What diffusers returns: the arguments, those that are not used, and the rest.
        """
        given = {key: value for key, value in config_dict.items() if key != "out_channels"}
        return super().extract_init_dict(given, **kwargs)

    def size(self) -> Size:
        """The sizes in the configuration, checked; `out_channels` follows from them.

        Raises:
            InvalidValueError: a size is not allowed, or two do not fit together.
        """
        size = Size.of(self.config)
        self.register_to_config(out_channels=size.out_channels)  # pipelines of diffusers ask for it
        return size

    @classmethod
    def from_preset(cls, name: str, **options: Any) -> Self:
        """Build a published size. Source: Peebles and Xie, ICCV 2023.

        Args:
            name: such as `"XL/2"`: S, B, L or XL, with patches of 2, 4 or 8.
            options: of the class; they take the place of those of the preset.

        Returns:
            The network, with random weights.

        Raises:
            UnknownNameError: there is no such preset.
        """
        allowed = inspect.signature(cls.__init__).parameters
        sizes = {key: value for key, value in asdict(preset(name)).items() if key in allowed}
        return cls(**(sizes | options))

    @property
    def null_class(self) -> int | None:
        """The label that stands for no class, for classifier-free guidance; None if none does."""
        return self.config["num_classes"] if self.config["has_null_class"] else None

    def condition(self, x: Tensor, timestep: Tensor | float, class_labels: Tensor) -> Conditioning:
        """Check a call, and embed its timestep and classes.

        Args:
            x: noisy images, (B, C, H, W).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.

        Returns:
            The conditioning vectors, each (B, D).

        Raises:
            InvalidValueError: the input has a wrong shape, or a label is out of range.
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
        self._check_labels(class_labels)
        timestep = torch.as_tensor(timestep, device=x.device)
        if timestep.shape not in ((), (1,), x.shape[:1]):
            raise InvalidValueError(
                f"timestep has shape {tuple(timestep.shape)}: must be () or ({x.shape[0]},)."
            )
        timestep = timestep.expand(x.shape[0])
        return cast("Conditioning", self.embeddings(timestep, class_labels))

    def _check_labels(self, labels: Tensor) -> None:
        if labels.dtype not in (torch.int64, torch.int32):
            raise InvalidValueError(f"class_labels are {labels.dtype}: must be int64.")
        if labels.device.type != "cpu" or torch.compiler.is_compiling():
            return  # a look at the values would wait for the device
        last = self.embeddings.label.num_embeddings - 1
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) <= last:
            raise InvalidValueError(
                f"class_labels={labels.tolist()}: must be whole numbers from 0 to {last}."
            )
