"""`fpdm convert`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fpdm.cli import console
from fpdm.cli.components import Whole
from fpdm.cli.files import check_new_folder
from fpdm.diffusion.autoencoder import load_vae
from fpdm.errors import InvalidValueError

EXAMPLES = (
    "fpdm convert DiT-XL-2-256x256.pt models/dit-xl --vae stabilityai/sd-vae-ft-ema",
    "fpdm convert 0400000.pt models/fpdm --no-condition-pre-post-on-timestep",
)


def convert(
    source: Path,
    target: Path,
    /,
    *,
    weights: str | None = None,
    num_heads: Whole | None = None,
    num_classes: Whole | None = None,
    condition_pre_post_on_timestep: bool = True,
    prediction: str = "epsilon",
    vae: str | None = None,
    id2label: Path | None = None,
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
    from fpdm.diffusion import Diffusion
    from fpdm.models import load_published
    from fpdm.pipeline import PIXEL_CHANNELS, FPDMPipeline

    target = target.resolve()  # a link stays one
    check_new_folder("", target, overwrite=overwrite)
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


def _save(pipe: Any, target: Path) -> None:
    """Write beside the target first, so that a failure leaves nothing half there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as beside:
        saved = Path(beside) / "pipeline"
        pipe.save_pretrained(saved)
        replaced = Path(beside) / "replaced"
        if target.exists():
            target.rename(replaced)
        try:
            saved.rename(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise
        if replaced.exists():
            _keep_others(replaced, target)


def _keep_others(replaced: Path, target: Path) -> None:
    """Move back what no model consists of, such as a card or a picture."""
    model = {path.name for path in target.iterdir()} | {"vae", "training.json"}
    for path in replaced.iterdir():
        if path.name not in model:
            path.rename(target / path.name)
