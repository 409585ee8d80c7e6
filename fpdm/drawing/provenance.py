"""What the images of a folder depend on, kept beside them."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

import fpdm
from fpdm import plugins
from fpdm.errors import InvalidValueError, UnknownNameError, suggest
from fpdm.pipeline import FPDMPipeline
from fpdm.plugins.components import implements
from fpdm.runtime.storage import naming, things, written_file

RECORD = "samples.json"

SETTINGS = (
    *("budget", "num_inference_steps", "solver", "allocation", "init", "scheduler"),
    *("guidance_scale", "guidance_channels", "guidance_interval", "timesteps", "sigmas", "spacing"),
    *("eta", "tol"),
)
"""Keywords of the pipeline that images depend on."""

STRATEGIES = ("solver", "allocation", "init")
SHOWN = 40
"""Characters of a value that a message can hold."""

Record = dict[str, Any]


def describe(
    pipe: FPDMPipeline,
    *,
    seed: int,
    asked: Mapping[str, Any],
    batch_size: int,
    settings: Mapping[str, Any],
) -> Record:
    """The record of all that images depend on, as plain data that can be saved.

    Args:
        pipe: what draws them.
        seed: of the noise.
        asked: what each is to be, as plain data.
        batch_size: images that are drawn at once.
        settings: of `SETTINGS`; what is left out has the default of the pipeline.

    Raises:
        UnknownNameError: there is no such setting or component.
        InvalidValueError: a component is not described as one.
    """
    for name in settings:
        if name not in SETTINGS:
            raise UnknownNameError(f"There is no setting {name!r}. {suggest(name, SETTINGS)}")
    parameters = inspect.signature(FPDMPipeline.__call__).parameters
    chosen = {name: settings.get(name, parameters[name].default) for name in SETTINGS}
    for kind in STRATEGIES:
        if chosen[kind] is not None:
            chosen[kind] = plugins.resolve(kind, chosen[kind])
    record = {
        "model": str(pipe.config.get("_name_or_path") or ""),
        "model_sha256": fingerprint(pipe),
        "seed": seed,
        **asked,
        "batch_size": batch_size,
        **{name: _plain(value) for name, value in chosen.items()},
        **_calibration(pipe, chosen["allocation"]),
        "versions": _versions(pipe, [chosen[kind] for kind in STRATEGIES]),
    }
    return dict(json.loads(json.dumps(record, default=_to_list)))  # as it is read again


def fingerprint(pipe: FPDMPipeline) -> str:
    """The SHA-256 of all that a pipeline computes with: configurations and tensors.

    Two pipelines have the same one if they compute the same, from wherever they were loaded.

    Args:
        pipe: the pipeline.
    """
    digest = hashlib.sha256(_line([pipe.config["prediction_type"], _plain(pipe.scheduler)]))
    for part in (pipe.model, pipe.vae):
        if part is not None:
            digest.update(_line(_plain(part)))
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(_line([name, str(tensor.dtype), list(tensor.shape)]))
                digest.update(_bytes(tensor))
    return digest.hexdigest()


def is_kept(record: Record, folder: Path) -> bool:
    """Whether `folder` holds this record; False if it holds nothing, or is not there.

    Args:
        record: as `describe` makes it.
        folder: of the images.

    Raises:
        InvalidValueError: it holds another record, or other things and none; or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")
    # listed first: whoever draws into the folder too has written the record before its images
    others = things(folder)
    if (folder / RECORD).exists():
        _check_same(_read(folder / RECORD), record, folder)
        return True
    if others:
        raise InvalidValueError(
            f"{folder} holds {others[0]}, and no {RECORD}: choose an empty folder or a new one."
        )
    return False


def keep(record: Record, folder: Path) -> None:
    """Write the record into `folder`, which is made if it is not there.

    Args:
        record: as `describe` makes it.
        folder: of the images.
    """
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items()]
    with written_file(folder / RECORD) as beside:
        beside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _read(path: Path) -> Record:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise TypeError("it holds no object")
        return record
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidValueError(
            f"{path} cannot be read: {error}; choose another folder."
        ) from error


def _check_same(there: Record, now: Record, folder: Path) -> None:
    """Raise `InvalidValueError` unless two records agree; where the model lies does not matter."""
    names = [name for name in {**now, **there} if name != "model"]
    if differing := [name for name in names if there.get(name) != now.get(name)]:
        shown = ", ".join(_difference(name, there.get(name), now.get(name)) for name in differing)
        raise InvalidValueError(
            f"{folder} holds images of other settings: {shown}; give those to go on, or choose "
            f"another folder."
        )


def _difference(name: str, there: Any, now: Any) -> str:
    """A setting, and both of its values where they are short."""
    if name == "versions" and isinstance(there, dict):
        package = next(key for key in {**now, **there} if there.get(key) != now.get(key))
        return f"versions ({package} {there.get(package)} there, {now.get(package)} now)"
    values = json.dumps(there), json.dumps(now)
    if max(map(len, values)) > SHOWN:
        return name
    return f"{name} ({values[0]} there, {values[1]} now)"


def _calibration(pipe: FPDMPipeline, allocation: Any) -> dict[str, str]:
    """The calibration that iterations are spread by, if they are."""
    known = pipe.calibration_for(allocation)
    return {} if known is None else {"calibration_sha256": known.digest}


def _versions(pipe: FPDMPipeline, strategies: Iterable[Any]) -> dict[str, str]:
    """Of the libraries that compute, and of the packages that the components come from."""
    layer = getattr(pipe.model, "layer", None)
    own = () if layer is None else (layer.solver, layer.init)
    used = {type(part) for part in (pipe.model, *strategies, *own)}
    origins = [found.origin for found in plugins.host().components() if found.cls in used]
    return {
        "fpdm": fpdm.__version__,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        **{origin.package: origin.version for origin in origins if origin.package},
    }


def _plain(value: Any) -> Any:
    """A setting, or the class and public configuration of what has one, as plain data."""
    if any(implements(value, plugins.KINDS[kind].interface) for kind in STRATEGIES):
        return plugins.describe(value)
    if hasattr(value, "config"):
        public = {name: v for name, v in value.config.items() if not name.startswith("_")}
        return {"name": type(value).__name__, **public}
    return value


def _line(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=_to_list).encode()


def _to_list(value: Any) -> Any:
    """Arrays and tensors in a configuration."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _bytes(tensor: Tensor) -> Any:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()
