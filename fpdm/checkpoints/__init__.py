"""Trained models that come with the package."""

from pathlib import Path

DIGITS = Path(__file__).parent / "digits"
"""Handwritten digits, 8 × 8 pixels, 10 classes; see its model card, `README.md`."""
