"""The classes of a network by number and by name."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

from attrs import field, frozen

from fpdm.checks import check_whole
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


def odd_names(names: Mapping[int, str]) -> list[str]:
    """What is to be said of classes whose names are other numbers than their own.

    Args:
        names: of classes, by number.

    Returns:
        A text such as `class 2 is called '10'` for each of them.
    """
    return [
        f"class {number} is called {name!r}"
        for number, name in names.items()
        if name.isdecimal() and int(name) != number
    ]


@frozen
class Classes:
    """What the labels of a network are.

    Args:
        count: classes, numbered from 0.
        null: the label that stands for no class; None if none does.
        names: what a class is called, by its number; several names of one are set apart by commas,
            and it has all of them, and the whole text too.

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
    _numerals: dict[int, int] = field(init=False, repr=False, eq=False)
    _told: set[bool] = field(factory=set, init=False, repr=False, eq=False)

    @_numerals.default
    def _find_numerals(self) -> dict[int, int]:
        """The numbers of the classes whose names are numbers."""
        return {int(name): number for number, name in self.names.items() if name.isdecimal()}

    def __attrs_post_init__(self) -> None:
        if wrong := sorted(number for number in self.names if not 0 <= number < self.count):
            raise InvalidValueError(
                f"id2label names {wrong}; the network has the classes 0 to {self.count - 1}."
            )

    def by_name(self) -> dict[str, list[int]]:
        """The classes of every name that commas set apart: one, unless the name is ambiguous."""
        found: dict[str, list[int]] = {}
        for number, name in _parts(self.names):
            found.setdefault(name, []).append(number)
        return found

    def find(self, name: str) -> int | None:
        """The class of a name: the whole text, or one of those that commas set apart.

        Letters with accents are the same in either form that Unicode has for them, unless two
        classes differ by it.

        Args:
            name: as somebody has written it.

        Returns:
            Its number; None if no class has this name.

        Raises:
            InvalidValueError: several have it.
        """
        for form in (str, _composed):
            for names in (sorted(self.names.items()), _parts(self.names)):
                found = [number for number, each in names if form(each) == form(name)]
                if len(found) > 1:
                    raise InvalidValueError(
                        f"class_labels: {name!r} is the name of {found}; use a number."
                    )
                if found:
                    return found[0]
        return None

    def read(self, text: str) -> int:
        """The class that is asked for on a command line: by its name, or else by its number.

        `#10` is the number 10 even where another class has the name `10`.

        Args:
            text: as it was typed.

        Raises:
            InvalidValueError: several classes have this name, or the number is out of range.
            UnknownNameError: no class has it.
        """
        found = self.find(text)
        if found is not None:
            return found
        try:
            number = int(text.removeprefix("#"))
        except ValueError:
            return self._number(text)
        return self._check([number])[0]

    def tell(self, numbers: Iterable[int]) -> list[str]:
        """What is to be said of classes whose names are other numbers than their own.

        Nothing warns of them after that.

        Args:
            numbers: of the classes that are drawn.

        Returns:
            A text such as `class 2 is called '10'` for each of them.
        """
        self._told.add(True)
        return odd_names({each: self.names[each] for each in numbers if each in self.names})

    def numbers(self, labels: Iterable[Any], *, each: int = 1) -> list[int]:
        """Turn labels, each a number or a name, into numbers.

        Args:
            labels: one for each image, or for as many in a row as `each`.
            each: how often each label is repeated.

        Returns:
            A number from 0 to `count - 1`, or `null`, for each image.

        Raises:
            InvalidValueError: they are no list of labels, one is out of range, or `each` is no
                whole number ≥ 1.
            UnknownNameError: no class has a name.

        Warns:
            UserWarning: a number is the name of another class; once.
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
        if getattr(labels, "ndim", 1) != 1:
            shape = tuple(getattr(labels, "shape", ()))
            raise InvalidValueError(
                f"class_labels has shape {shape}: must be (batch,), one for each image."
            )
        check_whole("num_images_per_class", each, minimum=1)
        numbers = self._check([self._number(label) for label in given])
        return [number for number in numbers for _ in range(each)]

    def _check(self, numbers: list[int]) -> list[int]:
        last = self.count - 1 if self.null is None else self.null
        if wrong := [number for number in numbers if not 0 <= number <= last]:
            null = "" if self.null is None else f", and {self.null} stands for no class"
            classes = f"classes go from 0 to {self.count - 1}" if self.count else "there is none"
            raise InvalidValueError(f"class_labels: {wrong} out of range; {classes}{null}.")
        return numbers

    def _number(self, label: Any) -> int:
        if isinstance(label, str):
            if (found := self.find(label)) is not None:
                return found
            if not self.names:
                raise UnknownNameError(
                    f"class_labels: {label!r}: the classes of this pipeline have no names; use "
                    f"their numbers, or give it an id2label."
                )
            names = {*self.names.values(), *self.by_name()}
            raise UnknownNameError(f"No class is named {label!r}. {suggest(label, names)}")
        try:
            if isinstance(label, bool) or "bool" in str(getattr(label, "dtype", "")):
                raise TypeError
            number = index(label)
        except (TypeError, RuntimeError):  # of a tensor whose value is nowhere
            raise InvalidValueError(
                f"class_labels: {label!r} must be a whole number or a name."
            ) from None
        named = self._numerals.get(number, number)
        if named != number and number < self.count:
            self._warn(
                f"class {number} is called {self.names.get(number)!r}, and the class that is "
                f"called '{number}' is {named}: give names as texts."
            )
        return number

    def _warn(self, message: str) -> None:
        if not self._told:
            self._told.add(True)
            warnings.warn(message, UserWarning, stacklevel=4)


def _parts(names: Mapping[int, str]) -> list[tuple[int, str]]:
    """The names that commas set apart, each with its class."""
    return [
        (number, part)
        for number, text in sorted(names.items())
        for part in dict.fromkeys(filter(None, map(str.strip, text.split(","))))
    ]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
