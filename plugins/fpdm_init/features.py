"""Every timestep starts from its own features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from attrs import frozen
from torch import Tensor

from fpdm.interfaces import InitStrategy
from fpdm.solution import Moment, Visited


@frozen
class Features(InitStrategy):
    """`z0 = h`: the features are the start, as in training.

    Source: Bai and Melas-Kyriazi, Fixed Point Diffusion Models, CVPR 2024.
    """

    name: ClassVar[str] = "features"

    def initial(self, features: Tensor, history: Sequence[Visited], moment: Moment) -> Tensor:
        """Return the features."""
        del history, moment
        return features
