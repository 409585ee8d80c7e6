"""How exact a solver has to be, and on what."""

from __future__ import annotations

import torch

LARGER = ((6,), (6, 70), (6, 5, 4), (6, 3, 2, 5))
"""Shapes of more samples, and of more numbers for each, than Hypothesis draws."""

TOLERANCE = {torch.float64: 1e-7, torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""The relative error that is allowed for a contraction in each dtype."""
