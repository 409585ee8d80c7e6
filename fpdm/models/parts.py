"""What a saved pipeline consists of in its folder, and what of a folder may be removed with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

INDEX, LOADER = "model_index.json", "pipeline.py"
PARTS = ("model", "scheduler", "vae")
FILES = (INDEX, LOADER, *PARTS)
"""The names in the folder."""

OURS = re.compile(r"(config|scheduler_config)\.json|diffusion_pytorch_model[.\w-]*")
"""What files of a part are called."""


def is_pipeline(folder: Path) -> bool:
    """Whether a folder holds a pipeline of this library, by what its index says.

    Args:
        folder: which may be missing.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return bool(index["_class_name"] == "FPDMPipeline")
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return False


def remove_pipeline(folder: Path) -> None:
    """Remove the pipeline that a folder holds, if it holds one, and nothing else.

    Args:
        folder: which may be missing.
    """
    if not is_pipeline(folder):
        return
    for name in (INDEX, LOADER):
        (folder / name).unlink(missing_ok=True)
    remove_parts(folder, PARTS)


def remove_parts(folder: Path, names: Iterable[str]) -> None:
    """Remove parts of a pipeline, and their folders where nothing else is in them.

    Args:
        folder: of the pipeline.
        names: of the parts, of which some may be missing.
    """
    for part in (folder / name for name in names):
        if not part.is_dir():
            continue
        for path in list(part.iterdir()):
            if OURS.fullmatch(path.name) and (path.is_file() or path.is_symlink()):
                path.unlink()
        with suppress(OSError):  # something else is in it, or it is a link
            part.rmdir()
