"""Writing so that a file or folder is there whole, or not at all.

What is written goes to a temporary name beside its target, is flushed to the disk, and takes its
place by one rename. A process killed at any moment leaves the old, the new, or nothing, and beside
it at most a temporary name, which `clear_temporary` removes. So does a loss of power, except where
the flush was left out. What cannot be written, on a full disk say, is a `StorageError` that names
the target, and leaves nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fpdm.errors import StorageError

TEMPORARY = ".writing-"
"""How temporary names begin."""

LOCK = ".fpdm-lock"
"""The file by which a folder is in use; see `fpdm.runtime.locks`."""

LONGEST = 60
"""Letters of a target that its temporary name takes: a name has 255 bytes at most."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RUST = re.compile(r"\(os error (\d+)\)")
"""How the number of an error stands in what safetensors raises."""

SHARD = re.compile(r".+-\d{5}-of-\d{5}\.\w+|.+\.index(\.\w+)?\.json")
"""A part of weights that are spread over files, or the index of these."""


@contextmanager
def naming(target: Path, *, beside: Path | None = None) -> Iterator[None]:
    """A context in which what cannot be written is named.

    Args:
        target: what is written.
        beside: where it is written first; an error about another file is passed on as it is.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        yield
    except Exception as error:
        number = _errno(error)
        other = getattr(error, "filename", None)
        if number is None or (other is not None and not _is_in(other, target, beside)):
            raise
        hint = "; make room, and run it again" if number in FULL else ""
        raise StorageError(
            f"{target} cannot be written: {os.strerror(number)}{hint}.", errno=number, path=target
        ) from error


@contextmanager
def written_file(target: Path, *, flushed: bool = True) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `target` when the block ends well.

    Args:
        target: the file to write.
        flushed: whether to wait for the disk. For many small files that takes longer than to make
            them; who leaves it out has to check, when it reads them, that they are whole.

    Yields:
        The path to write to; nothing is there yet but an empty file.

    Raises:
        StorageError: it cannot be written; what was there is as it was.
    """
    place = target.resolve() if target.is_symlink() else target  # a link stays one
    with naming(target, beside=place.parent):
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=_prefix(target))
        os.close(handle)
    beside = Path(name)
    with naming(target, beside=beside):
        try:
            beside.chmod(place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask())
            yield beside
            if flushed:
                flush(beside)
            beside.replace(place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    if flushed:
        with naming(target, beside=place.parent):
            flush(place.parent)


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which becomes `target` when the block ends well.

    What `target` was before, if it was anything, is gone then.

    Args:
        target: the folder to write.

    Yields:
        The folder to fill, which is empty.

    Raises:
        StorageError: it cannot be written; what was there is as it was.
    """
    with naming(target, beside=target.parent):
        beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=_prefix(target)))
    with naming(target, beside=beside):
        try:
            beside.chmod(0o777 & ~_umask())
            yield beside
            _flush_all(beside)
            remove(target)
            beside.rename(target)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    with naming(target, beside=target.parent):
        flush(target.parent)


@contextmanager
def written_parts(folder: Path, *, last: str | None = None) -> Iterator[Path]:
    """Give an empty folder to fill, whose files take their places in `folder` when the block ends.

    What else is in `folder` stays, but for shards of weights that the new ones replace.

    Args:
        folder: where the files go; it is made if it is not there.
        last: the file that makes the others whole: it is removed before they change, and comes
            last.

    Yields:
        The folder to fill, which is empty.

    Raises:
        StorageError: they cannot be written; what was there is as it was.
    """
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder, prefix=TEMPORARY))
    with naming(folder, beside=beside):
        try:
            yield beside
            _flush_all(beside)
            _move(beside, folder, last)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        flush(folder)


def _move(beside: Path, folder: Path, last: str | None) -> None:
    """Let the files of one folder take their places in another."""
    parts = {path.relative_to(beside): path for path in beside.rglob("*") if path.is_file()}
    for part in parts:  # first what may fail
        (folder / part.parent).mkdir(parents=True, exist_ok=True)
    if last is not None and Path(last) in parts:
        (folder / last).unlink(missing_ok=True)
    for part, path in sorted(parts.items(), key=lambda found: found[0].as_posix() == last):
        path.replace(folder / part)
    for place in {part.parent for part in parts}:
        for old in (folder / place).iterdir():
            if SHARD.fullmatch(old.name) and place / old.name not in parts:
                old.unlink()


def remove(target: Path) -> None:
    """Remove a file or a folder, if there is one; of a folder, all at once.

    Args:
        target: the file or folder; a link is removed, and not what it leads to.
    """
    if target.is_dir() and not target.is_symlink():
        beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=_prefix(target)))
        target.rename(beside / target.name)
        shutil.rmtree(beside)
    else:
        target.unlink(missing_ok=True)


def things(folder: Path) -> list[str]:
    """The names of what a folder holds, without what is only there while something is written.

    Args:
        folder: the folder, which may be missing.
    """
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in held if name != LOCK and not name.startswith(TEMPORARY)]


def clear_temporary(folder: Path) -> None:
    """Remove what a killed process has left half written in `folder`.

    Args:
        folder: whose own entries are looked at, and not those below.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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


def _flush_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside comes first
        flush(path)
    flush(folder)


def _prefix(target: Path) -> str:
    """How the temporary name of a target begins."""
    return f"{TEMPORARY}{target.name[:LONGEST]}-"


def _errno(error: Exception) -> int | None:
    """The number of what the system refused; None if it refused nothing."""
    if isinstance(error, OSError):
        return error.errno
    if type(error).__name__ == "SafetensorError" and (found := RUST.search(str(error))):
        return int(found[1])
    return None


def _is_in(name: object, *folders: Path | None) -> bool:
    """Whether a path is one of these, or below one."""
    path = Path(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else Path()
    return any(folder is not None and path.is_relative_to(folder) for folder in folders)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
