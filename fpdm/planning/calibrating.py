"""Measuring what a budget buys, by drawing the same samples in one way and another.

First a long run, whose samples are what every other run should have come to. Then a grid of
schedulers, spacings and iterations at several budgets; around what was best there, other solvers,
starts and allocations; and single timesteps with more iterations, and with fewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from fpdm.calibration import Calibration, Sensitivity, Tried, Way
from fpdm.checks import check_real, check_whole
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.planning.believing import believed
from fpdm.planning.choices import MOST, USUAL, Choices
from fpdm.planning.finals import Final, Finals, mean_square
from fpdm.planning.identity import configuration_of, sketch_of

LENGTHS = (3, 6, 9, 15, 30, 60)
"""Timesteps of two iterations that the usual budgets pay for."""
LONG = 4
"""Times the largest budget, that the long run spends."""
SEVERAL = 4
"""Iterations of it at each timestep."""
FEW = 2
"""Ways around which others are tried."""
HOPELESS = 2.0
"""Times the least error, beyond which a way is not drawn at larger budgets."""
PLACES = 15
"""Of a run whose timesteps are looked at; of a longer one several together."""


@frozen
class Progress:
    """Where a calibration is.

    Attributes:
        done: block passes of a sample.
        total: about as many as there will be.
        doing: what is drawn next.
    """

    done: int
    total: int
    doing: str


def calibrate(
    pipe: Any,
    *,
    samples: int = 128,
    seed: int = 0,
    budgets: Sequence[int] | None = None,
    choices: Choices | None = None,
    asked: Mapping[str, Any] | None = None,
    guidance_scale: float = 1.0,
) -> Calibration:
    """Measure what a budget buys, under a progress bar.

    Of the digits of the package it takes some minutes on two cores. Labels and data are not needed:
    the error of a run is how far its samples end from those of a long run from the same noise.

    Args:
        pipe: an [`FPDMPipeline`][fpdm.FPDMPipeline] of a network with an implicit layer.
        samples: that each run draws, in one batch; each class in turn where there are classes.
        seed: of their noise.
        budgets: block passes of the runs, rising; None are those of 3 to 60 timesteps of two
            iterations.
        choices: what is tried.
        asked: what the samples are to be, as the pipeline takes it: `class_labels`, `condition` or
            `num_images`, of as many.
        guidance_scale: of all runs; one calibration is for one scale.

    Returns:
        The calibration; `write` puts it beside the model, and `pipe.calibration` takes it.

    Raises:
        InvalidValueError: the network is explicit, an argument is not allowed, or no way could be
            tried.

    Examples:
        >>> import fpdm
        >>> from fpdm.planning import Choices, calibrate
        >>> pipe = fpdm.FPDMPipeline.digits()
        >>> few = Choices(schedulers=["unipc"], spacings=["late"], iterations=[1, 2], lengths=[])
        >>> calibration = calibrate(pipe, samples=8, budgets=[12, 24], choices=few)
        >>> len(calibration.tried) >= 3
        True
    """
    from tqdm.auto import tqdm

    progress = Calibrating(
        pipe,
        samples=samples,
        seed=seed,
        budgets=budgets,
        choices=choices,
        asked=asked,
        guidance_scale=guidance_scale,
    )
    with tqdm(desc="calibrating", unit="pass", **getattr(pipe, "_progress_bar_config", {})) as bar:
        return progress.follow(bar)


class Calibrating:
    """A calibration, as whoever iterates it sees it: it yields what it does before it does it.

    Args:
        pipe: as of [`calibrate`][fpdm.planning.calibrate], and so are the rest.
        samples: that each run draws.
        seed: of their noise.
        budgets: block passes.
        choices: what is tried.
        asked: what the samples are to be.
        guidance_scale: of all runs.

    Attributes:
        calibration: once it has been iterated.

    Raises:
        InvalidValueError: the network is explicit, or an argument is not allowed.
    """

    calibration: Calibration

    def __init__(
        self,
        pipe: Any,
        *,
        samples: int = 128,
        seed: int = 0,
        budgets: Sequence[int] | None = None,
        choices: Choices | None = None,
        asked: Mapping[str, Any] | None = None,
        guidance_scale: float = 1.0,
    ) -> None:
        if getattr(pipe.model, "layer", None) is None:
            raise InvalidValueError(
                f"A {type(pipe.model).__name__} has no implicit layer to calibrate."
            )
        check_whole("samples", samples, minimum=1)
        check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
        explicit = int(pipe.model.pre_passes + pipe.model.post_passes)
        usual = [length * (explicit + USUAL) for length in LENGTHS]
        given = tuple(usual if budgets is None else budgets)
        for budget in given:
            check_whole("budgets", budget, minimum=explicit + 1)
        if not given:
            raise InvalidValueError("budgets: must hold one at least.")
        self.budgets = tuple(sorted({*given}))
        check_real("guidance_scale", guidance_scale, minimum=0)
        self.choices = Choices() if choices is None else choices
        self.samples, self.seed, self.guidance_scale = samples, seed, guidance_scale
        self.finals = Finals.apart(
            pipe, samples, seed=seed, asked=asked, guidance_scale=guidance_scale
        )
        self.refused: FPDMError | ValueError | None = None
        self.tried: list[Tried] = []
        self.sensitivities: list[Sensitivity] = []
        self.done = 0

    def __iter__(self) -> Iterator[Progress]:
        """Calibrate.

        Yields:
            What comes next, and how far it is.

        Raises:
            InvalidValueError: none of the schedulers suits the network, or it says nothing finite.
        """
        yield self._state("the long run")
        grid = self.choices.grid
        goal = self._long([*grid[1:], grid[0]], LONG)
        yield self._state("another long run")
        self.reference = math.sqrt(mean_square(goal, self._long(grid[::-1], 2)))
        yield from self._try(grid, goal)
        best = self._best()
        for length in self.choices.lengths:
            yield from self._look_at(best[0], length, goal)
        self.finals.pipe.calibration = self._made()  # for `measured`
        yield from self._try([w for way in best for w in self.choices.around(way)], goal)
        yield from self._try(self._combined(best), goal)
        self.calibration = self._made()

    def follow(self, bar: Any) -> Calibration:
        """Calibrate under a progress bar.

        Args:
            bar: of tqdm, in block passes of a sample.

        Returns:
            The calibration.
        """
        for state in self:
            bar.total = state.total
            bar.set_postfix_str(state.doing, refresh=False)
            bar.update(state.done - bar.n)
        bar.total = self.done
        bar.update(self.done - bar.n)
        return self.calibration

    def _made(self) -> Calibration:
        return Calibration(
            configuration=configuration_of(self.finals.pipe),
            sketch=sketch_of(self.finals.pipe),
            tried=tuple(self.tried),
            sensitivities=tuple(self.sensitivities),
            samples=self.samples,
            reference=self.reference,
            guidance_scale=self.guidance_scale,
            seed=self.seed,
        )

    def _long(self, ways: Sequence[Way], times: int) -> Tensor:
        """The samples of a long run by the first of the ways that can be gone, (B, C, …)."""
        each = self.finals.explicit + SEVERAL
        budget = min(max(times * self.budgets[-1], each), MOST * each)
        for way in ways:
            found = self._drawn(way.having("iterations", SEVERAL), budget)
            if found is None:
                continue
            if not found.samples.isfinite().all():
                raise InvalidValueError("A long run does not end with finite samples: look at it.")
            return found.samples
        raise InvalidValueError(
            f"None of these schedulers and spacings suits this network: {self.refused}"
        ) from self.refused

    def _try(self, ways: Sequence[Way], goal: Tensor) -> Iterator[Progress]:
        """Draw with each way at each budget, the small ones first, while it has any prospect."""
        known = [each.way for each in self.tried]
        errors: dict[int, dict[int, float]] = {
            number: {} for number, way in enumerate(ways) if way not in known
        }
        going = list(errors)
        for budget in self.budgets:
            for number in going:
                way = ways[number]
                yield self._state(f"{budget} passes {' '.join(map(str, way.chosen.values()))}")
                error = self._error(way, budget, goal)
                if error is not None:
                    errors[number][budget] = error
            least = min((e[budget] for e in errors.values() if budget in e), default=math.inf)
            least = min([least, *(each.error(budget) for each in self.tried)])
            going = [
                number
                for number in going
                if not errors[number] or min(errors[number].values()) <= HOPELESS * least
            ]
        self.tried += [
            Tried(ways[number], tuple(found), tuple(found.values()))
            for number, found in errors.items()
            if found
        ]

    def _error(self, way: Way, budget: int, goal: Tensor) -> float | None:
        """The error of a run; None where the way cannot be gone, or leads nowhere."""
        found = self._drawn(way, budget)
        if found is None:
            return None
        error = math.sqrt(mean_square(found.samples, goal))
        return error if math.isfinite(error) else None

    def _drawn(self, way: Way, budget: int) -> Final | None:
        """What a way comes to; None where the process does not know its scheduler or spacing."""
        steps = way.steps(budget, explicit=self.finals.explicit)
        if not 1 <= steps <= MOST:
            return None
        try:
            found = self.finals.of(way, budget)
        except (FPDMError, ValueError) as error:
            self.refused = error
            return None
        self.done += budget
        return found

    def _best(self) -> list[Way]:
        """The ways that are best at some budget, those that are so most often first."""
        if not self.tried:
            raise InvalidValueError(
                f"No way could be tried: budgets={list(self.budgets)} pay for no timestep of "
                f"iterations={list(self.choices.iterations)}, or nothing finite comes of it."
            )
        winners = [self._winner(self.tried, budget).way for budget in self.budgets]
        return sorted(unlike(winners), key=winners.count, reverse=True)[:FEW]

    @staticmethod
    def _winner(among: Sequence[Tried], budget: int) -> Tried:
        return min(among, key=lambda each: each.error(budget))

    def _combined(self, best: Sequence[Way]) -> list[Way]:
        """Around each of the best, what helped by itself put together, at each budget."""
        found: list[Way] = []
        for way in best:
            for budget in self.budgets:
                near = [each for each in self.tried if each.way in (way, *self.choices.around(way))]
                chosen = way
                for name in ("solver", "init", "allocation"):
                    along = [each for each in near if each.way.without(name) == way.without(name)]
                    winner = self._winner(along, budget).way
                    chosen = chosen.having(name, getattr(winner, name))
                found.append(chosen)
        return unlike(found)

    def _look_at(self, way: Way, length: int, goal: Tensor) -> Iterator[Progress]:
        """Give single timesteps, or a few beside one another, other iterations than the rest."""
        usual = [USUAL] * length
        try:
            timesteps, before = self._weighted(way, usual, goal)
        except (FPDMError, ValueError):  # the scheduler makes more timesteps than it is asked for
            return
        size = -(-length // PLACES)
        groups = [range(at, min(at + size, length)) for at in range(0, length, size)]
        columns = []
        for count in self.choices.counts:
            changes = []
            for group in groups:
                yield self._state(f"timestep {timesteps[group[0]]:.0f}")
                given = [count if index in group else USUAL for index in range(length)]
                after = before if count == USUAL else self._weighted(way, given, goal)[1]
                changes.append((after - before) / len(group))
            column = (before.mean() + believed(torch.stack(changes))).clamp(min=0).tolist()
            columns.append(
                [error for error, group in zip(column, groups, strict=True) for _ in group]
            )
        rows = tuple(zip(*columns, strict=True))
        self.sensitivities.append(Sensitivity(timesteps, USUAL, self.choices.counts, rows))

    def _weighted(
        self, way: Way, given: Sequence[int], goal: Tensor
    ) -> tuple[tuple[float, ...], Tensor]:
        """The timesteps of a run with these iterations, and the squared error of each sample."""
        budget = len(given) * self.finals.explicit + sum(given)
        self.done += budget
        drawn = self.finals.of(
            way, budget, steps=len(given), allocation={"name": "weighted", "shares": list(given)}
        )
        return drawn.timesteps, (drawn.samples - goal).square().flatten(1).mean(dim=1)

    def _state(self, doing: str) -> Progress:
        return Progress(self.done, max(self.done, self._total()), doing)

    def _total(self) -> int:
        """About how many block passes of a sample all runs make."""
        choices, explicit = self.choices, self.finals.explicit
        ways = len(choices.grid) + FEW * (len(choices.around(Way())) + 2)
        each = [length * (explicit + USUAL) for length in choices.lengths]
        looks = [
            min(length, PLACES) * (len(choices.counts) - 1) * passes
            for length, passes in zip(choices.lengths, each, strict=True)
        ]
        return 6 * self.budgets[-1] + ways * sum(self.budgets) // 2 + sum(looks)


def unlike(ways: Sequence[Way]) -> list[Way]:
    """Return ways without those that are there twice, in their order.

    Args:
        ways: any.
    """
    found: list[Way] = []
    for way in ways:
        if way not in found:
            found.append(way)
    return found
