"""The image files below a folder, and their classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from fpdm.data.paths import existing_folder
from fpdm.errors import InvalidValueError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@frozen
class Listing:
    """Image files, in an order that is the same on every file system.

    Attributes:
        root: the folder.
        files: their paths below it, with `/` between the parts.
        labels: the class of each; 0 where there are no classes.
        class_names: by number; empty where there are no classes.
    """

    root: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    def path(self, index: int) -> Path:
        """The path of a file.

        Args:
            index: which, from 0.
        """
        return self.root / self.files[index]

    def fingerprint(self) -> str:
        """A SHA-256 of the names and sizes of the files; wherever the root is, it is the same."""
        digest = hashlib.sha256()
        for index, name in enumerate(self.files):
            try:
                size = self.path(index).stat().st_size
            except OSError:  # such as a link that leads nowhere
                size = -1
            digest.update(f"{name}\0{size}\0".encode())
        return digest.hexdigest()


def list_images(root: str | os.PathLike[str]) -> Listing:
    """List the images of `root/class/…`, or, without folders of classes, those of `root`.

    Classes are numbered in the order of their names. Hidden files, other files and folders without
    an image are passed over.

    Args:
        root: the folder.

    Returns:
        The files, class by class, each in the order of their names.

    Raises:
        InvalidValueError: there is no such folder, no image in it, or images both beside and in
            folders of classes; or a folder may not be read.
    """
    folder = existing_folder(root)
    try:
        loose, classes = _sort(folder)
    except OSError as error:
        raise InvalidValueError(f"{error.filename} cannot be listed: {error.strerror}.") from error
    if loose and classes:
        nested = next(iter(classes.values()))[0]
        raise InvalidValueError(
            f"{folder} holds {loose[0]} beside {nested}: either put every image into the folder of "
            f"its class, or none."
        )
    if not (loose or classes):
        raise InvalidValueError(
            f"{folder} holds no image: must hold {', '.join(SUFFIXES)} files, or one folder of "
            f"them for each class."
        )
    groups = list(classes.values()) or [loose]
    return Listing(
        root=folder,
        files=tuple(name for group in groups for name in group),
        labels=tuple(label for label, group in enumerate(groups) for _ in group),
        class_names=tuple(classes),
    )


def _sort(root: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The images directly in a folder, and those of each class."""
    above = frozenset({os.path.realpath(root)})
    loose, classes = [], {}
    for entry in _entries(root):
        if entry.is_dir():
            if found := list(_below(entry, f"{entry.name}/", above)):
                classes[entry.name] = found
        elif _is_image(entry):
            loose.append(entry.name)
    return loose, classes


def _below(folder: os.DirEntry[str], prefix: str, above: frozenset[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:  # a link back to a folder that it lies in
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/", above | {real})
        elif _is_image(entry):
            yield f"{prefix}{entry.name}"


def _entries(folder: os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in shown:
        if any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            raise InvalidValueError(
                f"{os.fspath(folder)} holds {entry.name!a}, whose name is not UTF-8: rename it."
            )
    return sorted(shown, key=lambda entry: entry.name)


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether it is called one; a link that leads nowhere too, so that it is missed later."""
    named = entry.name.lower().endswith(SUFFIXES)
    return named and (entry.is_file() or entry.is_symlink())
