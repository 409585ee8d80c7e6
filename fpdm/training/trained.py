"""A folder that holds a trained network: alone, or as the model of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from attrs import frozen

from fpdm.diffusion.labels import Classes
from fpdm.errors import FPDMError, InvalidValueError
from fpdm.models import SavedNetwork
from fpdm.models.parts import INDEX
from fpdm.training.checkpoints import Checkpoints, read_json
from fpdm.training.folder import CHECKPOINTS

CONFIG = "config.json"
MODEL = "model"


@frozen(eq=False)
class Trained:
    """A trained network in a folder.

    Attributes:
        folder: of the network itself.
        config: what it was built from.
        index: of the pipeline that it is the model of; empty if it is alone.
    """

    folder: Path
    config: dict[str, Any]
    index: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its class."""
        return str(self.config.get("_class_name"))

    @property
    def prediction(self) -> str | None:
        """What it predicts, as it or its pipeline says; None if neither does."""
        return self.config.get("prediction_type") or self.index.get("prediction_type")

    def load(self, cls: type[SavedNetwork]) -> SavedNetwork:
        """Load it, on the CPU.

        Args:
            cls: its class.

        Returns:
            The network, in evaluation mode.

        Raises:
            InvalidValueError: it cannot be loaded; the message says why.
        """
        try:
            return cast("SavedNetwork", cls.from_pretrained(self.folder, local_files_only=True))
        except FPDMError:
            raise
        except Exception as error:  # a damaged file fails in many ways
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise InvalidValueError(f"{self.folder} cannot be loaded: {reason[0]}") from error

    def classes(self, network: SavedNetwork) -> Classes:
        """Its classes, with the names that its pipeline gives them.

        Args:
            network: what was loaded.

        Returns:
            By number and by name.
        """
        return classes_of(network, self.index.get("id2label"))


def classes_of(network: SavedNetwork, names: Any) -> Classes:
    """The classes of a network.

    Args:
        network: that knows classes, or none.
        names: of them, by number; None if they have none.
    """
    return Classes(network.config.get("num_classes") or 0, network.null_class, names)


def find_trained(folder: Path) -> Trained:
    """Look into a folder for a trained network.

    Args:
        folder: that `fpdm train`, `fpdm convert` or `save_pretrained` wrote, or a checkpoint.

    Returns:
        The network, which is not loaded yet.

    Raises:
        InvalidValueError: there is none, or its files cannot be read.
    """
    whole = (folder / INDEX).is_file()
    network = folder / MODEL if whole else folder
    if not (network / CONFIG).is_file():
        newest = max(Checkpoints(folder / CHECKPOINTS).steps(), default=None)
        if newest is not None:
            path = Checkpoints(folder / CHECKPOINTS).path(newest)
            raise InvalidValueError(
                f"{folder} holds no complete model; its newest checkpoint is {path}."
            )
        raise InvalidValueError(
            f"{folder} holds no network: must be a folder that `fpdm train`, `fpdm convert` or "
            f"save_pretrained wrote, or a checkpoint."
        )
    index = read_json(folder / INDEX) if whole else {}
    return Trained(network, read_json(network / CONFIG), index)
