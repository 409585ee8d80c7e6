"""The networks of a comparison: loaded, or trained first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from fpdm.comparing.config import CompareConfig, NetworkConfig
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.models import parts
from fpdm.pipeline import FPDMPipeline
from fpdm.training import Run, Training, load_config

PACKAGED = "digits"


@frozen
class Trained:
    """A step of a training.

    Attributes:
        network: by name.
        step: steps done.
        steps: of the training.
        loss: of this step.
    """

    network: str
    step: int
    steps: int
    loss: float


def train(config: CompareConfig, folder: Path) -> Iterator[Trained]:
    """Train the networks that are to be trained, each from where it was interrupted.

    Args:
        config: of the comparison.
        folder: where networks are kept, each under its name.

    Yields:
        Each step.

    Raises:
        FPDMError: a training cannot begin; the message begins with the name of its network.
    """
    for name, network in config.networks.items():
        if network.train is None or (folder / name / parts.INDEX).exists():
            continue
        with _named(name):
            run = Run(Training(load_config(network.train, network.set)), folder / name)
            for made in run:
                yield Trained(name, made.step, run.config.steps, made.loss)


def load(name: str, network: NetworkConfig, folder: Path) -> Any:
    """The pipeline of a network, silent.

    Args:
        name: of the network.
        network: where it comes from.
        folder: where trained networks are kept.

    Returns:
        The pipeline.

    Raises:
        FPDMError: it cannot be loaded; the message begins with its name.
        InvalidValueError: likewise, because there is no such folder.
    """
    with _named(name):
        place = folder / name if network.model is None else Path(network.model)
        if network.model == PACKAGED and not place.exists():
            pipe: Any = FPDMPipeline.digits()
        elif not place.is_dir():
            raise InvalidValueError(f"model={network.model!r}: there is no such folder.")
        else:
            pipe = FPDMPipeline.from_pretrained(place)
        pipe.set_progress_bar_config(disable=True)
        return pipe


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except FPDMError as error:
        error.args = (f"networks.{name}: {error}",)
        raise
