"""What `fpdm sample` is asked to draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpdm.checks import check_whole
from fpdm.cli import console, picture
from fpdm.errors import InvalidValueError, listed

if TYPE_CHECKING:
    from fpdm.drawing.asked import Asked


def wanted(
    pipe: Any,
    classes: list[str] | None,
    conditions: Path | None,
    *,
    num: int | None,
    each: int | None,
    few: bool,
) -> tuple[Asked, int]:
    """Read what is to be drawn.

    Args:
        pipe: what draws.
        classes: by name or by number, as they were typed; None if none were.
        conditions: a file of them; None if there is none.
        num: how many samples; None for one of each.
        each: in its place, samples of each class or condition.
        few: whether a picture is drawn, in which not all of very many classes find room.

    Returns:
        What each sample is to be, and how many there are.

    Raises:
        InvalidValueError: they do not go together, or are not what the model takes.
        UnknownNameError: no class has a name.
    """
    from fpdm.drawing.asked import Asked, asked

    if num is not None and each is not None:
        raise InvalidValueError("--num, --num-images-per-class: give one of them.")
    if classes and conditions is not None:
        raise InvalidValueError("--classes, --conditions: give one of them.")
    if conditions is not None:
        found = asked(pipe, None, read_conditions(conditions))
    elif classes:
        found = asked(pipe, None)
        if not found.classes:
            raise InvalidValueError("--classes: the model has none; leave them out.")
        found = Asked(tuple(pipe.classes.read(text) for text in classes))
    else:
        found = asked(pipe, None)
        if few and num is None and each is None and pipe.classes.count:
            found = _some(found, pipe)
    if odd := pipe.classes.tell(found.classes):
        alike = " are like that" * (len(odd) > 3)
        console.note(f"{listed(odd, 3)}{alike}: names go before numbers, and #2 is number 2.")
    if each is not None:
        check_whole("num_images_per_class", each, minimum=1)
        found = _repeated(found, each)
    return found, num or found.count or (each or 1)


def read_conditions(file: Path) -> Any:
    """Read conditions from a file.

    Args:
        file: `.npy`, or `.npz` with one array, or one that is called `condition`.

    Returns:
        (N, K) or (N, T, K), float32.

    Raises:
        InvalidValueError: it cannot be read.
    """
    import numpy as np
    import torch

    try:
        found: Any = np.load(file, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            names = found.files
            found = found["condition" if "condition" in names or len(names) > 1 else names[0]]
        return torch.from_numpy(np.asarray(found, dtype=np.float32))
    except Exception as error:  # a damaged file fails in many ways
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidValueError(
            f"--conditions {file}: must be a .npy or .npz file with an array of (N, K) or "
            f"(N, T, K): {reason[0]}"
        ) from error


def _some(found: Asked, pipe: Any) -> Asked:
    from fpdm.drawing.asked import Asked

    shown = picture.classes_to_show(pipe.classes.count)
    if len(shown) < len(found.classes):
        console.note(
            f"the model has {len(found.classes)} classes: the picture shows {len(shown)} of them, "
            f"evenly spread. Name others with --classes, or give --num, or --out a folder."
        )
    return Asked(tuple(shown))


def _repeated(found: Asked, each: int) -> Asked:
    from fpdm.drawing.asked import Asked

    rows = found.condition
    return Asked(
        tuple(number for number in found.classes for _ in range(each)),
        None if rows is None else rows.repeat_interleave(each, dim=0),
    )
