"""What was measured of samples, and how, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen

import fpdm
from fpdm.checks import check_whole, real, whole
from fpdm.evaluation.resampling import Interval

MEASURES = ("frechet", "frechet_at_infinity", "kernel", "precision", "recall", "accuracy")
"""What is measured, by the names of `Evaluation`."""


def _none_or_several(_: Any, field: Any, value: Any) -> None:
    if value != 0 or isinstance(value, bool):
        check_whole(field.name, value, minimum=2)


@frozen
class Settings:
    """How samples are measured, beside their features.

    Args:
        neighbours: of precision and recall, k ≥ 1.
        repeats: resamples from which intervals are taken, ≥ 2; 0 for no intervals.
        level: of the intervals, > 0 and ≤ 0.9999.
        seed: of the resamples, and of the extrapolation.

    Raises:
        InvalidValueError: a value is not allowed.
    """

    neighbours: int = field(default=3, validator=whole(minimum=1))
    repeats: int = field(default=100, validator=_none_or_several)
    level: float = field(default=0.95, validator=real(above=0, maximum=0.9999))
    seed: int = field(default=0, validator=whole(minimum=0))


@frozen(kw_only=True)
class Evaluation:
    """What was measured of samples, and how.

    Attributes:
        frechet: the Fréchet distance; smaller is better, and 0 is best.
        frechet_at_infinity: what it would be of infinitely many samples; may be slightly negative.
        kernel: the kernel distance; 0 is best, and may be slightly negative. None, as what follows,
            where all that is known of the reference is its statistics.
        precision: the share of samples among the data, from 0 to 1.
        recall: the share of data among the samples, from 0 to 1.
        accuracy: the share of samples that are read as what they were to be, from 0 to 1; None
            where there are no labels, or the features read none.
        intervals: by the name of a distance, where other samples like these would lie.
        features: what was compared, by its name.
        dimensions: how many features there are.
        samples: how many samples.
        reference: how many data; None where all that is known of them is their statistics.
        settings: how they were measured.
        facts: what else is known, as plain data, such as how the samples were drawn.
        version: of this package.
    """

    frechet: float
    frechet_at_infinity: float
    kernel: float | None = None
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None
    intervals: Mapping[str, Interval] = field(factory=dict)
    features: str
    dimensions: int
    samples: int
    reference: int | None
    settings: Settings = field(factory=Settings)
    facts: Mapping[str, Any] = field(factory=dict)
    version: str = fpdm.__version__

    def to_json(self) -> dict[str, Any]:
        """The figures and how they were measured, as plain data, which `json.dumps` takes."""
        return {
            **{name: getattr(self, name) for name in MEASURES},
            "intervals": {name: [each.low, each.high] for name, each in self.intervals.items()},
            "features": self.features,
            "dimensions": self.dimensions,
            "samples": self.samples,
            "reference": self.reference,
            "settings": asdict(self.settings),
            "version": self.version,
            **self.facts,
        }
