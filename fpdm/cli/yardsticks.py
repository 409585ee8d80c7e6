"""What `fpdm evaluate` measures by, and the bars that it shows meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fpdm.checks import check_whole
from fpdm.cli import console, progress
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fpdm.cli.judged import Judged
    from fpdm.data import Dataset
    from fpdm.evaluation import Classifier, Evaluation, Features, Gaussian, Settings
    from fpdm.evaluation.features import Extracted

NAMED = ("pixels", "classifier", "digits")
READING = ("classifier", "digits")
"""Features that read classes."""

BESIDE = ".classifier.safetensors"


def check_options(
    features: str,
    *,
    size: int | None,
    resize: int | None,
    labels: Sequence[str] | None,
    classifier: Path | None,
) -> None:
    """Check that options are for the features that are asked for, before anything is loaded.

    Args:
        features: as they were written.
        size: of images.
        resize: of images, for a network.
        labels: of the samples.
        classifier: where one is kept.

    Raises:
        InvalidValueError: one is not, or is not allowed.
    """
    for name, value in {"size": size, "resize": resize}.items():
        if value is not None:
            check_whole(name, value, minimum=1)
    if resize is not None and features in NAMED:
        raise InvalidValueError(
            "--resize is for the network of a TorchScript file; --size brings all images to a size."
        )
    if labels is not None and features not in READING:
        raise InvalidValueError("--labels: must be with --features classifier or digits.")
    if classifier is not None and features != "classifier":
        raise InvalidValueError("--classifier: must be with --features classifier.")
    if features not in NAMED and not Path(features).is_file():
        raise InvalidValueError(
            f"--features {features}: must be {', '.join(NAMED)}, or a TorchScript file, which this "
            f"is not."
        )


def channels_of_all(sets: Sequence[Judged], real: Judged) -> int | None:
    """How many channels all images are compared in: 3 if some are grey and others have colours.

    Args:
        sets: of samples.
        real: the reference.

    Raises:
        InvalidValueError: their sizes differ, or a set is one of statistics.
    """
    from fpdm.evaluation import Gaussian
    from fpdm.evaluation.judging import channels_of

    found = []
    for each in sets:
        if isinstance(each.data, Gaussian):
            raise InvalidValueError(f"{each.name} holds statistics: must hold samples.")
        if not isinstance(real.data, Gaussian):
            found.append(channels_of(each.data, real.data))
    return 3 if 3 in found else None


def features_named(
    text: str,
    real: Judged,
    keep: Path | None,
    *,
    resize: int | None,
    seed: int,
    device: torch.device | None,
) -> Features:
    """The features that are asked for.

    Args:
        text: `pixels`, `classifier`, `digits`, or the path of a TorchScript file.
        real: the reference, on which a classifier is trained.
        keep: where the classifier is kept; None for a file beside the reference.
        resize: what images are enlarged to for a TorchScript file.
        seed: of the classifier.
        device: where a network computes; None for the accelerator, or else the CPU.

    Raises:
        InvalidValueError: the reference has no classes, or a file cannot be read.
    """
    from fpdm.evaluation import DigitClassifier, Gaussian, Pixels, TorchScript
    from fpdm.runtime.processes import processes

    if text == "pixels":
        return Pixels()
    if text == "digits":
        return DigitClassifier()
    where = device or processes().device
    if text != "classifier":
        return TorchScript(Path(text), resize=resize, device=where)
    if isinstance(real.data, Gaussian):
        raise InvalidValueError(
            f"{real.name} holds statistics: a classifier must be trained on images."
        )
    found = real.path
    if keep is None and found is not None:
        keep = found.with_name(f"{found.stem if found.is_file() else found.name}{BESIDE}")
    return _kept(real.data, keep, seed=seed).to(where)


def labels_for(judged: Judged, given: Sequence[str] | None, features: Features) -> Tensor | None:
    """What each sample was to be, where that is known and can be read.

    Args:
        judged: the samples.
        given: on the command line.
        features: that read classes, or do not.

    Returns:
        (N,), int64; None where only the data set itself knows.

    Raises:
        InvalidValueError: what was given are no classes of the features.
    """
    from fpdm.cli.judged import labels_of

    found = labels_of(judged, given)
    most = getattr(features, "num_classes", None)
    if found is None or most is None or int(found.max()) < most:
        return found
    said = f"class {int(found.max())} is none of the {most} of the reference"
    if given is not None:
        raise InvalidValueError(f"--labels: {said}, which are numbered from 0.")
    console.note(f"{judged.name}: {said}; classes are not judged.")
    return None


def _kept(reference: Dataset, keep: Path | None, *, seed: int) -> Classifier:
    """The classifier that is kept, or else a new one, which is kept from now on."""
    from fpdm.evaluation import Classifier
    from fpdm.evaluation.trained import Fitting

    if keep is not None and keep.exists():
        if (there := Classifier.kept(keep, reference, seed=seed)) is not None:
            return there
        console.note(f"{keep} is of another reference or seed, and trained again.")
    fitting = Fitting(reference, seed=seed)
    for _ in progress.bar(iterable=fitting, total=fitting.steps, desc="classifier", unit="step"):
        pass
    made = fitting.classifier()
    if keep is not None:
        made.save(keep)
    return made


@frozen
class Bars:
    """Long work under bars.

    Attributes:
        features: what is compared.
        channels: of all images; None leaves them.
        batch_size: how many are read at once.
    """

    features: Features
    channels: int | None
    batch_size: int

    def extracted(self, judged: Judged, labels: Tensor | None = None) -> Any:
        """The features of samples, or the statistics of a reference as they are.

        Args:
            judged: the samples, or the reference.
            labels: the class of each, (N,), int64; None for those of the data set.
        """
        from fpdm.evaluation import Gaussian
        from fpdm.evaluation.features import extract, together

        if isinstance(judged.data, Gaussian):
            return judged.data
        read = extract(
            judged.data,
            self.features,
            labels=labels,
            channels=self.channels,
            batch_size=self.batch_size,
        )
        parts = []
        with progress.bar(total=len(judged.data), desc=judged.name, unit="image") as bar:
            for part in read:
                parts.append(part)
                bar.update(len(part.rows))
        return together(parts)

    def measured(
        self, name: str, here: Extracted, there: Extracted | Gaussian, settings: Settings
    ) -> Evaluation:
        """The measures of samples.

        Args:
            name: of the samples.
            here: their features.
            there: those of the reference, or their Gaussian.
            settings: how to measure.
        """
        from fpdm.evaluation.judging import measuring, stages

        steps = measuring(here, there, features=self.features.name, settings=settings)
        total = stages(there, settings)
        with progress.bar(iterable=steps, total=total, desc=f"measures of {name}") as bar:
            *_, found = bar
        return found
