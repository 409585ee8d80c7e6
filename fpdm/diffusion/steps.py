"""Steps of a run as a few multiply-adds, whose coefficients stand in a table.

Of most samplers a step is linear: in the images, in what the network predicts, and in what it
predicted before. A row of the table holds the coefficients of one timestep, so that one function
serves all of them, and nothing of it waits for the device.
"""

from __future__ import annotations

import torch
from attrs import evolve, field, frozen
from torch import Tensor

Past = tuple[Tensor, ...]
"""What a step goes on from beside the images, each (B, C, H, W)."""


@frozen(eq=False)
class Steps:
    """The steps of one run, of a method that looks at its own timestep alone.

    The clean image is `row[0] * x + row[1] * prediction`, clamped where there is a limit; what
    comes next is `row[2] * x + row[3] * clean`, and noise on top.

    Attributes:
        table: coefficients, one row for each timestep in sampling order, (T, K), float32.
        reads: whether the clean image has to be read off the prediction; otherwise the prediction
            is what `row[3]` multiplies.
        limit: the clean image is clamped to ± this; None does not clamp.
        draws: for each timestep whether it draws noise, whose deviation is `row[4]`.
        learned: whether the network predicts the variance: the deviation is then
            `exp(row[4] + row[5] * variance)`.
    """

    table: Tensor
    reads: bool = True
    limit: float | None = None
    draws: tuple[bool, ...] = field(default=())
    learned: bool = False

    @property
    def steepness(self) -> float:
        """The largest of the coefficients by which a step multiplies images."""
        return float(abs(self.table.cpu().numpy()[:, 2:4]).max())

    def to(self, device: torch.device) -> Steps:
        """The same, its table on a device.

        Args:
            device: where the images are.
        """
        return evolve(self, table=self.table.to(device))

    def begin(self, x: Tensor) -> Past:
        """What the first step goes on from.

        Args:
            x: the noise, (B, C, H, W).

        Returns:
            As many tensors as the method remembers, each (B, C, H, W).
        """
        del x
        return ()

    def take(
        self,
        x: Tensor,
        prediction: Tensor,
        row: Tensor,
        past: Past,
        *,
        variance: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Past]:
        """Take one step.

        Args:
            x: the images, (B, C, H, W).
            prediction: what the network says of them, (B, C, H, W).
            row: of the table, (K,).
            past: what the step before returned, or `begin`.
            variance: what the network says of the variance, in [-1, 1], (B, C, H, W); where it is
                learned.
            noise: standard normal, (B, C, H, W); None where none is drawn.

        Returns:
            The images at the next timestep, (B, C, H, W), typed like the prediction, and what the
            step after goes on from.
        """
        dtype = prediction.dtype
        x, clean = self.clean(x, prediction, row)
        made, past = self.go(x, clean, row, past)
        if noise is not None:
            made = torch.addcmul(made, noise.to(made.dtype), self._deviation(row, variance))
        return made.to(dtype), past

    def clean(self, x: Tensor, prediction: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """Read the clean image off a prediction; both in float32 or wider.

        Args:
            x: the images, (B, C, H, W).
            prediction: (B, C, H, W).
            row: of the table, (K,).

        Returns:
            The images, and what is multiplied with `row[3]`, each (B, C, H, W).
        """
        wide = _wide(x.dtype)
        x, clean = x.to(wide), prediction.to(wide)
        if self.reads:
            clean = torch.addcmul(x * row[0], clean, row[1])
        if self.limit is not None:
            clean = clean.clamp(-self.limit, self.limit)
        return x, clean

    def go(self, x: Tensor, clean: Tensor, row: Tensor, past: Past) -> tuple[Tensor, Past]:
        """Go on, given the clean image.

        Args:
            x: the images, (B, C, H, W).
            clean: (B, C, H, W).
            row: of the table, (K,).
            past: what the step before returned.

        Returns:
            The images at the next timestep without noise, (B, C, H, W), and the next past.
        """
        del past
        return torch.addcmul(x * row[2], clean, row[3]), ()

    def _deviation(self, row: Tensor, variance: Tensor | None) -> Tensor:
        if not self.learned or variance is None:
            return row[4]
        return torch.addcmul(row[4], variance, row[5]).exp()


@frozen(eq=False)
class Multistep(Steps):
    """Steps that go on from the clean image before, too: DPM-Solver++(2M).

    What comes next is `row[2] * x + row[3] * clean + row[4] * before`. Source: Lu et al.,
    DPM-Solver++, 2022.
    """

    @property
    def steepness(self) -> float:
        """The largest of the coefficients by which a step multiplies images."""
        return float(abs(self.table.cpu().numpy()[:, 2:]).max())

    def begin(self, x: Tensor) -> Past:
        """No clean image before the first: its coefficient is 0."""
        return (torch.zeros_like(x, dtype=_wide(x.dtype)),)

    def go(self, x: Tensor, clean: Tensor, row: Tensor, past: Past) -> tuple[Tensor, Past]:
        """Go on from two clean images."""
        made = torch.addcmul(x * row[2], clean, row[3])
        return torch.addcmul(made, past[0], row[4]), (clean,)


@frozen(eq=False)
class Corrected(Steps):
    """Steps that first correct the images with the clean image found there: UniPC.

    With the images `last` at the timestep before, corrected, and the clean images `one` and `two`
    before, the images are `row[5] * x + row[6] * last + row[7] * clean + row[8] * one +
    row[9] * two`; from there the step goes as in `Multistep`. Source: Zhao et al., UniPC, 2023.
    """

    @property
    def steepness(self) -> float:
        """The largest of the coefficients by which a step multiplies images."""
        return float(abs(self.table.cpu().numpy()[:, 2:]).max())

    def begin(self, x: Tensor) -> Past:
        """Nothing to correct with: the coefficients are 0."""
        last, one, two = (torch.zeros_like(x, dtype=_wide(x.dtype)) for _ in range(3))
        return last, one, two

    def go(self, x: Tensor, clean: Tensor, row: Tensor, past: Past) -> tuple[Tensor, Past]:
        """Correct, and go on."""
        last, one, two = past
        x = x * row[5]
        for part, weight in ((last, row[6]), (clean, row[7]), (one, row[8]), (two, row[9])):
            x = torch.addcmul(x, part, weight)
        made = torch.addcmul(x * row[2], clean, row[3])
        return torch.addcmul(made, one, row[4]), (x, clean, one)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype in (torch.float32, torch.float64) else torch.float32
