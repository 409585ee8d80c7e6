"""The values that pass between the parts: where a run is, and what was found there."""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from fpdm import batch
from fpdm.errors import PluginError
from fpdm.runtime.trees import register_tree

PREDICTIONS = ("v_prediction", "epsilon", "sample", "flow", "flow_prediction")
"""What a network may predict: v, the noise, the clean image, or a velocity of flow matching, which
is `x0 - noise` as `flow`, and `noise - x0`, as diffusers has it, as `flow_prediction`.
"""


class Status(enum.IntEnum):
    """How the solve of one sample ended."""

    BUDGET_SPENT = 0
    """All granted evaluations were made: the normal ending when no tolerance is given."""

    CONVERGED = 1
    """The relative residual fell to the tolerance, and the sample was left as it was."""

    NON_FINITE = 2
    """`f` gave inf or NaN for this sample; its value is the last finite iterate."""

    STAGNATED = 3
    """A tolerance was given and not reached, and none of the last ten evaluations brought a lower
    residual: it is below the rounding of the dtype, or the iteration is not drawn to a fixed point.
    """


def _keep(frozen_value: object, **values: object) -> None:
    """Set the fields of a frozen value, in a way that a compiler can follow."""
    for name, value in values.items():
        object.__setattr__(frozen_value, name, value)


def _brief(value: Tensor | None) -> str:
    return "None" if value is None else f"<{tuple(value.shape)} {value.dtype}>"


@frozen(eq=False, init=False)
class Solution:
    """An approximate fixed point of `f` for a batch of independent samples.

    Attributes:
        value: the approximation, shaped and typed like the start, (B, ...).
        evals: calls of `f` made for the whole batch.
        residual: `‖f(z) - z‖ / ‖f(z)‖` at the evaluation from which the `value` of each sample was
            made; (B,), float32 or wider. `inf` where none was taken: without evaluations, and for
            a sample that plain iteration without a tolerance has lost.
        status: one `Status` code per sample; (B,), int64.
        absolute_residual: `‖f(z) - z‖` there; (B,). If it is not given, `residual * ‖value‖`.
        trace: the relative residual of every evaluation, (evals, B), where
            [`fpdm.trace`][fpdm.trace] asked for it; else None.
        carry: what the solver may go on from at the next timestep; None unless it was told to
            carry something. It is no tensor: what `torch.export` and `torch.func` make has none.
        grad_evals: how many of `evals` carry the gradient; None but from a layer in training.
        start_residual: the relative residual at the start of the solve, (B,); likewise, and where
            an allocation watches it.
        counts: with a tolerance, the evaluations made of each sample, (B,), int64: of one that had
            stopped no more, where `f` can be evaluated [without it][fpdm.layer.Block.bind]. None
            without a tolerance: `evals` of each.
    """

    value: Tensor = field(repr=_brief)
    evals: int
    residual: Tensor
    status: Tensor
    absolute_residual: Tensor
    trace: Tensor | None = field(default=None, repr=_brief)
    carry: Any = field(default=None, repr=False)
    grad_evals: int | None = None
    start_residual: Tensor | None = field(default=None, repr=False)
    counts: Tensor | None = field(default=None, repr=_brief)

    def __init__(
        self,
        value: Tensor,
        evals: int,
        residual: Tensor,
        status: Tensor,
        absolute_residual: Tensor | None = None,
        trace: Tensor | None = None,
        carry: Any = None,
        grad_evals: int | None = None,
        start_residual: Tensor | None = None,
        counts: Tensor | None = None,
    ) -> None:
        if absolute_residual is None:
            absolute = residual * batch.norm(value.detach())
            absolute_residual = absolute.nan_to_num(nan=torch.inf, posinf=torch.inf)
        _keep(
            self,
            value=value,
            evals=evals,
            residual=residual,
            status=status,
            absolute_residual=absolute_residual,
            trace=trace,
            carry=carry,
            grad_evals=grad_evals,
            start_residual=start_residual,
            counts=counts,
        )

    @property
    def spent(self) -> Fraction:
        """The evaluations that a sample took on average, exactly; to look waits for the device."""
        if self.counts is None or not len(self.counts):
            return Fraction(self.evals)
        return Fraction(int(self.counts.sum()), len(self.counts))


@frozen
class Moment:
    """One timestep of a run, as it is known before the run begins: plain numbers.

    Alone, `Moment()` is the only timestep of a run of which nothing else is known, as where a layer
    is called by itself.

    Attributes:
        index: in sampling order; 0 is the noisiest.
        steps: how many timesteps the run has.
        timestep: of the diffusion, from 0 to 1000; None where there is no scheduler.
        log_snr: the logarithm of signal over noise there, `log(α² / σ²)`; `-inf` where there is
            noise alone, None where the scheduler does not say.
        previous: the moment before; None at the first.
    """

    index: int = 0
    steps: int = 1
    timestep: float | None = None
    log_snr: float | None = None
    previous: Moment | None = field(default=None, eq=False, repr=False)  # a chain as long as a run


@frozen(eq=False, init=False)
class Visited:
    """A timestep that has been: what a run remembers of it.

    Attributes:
        moment: which it was.
        features: what the explicit first layers made of its noisy input, (B, ...).
        solution: what was found from there; its value is shaped like the features.
    """

    moment: Moment
    features: Tensor = field(repr=_brief)
    solution: Solution

    def __init__(self, moment: Moment, features: Tensor, solution: Solution) -> None:
        _keep(self, moment=moment, features=features, solution=solution)


NOWHERE = Moment()
"""Of a call that belongs to no run."""


@frozen(eq=False, init=False)
class Denoised:
    """What a denoiser says about one timestep.

    Attributes:
        sample: the prediction (noise, clean image, v or flow velocity); (B, C, H, W), or
            (B, 2 C, H, W) where the variance is learned.
        solution: of the implicit layer; None for an explicit network.
        features: from which it was solved, (B, ...); likewise.
    """

    sample: Tensor
    solution: Solution | None = None
    features: Tensor | None = None

    def __init__(
        self, sample: Tensor, solution: Solution | None = None, features: Tensor | None = None
    ) -> None:
        _keep(self, sample=sample, solution=solution, features=features)

    def visited(self, moment: Moment = NOWHERE) -> Visited:
        """What the next timestep may want to know of this one, for its `history`.

        Args:
            moment: which timestep it was.

        Raises:
            PluginError: the network gave no solution with features.
        """
        if self.solution is None or self.features is None:
            raise PluginError("There is no solution with features to go on from.")
        return Visited(moment, self.features, self.solution)


register_tree(
    Solution,
    tensors=(
        "value",
        "residual",
        "status",
        "absolute_residual",
        "trace",
        "start_residual",
        "counts",
    ),
    plain=("evals", "grad_evals"),
)
register_tree(Denoised, tensors=("sample", "solution", "features"))


def join(first: Solution, second: Solution) -> Solution:
    """What two solves found together, the second going on from the first.

    Value and residual are those of the second, the evaluations are of both, counted for each
    sample where both were, and a sample is `NON_FINITE` that was so in either.

    Args:
        first: of (B, ...).
        second: likewise, of the same samples.

    Returns:
        The second solution with both counts of evaluations.
    """
    lost = first.status == int(Status.NON_FINITE)  # a compiler would compare with the object
    status = torch.where(lost, first.status, second.status)
    counts = None
    if first.counts is not None and second.counts is not None:
        counts = first.counts + second.counts
    return evolve(second, evals=first.evals + second.evals, status=status, counts=counts)
