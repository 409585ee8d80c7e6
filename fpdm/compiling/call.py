"""What is asked of a compiled timestep: what a program depends on, and what changes each time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from attrs import evolve, fields, frozen
from torch import Tensor

from fpdm.compiling.leaves import tensors
from fpdm.diffusion.stepping import Tabled
from fpdm.diffusion.steps import Past, Steps
from fpdm.diffusion.timestep import Timestep
from fpdm.interfaces import FixedPointSolver, InitStrategy
from fpdm.solution import NOWHERE, Denoised, Moment, Visited


@frozen(eq=False)
class Solving:
    """How the implicit layer is solved.

    Attributes:
        solver: what iterates.
        init: where it starts.
        evals: iterations.
    """

    solver: FixedPointSolver
    init: InitStrategy
    evals: int

    @property
    def lookback(self) -> int:
        """How many timesteps a program is given of the past."""
        return max(self.init.lookback, int(self.solver.carry))

    @property
    def options(self) -> dict[str, Any]:
        """As a network takes them."""
        return {"solver": self.solver, "init": self.init, "evals": self.evals}


@frozen(eq=False)
class Call:
    """One timestep that is to be computed.

    Attributes:
        run: what computes it.
        x: the images in the scale of the network, (B, C, H, W).
        told: what the network is told beside them.
        doubled: whether it is guided.
        steps: how the images go to the next timestep; None where that is not tabled.
        row: of the table, (K,); None without one.
        past: what the step goes on from, each (B, C, H, W).
        noise: that is added, (B, C, H, W); None where none ever is.
        solving: of the implicit layer; None if there is none.
        history: the timesteps before, oldest first.
        moment: this timestep.
    """

    run: Timestep
    x: Tensor
    told: dict[str, Any]
    doubled: bool
    steps: Steps | None = None
    row: Tensor | None = None
    past: Past = ()
    noise: Tensor | None = None
    solving: Solving | None = None
    history: tuple[Visited, ...] = ()
    moment: Moment = NOWHERE

    @property
    def key(self) -> Hashable:
        """What a program depends on; calls with equal keys have one program."""
        solving, device = self.solving, self.x.device.type
        shapes = [(each.shape, each.dtype) for each in tensors((self.x, self.told, self.past))]
        return (
            id(self.run.model),
            getattr(self.run.model, "training", False),
            self.run.guidance if self.doubled else None,
            (*shapes, *self.told),
            self.x.device,
            None if solving is None else (_same(solving.solver), _same(solving.init)),
            None if solving is None else solving.evals,
            _plain(self.steps),
            (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
            torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device),
        )

    @property
    def plain(self) -> Timestep:
        """What computes the timestep, with a network that does not compile itself."""
        model: Any = self.run.model
        compiles = getattr(model, "_compiled_call_impl", None) is not None
        return evolve(self.run, model=model._call_impl) if compiles else self.run

    def rehearse(self) -> Denoised:
        """Compute the timestep without iterations, for the shapes, and for what is not allowed.

        Returns:
            What the network says.

        Raises:
            InvalidValueError: the scheduler needs a variance that the network does not predict.
        """
        options = {} if self.solving is None else {**self.solving.options, "evals": 0}
        if self.solving is not None:
            options["moment"] = self.moment
        _, variance, denoised = self.plain.predict(
            self.x, self.told, doubled=self.doubled, **options
        )
        if isinstance(self.run.stepping, Tabled):
            self.run.stepping.check(variance)
        return denoised


def _same(component: Any) -> Hashable:
    """Equal for components that do the same."""
    try:
        hash(component)
    except TypeError:  # an option is a list
        return id(component)
    return type(component), component


def _plain(steps: Steps | None) -> Hashable:
    """What there is of steps beside their table, which is an input."""
    if steps is None:
        return None
    found = {each.name: getattr(steps, each.name) for each in fields(type(steps))}
    plain = {name: value for name, value in found.items() if not isinstance(value, Tensor)}
    return type(steps), *(v if not isinstance(v, tuple) else any(v) for v in plain.values())
