"""What is compared with what, as frozen values, and how it is read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, fields, frozen
from attrs.validators import deep_iterable

from fpdm.checks import check_whole, whole
from fpdm.drawing.provenance import SETTINGS
from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.runtime.configs import find, read

CONFIGS = Path(__file__).parent / "configs"
NETWORKS = "networks"
ITERATIONS, CACHE, BUDGET = "iterations", "cache", "budget"
AXES = (*(name for name in SETTINGS if name != "tol"), ITERATIONS, CACHE)
"""What a grid can go over, beside the network: keywords of the pipeline, and two more. With a
tolerance a sample costs what the others of its batch leave it, and cells do not cost the same.
"""

Scalar = str | int | float | bool


@frozen
class Cell:
    """One way to draw samples.

    Attributes:
        network: its name in the comparison.
        settings: keywords of the pipeline, and `iterations` or `cache`.
    """

    network: str
    settings: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The network and what was chosen, in the order of the grid: what a person reads."""
        said = (f"{name}={_written(value)}" for name, value in self.settings.items())
        return " ".join([self.network, *said])

    @property
    def ways(self) -> str:
        """What was chosen beside the budget."""
        some = {name: value for name, value in self.settings.items() if name != BUDGET}
        return " ".join(f"{name}={_written(value)}" for name, value in some.items())


@frozen
class NetworkConfig:
    """Where a network comes from.

    Args:
        model: a folder of a trained network, or `digits`, the one of the package.
        train: in its place, a configuration of training, by name or file: it is trained first.
        set: values in place of those of the configuration, as of `fpdm train --set`.

    Raises:
        InvalidValueError: both are given, or neither.
    """

    model: str | None = None
    train: str | None = None
    set: tuple[str, ...] = field(default=(), converter=tuple)

    def __attrs_post_init__(self) -> None:
        if (self.model is None) == (self.train is None):
            raise InvalidValueError("model, train: one of them must be given, and not both.")
        if self.set and self.train is None:
            raise InvalidValueError("set: must be with `train`.")


@frozen
class CompareConfig:
    """All there is to say about a comparison.

    Args:
        networks: by the names that they have in tables and figures.
        grid: tables of `network`, one or several, and of lists of settings: each makes a cell of
            every combination, and all cells are compared.
        data: the name of the data set that samples are compared with.
        num: samples of a cell and seed.
        seeds: of the noise; their figures say how much is chance.
        batch_size: samples that are drawn at once.
        features: what samples are compared by: `pixels`, `classifier`, or `digits`.

    Raises:
        InvalidValueError: a value is not allowed.
        UnknownNameError: there are no such features, or no such network or setting.
    """

    networks: Mapping[str, NetworkConfig]
    grid: Sequence[Mapping[str, Any]]
    data: str = "digits"
    num: int = field(default=2000, validator=whole(minimum=2))
    seeds: Sequence[int] = field(default=(0, 1, 2), validator=deep_iterable(whole(minimum=0), None))
    batch_size: int = field(default=500, validator=whole(minimum=1))
    features: Sequence[str] = ("pixels",)

    def __attrs_post_init__(self) -> None:
        if not self.networks or not self.grid or not self.seeds or not self.features:
            raise InvalidValueError(
                "networks, grid, seeds, features: there must be one of each at least."
            )
        for name in self.features:
            if name not in FEATURES:
                raise UnknownNameError(f"features: no {name!r}. {suggest(name, FEATURES)}")
        self.cells()

    def cells(self) -> tuple[Cell, ...]:
        """All cells, in the order of the grids, each once.

        Returns:
            At least one.

        Raises:
            InvalidValueError: a grid has no budget, or one that is none.
            UnknownNameError: there is no such network or setting.
        """
        found: dict[str, Cell] = {}
        for number, grid in enumerate(self.grid, start=1):
            for cell in self._of(grid, where=f"grid {number}"):
                found.setdefault(
                    json.dumps([cell.network, dict(sorted(cell.settings.items()))]), cell
                )
        return tuple(found.values())

    def _of(self, grid: Mapping[str, Any], *, where: str) -> Iterator[Cell]:
        axes = {name: value if isinstance(value, list) else [value] for name, value in grid.items()}
        chosen = axes.pop("network", list(self.networks))
        for name in chosen:
            if name not in self.networks:
                raise UnknownNameError(
                    f"{where}: no network {name!r}. {suggest(str(name), self.networks)}"
                )
        for name, given in axes.items():
            if name not in AXES:
                raise UnknownNameError(f"{where}: no setting {name!r}. {suggest(name, AXES)}")
            if not given:
                raise InvalidValueError(f"{where}: {name} is empty: must be one value or more.")
        if BUDGET not in axes:
            raise InvalidValueError(f"{where}: has no budget: must be one number or more.")
        for budget in axes[BUDGET]:
            check_whole(f"{where}: budget", budget, minimum=1)
        for network in chosen:
            for values in itertools.product(*axes.values()):
                yield Cell(network, dict(zip(axes, values, strict=True)))


FEATURES = ("pixels", "classifier", "digits")


def load_comparison(source: str | Path) -> CompareConfig:
    """Read what is to be compared.

    Args:
        source: a TOML file, or the name of one that comes with the package, such as `digits`.

    Returns:
        The configuration, checked.

    Raises:
        InvalidValueError: the file cannot be read, or a value is not allowed.
        UnknownNameError: there is no such file, network or setting.
    """
    path = find(source, packaged=CONFIGS, beside=Path(), what="comparison")
    return structure(read(path, what="comparison"))


def structure(tree: Mapping[str, Any]) -> CompareConfig:
    """Turn plain data into a configuration.

    Args:
        tree: tables by name; what is left out has its default.

    Returns:
        The configuration, checked.

    Raises:
        InvalidValueError: a key is missing or not known, or a value not allowed.
        UnknownNameError: there is no such network or setting.
    """
    networks = tree.get(NETWORKS)
    if not isinstance(networks, Mapping) or not all(
        isinstance(each, Mapping) for each in networks.values()
    ):
        raise InvalidValueError("networks: must be tables such as [networks.fpdit].")
    made = {
        name: _built(NetworkConfig, each, where=f"networks.{name}")
        for name, each in networks.items()
    }
    grid = tree.get("grid")
    if not isinstance(grid, list) or not all(isinstance(each, Mapping) for each in grid):
        raise InvalidValueError("grid: must be tables such as [[grid]].")
    return _built(CompareConfig, {**tree, NETWORKS: made}, where="")


def _built(cls: Any, tree: Mapping[str, Any], *, where: str) -> Any:
    allowed = [each.name for each in fields(cls)]
    prefix = f"{where}: " if where else ""
    for key in tree:
        if key not in allowed:
            raise UnknownNameError(f"{prefix}there is no {key!r}. {suggest(key, allowed)}")
    for each in fields(cls):
        given = tree.get(each.name)
        if given is not None and each.name in _LISTS and not isinstance(given, list):
            raise InvalidValueError(f"{prefix}{each.name}={given!r}: must be a list.")
        if given is not None and each.name in _TEXTS and not isinstance(given, str):
            raise InvalidValueError(f"{prefix}{each.name}={given!r}: must be a string.")
    try:
        return cls(**tree)
    except InvalidValueError as error:
        raise InvalidValueError(f"{prefix}{error}") from error


_LISTS = ("seeds", "features", "set", "grid")
_TEXTS = ("data", "model", "train")


def _written(value: Any) -> str:
    """A setting in a few characters."""
    if isinstance(value, Mapping):
        rest = {name: each for name, each in value.items() if name != "name"}
        options = ",".join(f"{name}={each}" for name, each in rest.items())
        return f"{value.get('name', '')}:{options}" if options else str(value.get("name"))
    return f"{value:g}" if isinstance(value, float) else str(value)
