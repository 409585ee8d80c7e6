"""The classes of a network by number and by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

from attrs import field, frozen

from fpdm.errors import InvalidValueError, UnknownNameError, suggest


def _by_number(names: Mapping[Any, str] | None) -> dict[int, str]:
    try:
        found = {int(str(number)): name for number, name in dict(names or {}).items()}
        if not all(isinstance(name, str) for name in found.values()):
            raise TypeError
        return found
    except (TypeError, ValueError):
        raise InvalidValueError(
            "id2label: must map the number of each class to its name, such as {0: 'cat', 1: 'dog'}."
        ) from None


@frozen
class Classes:
    """What the labels of a network are.

    Args:
        count: classes, numbered from 0.
        null: the label that stands for no class; None if none does.
        names: what a class is called, by its number; several names of one are set apart by commas.

    Raises:
        InvalidValueError: the names are no mapping of numbers to names, or a number is out of
            range.

    Examples:
        >>> Classes(count=2, null=2, names={0: "cat, kitten", 1: "dog"}).numbers(["kitten", 1, 2])
        [0, 1, 2]
    """

    count: int
    null: int | None
    names: dict[int, str] = field(factory=dict, converter=_by_number)

    def __attrs_post_init__(self) -> None:
        if wrong := sorted(number for number in self.names if not 0 <= number < self.count):
            raise InvalidValueError(
                f"id2label names {wrong}; the network has the classes 0 to {self.count - 1}."
            )

    def by_name(self) -> dict[str, list[int]]:
        """The classes of every name: one, unless the name is ambiguous."""
        found: dict[str, list[int]] = {}
        for number, names in sorted(self.names.items()):
            for name in filter(None, map(str.strip, names.split(","))):
                found.setdefault(name, []).append(number)
        return found

    def numbers(self, labels: Iterable[Any]) -> list[int]:
        """Turn labels, each a number or a name, into numbers.

        Args:
            labels: one for each image.

        Returns:
            A number from 0 to `count - 1`, or `null`, for each.

        Raises:
            InvalidValueError: they are no list of labels, or one is out of range.
            UnknownNameError: no class has a name.
        """
        try:
            given = [] if isinstance(labels, (str, bytes, Mapping)) else list(labels)
        except TypeError:
            given = []
        if not given:
            raise InvalidValueError(
                f"class_labels={labels!r}: must be a list of whole numbers or names, one for each "
                f"image."
            )
        by_name = self.by_name() if any(isinstance(label, str) for label in given) else {}
        numbers = [self._number(label, by_name) for label in given]
        last = self.count - 1 if self.null is None else self.null
        if wrong := [number for number in numbers if not 0 <= number <= last]:
            null = "" if self.null is None else f", and {self.null} stands for no class"
            classes = f"classes go from 0 to {self.count - 1}" if self.count else "there is none"
            raise InvalidValueError(f"class_labels: {wrong} out of range; {classes}{null}.")
        return numbers

    @staticmethod
    def _number(label: Any, by_name: Mapping[str, list[int]]) -> int:
        if isinstance(label, str):
            if not by_name:
                raise UnknownNameError(
                    f"class_labels: {label!r}: the classes of this pipeline have no names; use "
                    f"their numbers, or give it an id2label."
                )
            if label not in by_name:
                raise UnknownNameError(f"No class is named {label!r}. {suggest(label, by_name)}")
            first, *others = by_name[label]
            if others:
                raise InvalidValueError(
                    f"class_labels: {label!r} is the name of {by_name[label]}; use a number."
                )
            return first
        try:
            if isinstance(label, bool):
                raise TypeError
            return index(label)
        except TypeError:
            raise InvalidValueError(
                f"class_labels: {label!r} must be a whole number or a name."
            ) from None
