"""What was found out about the iterations of a network, as plain numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import attrs
import cattrs
from attrs import frozen

from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import written_file


@frozen
class Extent:
    """A figure of several samples.

    Attributes:
        median: of them.
        worst: the largest; inf where the one of a sample is not finite.
    """

    median: float
    worst: float


@frozen
class Curve:
    """How one solver got on from one start at one timestep.

    Attributes:
        solver: which.
        init: where it started.
        median: of the samples, the relative residual at each evaluation; inf where it is not
            finite.
        lower: likewise the lower quartile.
        upper: likewise the upper quartile.
        converged: the share of the samples whose residual came to the tolerance.
        reached: after how many evaluations it had come there for half of the samples; inf if it
            did not.
    """

    solver: str
    init: str
    median: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    converged: float
    reached: float

    @property
    def least(self) -> float:
        """The smallest median residual."""
        return min(self.median)


@frozen
class Finding:
    """What was found at one timestep.

    Attributes:
        index: of the timestep in the run; 0 is the noisiest.
        timestep: of the diffusion, from 0 to 1000.
        iterations: that the run grants it.
        radius: the spectral radius of the Jacobian at the solution: by what plain iteration shrinks
            the residual in the long run.
        norm: its spectral norm: what one evaluation may stretch a small distance by.
        distance: from the solution of the timestep before to this one, relative to this one, the
            median of the samples; None at the first timestep.
        effect: what one more iteration here changes in the final samples: the root of the mean
            square of the difference; NaN where no sample is finite.
        curves: one for each solver and each init.
    """

    index: int
    timestep: float
    iterations: int
    radius: Extent
    norm: Extent
    distance: float | None
    effect: float
    curves: tuple[Curve, ...]

    def curve(self, solver: str, init: str) -> Curve:
        """The curve of a solver from a start.

        Args:
            solver: which.
            init: where it started.

        Raises:
            InvalidValueError: there is none.
        """
        for each in self.curves:
            if (each.solver, each.init) == (solver, init):
                return each
        raise InvalidValueError(f"solver={solver!r}, init={init!r}: were not looked at.")


@frozen
class Diagnosis:
    """What [`diagnose`][fpdm.diagnosing.diagnose] found out.

    Attributes:
        network: its class.
        solver: of the run.
        init: likewise.
        allocation: likewise.
        dtype: of the states, such as `float32`.
        budget: block passes of the run.
        steps: timesteps of the run, of which some are looked at.
        num: samples.
        guided: whether the run is guided.
        real: whether the noisy inputs were made of real samples; otherwise they are those of the
            run.
        seed: of the noise.
        evals: evaluations that each solve was granted.
        tol: the relative residual that counts as converged.
        spread: the standard deviation of all numbers of the final samples, beside which an `effect`
            is large or small; NaN where no sample is finite.
        findings: one for each timestep looked at, in sampling order.

    Raises:
        InvalidValueError: nothing was found, or not the same at all timesteps.
    """

    network: str
    solver: str
    init: str
    allocation: str
    dtype: str
    budget: int
    steps: int
    num: int
    guided: bool
    real: bool
    seed: int
    evals: int
    tol: float
    spread: float
    findings: tuple[Finding, ...]

    def __attrs_post_init__(self) -> None:
        pairs = {tuple((c.solver, c.init) for c in each.curves) for each in self.findings}
        if len(pairs) != 1 or not all(pairs):
            raise InvalidValueError("findings: must be some, of the same solvers and inits.")
        sizes = {
            len(row)
            for each in self.findings
            for curve in each.curves
            for row in (curve.median, curve.lower, curve.upper)
        }
        if sizes != {self.evals} or not self.evals:
            raise InvalidValueError(f"curves: must have a residual for each of {self.evals} evals.")

    @property
    def solvers(self) -> tuple[str, ...]:
        """Those that were compared."""
        return tuple(dict.fromkeys(curve.solver for curve in self.findings[0].curves))

    @property
    def inits(self) -> tuple[str, ...]:
        """Those that were compared."""
        return tuple(dict.fromkeys(curve.init for curve in self.findings[0].curves))

    def to_json(self) -> str:
        """All figures as JSON; numbers that are not finite are the texts `inf`, `-inf` and `nan`.

        Returns:
            A line for each figure of the run, and one for each timestep.
        """
        plain = _plain(attrs.asdict(self))
        findings = ",\n  ".join(json.dumps(each) for each in plain.pop("findings"))
        head = json.dumps(plain, indent=1, allow_nan=False)
        return f'{head[:-2]},\n "findings": [\n  {findings}\n ]\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Diagnosis:
        """Read what `to_json` wrote.

        Args:
            text: JSON.

        Returns:
            The diagnosis, all numbers as they were.

        Raises:
            InvalidValueError: it is no such thing.
        """
        try:
            found = _CONVERTER.structure(json.loads(text), cls)
        except Exception as error:  # cattrs collects what is wrong into a group of errors
            raise InvalidValueError(f"This is no diagnosis: {_reason(error)}.") from error
        return found

    def write(self, path: str | Path) -> None:
        """Write all figures as JSON, all of them or nothing.

        Args:
            path: the file, which may be there.

        Raises:
            StorageError: it cannot be written.
        """
        with written_file(Path(path)) as beside:
            beside.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> Diagnosis:
        """Read a file that `write` wrote.

        Args:
            path: the file.

        Returns:
            The diagnosis, all numbers as they were.

        Raises:
            InvalidValueError: it cannot be read, or is none.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InvalidValueError(f"{path} cannot be read: {error}.") from error
        try:
            return cls.from_json(text)
        except InvalidValueError as error:
            raise InvalidValueError(f"{path}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not (isinstance(value, float | int) or value in _TEXTS):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value


def _optional_number(value: Any, _: Any) -> float | None:
    return None if value is None else _number(value, _)


def _reason(error: BaseException) -> str:
    while isinstance(error, cattrs.BaseValidationError):
        error = error.exceptions[0]
    missing = isinstance(error, KeyError)
    said = str(error).strip().splitlines() or [type(error).__name__]
    return f"{said[0]} is missing" if missing else said[0].rstrip(".")


_TEXTS = ("inf", "-inf", "nan")
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(float, _number)
_CONVERTER.register_structure_hook(float | None, _optional_number)
for _kind in (bool, int, str):
    _CONVERTER.register_structure_hook(_kind, _exactly)
