"""The folders that data sets are read from."""

from __future__ import annotations

import os
from pathlib import Path

from fpdm.errors import InvalidValueError


def existing_folder(root: str | os.PathLike[str]) -> Path:
    """Return `root` as a path.

    Args:
        root: of the folder.

    Raises:
        InvalidValueError: there is no such folder.
    """
    if not isinstance(root, (str, os.PathLike)):
        raise InvalidValueError(f"root={root!r}: must be the path of a folder.")
    folder = Path(root)
    if not folder.is_dir():
        found = "is a file, not a folder" if folder.is_file() else "there is no such folder"
        raise InvalidValueError(f"root={str(root)!r}: {found}.")
    return folder
