"""What both transformers share: their sizes, the presets, and the embedding of a call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import asdict, fields_dict

from fpdm.checks import check_choice, check_whole
from fpdm.models.conditioning import Embeddings
from fpdm.models.embedded import EmbeddedNetwork
from fpdm.models.presets import preset
from fpdm.models.size import CLOCKS, Size, condition_extents

if TYPE_CHECKING:
    from typing_extensions import Self

LEAST = {"depth": 1, "pre_depth": 0, "post_depth": 0, "evals": 1}
"""Of options that are whole numbers and no sizes."""


class PatchNetwork(EmbeddedNetwork):
    """A conditional transformer over the patches of an image.

    `enable_gradient_checkpointing`, of diffusers, keeps the inputs of each block pass for the
    backward pass and computes the rest again.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Block", "FixedPointBlock"]
    _repeated_blocks: ClassVar[list[str]] = ["Block"]
    _derived = frozenset({"out_channels"})

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
        return cls(**(cls.preset_options(name) | options))

    @classmethod
    def preset_options(cls, name: str) -> dict[str, Any]:
        """The options of the class that a published size decides, by name.

        Args:
            name: of the size, as of `from_preset`.

        Raises:
            UnknownNameError: there is no such preset.
        """
        allowed = inspect.signature(cls.__init__).parameters
        return {key: value for key, value in asdict(preset(name)).items() if key in allowed}


def embeddings(size: Size, *, timestep_in_explicit: bool) -> Embeddings:
    """The embeddings of a transformer.

    Args:
        size: of it.
        timestep_in_explicit: whether its explicit layers see the timestep.
    """
    told = size.condition_size
    return Embeddings(
        size.hidden_size,
        labels=size.labels,
        condition_size=None if told is None else condition_extents(told),
        clock=size.clock,
        timestep_in_explicit=timestep_in_explicit,
    )
