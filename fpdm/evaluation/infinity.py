"""The Fréchet distance without the bias of a finite number of samples."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from fpdm.checks import check_whole
from fpdm.evaluation.frechet import between
from fpdm.evaluation.gaussian import FewSamplesWarning, Gaussian, fitted
from fpdm.evaluation.pairs import rows

PARTS = 4


def frechet_at_infinity(
    a: ArrayLike, b: ArrayLike | Gaussian, *, seed: int = 0, parts: int = PARTS
) -> float:
    """The Fréchet distance that infinitely many samples like `a` would have.

    From n samples the distance is too large, by about a constant over n. The samples, shuffled, are
    cut into 1, 2, … `parts` equal parts; the distances of all these sets lie on a line over 1/n,
    which meets the axis at infinity. Sets of more samples weigh more, by √n. Source: Chong and
    Forsyth, Effectively unbiased FID and Inception score, CVPR 2020; they draw the sets, which cost
    more and share samples.

    `b` is taken as it is: what is measured is the distance to these very data, or to the
    distribution that they come from but for their own bias.

    Args:
        a: samples, (n, …), n ≥ 2; as of [`frechet_distance`][fpdm.evaluation.frechet_distance].
        b: samples, (m, …) with the same number of features; or a Gaussian.
        seed: of the shuffle.
        parts: into how many at most, ≥ 2; fewer where these would hold no more samples than twice
            as many as there are features, of which the line is bent.

    Returns:
        A finite number. It may be slightly negative where the distance is near 0: an estimate
        without bias lies on either side.

    Raises:
        InvalidValueError: there are too few samples, some are not finite, or the numbers of
            features differ.

    Warns:
        FewSamplesWarning: half of the samples are no more than there are features: the distances
            are then on no line, and the estimate is not to be trusted.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> a, b = rng.normal(size=(400, 8)), rng.normal(size=(100_000, 8))
        >>> print(f"{frechet_at_infinity(a, b):.3f}")  # of 400: 0.058
        0.003
    """
    check_whole("parts", parts, minimum=2)
    check_whole("seed", seed, minimum=0)
    samples = rows("a", a, least=2)
    count, features = samples.shape
    target = b if isinstance(b, Gaussian) else Gaussian.of(b, name="b")
    if count // 2 <= features:
        warnings.warn(
            f"a has {count} samples for {features} features: a line over 1/n wants more than "
            f"{2 * features}; do not trust the distance at infinity.",
            FewSamplesWarning,
            stacklevel=2,
        )
    usable = max(2, min(parts, count // (2 * features + 1)))
    order = np.random.default_rng(seed).permutation(count)
    sizes, distances = [], []
    for size in (count // number for number in range(1, usable + 1)):
        for first in range(0, size * (count // size), size):
            part = samples[order[first : first + size]]
            sizes.append(size)
            distances.append(between(fitted(part), target))
    counts = np.array(sizes)
    _, limit = np.polyfit(1 / counts, distances, deg=1, w=np.sqrt(counts))
    return float(limit)
