"""`fpdm convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fpdm.checks import check_choice
from fpdm.cli import console
from fpdm.cli.components import Whole
from fpdm.cli.files import Place, check_new_folder
from fpdm.errors import InvalidValueError

EXAMPLES = (
    "fpdm convert DiT-XL-2-256x256.pt models/dit-xl --vae stabilityai/sd-vae-ft-ema",
    "fpdm convert SiT-XL-2-256.pt models/sit-xl --prediction flow --clock sit",
    "fpdm convert 0400000.pt models/fpdm --no-condition-pre-post-on-timestep",
)


def convert(
    source: Place,
    target: Place,
    /,
    *,
    weights: str | None = None,
    num_heads: Whole | None = None,
    num_classes: Whole | None = None,
    condition_pre_post_on_timestep: bool = True,
    prediction: str | None = None,
    clock: str | None = None,
    vae: str | None = None,
    id2label: Place | None = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Read a published DiT, SiT or FPDM checkpoint, and save it as a pipeline of this library.

    Depths, width, patches, channels, classes and the learned variance are read off the shapes of
    the tensors. Nothing is loaded but tensors: a file that holds code is refused.

    Args:
        source: a state dict or a training checkpoint (`.pt`), or `.safetensors`; or a folder of
            diffusers, with a `DiTTransformer2DModel` or a whole `DiTPipeline` in it.
        target: the folder to write.
        weights: which of a training checkpoint, `ema` or `model`; `ema` if it has both.
        num_heads: attention heads; if not given, those of the published network of this width, and
            heads of size 64 for other widths.
        num_classes: classes; if not given, what a training checkpoint says of itself, or else one
            less than the label table has rows, the last one standing for no class.
        condition_pre_post_on_timestep: whether the explicit layers of an FPDM see the timestep.
        prediction: what the network predicts: `epsilon`, `v_prediction`, `sample`, `flow` (the
            image less the noise) or `flow_prediction` (the noise less the image); if not given,
            `flow` for a training checkpoint of SiT, and else `epsilon`.
        clock: of what a network of flow matching is told, from the image to the noise: `sit`, 1 to
            0, as SiT has it; `unit`, 0 to 1; or `thousand`, 0 to 1000. It cannot be told from the
            weights, and must be given, but for a training checkpoint of SiT.
        vae: folder or hub name of the `AutoencoderKL` whose latents the network draws; without
            one the pipeline draws latents.
        id2label: a JSON file with the name of each class by its number.
        overwrite: whether `target` may already hold something.
    """
    from fpdm.checks import shows
    from fpdm.diffusion import load_vae
    from fpdm.models import load_published
    from fpdm.models.diffusers_dit import is_their_pipeline
    from fpdm.pipeline import FPDMPipeline
    from fpdm.runtime.locks import in_use

    target = target.resolve()  # a link stays one
    _check_target(target, overwrite=overwrite)
    check_said(source, prediction, clock)
    names = None if id2label is None else _read_names(id2label)
    network = load_published(
        source,
        weights=weights,
        num_heads=num_heads,
        num_classes=num_classes,
        condition_pre_post_on_timestep=condition_pre_post_on_timestep,
        clock=clock,
    )
    told = network.config.get("clock")
    if prediction is None:
        prediction = "flow" if told in ("sit", "unit") else "epsilon"
    autoencoder = None if vae is None else load_vae(vae)
    if is_their_pipeline(source):
        pipe = FPDMPipeline.from_pretrained(source)
        autoencoder = pipe.vae if autoencoder is None else autoencoder
        names = pipe.config["id2label"] if names is None else names
        pipe = FPDMPipeline(network, pipe.scheduler, vae=autoencoder, id2label=names)
    else:
        scheduler = scheduler_of(prediction, learned_variance=network.config["learn_sigma"])
        pipe = FPDMPipeline(
            network,
            scheduler,
            vae=autoencoder,
            id2label=names,
            prediction_type=prediction,
        )
    with in_use(target):
        _check_target(target, overwrite=overwrite)
        _save(pipe, target)
    console.table(f"{type(network).__name__} of {source.name}", ("size", ""), _summary(network))
    if network.config.get("stored_positions"):
        console.note("pos_embed is not the usual sines and cosines; it is kept as it is.")
    if pipe.vae is None and not shows(pipe.sample_shape):
        console.note("without --vae the pipeline draws latents: ask it for output_type='latent'.")
    console.say(f"Saved to {target}. Load with: fpdm.FPDMPipeline.from_pretrained({str(target)!r})")


def check_said(source: Path, prediction: str | None, clock: str | None) -> None:
    """Check what is said of a network, as far as it can be before it is read.

    Args:
        source: of its weights.
        prediction: what it is said to predict.
        clock: its clock.

    Raises:
        InvalidValueError: there is no such prediction or clock; or the name of the file is that of
            a SiT, and nothing is said.
    """
    from fpdm.models.published import is_sit
    from fpdm.models.size import CLOCKS
    from fpdm.models.weights import read_checkpoint
    from fpdm.solution import PREDICTIONS

    if prediction is not None:
        check_choice("prediction", prediction, choices=PREDICTIONS)
    if clock is not None:
        check_choice("clock", clock, choices=CLOCKS)
    named = is_sit(source.name) and source.is_file()
    if named and prediction is None and clock is None and not is_sit(read_checkpoint(source).model):
        raise InvalidValueError(
            f"{source.name} is named after SiT, and does not say what it predicts: add "
            f"--prediction flow --clock sit, or --prediction epsilon if it is a DiT."
        )


def scheduler_of(prediction: str, *, learned_variance: bool) -> Any:
    """The scheduler that samples from a published process.

    Args:
        prediction: what the network predicts.
        learned_variance: whether it predicts the variance too.

    Returns:
        A scheduler of diffusers.
    """
    from fpdm.diffusion import Diffusion

    if prediction in ("flow", "flow_prediction"):
        return Diffusion("flow").scheduler()
    return Diffusion(prediction).scheduler("ddpm", learned_variance=learned_variance)


def _summary(network: Any) -> list[tuple[str, str]]:
    config = network.config
    shown = [
        *("depth", "pre_depth", "post_depth", "hidden_size", "num_heads", "mlp_ratio"),
        *("patch_size", "sample_size", "in_channels", "num_classes", "has_null_class"),
        *("learn_sigma", "condition_pre_post_on_timestep", "clock"),
    ]
    count = sum(parameter.numel() for parameter in network.parameters())
    rows = [(name, str(config[name])) for name in shown if name in config]
    return [*rows, ("parameters", f"{count:,}"), ("dtype", str(network.dtype))]


def _read_names(path: Path) -> dict[str, str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"--id2label {path} cannot be read as JSON: {error}.") from error
    if not isinstance(names, dict):
        raise InvalidValueError(f"--id2label {path}: must map numbers of classes to names.")
    return names


def _check_target(target: Path, *, overwrite: bool) -> None:
    """See that nothing would be lost but a pipeline that may go."""
    from fpdm.models import parts
    from fpdm.runtime.storage import things
    from fpdm.training.folder import holds_checkpoints

    check_new_folder("", target, overwrite=overwrite)
    if holds_checkpoints(target):
        raise InvalidValueError(
            f"{target} holds a training with its checkpoints: choose another folder."
        )
    taken = [name for name in things(target) if name in parts.FILES]
    if taken and not parts.is_pipeline(target):
        raise InvalidValueError(
            f"{target} holds {', '.join(taken)}, and no pipeline of this library, so that nothing "
            f"in it is removed: choose another folder."
        )


def _save(pipe: Any, target: Path) -> None:
    """Save it; of what was there before, remove what the new pipeline has not."""
    from fpdm.models import parts
    from fpdm.training.folder import CONFIG

    before = parts.is_pipeline(target)
    pipe.save_pretrained(target)
    if before:
        parts.remove_parts(target, () if pipe.vae is not None else ["vae"])
        (target / CONFIG).unlink(missing_ok=True)
