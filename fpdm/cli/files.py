"""Files that the commands read and write, checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, Token

from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from PIL import Image


def _place(_: Any, tokens: Sequence[Token]) -> Path:
    text = tokens[0].value
    if not text or "\0" in text:
        name = tokens[0].keyword or "A path"
        raise InvalidValueError(f"{name}: {text!r} names no file and no folder.")
    return Path(text)


Place = Annotated[Path, Parameter(converter=_place)]
"""A path that names something, which nothing at all does not."""


def check_picture(out: Path) -> None:
    """Check that a PNG can be written to a path.

    Args:
        out: the path.

    Raises:
        InvalidValueError: it cannot.
    """
    check_file(out, (".png",))


def check_file(out: Path, endings: Sequence[str], *, option: str = "--out") -> None:
    """Check that a file of some kind can be written to a path.

    Args:
        out: the path.
        endings: of the names of such files, in small letters.
        option: what names it on the command line.

    Raises:
        InvalidValueError: it cannot.
    """
    if out.suffix.lower() not in endings:
        raise InvalidValueError(f"{option} {out}: must end in {' or '.join(endings)}.")
    if out.is_dir():
        raise InvalidValueError(f"{option} {out}: is a folder; must be a file.")
    if not out.parent.is_dir():
        raise InvalidValueError(f"{option} {out}: there is no folder {out.parent}.")


def write_picture(picture: Image.Image, out: Path) -> None:
    """Write a PNG, all of it or nothing.

    Args:
        picture: what to write.
        out: the file, which may be there.

    Raises:
        StorageError: it cannot be written; a picture that was there is as it was.
    """
    from fpdm.runtime.storage import written_file

    with written_file(out) as beside:
        picture.save(beside, format="PNG")


def check_source(source: Path) -> None:
    """Check that there is a folder to read from.

    Args:
        source: the folder.

    Raises:
        InvalidValueError: there is none.
    """
    if not source.is_dir():
        found = "is a file, not a folder" if source.is_file() else "there is no such folder"
        raise InvalidValueError(f"{source}: {found}.")


def check_new_folder(option: str, folder: Path, *, overwrite: bool) -> None:
    """Check that a folder holds nothing, or may be overwritten.

    Args:
        option: what names the folder on the command line; empty for an argument.
        folder: the folder.
        overwrite: whether what it holds may go.

    Raises:
        InvalidValueError: it holds something and may not, or is a file.
    """
    from fpdm.runtime.storage import things

    if not overwrite and folder.exists() and (not folder.is_dir() or things(folder)):
        raise InvalidValueError(
            f"{folder} already exists: choose another {option or 'folder'}, or add --overwrite."
        )
    if overwrite and folder.is_file():
        raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")


def load_pipeline(folder: Path | None) -> Any:
    """Load a saved pipeline, or the one of the package.

    Args:
        folder: that `fpdm train` or `fpdm convert` wrote; None for the model of the package.

    Returns:
        The pipeline, on the CPU.

    Raises:
        InvalidValueError: the folder holds none, or it cannot be read.
    """
    from diffusers.utils import logging

    from fpdm.pipeline import FPDMPipeline

    logging.disable_progress_bar()
    if folder is None:
        return FPDMPipeline.digits()
    if not (folder / "model_index.json").is_file():
        steps = (folder / "checkpoints").glob("[0-9]*/model_index.json")
        if checkpoints := [path.parent for path in steps if path.parent.name.isdecimal()]:
            newest = max(checkpoints, key=lambda path: int(path.name))
            raise InvalidValueError(
                f"--model {folder} holds no complete model; its newest checkpoint is {newest}."
            )
        raise InvalidValueError(
            f"--model {folder}: must be a folder that `fpdm train` or `fpdm convert` wrote, with a "
            f"model_index.json."
        )
    try:
        return FPDMPipeline.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged file fails in many ways
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidValueError(f"--model {folder} cannot be loaded: {reason[0]}") from error
