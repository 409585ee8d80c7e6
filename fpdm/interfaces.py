"""The four questions of a fixed-point diffusion model, and the network that they are asked of.

How is one fixed-point problem solved, how many iterations does each timestep get, where does each
solve start, and how does a gradient come out of it? Plugins are the answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from fpdm.calibration import Calibration
from fpdm.solution import Denoised, Moment, Solution, Visited

__all__ = ["AllocationPolicy", "FixedPointSolver", "GradientEstimator", "InitStrategy", "Network"]


class FixedPointSolver(ABC):
    """Approximates a solution of `z = f(z)` with a given number of evaluations of `f`.

    Examples:
        >>> import torch, fpdm
        >>> solution = fpdm.solver("anderson").solve(torch.cos, torch.zeros(1), evals=10)
        >>> round(solution.value.item(), 4), solution.evals
        (0.7391, 10)

    Most solvers are better written as an [`IterativeSolver`][fpdm.iteration.IterativeSolver],
    which keeps this contract for them.
    """

    name: ClassVar[str]
    """The name under which the solver is looked up."""

    carry: bool = False
    """Whether a solution carries the state with which the next timestep's solve goes on. A solver
    that can do so makes this an option; its `solve` then takes the `carry` of the solution before,
    and leaves it as it is, unless it has a method `hand_over()` and this was called: a run does so,
    which goes on from a carry once. Where gradients are recorded it keeps the graph, as the value
    does, and has a `detach()`, as a tensor has. What a sample carries is what it would carry alone.
    """

    @abstractmethod
    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        x0: Tensor,
        *,
        evals: int,
        tol: float | None = None,
    ) -> Solution:
        """Solve `z = f(z)` from `x0`, each sample of the batch for itself.

        Args:
            f: maps a tensor to one of its own shape and dtype, sample by sample. It leaves its
                argument as it is, and does not write to what it has returned.
            x0: where to start; any rank, batch first.
            evals: the calls of `f` granted. Without `tol` exactly so many are made, and nothing
                synchronises with the host; 0 returns `x0`.
            tol: a relative residual at which a sample stops and is left alone; then at most
                `evals` calls are made. Where `f` has a `select(rows)`, a call of
                `f.select(rows)`, of the states of those samples alone, is one too.

        Returns:
            A `Solution` whose value is always finite where a finite one was ever known. It is
            differentiable by autograd where gradients are enabled.

        Raises:
            InvalidValueError: `evals` is negative or `tol` is not positive.
        """


class AllocationPolicy(ABC):
    """Decides how many iterations the next timestep gets, out of what is left.

    A policy need not be careful: the [`Allocator`][fpdm.Allocator] that runs it leaves one
    iteration for each timestep to come, and gives the last timestep the rest, so the budget is
    spent exactly. A policy that is only a curve over the timesteps is better written as a
    [`WeightedAllocation`][fpdm.allocator.WeightedAllocation].

    Examples:
        >>> import fpdm
        >>> fpdm.allocation("increasing").plan(budget=12, steps=4)
        (1, 2, 4, 5)
    """

    name: ClassVar[str]
    """The name under which the policy is looked up."""

    watches: ClassVar[bool] = False
    """Whether it reads `start_residual` of solutions, which is then measured: one norm more at the
    first evaluation of each timestep.
    """

    calibrated: ClassVar[bool] = False
    """Whether it looks at a calibration, which a run then hands to `begin` if its model has one."""

    def begin(
        self, moments: Sequence[Moment], *, budget: int, calibration: Calibration | None = None
    ) -> AllocationPolicy:
        """Return what decides in one run: this policy, unless it wants to see a run whole first.

        Args:
            moments: all timesteps of the run, noisiest first.
            budget: iterations for the whole run.
            calibration: what was measured of the model that is sampled; None if nothing was.

        Returns:
            A policy for this run alone.

        Raises:
            InvalidValueError: the policy needs a calibration of this run, and there is none.
        """
        del moments, budget, calibration
        return self

    @abstractmethod
    def iterations(
        self, moment: Moment, *, budget: int, remaining: int, previous: Solution | None
    ) -> float:
        """Return the iterations wished for at this timestep; any number, rounded to the nearest.

        Args:
            moment: the timestep: its place in the run, and how noisy it is.
            budget: iterations for the whole run.
            remaining: iterations not yet spent.
            previous: the solution of the timestep before; None at the first.

        Returns:
            A number of evaluations of `f`; the allocator rounds and clamps it.
        """


class InitStrategy(ABC):
    """Decides where the solve of a timestep starts.

    Examples:
        >>> import torch, fpdm
        >>> reuse = fpdm.init("reuse")
        >>> reuse.lookback
        1
        >>> reuse.initial(torch.ones(1, 4, 8), history=(), moment=fpdm.Moment()).shape
        torch.Size([1, 4, 8])
    """

    name: ClassVar[str]
    """The name under which the strategy is looked up."""

    lookback: ClassVar[int] = 0
    """How many past timesteps the strategy reads; the sampler keeps as many, the last always."""

    @abstractmethod
    def initial(self, features: Tensor, history: Sequence[Visited], moment: Moment) -> Tensor:
        """Return the start of the solve, shaped like `features`.

        Args:
            features: what the explicit first layers made of the noisy input; (B, ...), of a
                transformer (B, N, D).
            history: the timesteps before with their features and solutions, oldest first; at most
                `lookback` of them, fewer at the start of a run.
            moment: the timestep whose solve begins. In a compiled timestep, which serves all of
                them, the numbers of moments are tensors of one element.
        """


class GradientEstimator(ABC):
    """Solves during training, and decides which part of the solve carries the gradient.

    Examples:
        >>> import torch, fpdm
        >>> weight = torch.full((1, 3), 0.5, requires_grad=True)
        >>> solution = fpdm.gradient("jfb").solve(
        ...     lambda z: torch.tanh(weight * z + 1), torch.zeros(1, 3), fpdm.solver("naive"))
        >>> solution.value.sum().backward()
        >>> weight.grad.shape
        torch.Size([1, 3])
    """

    name: ClassVar[str]
    """The name under which the estimator is looked up."""

    @abstractmethod
    def solve(
        self,
        f: Callable[[Tensor], Tensor],
        z0: Tensor,
        solver: FixedPointSolver,
        generator: torch.Generator | None = None,
    ) -> Solution:
        """Solve `z = f(z)` from `z0` so that the value carries a gradient.

        Args:
            f: the map; what it closes over receives the gradient.
            z0: where to start; any rank, batch first.
            solver: what to iterate with.
            generator: a CPU generator for counts drawn at random. In data-parallel training it
                must be equal on all ranks.

        Returns:
            A `Solution` whose `evals` counts the evaluations with and without gradient.
        """


class Network(Protocol):
    """What sampling and training want of a network: any `torch.nn.Module` that offers this.

    An implicit one has a `layer` as well, its [`FixedPointLayer`][fpdm.FixedPointLayer], and is
    called with what this takes: `evals`, `tol`, `history`, `moment`, `solver`, `init` and, in
    training, a `generator`, and a `watch` where the Jacobian is looked at. One that predicts the
    variance too has the option `learn_sigma`, and twice the channels. One that says what it
    predicts has a `prediction_type`, one of `fpdm.solution.PREDICTIONS`, and is refused with a
    scheduler that expects something else; of one that says nothing it is taken that it predicts
    what the scheduler expects.

    What it is told of a sample beside the timestep is its class, if it has a `null_class` or an
    option `num_classes`; a `condition` of real numbers if it has a `condition_size`, the shape of
    one, with a `null_condition` of that shape for none, or None; and else nothing.

    One whose call takes what it has `prepared` may offer `prepare(timesteps, …)`, of (T,) and of
    what else it is told by its keyword, which embeds a whole run and gives for each index of a
    timestep what takes the place of all of it; or None where it cannot. Where that is for 2 B
    samples and x has B, as under guidance, x stands for both halves.

    A network that is trained by its name is built with those of `sample_size`, `in_channels`,
    `num_classes` and `condition_size` that it takes, as the data have them; all else that it takes
    is an option with a default. One that is saved, and drawn from by the pipeline, is a model of
    diffusers: the easiest way there is [`FixedPointNetwork`][fpdm.models.FixedPointNetwork].

    Examples:
        >>> import torch, fpdm
        >>> model = fpdm.network("fpdit", sample_size=8, in_channels=1, num_classes=10,
        ...                      hidden_size=32, num_heads=4)
        >>> model.pre_passes, model.post_passes, model.null_class
        (1, 1, 10)
    """

    name: ClassVar[str]
    """The name under which the network is looked up; one that is in no plugin needs none."""

    @property
    def pre_passes(self) -> int:
        """Block passes before the implicit layer at each timestep; of an explicit one, all."""

    @property
    def post_passes(self) -> int:
        """Block passes after it."""

    @property
    def null_class(self) -> int | None:
        """The label for no class, which is the number of classes; None if no label is for it."""

    def __call__(self, x: Tensor, **call: Any) -> Denoised:
        """Denoise a batch.

        Args:
            x: noisy samples, (B, C, …).
            call: `timestep`, () or (B,), from 0 to 1000; `class_labels`, (B,), int64, or a
                `condition`, (B, K) or (B, T, K), if it is told one; and for an implicit network
                what is said above.

        Returns:
            The prediction, (B, C, …), or (B, 2 C, …) where the variance is learned; of an implicit
            network with the solution and the features it was solved from.
        """
