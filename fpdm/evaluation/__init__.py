"""Yardsticks for samples."""

from fpdm.evaluation.archives import read_archive, write_archive
from fpdm.evaluation.classifier import DigitClassifier
from fpdm.evaluation.features import Features, Pixels
from fpdm.evaluation.frechet import frechet_distance
from fpdm.evaluation.gaussian import FewSamplesWarning, Gaussian
from fpdm.evaluation.infinity import frechet_at_infinity
from fpdm.evaluation.judging import evaluate
from fpdm.evaluation.kernel import kernel_distance
from fpdm.evaluation.manifold import PrecisionRecall, precision_recall
from fpdm.evaluation.nearest import Neighbours, nearest_distance, nearest_neighbours
from fpdm.evaluation.outcome import Evaluation, Settings
from fpdm.evaluation.pictures import ImageArray, ImageFiles
from fpdm.evaluation.resampling import Interval, bootstrap
from fpdm.evaluation.spread import Spread, spread
from fpdm.evaluation.torchscript import TorchScript
from fpdm.evaluation.trained import Classifier

__all__ = [
    "Classifier",
    "DigitClassifier",
    "Evaluation",
    "Features",
    "FewSamplesWarning",
    "Gaussian",
    "ImageArray",
    "ImageFiles",
    "Interval",
    "Neighbours",
    "Pixels",
    "PrecisionRecall",
    "Settings",
    "Spread",
    "TorchScript",
    "bootstrap",
    "evaluate",
    "frechet_at_infinity",
    "frechet_distance",
    "kernel_distance",
    "nearest_distance",
    "nearest_neighbours",
    "precision_recall",
    "read_archive",
    "spread",
    "write_archive",
]
