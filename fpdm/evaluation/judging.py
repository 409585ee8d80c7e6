"""All that can be measured of samples against a reference."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from attrs import asdict, evolve, field, frozen
from torch import Tensor

import fpdm
from fpdm.checks import check_labels, check_whole, shows
from fpdm.data.dataset import Dataset
from fpdm.data.tensors import Tensors
from fpdm.errors import InvalidValueError
from fpdm.evaluation.features import BATCH_SIZE, Extracted, Features, Pixels, extract, together
from fpdm.evaluation.frechet import frechet_distance
from fpdm.evaluation.gaussian import FewSamplesWarning, Gaussian
from fpdm.evaluation.infinity import frechet_at_infinity
from fpdm.evaluation.kernel import distance_to
from fpdm.evaluation.manifold import precision_recall
from fpdm.evaluation.resampling import Interval, bootstrap

MEASURES = ("frechet", "frechet_at_infinity", "kernel", "precision", "recall", "accuracy")
"""What is measured, by the names of `Evaluation`."""


@frozen
class Settings:
    """How samples are measured, beside their features.

    Args:
        neighbours: of precision and recall, k ≥ 1.
        repeats: resamples from which intervals are taken, ≥ 2; 0 for no intervals.
        level: of the intervals.
        seed: of the resamples, and of the extrapolation.
    """

    neighbours: int = 3
    repeats: int = 100
    level: float = 0.95
    seed: int = 0


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


def evaluate(
    samples: Any,
    reference: Any,
    *,
    features: Features | None = None,
    labels: Any = None,
    neighbours: int = 3,
    repeats: int = 100,
    level: float = 0.95,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Measure samples against a reference, by features of both.

    Args:
        samples: images in [-1, 1], (N, C, H, W), or others, (N, C, …), N ≥ 2; or a data set of
            them.
        reference: likewise; or a [`Gaussian`][fpdm.evaluation.Gaussian] of these features, of which
            only Fréchet distances can be measured.
        features: what is compared; pixels if None. With those that have `accuracy`, such as
            [`Classifier`][fpdm.evaluation.Classifier], classes are judged too.
        labels: what each sample was to be, (N,), whole numbers; None takes those of the data set.
        neighbours: of precision and recall.
        repeats: resamples from which the intervals of the distances are taken; 0 for none. Each
            computes a distance again, which takes long where there are very many features.
        level: of the intervals.
        seed: of the resamples, and of the extrapolation.
        batch_size: how many samples are read at once.

    Returns:
        All measures, with the intervals of distances.

    Raises:
        InvalidValueError: there are fewer than two samples, they differ from the reference in their
            shape, or something is not finite.

    Warns:
        FewSamplesWarning: there are too few samples for what is measured.

    Examples:
        >>> import torch
        >>> from fpdm.data import digits
        >>> real = digits().images
        >>> found = evaluate(real[:900] + 0.1 * torch.randn(900, 1, 8, 8), real[900:])
        >>> 0.5 < found.frechet_at_infinity < found.frechet < 1.5
        True
    """
    settings = Settings(neighbours, repeats, level, seed)
    chosen = Pixels() if features is None else features
    drawn = data_of("samples", samples)
    wanted = None if labels is None else labels_of(labels, len(drawn))
    if isinstance(reference, Gaussian):
        there: Extracted | Gaussian = reference
        channels = None
    else:
        real = data_of("reference", reference)
        channels = channels_of(drawn, real)
        read = extract(real, chosen, channels=channels, batch_size=batch_size)
        there = together(read)
    here = extract(drawn, chosen, labels=wanted, channels=channels, batch_size=batch_size)
    *_, found = measuring(together(here), there, features=chosen.name, settings=settings)
    return found


def measuring(
    samples: Extracted, reference: Extracted | Gaussian, *, features: str, settings: Settings
) -> Iterator[Evaluation]:
    """Measure one thing after the other: what is yielded last holds all.

    Args:
        samples: their features.
        reference: the features of the data, or the Gaussian of them.
        features: their name.
        settings: how to measure.

    Yields:
        What is known so far: first the distances of Gaussians, then also the kernel distance, then
        all; against a Gaussian the first alone.

    Raises:
        InvalidValueError: there are fewer than two samples, or other features than those of the
            reference, or a setting is not allowed.

    Warns:
        FewSamplesWarning: there are too few samples for what is measured.
    """
    check_whole("neighbours", settings.neighbours, minimum=1)
    check_whole("repeats", settings.repeats, minimum=0)
    rows = samples.rows
    _check_count(len(rows))
    data = None if isinstance(reference, Gaussian) else reference.rows
    if isinstance(reference, Gaussian):
        target = reference
    else:
        _check_count(len(reference.rows), "reference")
        target = Gaussian.of(reference.rows, name="the reference")
    if target.mean.size != rows.shape[1]:
        raise InvalidValueError(
            f"{features} are {rows.shape[1]} of each sample, and the reference has "
            f"{target.mean.size}: it must be of the same features."
        )
    distance = frechet_distance(Gaussian.of(rows, name="the set of samples"), target)
    found = Evaluation(
        frechet=distance,
        frechet_at_infinity=frechet_at_infinity(rows, target, seed=settings.seed),
        accuracy=samples.accuracy,
        intervals=_interval("frechet", frechet_distance, rows, target, settings),
        features=features,
        dimensions=rows.shape[1],
        samples=len(rows),
        reference=None if data is None else len(data),
        settings=settings,
    )
    yield found
    if data is None:
        return
    kernel = distance_to(data)
    intervals = _interval("kernel", lambda some, _: kernel(some), rows, None, settings)
    found = evolve(found, kernel=kernel(rows), intervals={**found.intervals, **intervals})
    yield found
    few = min(len(rows), len(data))
    if few <= settings.neighbours:
        warnings.warn(
            f"{few} samples have no {settings.neighbours} neighbours each: precision and recall "
            f"are left out.",
            FewSamplesWarning,
            stacklevel=2,
        )
        return
    shares = precision_recall(rows, data, neighbours=settings.neighbours)
    yield evolve(found, precision=shares.precision, recall=shares.recall)


def data_of(name: str, samples: Any) -> Dataset:
    """The samples as a data set.

    Args:
        name: what messages call them.
        samples: (N, C, …), a tensor or an array of real numbers; or a data set, as it is.

    Raises:
        InvalidValueError: they are none of these, or not finite.
    """
    if isinstance(samples, Dataset):
        return samples
    try:
        found = samples.detach() if isinstance(samples, Tensor) else np.asarray(samples)
        return Tensors(found)
    except InvalidValueError as error:
        raise InvalidValueError(f"{name}: {error}") from error
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            f"{name}: {type(samples).__name__}; must be an array, (N, C, …), or a data set."
        ) from error


def labels_of(labels: Any, count: int) -> Tensor:
    """The class of each sample, (N,), int64.

    Args:
        labels: (N,), whole numbers.
        count: of the samples.

    Raises:
        InvalidValueError: they are no such numbers.
    """
    found = torch.as_tensor(labels).cpu()
    found = found if found.is_floating_point() else found.long()
    check_labels(found)
    if len(found) != count:
        raise InvalidValueError(f"{len(found)} labels for {count} samples: must be one for each.")
    return found


def channels_of(samples: Dataset, reference: Dataset) -> int | None:
    """The channels to compare in: 3 where one set is grey and the other not; None as they are.

    Args:
        samples: of images, or others.
        reference: to compare them with.

    Raises:
        InvalidValueError: their shapes differ otherwise.
    """
    ours, theirs = samples.shape.sample, reference.shape.sample
    if ours == theirs:
        return None
    if shows(ours) and shows(theirs) and ours[1:] == theirs[1:]:
        return 3
    raise InvalidValueError(
        f"The samples are {_size(ours)}, and the reference {_size(theirs)}: must be of one size, "
        f"to which --size brings images."
    )


def _size(sample: tuple[int, ...]) -> str:
    return " × ".join(map(str, sample))


def _check_count(count: int, name: str = "set of samples") -> None:
    if count < 2:
        raise InvalidValueError(f"The {name} holds {count}: at least 2 are needed.")


def _interval(
    name: str, distance: Any, rows: Any, reference: Any, settings: Settings
) -> dict[str, Interval]:
    if not settings.repeats:
        return {}
    interval = bootstrap(
        distance,
        rows,
        reference,
        repeats=settings.repeats,
        seed=settings.seed,
        level=settings.level,
    )
    return {name: interval}
