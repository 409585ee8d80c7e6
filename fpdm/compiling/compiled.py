"""Timesteps of runs, each compiled once and used again."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from attrs import evolve
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException

from fpdm.compiling.apart import culprits, isolated, keep_apart, warning_of
from fpdm.compiling.call import Call, Solving
from fpdm.compiling.program import Program
from fpdm.compiling.replay import CudaGraphs, Recorder
from fpdm.compiling.starts import (
    NUMBERS,
    Seen,
    as_it_is,
    as_tensors,
    blank_of,
    read_of_moments,
    unseen,
)
from fpdm.diffusion.stepping import Tabled
from fpdm.diffusion.steps import Past
from fpdm.diffusion.timestep import Timestep
from fpdm.errors import InvalidValueError
from fpdm.solution import NOWHERE, Denoised, Moment, Visited

MODES = {"reduce-overhead": "default", "max-autotune": "max-autotune-no-cudagraphs"}
"""Of `torch.compile`, those that record CUDA graphs, which a program does by itself."""

Made = tuple[Tensor, Tensor, Past, Denoised]


class Compiled:
    """Computes the timesteps of runs with programs, compiled when they are first needed.

    It is given to [`fpdm.sample`][fpdm.sample] as `advance`. There is one program for each shape,
    number of iterations, and choice of solver, init and guidance; it serves every timestep of every
    run that has these.

    On CUDA a program is recorded as a CUDA graph and replayed, where no gradient is asked for.

    Args:
        recorder: what records programs there; None for CUDA graphs.
        by: what compiles functions in place of `torch.compile`.
        options: of `torch.compile`, such as `backend` and `mode`.

    Attributes:
        seconds: that compiling has taken until now.
    """

    def __init__(
        self,
        recorder: Recorder | None = None,
        by: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        self.by = by
        self.options = {"dynamic": False} | options
        if "mode" in options:
            self.options["mode"] = MODES.get(options["mode"], options["mode"])
        self.recorder = CudaGraphs() if recorder is None else recorder
        self.seconds = self._known = 0.0
        self._lock = threading.RLock()
        self._programs: dict[Hashable, Program] = {}
        self._told: set[str] = set()

    @property
    def count(self) -> int:
        """How many programs there are."""
        return len(self._programs)

    def news(self) -> str:
        """How long compiling has taken since this was last asked; empty if it has not."""
        took, self._known = self.seconds - self._known, self.seconds
        return f"compiling took {took:.1f} s" if took else ""

    @staticmethod
    def check(tol: float | None) -> None:
        """Check that samples are not to stop on their own.

        Args:
            tol: the residual at which they would; None for no such thing.

        Raises:
            InvalidValueError: they are.
        """
        if tol is not None:
            raise InvalidValueError(
                f"tol={tol:g}: a compiled timestep makes every evaluation that it is granted, of "
                f"the whole batch: leave tol out, or do not compile."
            )

    def __call__(
        self,
        run: Timestep,
        x: Tensor,
        index: int,
        *,
        doubled: bool,
        history: tuple[Visited, ...] = (),
        moment: Moment = NOWHERE,
        **solving: Any,
    ) -> tuple[Tensor, Denoised]:
        """Compute one timestep.

        Args:
            run: what computes it.
            x: the images, (B, C, H, W).
            index: of the timestep, in sampling order.
            doubled: whether it is guided.
            history: the timesteps before, oldest first.
            moment: this timestep.
            solving: `evals`, `solver` and `init` of the implicit layer, if there is one; and a
                `tol`, which is refused.

        Returns:
            The images after it, (B, C, H, W), and what the network said of B samples, or of 2 B if
            it is guided.

        Raises:
            InvalidValueError: the network caches its blocks, and decides at each timestep which; or
                samples are to stop on their own.
        """
        if getattr(run.model, "is_cache_enabled", False):
            raise InvalidValueError(
                f"compile: this {type(run.model).__name__} decides at each timestep which blocks "
                f"it passes over: call disable_cache(), or do not compile."
            )
        self.check(solving.get("tol"))
        taken, solve = run.stepping, Solving(**solving) if solving else None
        call = Call(
            run,
            taken.scale(x, index).contiguous(),
            run.told.at(index, doubled=doubled),
            doubled=doubled,
            solving=solve,
            history=history,
            moment=moment,
        )
        if not isinstance(taken, Tabled):  # the scheduler steps by itself
            prediction, variance, _, denoised = self._compute(call)
            return taken.step(prediction, variance, index, x), denoised
        row, past = taken.given(index, x)
        if taken.past is None:  # a program tells apart tensors that are the same
            past = tuple(map(torch.clone, past))
        noise = taken.noise(index, x)
        if noise is None and any(taken.steps.draws):  # at other timesteps, in the same program
            noise = torch.zeros_like(x)
        call = evolve(call, steps=taken.steps, row=row, past=past, noise=noise)
        x, _, taken.past, denoised = self._compute(call)
        return x, denoised

    def _compute(self, call: Call) -> Made:
        key = call.key
        if key not in self._programs:
            with self._lock:  # runs in threads have one program between them
                if key not in self._programs:
                    began = time.perf_counter()
                    program, made = self._compile(call)
                    self.seconds += time.perf_counter() - began
                    self._programs[key] = program
                    return made
        return self._programs[key](call)

    def _compile(self, call: Call) -> tuple[Program, Made]:
        """A program, and what it makes of its first call."""
        blank: Visited | None = None
        moments: Seen = unseen
        apart: list[str] = []
        denoised = call.rehearse()
        if call.solving is not None:
            blank = blank_of(denoised.visited(call.moment), call.solving.solver)
            read = read_of_moments(call.solving.init, blank)
            moments = as_tensors if read else unseen
            apart = ["init"] if read - set(NUMBERS) else []
        if not apart:
            program = Program(
                call,
                blank,
                moments=moments,
                recorder=self.recorder if is_recorded(call) else None,
                by=partial(self._function, whole=True),
            )
            try:
                return program, program(call)
            except BackendCompilerFailed:  # it was traced
                raise
            except TorchDynamoException:
                apart = ["network"] if blank is None else culprits(call, blank)
        for kind in apart:
            self._tell(call, kind)
        moments = as_it_is if "init" in apart else moments
        parts = keep_apart(call, apart, by=self._function)
        program = Program(parts, blank, moments=moments, by=self._function)
        return program, program(parts)

    def _function(self, function: Callable[..., Any], *, whole: bool = False) -> Any:
        """Compile a function by itself; as a whole, or as far as it can be."""
        own = isolated(function)
        if self.by is not None:
            return self.by(own)
        dynamic = self.options["dynamic"] if whole else None  # what is not whole sees numbers
        return torch.compile(own, **self.options | {"fullgraph": whole, "dynamic": dynamic})

    def _tell(self, call: Call, kind: str) -> None:
        sentence = warning_of(call, kind)
        if sentence not in self._told:
            self._told.add(sentence)
            warnings.warn(sentence, UserWarning, stacklevel=2)


def is_recorded(call: Call) -> bool:
    """Whether a program is recorded as a CUDA graph, where autograd could not follow it.

    Args:
        call: that it computes.
    """
    return call.x.is_cuda and not torch.is_grad_enabled()
