"""Planning: what a budget buys, measured, and the way to spend it that leaves the least error."""

from fpdm.planning.calibrating import Calibrating, Progress, calibrate
from fpdm.planning.choices import Choices
from fpdm.planning.choosing import Choice, plan

__all__ = ["Calibrating", "Choice", "Choices", "Progress", "calibrate", "plan"]
