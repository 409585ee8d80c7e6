"""Writing so that a file or folder is there whole, or not at all.

What is written goes to a temporary name beside its target, is flushed to the disk, and takes its
place by one rename. A process killed at any moment leaves the old, the new, or nothing, and beside
it at most a temporary name, which `clear_temporary` removes. So does a loss of power, except where
the flush was left out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".writing-"
"""How temporary names begin."""


@contextmanager
def written_file(target: Path, *, flushed: bool = True) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `target` when the block ends well.

    Args:
        target: the file to write.
        flushed: whether to wait for the disk. For many small files that takes longer than to make
            them; who leaves it out has to check, when it reads them, that they are whole.

    Yields:
        The path to write to; nothing is there yet but an empty file.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{TEMPORARY}{target.name}-")
    beside = Path(name)
    try:
        os.close(handle)
        beside.chmod(0o666 & ~_umask())
        yield beside
        if flushed:
            flush(beside)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if flushed:
        flush(target.parent)


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which becomes `target` when the block ends well.

    What `target` was before, if it was anything, is gone then.

    Args:
        target: the folder to write.

    Yields:
        The folder to fill, which is empty.
    """
    beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{TEMPORARY}{target.name}-"))
    try:
        beside.chmod(0o777 & ~_umask())
        yield beside
        for path in sorted(beside.rglob("*"), reverse=True):  # what is inside comes first
            flush(path)
        flush(beside)
        remove(target)
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    flush(target.parent)


def remove(target: Path) -> None:
    """Remove a file or a folder, if there is one; of a folder, all at once.

    Args:
        target: the file or folder; a link is removed, and not what it leads to.
    """
    if target.is_dir() and not target.is_symlink():
        beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{TEMPORARY}{target.name}-"))
        target.rename(beside / target.name)
        shutil.rmtree(beside)
    else:
        target.unlink(missing_ok=True)


def clear_temporary(folder: Path) -> None:
    """Remove what a killed process has left half written in `folder`.

    Args:
        folder: whose own entries are looked at, and not those below.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's entries, is on the disk.

    Args:
        path: of a file or a folder.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Args:
        path: of the file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
