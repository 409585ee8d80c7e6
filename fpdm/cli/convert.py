"""`fpdm convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fpdm.cli import console
from fpdm.cli.components import Whole
from fpdm.cli.files import Place, check_new_folder
from fpdm.errors import InvalidValueError

EXAMPLES = (
    "fpdm convert DiT-XL-2-256x256.pt models/dit-xl --vae stabilityai/sd-vae-ft-ema",
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
    prediction: str = "epsilon",
    vae: str | None = None,
    id2label: Place | None = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Read a published DiT or FPDM checkpoint, and save it as a pipeline of this library.

    Depths, width, patches, channels, classes and the learned variance are read off the shapes of
    the tensors. Nothing is loaded but tensors: a file that holds code is refused.

    Args:
        source: a state dict or a training checkpoint (`.pt`), or `.safetensors`.
        target: the folder to write.
        weights: which of a training checkpoint, `ema` or `model`; `ema` if it has both.
        num_heads: attention heads; if not given, those of the published network of this width, and
            heads of size 64 for other widths.
        num_classes: classes; if not given, what a training checkpoint says of itself, or else one
            less than the label table has rows, the last one standing for no class.
        condition_pre_post_on_timestep: whether the explicit layers of an FPDM see the timestep.
        prediction: what the network predicts: `epsilon`, `v_prediction`, `sample` or `flow`.
        vae: folder or hub name of the `AutoencoderKL` whose latents the network draws; without
            one the pipeline draws latents.
        id2label: a JSON file with the name of each class by its number.
        overwrite: whether `target` may already hold something.
    """
    from fpdm.diffusion import Diffusion, load_vae
    from fpdm.models import load_published
    from fpdm.pipeline import PIXEL_CHANNELS, FPDMPipeline
    from fpdm.runtime.locks import in_use

    target = target.resolve()  # a link stays one
    _check_target(target, overwrite=overwrite)
    diffusion = Diffusion(prediction)
    names = None if id2label is None else _read_names(id2label)
    network = load_published(
        source,
        weights=weights,
        num_heads=num_heads,
        num_classes=num_classes,
        condition_pre_post_on_timestep=condition_pre_post_on_timestep,
    )
    learned = network.config["learn_sigma"]
    sampler = None if prediction == "flow" else "ddpm"
    scheduler = diffusion.scheduler(sampler, learned_variance=learned)
    autoencoder = None if vae is None else load_vae(vae)
    pipe = FPDMPipeline(network, scheduler, vae=autoencoder, id2label=names)
    with in_use(target):
        _check_target(target, overwrite=overwrite)
        _save(pipe, target)
    console.table(f"{type(network).__name__} of {source.name}", ("size", ""), _summary(network))
    if network.config["stored_positions"]:
        console.note("pos_embed is not the usual sines and cosines; it is kept as it is.")
    if vae is None and network.config["in_channels"] not in PIXEL_CHANNELS:
        console.note("without --vae the pipeline draws latents: ask it for output_type='latent'.")
    console.say(f"Saved to {target}. Load with: fpdm.FPDMPipeline.from_pretrained({str(target)!r})")


def _summary(network: Any) -> list[tuple[str, str]]:
    config = network.config
    shown = [
        *("depth", "pre_depth", "post_depth", "hidden_size", "num_heads", "mlp_ratio"),
        *("patch_size", "sample_size", "in_channels", "num_classes", "has_null_class"),
        *("learn_sigma", "condition_pre_post_on_timestep"),
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
