"""The implicit layer: a block, and the strategies that solve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import torch
from attrs import evolve
from torch import Tensor, nn

from fpdm import batch, plugins
from fpdm.checks import check_whole
from fpdm.counting import Counted, Watched
from fpdm.errors import InvalidValueError, PluginError
from fpdm.interfaces import FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.plugins import Spec
from fpdm.plugins.blame import ask
from fpdm.solution import NOWHERE, Moment, Solution, Visited
from fpdm.tracing import Started


class Block(Protocol):
    """What a fixed-point block offers to the layer."""

    def bind(self, features: Tensor, cond: Any) -> Callable[[Tensor], Tensor]:
        """Return the map `f` of one timestep.

        Everything that does not depend on the iterate is computed here, once; `f` maps a state
        shaped like `features` to one of its own shape and dtype.

        With a tolerance, samples stop on their own. So that what has stopped costs nothing, `f` may
        have a method `select(rows)`, which returns the map of some samples alone: of their states,
        (R, ...), in the order of `rows`, (R,), int64. A [`Bound`][fpdm.models.Bound] has it. Where
        there is none, every evaluation is of the whole batch, with the same result.

        Args:
            features: what the explicit first layers made, (B, ...).
            cond: what the map is conditioned on; of the caller's kind.
        """


ACROSS_TIMESTEPS: Spec = {"name": "anderson", "carry": True}
"""The solver where none is named: Anderson acceleration that carries what it has learned of `f` to
the next timestep, where `f` has changed little. In training there is no timestep before, and what
iterates is differentiated: there it is plain iteration.
"""


class FixedPointLayer(nn.Module):
    """Solves `z = f(z; features, cond)` for a block `f`.

    Nothing of a solve is kept on the layer: what the next timestep may want is in the returned
    `Solution`, and comes back as `history`. Source: Bai, Kolter and Koltun, Deep equilibrium
    models, NeurIPS 2019.

    Args:
        block: an `nn.Module` with a `bind(features, cond) → f`.
        solver: what iterates outside training: a name, a mapping with options, or a
            `FixedPointSolver`. The default accelerates from one timestep to the next.
        init: where a solve starts; likewise.
        gradient: how the solve is differentiated in training; likewise.
        evals: evaluations of `f` outside training where a call does not say, ≥ 1.
        training_solver: what the gradient estimator iterates with; likewise.

    Raises:
        InvalidValueError: `evals` is not allowed, or a component is not described as one.
        UnknownNameError: no component has such a name.

    Examples:
        >>> import torch, fpdm
        >>> class Pull(torch.nn.Module):
        ...     def bind(self, features, cond):
        ...         return lambda z: 0.5 * z + features
        >>> layer = fpdm.FixedPointLayer(Pull(), solver="anderson").eval()
        >>> layer(torch.ones(2, 3), cond=None, evals=4).value[0]
        tensor([2., 2., 2.])
    """

    def __init__(
        self,
        block: nn.Module,
        *,
        solver: Spec | FixedPointSolver = ACROSS_TIMESTEPS,
        init: Spec | InitStrategy = "features",
        gradient: Spec | GradientEstimator = "sjfb",
        evals: int = 12,
        training_solver: Spec | FixedPointSolver = "naive",
    ) -> None:
        super().__init__()
        self.block = block
        self.solver: FixedPointSolver = plugins.resolve("solver", solver)
        self.init: InitStrategy = plugins.resolve("init", init)
        self.gradient: GradientEstimator = plugins.resolve("gradient", gradient)
        self.evals = check_whole("evals", evals, minimum=1)
        self.training_solver: FixedPointSolver = plugins.resolve("solver", training_solver)

    def forward(
        self,
        features: Tensor,
        cond: Any,
        *,
        evals: int | None = None,
        tol: float | None = None,
        history: Sequence[Visited] = (),
        moment: Moment = NOWHERE,
        solver: Spec | FixedPointSolver | None = None,
        init: Spec | InitStrategy | None = None,
        generator: torch.Generator | None = None,
        watch: Callable[[Callable[[Tensor], Tensor], Solution], None] | None = None,
    ) -> Solution:
        """Solve for one timestep.

        Args:
            features: (B, ...), injected into every evaluation; the state has the same shape.
            cond: handed to the block.
            evals: evaluations of `f`, made exactly. None, in training mode: the gradient estimator
                decides; otherwise the layer's own `evals`.
            tol: a relative residual at which a sample stops early; `evals` is then a bound, and
                the solution has the `counts` of each sample.
            history: the timesteps before, oldest first.
            moment: this timestep, for init strategies that look at it.
            solver: in place of the layer's own, for this call; a name, a mapping or an object.
            init: likewise.
            generator: for the counts that a gradient estimator draws; a CPU generator.
            watch: in training, is called with `f` and its solution once there is one; evaluations
                that it makes are not counted.

        Returns:
            The solution, whose value is shaped like `features`; in training with `grad_evals` and
            `start_residual`.

        Raises:
            InvalidValueError: the init strategy made a start of another shape; `evals` is negative;
                or there is a `tol` without `evals`.
            PluginError: the solver did not make the evaluations granted, or the estimator those
                that it reports; or one of the strategies raised.
        """
        training = evals is None and self.training
        default = self.training_solver if training else self.solver
        chosen = default if solver is None else plugins.resolve("solver", solver)
        init = self.init if init is None else plugins.resolve("init", init)
        if evals is None and tol is not None:
            raise InvalidValueError(
                f"tol={tol!r}: say with evals how many evaluations it may take."
            )
        z0 = self._start(features, history, init, moment)
        f = cast("Block", self.block).bind(features, cond)
        if training:
            watched = Watched(f)
            gradient = self.gradient
            solution = ask(
                lambda: gradient.solve(watched, z0, chosen, generator),
                f=watched,
                gradient=gradient,
                solver=chosen,
            )
            self._check_count(self.gradient, watched.count, solution.evals)
            solution = evolve(
                solution, grad_evals=watched.with_grad, start_residual=watched.start_residual
            )
            if watch is not None:
                watch(f, solution)
            return solution
        granted = self.evals if evals is None else check_whole("evals", evals, minimum=0)
        counted = Counted(f, granted=granted)
        carried = history[-1].solution.carry if history and chosen.carry else None
        going_on = {} if carried is None else {"carry": carried}
        solution = ask(
            lambda: chosen.solve(counted, z0, evals=granted, tol=tol, **going_on),
            f=counted,
            solver=chosen,
        )
        solves = chosen.solver if isinstance(chosen, Started) else chosen
        self._check_count(solves, counted.count, solution.evals if tol is not None else granted)
        if tol is not None:
            counts = counted.counts(len(features), features.device)
            solution = evolve(solution, counts=counts)
        return solution

    @staticmethod
    def _check_count(component: object, made: int, stated: int) -> None:
        if made != stated:
            raise PluginError(
                f"{type(component).__name__} made {made} evaluations where {stated} were due; "
                f"without tol a solver makes all that it is granted."
            )

    @staticmethod
    def _start(
        features: Tensor, history: Sequence[Visited], init: InitStrategy, moment: Moment
    ) -> Tensor:
        recent = tuple(history)[-init.lookback :] if init.lookback else ()
        z0 = ask(lambda: init.initial(features, recent, moment), init=init)
        if z0.shape != features.shape:
            raise InvalidValueError(
                f"Init {type(init).__name__} made a start of shape {tuple(z0.shape)} for features "
                f"of shape {tuple(features.shape)}: is the history from another run?"
            )
        if z0.dtype == features.dtype and z0.stride() == features.stride():
            return z0
        return batch.arrange(z0.to(features.dtype), like=features)

    def extra_repr(self) -> str:
        """The strategies, for the module's repr."""
        return (
            f"solver={self.solver}, init={self.init}, gradient={self.gradient}, "
            f"evals={self.evals}, training_solver={self.training_solver}"
        )
