"""What a budget is best spent on, found out before it is spent."""

from fpdm.diagnosing.diagnosed import diagnose
from fpdm.diagnosing.diagnosis import Curve, Diagnosis, Extent, Finding
from fpdm.diagnosing.words import explain

__all__ = ["Curve", "Diagnosis", "Extent", "Finding", "diagnose", "explain"]
