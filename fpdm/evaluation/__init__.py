"""Yardsticks for samples."""

from fpdm.evaluation.classifier import DigitClassifier
from fpdm.evaluation.frechet import FewSamplesWarning, frechet_distance
from fpdm.evaluation.nearest import nearest_distance

__all__ = ["DigitClassifier", "FewSamplesWarning", "frechet_distance", "nearest_distance"]
