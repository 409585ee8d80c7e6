"""A folder in use: one process, or the processes of one launcher, and in each one thread.

The lock is the operating system's, on a file in the folder, and goes when the process ends, however
it ends. What is written in the file is only for the sentence that others are told.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fpdm.errors import FPDMError, InvalidValueError, StorageError
from fpdm.runtime.storage import LOCK, naming

if TYPE_CHECKING:
    from accelerate import PartialState

try:
    import fcntl
except ImportError:  # a system that has no such locks
    fcntl = None  # type: ignore[assignment]

TAKEN = (errno.EACCES, errno.EAGAIN)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
LONGEST = 80
"""Letters of a command in a message."""


@frozen
class _Holder:
    """Who uses a folder."""

    process: int
    thread: int


_holders: dict[str, _Holder] = {}
_guard = threading.Lock()


@contextmanager
def in_use(folder: Path, *, nested: bool = False) -> Iterator[None]:
    """A context in which nobody else may write into a folder.

    The folder is made if it is not there, and removed again if it is empty at the end. A lock that
    a dead process has left is taken over. A folder in which nothing can be written needs no lock.

    Args:
        folder: the folder.
        nested: whether the thread that has it in use already may take it once more.

    Raises:
        InvalidValueError: it is a file.
        StorageError: it is in use, the message says by which process; or it cannot be made.

    Warns:
        UserWarning: the file system keeps no locks.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")
    real, here = os.path.realpath(folder), _Holder(os.getpid(), threading.get_ident())
    with _guard:
        holder = _holders.get(real)
        mine = holder is not None and holder.process == here.process  # and not before a fork
        if mine and not (nested and holder == here):
            raise _taken(folder, f"process {here.process}, which is this one")
        _holders[real] = here
    if mine:
        yield
        return
    try:
        with _made(folder), _locked(folder):
            yield
    finally:
        with _guard:
            if _holders.get(real) == here:
                del _holders[real]


@contextmanager
def in_use_together(folder: Path, here: PartialState) -> Iterator[None]:
    """A context of `in_use` for the processes of a launcher: process 0 has the lock for all.

    Args:
        folder: the folder.
        here: this process; all of them have to call it.

    Raises:
        FPDMError: in all of them, what process 0 was refused for.
    """
    with ExitStack() as stack:
        refused: FPDMError | None = None
        if here.is_main_process:
            try:
                stack.enter_context(in_use(folder))
            except FPDMError as error:
                refused = error
        if here.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            said = broadcast_object_list([None if refused is None else str(refused)])[0]
            if said is not None and refused is None:
                refused = StorageError(said, path=folder)
        if refused is not None:
            raise refused
        yield


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A context in which a folder is there; those that were made for it go if they stay empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # it holds something by now
            for path in missing:
                path.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / LOCK
    handle = _lock(folder, path)
    if handle is None:
        yield
        return
    process = os.getpid()
    try:
        with suppress(OSError):  # a full disk: the lock is held all the same
            os.ftruncate(handle, 0)
            os.write(handle, _self().encode())
        yield
    finally:
        if os.getpid() == process:  # and not in a fork of it
            path.unlink(missing_ok=True)
            os.close(handle)


def _lock(folder: Path, path: Path) -> int | None:
    """Lock a file, and return its handle; None where there can be no lock."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno in READ_ONLY and not path.exists():
                return None
            with naming(path):
                raise
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            said = path.read_text(encoding="utf-8", errors="replace")
            os.close(handle)
            if error.errno in TAKEN:
                raise _taken(folder, _who(said)) from error
            warnings.warn(
                f"{folder} cannot be locked ({os.strerror(error.errno or 0)}): see that nothing "
                f"else writes into it.",
                UserWarning,
                stacklevel=6,
            )
            return None
        if _is_still(handle, path):
            return handle
        os.close(handle)  # of one that was just given up


def _is_still(handle: int, path: Path) -> bool:
    """Whether an open file is what stands under a path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _self() -> str:
    about = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().isoformat(" ", "seconds"),
        "command": shlex.join(sys.argv),
    }
    return json.dumps(about) + "\n"


def _who(said: str) -> str:
    """Whoever has a folder in use, as its lock says, in words."""
    try:
        about = json.loads(said)
        command = str(about["command"])
        shown = command if len(command) <= LONGEST else f"{command[:LONGEST]}…"
        return (
            f"process {about['process']} on {about['host']} since {about['since']} "
            f"({' '.join(shown.split())})"
        )
    except (ValueError, TypeError, KeyError):
        return "another process"


def _taken(folder: Path, who: str) -> StorageError:
    return StorageError(
        f"{folder} is in use by {who}: wait until that ends, or choose another folder.", path=folder
    )
