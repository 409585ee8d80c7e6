"""The image files below a folder, and their classes.

Classes are numbered in the natural order of their names, `2` before `10`. The order of text, in
which `10` comes before `2`, and the few kinds of files that were read along with it, stay for what
was begun with them.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from pathlib import Path

from attrs import frozen

from fpdm.data.decoding import OLD_SUFFIXES, suffixes
from fpdm.data.paths import existing_folder
from fpdm.errors import DataWarning, InvalidValueError, listed, shown

ORDERS = ("natural", "text")
SHOWN, FEW = 5, 3  # names in a sentence
UNREAD = (
    *(".heic", ".heif", ".jxl", ".jp2", ".j2k", ".psd", ".svg", ".tga", ".ico", ".exr", ".hdr"),
    *(".dng", ".nef", ".cr2", ".cr3", ".arw", ".raw", ".eps", ".pcx", ".avif", ".webp"),
)
"""Suffixes of pictures that are missed where they are not read."""


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


def list_images(root: str | os.PathLike[str], *, order: str = "natural") -> Listing:
    """List the images of `root/class/…`, or, without folders of classes, those of `root`.

    Hidden files, other files and folders without an image are passed over.

    Args:
        root: the folder.
        order: of the classes: `natural`, or `text`, with which only PNG, JPEG and WebP files are
            found, as in versions that knew nothing else.

    Returns:
        The files, class by class, each in the order of their names.

    Raises:
        InvalidValueError: there is no such folder, no image in it, or images both beside and in
            folders of classes; or a folder may not be read.

    Warns:
        DataWarning: folders hold files, and none of a kind that is read; or pictures are of kinds
            that are not read.
    """
    folder = existing_folder(root)
    found = _Found(suffixes() if order == "natural" else OLD_SUFFIXES)
    try:
        found.sort(folder)
    except OSError as error:
        raise InvalidValueError(f"{error.filename} cannot be listed: {error.strerror}.") from error
    loose, classes = found.loose, found.classes
    if loose and classes:
        nested = next(iter(classes.values()))[0]
        raise InvalidValueError(
            f"{folder} holds {loose[0]} beside {nested}: either put every image into the folder of "
            f"its class, or none."
        )
    if not (loose or classes):
        others = found.others()
        instead = f", but {listed(others, FEW)}" if others else ""
        raise InvalidValueError(
            f"{folder} holds no image{instead}: must hold {', '.join(found.suffixes)} files, or "
            f"one folder of them for each class."
        )
    found.warn(folder)
    names = sorted(classes, key=natural) if order == "natural" else list(classes)
    groups = [classes[name] for name in names] or [loose]
    return Listing(
        root=folder,
        files=tuple(name for group in groups for name in group),
        labels=tuple(label for label, group in enumerate(groups) for _ in group),
        class_names=tuple(names),
    )


def natural(name: str) -> tuple[list[int | str], str]:
    """A key by which names are sorted as a person would: the numbers in them by their value.

    Args:
        name: of a class.

    Examples:
        >>> sorted(["10", "2", "a10", "a9"], key=natural)
        ['2', '10', 'a9', 'a10']
    """
    parts = re.split(r"(\d+)", name)  # texts and numbers in turn
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


NOTES = (".md", ".rst")
"""Suffixes of what is written about a folder: one that holds nothing else is no class."""


class _Found:
    """What lies below a folder.

    Args:
        suffixes: of the files that are images.

    Attributes:
        loose: images directly in the folder.
        classes: those of each class, by its name, in the order of text.
        beside: files of other kinds directly in the folder.
        unread: files of other kinds, by the folder in which nothing else is.
        missed: pictures of other kinds.
    """

    def __init__(self, suffixes: tuple[str, ...]) -> None:
        self.suffixes = suffixes
        self.loose: list[str] = []
        self.classes: dict[str, list[str]] = {}
        self.beside: list[str] = []
        self.unread: dict[str, list[str]] = {}
        self.missed: list[str] = []

    def sort(self, root: Path) -> None:
        above = frozenset({os.path.realpath(root)})
        for entry in _entries(root):
            if not _is_folder(entry):
                self._take(entry, entry.name, self.loose, self.beside)
                continue
            images: list[str] = []
            others: list[str] = []
            self._descend(entry, f"{entry.name}/", above, images, others)
            if images:
                self.classes[entry.name] = images
            elif not all(other.lower().endswith(NOTES) for other in others):
                self.unread[entry.name] = others

    def others(self) -> list[str]:
        """The files of other kinds, as they are listed."""
        nested = (name for names in self.unread.values() for name in names)
        return sorted(shown(name) for name in (*self.beside, *nested))

    def warn(self, root: Path) -> None:
        if self.unread:
            named = [shown(f"{name} ({_short(files[0])})") for name, files in self.unread.items()]
            warnings.warn(
                f"{root}: no class is made of {listed(named, SHOWN)}, where no file is of a kind "
                f"that is read: {', '.join(self.suffixes)}.",
                DataWarning,
                stacklevel=4,
            )
        missed = [name for name in self.missed if name.partition("/")[0] not in self.unread]
        if missed:
            warnings.warn(
                f"{root}: {len(missed)} of the pictures are of kinds that are not read, and left "
                f"out: {listed([*map(shown, missed)], SHOWN)}.",
                DataWarning,
                stacklevel=4,
            )

    def _descend(
        self,
        folder: os.DirEntry[str],
        prefix: str,
        above: frozenset[str],
        images: list[str],
        others: list[str],
    ) -> None:
        real = os.path.realpath(folder)
        if real in above:  # a link back to a folder that it lies in
            return
        for entry in _entries(folder):
            name = f"{prefix}{entry.name}"
            if _is_folder(entry):
                self._descend(entry, f"{name}/", above | {real}, images, others)
            else:
                self._take(entry, name, images, others)

    def _take(
        self, entry: os.DirEntry[str], name: str, images: list[str], others: list[str]
    ) -> None:
        lower = entry.name.lower()
        if not _is_file(entry):
            return
        (images if lower.endswith(self.suffixes) else others).append(name)
        if lower.endswith(UNREAD) and not lower.endswith(self.suffixes):
            self.missed.append(name)


def _entries(folder: os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in shown:
        if any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            raise InvalidValueError(
                f"{os.fspath(folder)} holds {entry.name!a}, whose name is not UTF-8: rename it."
            )
    return sorted(shown, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file; a link that leads nowhere is one too, so that it is missed later."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry))
    except OSError:
        return entry.is_symlink()


def _short(name: str) -> str:
    return name.rpartition("/")[2]
