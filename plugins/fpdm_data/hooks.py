"""Registers the built-in data sets."""

from fpdm import data, hookimpl
from fpdm.data import Dataset


@hookimpl
def fpdm_register_datasets() -> list[type[Dataset]]:
    """The data sets, in the order in which they are listed."""
    return [data.Digits, data.Emoji, data.ImageFolder, data.Latents, data.FastDiT]
