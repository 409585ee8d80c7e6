"""All that can be measured of samples against a reference."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from attrs import evolve
from torch import Tensor

from fpdm.checks import check_labels, shows
from fpdm.data.dataset import Dataset
from fpdm.data.tensors import Tensors
from fpdm.errors import InvalidValueError
from fpdm.evaluation.features import BATCH_SIZE, Extracted, Features, Pixels, extract, together
from fpdm.evaluation.frechet import frechet_distance
from fpdm.evaluation.gaussian import FewSamplesWarning, Gaussian
from fpdm.evaluation.infinity import frechet_at_infinity
from fpdm.evaluation.kernel import distance_to
from fpdm.evaluation.manifold import precision_recall
from fpdm.evaluation.outcome import Evaluation, Settings
from fpdm.evaluation.pairs import Array
from fpdm.evaluation.resampling import centred, resampled


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
        What is known so far, after each distance, each of its resamples, and at the end with all.

    Raises:
        InvalidValueError: there are fewer than two samples, or other features than those of the
            reference.

    Warns:
        FewSamplesWarning: there are too few samples for what is measured.
    """
    rows = samples.rows
    target = _target(rows, reference, features)
    found = Evaluation(
        frechet=frechet_distance(Gaussian.of(rows, name="the set of samples"), target),
        frechet_at_infinity=frechet_at_infinity(rows, target, seed=settings.seed),
        accuracy=samples.accuracy,
        features=features,
        dimensions=rows.shape[1],
        samples=len(rows),
        reference=None if isinstance(reference, Gaussian) else len(reference.rows),
        settings=settings,
    )
    yield found
    found = yield from _with_interval(found, "frechet", frechet_distance, rows, target)
    if not isinstance(reference, Gaussian):
        yield from _of_pairs(found, rows, reference.rows)


def stages(reference: Extracted | Gaussian, settings: Settings) -> int:
    """How often `measuring` yields.

    Args:
        reference: the features of the data, or the Gaussian of them.
        settings: how to measure.
    """
    distances = 1 if isinstance(reference, Gaussian) else 2
    return distances * (1 + settings.repeats) + distances - 1


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


def _target(rows: Array, reference: Extracted | Gaussian, features: str) -> Gaussian:
    """What Fréchet distances are measured to, once both sets are seen to be comparable."""
    _check_count(len(rows))
    if not isinstance(reference, Gaussian):
        _check_count(len(reference.rows), "reference")
        reference = Gaussian.of(reference.rows, name="the reference")
    if reference.mean.size != rows.shape[1]:
        raise InvalidValueError(
            f"{features} are {rows.shape[1]} of each sample, and the reference has "
            f"{reference.mean.size}: it must be of the same features."
        )
    return reference


def _of_pairs(found: Evaluation, rows: Array, data: Array) -> Iterator[Evaluation]:
    """What compares single samples with single data: the kernel distance, precision and recall."""
    kernel = distance_to(data)
    found = evolve(found, kernel=kernel(rows))
    yield found
    found = yield from _with_interval(found, "kernel", lambda some, _: kernel(some), rows, None)
    few, neighbours = min(len(rows), len(data)), found.settings.neighbours
    if few > neighbours:
        shares = precision_recall(rows, data, neighbours=neighbours)
        found = evolve(found, precision=shares.precision, recall=shares.recall)
    else:
        warnings.warn(
            f"{few} samples have no {neighbours} neighbours each: precision and recall are left "
            f"out.",
            FewSamplesWarning,
            stacklevel=2,
        )
    yield found


def _with_interval(
    found: Evaluation, name: str, distance: Any, rows: Array, reference: Any
) -> Generator[Evaluation, None, Evaluation]:
    """Take resamples, one with each yield, and return what is known with their interval."""
    settings, again = found.settings, []
    options = {"repeats": settings.repeats, "seed": settings.seed}
    for each in resampled(distance, rows, reference, **options):
        again.append(each)
        if len(again) == settings.repeats:
            interval = centred(getattr(found, name), again, level=settings.level)
            found = evolve(found, intervals={**found.intervals, name: interval})
        yield found
    return found
