"""What is written into a saved folder, so that diffusers alone can open it."""

LOADER = '''"""Loads this folder with fpdm, the library that wrote it.

It is installed from its sources, by `pip install .` in a clone of its repository, and not by its
name from an index. Then

DiffusionPipeline.from_pretrained(folder, custom_pipeline="pipeline", trust_remote_code=True)
"""

from fpdm import FPDMPipeline

__all__ = ["FPDMPipeline"]
'''
