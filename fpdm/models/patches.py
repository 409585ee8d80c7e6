"""What both transformers share: their sizes, the presets, and the embedding of a call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, cast

from attrs import asdict, fields_dict
from torch import Tensor

from fpdm.checks import check_choice, check_whole
from fpdm.errors import InvalidValueError
from fpdm.models.conditioning import Conditioning, Conditions, Embeddings
from fpdm.models.presets import preset
from fpdm.models.saved import SavedNetwork
from fpdm.models.size import CLOCKS, Size

if TYPE_CHECKING:
    from typing_extensions import Self

LEAST = {"depth": 1, "pre_depth": 0, "post_depth": 0, "evals": 1}
"""Of options that are whole numbers and no sizes."""


class PatchNetwork(SavedNetwork):
    """A class-conditional transformer over the patches of a square image.

    `enable_gradient_checkpointing`, of diffusers, keeps the inputs of each block pass for the
    backward pass and computes the rest again.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Block", "FixedPointBlock"]
    _repeated_blocks: ClassVar[list[str]] = ["Block"]
    _derived = frozenset({"out_channels"})

    embeddings: Embeddings

    @classmethod
    def check_option(cls, name: str, value: Any) -> None:
        """Check one option before there are data to build for.

        Args:
            name: of the option.
            value: of it.

        Raises:
            InvalidValueError: it is not allowed.
        """
        if name == "clock":  # that of a network to be trained is known
            check_choice(name, value, choices=CLOCKS)
        elif (size := fields_dict(Size).get(name)) and size.validator:
            size.validator(None, size, value)
        elif name in LEAST:
            check_whole(name, value, minimum=LEAST[name])

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

    def prepare(self, timesteps: Tensor, class_labels: Tensor) -> Conditions | None:
        """Embed the timesteps and the classes of a whole run.

        Args:
            timesteps: in sampling order, (T,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.

        Returns:
            One `condition` for each timestep, by its index; None where the weights are elsewhere
            between two calls.

        Raises:
            InvalidValueError: a label is out of range.
        """
        self.check_labels(class_labels)
        weight = self.embeddings.label.weight
        if weight.is_meta or hasattr(weight, "full_tensor"):  # offloaded, or sharded
            return None
        if any(hasattr(each, "_diffusers_hook") for each in (self, self.embeddings)):
            return None  # which brings the weights where they are called, and this is no call
        return self.embeddings.prepare(timesteps, class_labels, self.dtype)

    def condition(
        self,
        x: Tensor,
        timestep: Tensor | float | None,
        class_labels: Tensor | None,
        condition: Conditioning | None = None,
    ) -> Conditioning:
        """Check a call, and embed its timestep and classes.

        Args:
            x: noisy images, (B, C, H, W).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, what `prepare` gave.

        Returns:
            The conditioning vectors, each (B, D).

        Raises:
            InvalidValueError: the input has a wrong shape, or a label is out of range.
        """
        if condition is not None:
            self.check_images(x)
            if len(condition.full) % len(x):
                raise InvalidValueError(
                    f"condition is for {len(condition.full)} images, and there are {len(x)}."
                )
            return condition
        if timestep is None or class_labels is None:
            raise InvalidValueError("timestep, class_labels: both must be given, or a condition.")
        timestep = self.check_call(x, timestep, class_labels)
        return cast("Conditioning", self.embeddings(timestep, class_labels, x.dtype))
