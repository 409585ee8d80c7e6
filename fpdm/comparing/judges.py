"""By what the samples of a comparison are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen
from torch import Tensor

from fpdm.data import Dataset
from fpdm.evaluation import (
    Classifier,
    DigitClassifier,
    Features,
    Gaussian,
    Pixels,
    frechet_at_infinity,
    frechet_distance,
    precision_recall,
)
from fpdm.evaluation.features import extract, together
from fpdm.runtime.storage import naming


@frozen(eq=False)
class Judge:
    """Measures samples by some features.

    Attributes:
        name: of the features, as the comparison has it.
        features: what makes them.
        real: those of the data, (N, D).
        target: the Gaussian of them.
    """

    name: str
    features: Features
    real: Any
    target: Gaussian

    @classmethod
    def of(cls, name: str, data: Dataset, folder: Path) -> Judge:
        """The judge of a name.

        Args:
            name: of `FEATURES`.
            data: what samples are compared with.
            folder: where a classifier is kept once it has been trained.

        Raises:
            InvalidValueError: the data have no classes, or a classifier cannot be read.
        """
        features = _features(name, data, folder)
        real = together(extract(data, features)).rows
        return cls(name, features, real, Gaussian.of(real, name="the data"))

    def measure(self, images: Tensor, labels: Tensor | None) -> dict[str, float]:
        """What is said of samples.

        Args:
            images: (N, C, …), in [-1, 1].
            labels: what each was to be, (N,); None if nothing.

        Returns:
            Figures by name.
        """
        rows = self.features(images)
        precision, recall = precision_recall(rows, self.real)
        found = {
            "frechet": frechet_distance(rows, self.target),
            "precision": precision,
            "recall": recall,
        }
        if len(rows) > 2 * rows.shape[1]:  # of fewer, a line over 1/n says nothing
            found["frechet_at_infinity"] = frechet_at_infinity(rows, self.target)
        accuracy = getattr(self.features, "accuracy", None)
        if accuracy is not None and labels is not None:
            found["accuracy"] = accuracy(images, labels)
        return found


def _features(name: str, data: Dataset, folder: Path) -> Features:
    if name == "pixels":
        return Pixels()
    if name == "digits":
        return DigitClassifier()
    path = folder / "classifier.safetensors"
    if (there := Classifier.kept(path, data)) is not None:
        return there
    classifier = Classifier.fit(data)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    classifier.save(path)
    return classifier
