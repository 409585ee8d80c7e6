"""Lists of numbers on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from fpdm.errors import InvalidValueError


def read_numbers(option: str, words: Sequence[str] | None) -> list[float] | None:
    """Read numbers that are set apart by commas or blanks.

    Args:
        option: what they are given to.
        words: as they were typed; None if the option was not given.

    Returns:
        The numbers, whole ones as such; None if the option was not given.

    Raises:
        InvalidValueError: one is no number, or there is none.
    """
    if words is None:
        return None
    try:
        found = [float(part) for part in ",".join(words).split(",") if part.strip()]
    except ValueError:
        found = []
    if not found:
        raise InvalidValueError(
            f"{option} {' '.join(words)}: must be numbers set apart by commas, such as 999,500,0."
        )
    return [int(number) if number.is_integer() else number for number in found]


def read_spacing(word: str | None) -> str | float | None:
    """Read a spacing of timesteps: a name, or a power.

    Args:
        word: as it was typed; None if it was not given.

    Returns:
        The power as a number, a name as it is; None if it was not given.
    """
    try:
        return None if word is None else float(word)
    except ValueError:
        return word
