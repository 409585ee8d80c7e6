"""Plain iteration."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen
from torch import Tensor

from fpdm.checks import real
from fpdm.iteration import IterativeSolver


@frozen
class Naive(IterativeSolver):
    """Picard iteration, `z ← (1 - damping) z + damping f(z)`.

    Converges linearly where `f` is a contraction; damping below 1 also tames maps that overshoot.
    The iterate after the last evaluation is returned, whatever its residual, so that n evaluations
    followed by m are n + m evaluations.

    Source: Picard, J. Math. Pures Appl. 6 (1890). Damped: Mann, Mean value methods in iteration,
    Proc. Amer. Math. Soc. 4 (1953).

    Args:
        damping: step towards `f(z)`, in (0, 1]; 1 is undamped.

    Raises:
        InvalidValueError: `damping` is not allowed.
    """

    name: ClassVar[str] = "naive"
    keeps_best: ClassVar[bool] = False

    damping: float = field(default=1.0, validator=real(above=0, maximum=1))

    def start(self, z0: Tensor) -> None:
        """There is nothing to remember."""

    def advance(self, z: Tensor, image: Tensor, state: None) -> tuple[Tensor, None]:
        """Take the step."""
        return (image if self.damping == 1 else z.lerp(image, self.damping)), state
