"""Digits drawn under a budget, and how far they are from the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import mean
from typing import Any

import torch
from attrs import astuple, frozen
from numpy.typing import NDArray
from tables import DEVICE
from torch import Tensor

import fpdm
from fpdm.counting import Watched
from fpdm.data import digits
from fpdm.evaluation import DigitClassifier, frechet_distance


@frozen
class Drawn:
    """What one run drew.

    Attributes:
        pixels: Fréchet distance to the real digits in pixel space.
        features: the same in the features of the classifier.
        read: share of samples read as the class asked for.
        start: relative residual at the first evaluation of a timestep: the median over the samples,
            and the mean over all timesteps but the noisiest, which has nothing to start from.
        end: that at the last evaluation, over the same timesteps.
        left: that at the last evaluation, over all timesteps.
        passes: of blocks, of a sample on average.
    """

    pixels: float
    features: float
    read: float
    start: float
    end: float
    left: float
    passes: float


@frozen
class Figures:
    """What several seeds drew, in their order."""

    runs: tuple[Drawn, ...]

    @property
    def mean(self) -> Drawn:
        """The mean of each figure."""
        return self._over(mean)

    @property
    def spread(self) -> Drawn:
        """How far the seeds lie apart: maximum - minimum."""
        return self._over(lambda found: max(found) - min(found))

    def beyond(self, other: Figures) -> Figures:
        """What each seed drew beyond what it drew there: its noise is in both, and cancels."""
        pairs = zip(self.runs, other.runs, strict=True)
        return Figures(
            tuple(
                Drawn(*(a - b for a, b in zip(astuple(ours), astuple(theirs), strict=True)))
                for ours, theirs in pairs
            )
        )

    def _over(self, reduce: Any) -> Drawn:
        return Drawn(*map(reduce, zip(*map(astuple, self.runs), strict=True)))


def draw(pipe: fpdm.FPDMPipeline, *, num: int, seed: int, **settings: Any) -> Drawn:
    """Draw `num` digits, all classes in turn; `settings` are those of the pipeline.

    What is compared is what iterates: the scheduler is the plainest, DDIM on even timesteps, unless
    it is said.
    """
    settings = {"scheduler": "ddim", **settings}
    pipe.to(DEVICE).set_progress_bar_config(disable=True)
    labels = torch.arange(num) % 10
    watching = WatchedSolver(_solver(pipe, settings.pop("solver", None)))
    result = pipe(
        labels,
        solver=watching,
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
        **settings,
    )
    images = result.images.cpu() * 2 - 1
    ends = [step.residual.median().item() for step in result.steps]
    real, classifier, real_features = _reference()
    return Drawn(
        pixels=frechet_distance(images.flatten(1), real.flatten(1)),
        features=frechet_distance(classifier.features(images), real_features),
        read=classifier.accuracy(images, labels),
        start=mean(watching.starts[1:]),
        end=mean(ends[1:]),
        left=mean(ends),
        passes=result.average_passes,
    )


def figures(pipe: fpdm.FPDMPipeline, *, num: int, seeds: int, **settings: Any) -> Figures:
    """Draw with several seeds."""
    return Figures(tuple(draw(pipe, num=num, seed=seed, **settings) for seed in range(seeds)))


def largest_spread(measured: Sequence[Figures]) -> tuple[float, float]:
    """The largest spread between seeds, in pixel space and in features."""
    spreads = [each.spread for each in measured]
    return max(each.pixels for each in spreads), max(each.features for each in spreads)


class WatchedSolver(fpdm.FixedPointSolver):
    """Another solver, with the median residual at the start of each of its solves.

    Attributes:
        starts: one number for each solve.
    """

    def __init__(self, inner: fpdm.FixedPointSolver) -> None:
        self.inner, self.carry = inner, inner.carry
        self.starts: list[float] = []

    def solve(
        self, f: Any, x0: Tensor, *, evals: int, tol: float | None = None, **going_on: Any
    ) -> fpdm.Solution:
        watched = Watched(f)
        solution = self.inner.solve(watched, x0, evals=evals, tol=tol, **going_on)
        assert watched.start_residual is not None
        self.starts.append(watched.start_residual.median().item())
        return solution


def _solver(pipe: fpdm.FPDMPipeline, given: Any) -> fpdm.FixedPointSolver:
    if given is None:
        return pipe.model.layer.solver
    return fpdm.plugins.resolve("solver", given)


@cache
def _reference() -> tuple[Tensor, DigitClassifier, NDArray[Any]]:
    real, classifier = digits().images, DigitClassifier()
    return real, classifier, classifier.features(real)
