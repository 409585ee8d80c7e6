"""The DiT of diffusers, as its folders hold it, with the call of our networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import diffusers
from attrs import frozen
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.models.explicit import Explicit
from fpdm.models.loading import check_whole_network
from fpdm.models.saved import SavedNetwork
from fpdm.solution import Denoised, Visited

THEIRS, THEIR_PIPELINE = "DiTTransformer2DModel", "DiTPipeline"
FOLDER = "transformer"
"""Of the network in a folder of their pipeline."""


class DiffusersDiT(Explicit, SavedNetwork):
    """A `DiTTransformer2DModel` of diffusers as a network of this library.

    It is not a [`DiT`][fpdm.DiT]: each of its blocks embeds timestep and class by itself, and the
    frequencies of the timestep are others. Source: Peebles and Xie, ICCV 2023.

    Args:
        sample_size: height and width of the image or latent.
        in_channels: channels of the image or latent.
        num_classes: classes, without the null class.
        learn_sigma: whether the variance is predicted too, in as many channels again.
        options: what else the configuration of diffusers says.
    """

    name: ClassVar[str] = "diffusers-dit"
    _no_split_modules: ClassVar[list[str]] = ["BasicTransformerBlock"]

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        sample_size: int = 32,
        in_channels: int = 4,
        num_classes: int = 1000,
        learn_sigma: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.transformer = DiTTransformer2DModel(
            sample_size=sample_size,
            in_channels=in_channels,
            out_channels=in_channels * (2 if learn_sigma else 1),
            num_embeds_ada_norm=num_classes,
            **dict(options or {}),
        )

    @property
    def pre_passes(self) -> int:
        """Block passes of a timestep: all of them."""
        return cast("int", self.transformer.config["num_layers"])

    def forward(
        self,
        x: Tensor,
        timestep: Tensor | float,
        class_labels: Tensor,
        *,
        evals: int | None = None,
        history: Sequence[Visited] = (),
    ) -> Denoised:
        """Denoise a batch; called like [`DiT`][fpdm.DiT].

        Args:
            x: noisy images, (B, C, H, W).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            evals: None or 0: there is no implicit layer.
            history: empty: nothing was solved before.

        Returns:
            The prediction, (B, C, H, W), or (B, 2 C, H, W) where the variance is learned; no
            solution.

        Raises:
            InvalidValueError: an input has a wrong shape, or there is something to iterate.
        """
        self.check_nothing_to_iterate(evals, history)
        timestep = self.check_call(x, timestep, class_labels)
        return Denoised(self.transformer(x, timestep=timestep, class_labels=class_labels).sample)


@frozen(eq=False)
class Parts:
    """What a folder of diffusers' `DiTPipeline` holds, as arguments of a pipeline.

    Attributes:
        model: the network.
        scheduler: of diffusers.
        id2label: names of the classes by number; None if there are none.
    """

    model: DiffusersDiT
    scheduler: Any
    id2label: dict[str, str] | None


def is_their_pipeline(folder: Any) -> bool:
    """Whether a folder holds a `DiTPipeline` of diffusers.

    Args:
        folder: the folder, or a name on the hub, which is none.

    Raises:
        InvalidValueError: what it holds cannot be read.
    """
    index = Path(folder) / "model_index.json"
    return index.is_file() and _json(index).get("_class_name") == THEIR_PIPELINE


def open_dit(folder: str | Path, **options: Any) -> DiffusersDiT:
    """Open a network that diffusers has saved.

    Args:
        folder: of a `DiTTransformer2DModel`, or of a `DiTPipeline` with one in `transformer`; or
            its name on the hub.
        options: of diffusers' `from_pretrained`, such as `torch_dtype`.

    Returns:
        The network, in evaluation mode.

    Raises:
        InvalidValueError: the folder holds something else, or weights are missing, too many, or
            not finite.
    """
    place = Path(folder) / str(options.get("subfolder") or "")
    if place.is_dir():
        options.pop("subfolder", None)
        place = place if (place / "config.json").is_file() else place / FOLDER
        _check_class(place)
    try:
        theirs, told = DiTTransformer2DModel.from_pretrained(
            str(place) if place.is_dir() else str(folder),
            **{**options, "output_loading_info": True},
        )
    except Exception as error:  # a damaged file fails in many ways
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidValueError(f"{folder} cannot be opened as a DiT: {reason[0]}") from error
    check_whole_network(folder, told)
    return wrapped(theirs)


def wrapped(theirs: Any) -> DiffusersDiT:
    """Give a network of diffusers the call of ours.

    Args:
        theirs: a `DiTTransformer2DModel`; the very object is used.

    Returns:
        The network, in evaluation mode.

    Raises:
        InvalidValueError: it does not predict one or two values for each of its inputs.
    """
    config = {key: value for key, value in theirs.config.items() if not key.startswith("_")}
    inputs = config.pop("in_channels")
    outputs = config.pop("out_channels") or inputs
    if outputs not in (inputs, 2 * inputs):
        raise InvalidValueError(
            f"The network has {inputs} input channels and {outputs} output channels: must be as "
            f"many, or twice as many where the variance is learned."
        )
    network = DiffusersDiT(
        sample_size=config.pop("sample_size"),
        in_channels=inputs,
        num_classes=config.pop("num_embeds_ada_norm"),
        learn_sigma=outputs > inputs,
        options=config,
    )
    network.transformer = theirs
    return cast("DiffusersDiT", network.eval())


def open_pipeline(folder: str | Path, **options: Any) -> Parts:
    """Open the parts of a `DiTPipeline` of diffusers, but for its autoencoder.

    Args:
        folder: that diffusers has saved.
        options: of diffusers' `from_pretrained`, such as `torch_dtype`.

    Returns:
        Its parts.

    Raises:
        InvalidValueError: one of them cannot be opened.
    """
    place = Path(folder)
    index = _json(place / "model_index.json")
    named = (index.get("scheduler") or [None, None])[1]
    cls = getattr(diffusers, str(named), None)
    if cls is None:
        raise InvalidValueError(f"{folder}: diffusers has no scheduler {named!r}.")
    return Parts(
        model=open_dit(place / FOLDER, **options),
        scheduler=cls.from_pretrained(place / "scheduler"),
        id2label=index.get("id2label"),
    )


def _check_class(folder: Path) -> None:
    said = _json(folder / "config.json").get("_class_name")
    if said != THEIRS:
        raise InvalidValueError(
            f"{folder} holds a {said or 'network of no name'}: must hold a {THEIRS} of diffusers."
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValueError(f"{path} cannot be read: {error}.") from error
    return found if isinstance(found, dict) else {}
