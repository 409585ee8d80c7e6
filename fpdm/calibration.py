"""What was measured of a model: what a budget buys, and what each timestep does with it.

The measure is the *error of the final picture*: how far the samples of a run end from those of a
long run from the same noise, as a root mean square. It needs no labels and no data, and it ranks
ways to spend a budget as a distance to the data does, where the model is what it is.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, frozen

from fpdm.checks import check_real, check_whole, row, whole
from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import written_file
from fpdm.solution import Moment

FILE = "calibration.json"
"""Its name in the folder of a model."""
VERSION = 1
ELSEWHERE = 50.0
"""Timesteps of 1000 by which a run may lie beside what was measured and still be taken for it."""

Spec = str | Mapping[str, Any] | None
"""A component by name, or by mapping with options; None is the model's own."""


@frozen
class Way:
    """One way to spend a budget, whatever it is.

    Attributes:
        iterations: at each timestep, on average; the budget then says how many timesteps there are.
        scheduler: by name; None is the pipeline's own. So are the rest.
        spacing: where timesteps lie.
        solver: what iterates.
        init: where solves start.
        allocation: of iterations over timesteps.

    Raises:
        InvalidValueError: `iterations` is no whole number ≥ 1.
    """

    iterations: int = field(default=2, validator=whole(minimum=1))
    scheduler: str | None = None
    spacing: str | float | None = None
    solver: Spec = None
    init: Spec = None
    allocation: Spec = None

    def steps(self, budget: int, *, explicit: int) -> int:
        """How many timesteps a budget pays for.

        Args:
            budget: block passes for the run.
            explicit: block passes of a timestep before and after its iterations.
        """
        return budget // (explicit + self.iterations)

    def having(self, name: str, value: Any) -> Way:
        """The same way with another choice.

        Args:
            name: of one of the attributes.
            value: of it.
        """
        changed: dict[str, Any] = {name: value}
        return evolve(self, **changed)

    def without(self, name: str) -> Way:
        """The same way, of which one choice is left open.

        Args:
            name: of one of the attributes.
        """
        return self.having(name, getattr(Way(), name))

    @property
    def chosen(self) -> dict[str, Any]:
        """Keywords of the pipeline, but for the budget; what is its own is left out."""
        named = asdict(self, recurse=False)
        del named["iterations"]
        return {name: value for name, value in named.items() if value is not None}


def _rising(name: str, values: Sequence[int]) -> None:
    for value in values:
        check_whole(name, value, minimum=1)
    if not values or any(a >= b for a, b in pairwise(values)):
        raise InvalidValueError(f"{name}={list(values)}: must rise from one to the next.")


def _check_errors(name: str, values: Sequence[float], *, count: int) -> None:
    if len(values) != count:
        raise InvalidValueError(f"{name} has {len(values)} numbers: must have {count}.")
    for value in values:
        check_real(name, value, minimum=0)


@frozen
class Tried:
    """A way, and the error that it left at several budgets.

    Attributes:
        way: how they were spent.
        budgets: block passes, rising.
        errors: of the final picture at each, root mean square, in the unit of samples.

    Raises:
        InvalidValueError: a number is not finite or not allowed, or one is missing.
    """

    way: Way
    budgets: tuple[int, ...] = field(converter=row)
    errors: tuple[float, ...] = field(converter=row)

    def __attrs_post_init__(self) -> None:
        """Check that there is one error for each budget."""
        _rising("budgets", self.budgets)
        _check_errors("errors", self.errors, count=len(self.budgets))

    def error(self, budget: int) -> float:
        """The error at a budget: on straight lines between the logarithms of what was measured.

        Below the least budget that was measured the first line goes on, above the greatest nothing
        changes.

        Args:
            budget: block passes, ≥ 1.

        Examples:
            >>> from fpdm.calibration import Tried, Way
            >>> round(Tried(Way(), (10, 1000), (0.1, 0.001)).error(100), 6)
            0.01
        """
        if budget >= self.budgets[-1] or len(self.budgets) == 1:
            return self.errors[-1]
        left = min(max(bisect.bisect_right(self.budgets, budget) - 1, 0), len(self.budgets) - 2)
        low, high = (math.log(each) for each in self.budgets[left : left + 2])
        below, above = (math.log(max(each, 1e-12)) for each in self.errors[left : left + 2])
        slope = (above - below) / (high - low)
        if budget < self.budgets[0]:
            slope = min(slope, 0.0)  # that fewer passes were better is noise
        return math.exp(min(below + slope * (math.log(budget) - low), 700.0))


def _rows(value: Any) -> Any:
    """An attrs converter: a list of lists to a tuple of tuples."""
    return tuple(row(each) for each in value) if isinstance(value, list) else value


@frozen
class Sensitivity:
    """What iterations at each timestep of a run do to the final picture.

    Attributes:
        timesteps: of the run, noisiest first, from 1000 down to 0; two at least.
        usual: iterations of each timestep but the one that is looked at.
        counts: iterations that one was given, rising from 1; `usual` is among them.
        errors: of the final picture, mean squares: for each timestep one for each count.

    Raises:
        InvalidValueError: a number is not finite or not allowed, or one is missing.
    """

    timesteps: tuple[float, ...] = field(converter=row)
    usual: int = field(validator=whole(minimum=1))
    counts: tuple[int, ...] = field(converter=row)
    errors: tuple[tuple[float, ...], ...] = field(converter=_rows)

    def __attrs_post_init__(self) -> None:
        """Check that there is one error for each timestep and count."""
        for timestep in self.timesteps:
            check_real("timesteps", timestep, minimum=0, maximum=1000)
        falling = all(a >= b for a, b in pairwise(self.timesteps))
        if len(self.timesteps) < 2 or not falling:
            raise InvalidValueError("timesteps: must be two or more, and never rise.")
        _rising("counts", self.counts)
        if self.counts[0] != 1 or self.usual not in self.counts:
            raise InvalidValueError(
                f"counts={list(self.counts)}: must begin with 1 and hold usual={self.usual}."
            )
        if len(self.errors) != len(self.timesteps):
            raise InvalidValueError(
                f"errors has {len(self.errors)} rows: must have {len(self.timesteps)}."
            )
        for each in self.errors:
            _check_errors("errors", each, count=len(self.counts))

    def distance(self, timesteps: Sequence[float]) -> float:
        """How far from those that were measured the timesteps of a run lie, at most.

        Args:
            timesteps: noisiest first.
        """
        expected = [self._between(self.timesteps, place) for place in _places(len(timesteps))]
        return max(abs(a - b) for a, b in zip(timesteps, expected, strict=True))

    def changes(self, steps: int) -> tuple[tuple[float, ...], ...]:
        """What each count changes in the mean squared error, at each timestep of a run.

        Args:
            steps: timesteps of the run, which lie as those that were measured.

        Returns:
            For each timestep one number for each of `counts`, 0 for the usual one.
        """
        zero = self.counts.index(self.usual)
        changed = [[error - each[zero] for error in each] for each in self.errors]
        columns: list[tuple[float, ...]] = list(zip(*changed, strict=True))
        return tuple(
            tuple(self._between(column, place) for column in columns) for place in _places(steps)
        )

    def _between(self, values: Sequence[float], place: float) -> float:
        """The value at a place in a run, which is 0 at its noise and 1 at its image."""
        at = place * (len(values) - 1)
        low = min(int(at), len(values) - 2)
        return values[low] + (at - low) * (values[low + 1] - values[low])


def _places(steps: int) -> list[float]:
    return [index / max(steps - 1, 1) for index in range(steps)]


@frozen
class Calibration:
    """What was measured of one model: `fpdm calibrate` writes it beside the model.

    Attributes:
        configuration: the SHA-256 of those of the network and the scheduler.
        sketch: of the weights: a few sums that other weights do not have.
        tried: ways to spend a budget, each with the errors that it left.
        sensitivities: what iterations do at each timestep of a run; for several lengths of it.
        samples: how many were drawn.
        reference: the error of the long run itself, by another long run.
        guidance_scale: of all runs.
        seed: of their noise.
        version: of this format.

    Raises:
        InvalidValueError: a value is not allowed.

    Examples:
        >>> import fpdm
        >>> calibration = fpdm.FPDMPipeline.digits().calibration
        >>> calibration.samples >= 64
        True
    """

    configuration: str
    sketch: tuple[float, ...] = field(converter=row)
    tried: tuple[Tried, ...] = field(converter=row)
    sensitivities: tuple[Sensitivity, ...] = field(default=(), converter=row)
    samples: int = field(default=1, validator=whole(minimum=1))
    reference: float = 0.0
    guidance_scale: float = 1.0
    seed: int = 0
    version: int = VERSION

    def __attrs_post_init__(self) -> None:
        """Check what the numbers alone can say."""
        if self.version != VERSION:
            raise InvalidValueError(f"version={self.version!r}: this release reads {VERSION}.")
        if not self.tried:
            raise InvalidValueError("tried: must hold one way at least.")
        if not isinstance(self.sketch, tuple) or not isinstance(self.configuration, str):
            raise InvalidValueError("configuration, sketch: must be a text and a list of numbers.")
        for each in self.sketch:
            check_real("sketch", each)
        check_whole("seed", self.seed, minimum=0)
        check_real("reference", self.reference, minimum=0)
        check_real("guidance_scale", self.guidance_scale, minimum=0)

    def sensitivity(self, moments: Sequence[Moment]) -> Sensitivity:
        """What was measured of a run like this one: its timesteps there, and about as many.

        Args:
            moments: of the run, noisiest first.

        Raises:
            InvalidValueError: nothing was measured, or timesteps lie elsewhere.
        """
        if not self.sensitivities:
            raise InvalidValueError(
                "The calibration says nothing of single timesteps; run `fpdm calibrate` again."
            )
        steps = len(moments)
        near = sorted(
            self.sensitivities, key=lambda each: abs(math.log(len(each.timesteps) / steps))
        )
        timesteps = [moment.timestep for moment in moments]
        known = [timestep for timestep in timesteps if timestep is not None]
        if len(known) < steps or steps == 1:
            return near[0]
        for each in near:
            if each.distance(known) <= ELSEWHERE:
                return each
        raise InvalidValueError(
            f"The calibration is of timesteps that lie elsewhere: up to "
            f"{near[0].distance(known):.0f} from those of this run. Use the spacing that it was "
            f"made with, or run `fpdm calibrate` with this one."
        )

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it: of what is drawn by a calibration, this is known too."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()

    def write(self, path: Path | str) -> Path:
        """Write it as JSON.

        Args:
            path: a file; or a folder, in which it is called `calibration.json`.

        Returns:
            The file.

        Raises:
            StorageError: it cannot be written.
        """
        target = _file(path)
        with written_file(target) as beside:
            beside.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return target

    @classmethod
    def read(cls, path: Path | str) -> Calibration:
        """Read what `write` wrote.

        Args:
            path: likewise.

        Returns:
            The calibration.

        Raises:
            InvalidValueError: there is no such file, or it holds something else.
        """
        target = _file(path)
        if not target.is_file():
            raise InvalidValueError(
                f"There is no calibration at {target}; `fpdm calibrate` writes one."
            )
        try:
            return _structured(json.loads(target.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            raise InvalidValueError(
                f"{target} is no calibration: {' '.join(str(error).split())} Run `fpdm calibrate` "
                f"again."
            ) from error


def _file(path: Path | str) -> Path:
    given = Path(path)
    return given / FILE if given.is_dir() or not given.suffix else given


def _structured(plain: dict[str, Any]) -> Calibration:
    tried = tuple(Tried(**{**each, "way": Way(**each["way"])}) for each in plain["tried"])
    sensitivities = tuple(Sensitivity(**each) for each in plain.get("sensitivities", ()))
    return Calibration(**{**plain, "tried": tried, "sensitivities": sensitivities})
