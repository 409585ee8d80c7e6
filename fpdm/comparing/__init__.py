"""Comparisons: quality against block passes, multiply-adds and seconds."""

from fpdm.comparing.config import Cell, CompareConfig, NetworkConfig, load_comparison, structure
from fpdm.comparing.costs import Cost, cost_of
from fpdm.comparing.networks import Trained
from fpdm.comparing.report import Row, best, frontier, rows
from fpdm.comparing.running import Comparison, Failure, Result

__all__ = [
    "Cell",
    "CompareConfig",
    "Comparison",
    "Cost",
    "Failure",
    "NetworkConfig",
    "Result",
    "Row",
    "Trained",
    "best",
    "cost_of",
    "frontier",
    "load_comparison",
    "rows",
    "structure",
]
