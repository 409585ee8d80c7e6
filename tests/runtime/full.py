"""A disk that is full: files may only grow to so many bytes, or no file may be made at all."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """A context in which no file of this process grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full_after(writes: int, *names: str) -> Iterator[list[str]]:
    """A context in which operations of these names fail for lack of room, after so many."""
    done: list[str] = []
    real = {name: getattr(os, name) for name in names}

    def failing(name):
        def operation(*args, **options):
            done.append(name)
            if len(done) > writes:
                about = () if isinstance(args[0], int) else (str(args[0]),)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *about)
            return real[name](*args, **options)

        return operation

    with pytest.MonkeyPatch.context() as patched:
        for name in names:
            patched.setattr(os, name, failing(name))
        yield done


def tree(folder) -> dict[str, bytes]:
    """Everything below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
