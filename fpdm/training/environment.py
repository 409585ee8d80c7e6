"""With what a training was run, so that it can be run again."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import fpdm

PACKAGES = ("fpdm", "torch", "diffusers", "accelerate", "numpy", "safetensors", "torchdeq")


def environment(*, processes: int) -> dict[str, Any]:
    """What a training is run with: versions, git revision and machine, as plain data.

    Args:
        processes: how many share the training.
    """
    return {
        "command": sys.argv,
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git_revision": git_revision(Path(fpdm.__file__).parent),
        "processes": processes,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def git_revision(folder: Path) -> str | None:
    """The commit of the repository that a folder is in, `-dirty` if changed; None if in none.

    Args:
        folder: anywhere in the repository.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
