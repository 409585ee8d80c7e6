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
