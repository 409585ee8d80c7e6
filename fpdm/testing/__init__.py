"""Problems with known answers, and Hypothesis strategies that draw them, for tests of plugins."""

from fpdm.testing.problems import Problem, affine, cosine, network

__all__ = ["Problem", "affine", "cosine", "network"]
