"""The classes of a trained network, where they are others than those of the data."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from torch import Tensor

from fpdm.diffusion.labels import Classes
from fpdm.errors import listed

LABELS = "embeddings.label.weight"
"""The table of the classes: a row for each, and then one for no class."""


def fit_classes(
    weights: MutableMapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    *,
    there: Classes,
    here: Classes,
) -> list[str]:
    """Give trained weights the table of the classes that a network has, in place.

    A class keeps its row where it has the same name, or the same number if only one of both has
    names, or none. The row for no class is kept if both have one. The others are the fresh ones.

    Args:
        weights: trained, by name; the table is (rows, D).
        fresh: of the network that is to be trained, likewise.
        there: the classes of the trained network.
        here: those of the network that is to be trained.

    Returns:
        What is otherwise than in the trained network, in sentences.
    """
    if LABELS not in fresh:
        return ["its classes are left out."] if weights.pop(LABELS, None) is not None else []
    table = fresh[LABELS].detach().clone()
    kept = kept_rows(there, here) if LABELS in weights else {}
    for row, before in kept.items():
        table[row] = weights[LABELS][before].to(table)
    weights[LABELS] = table
    return list(_notes(kept, there, here))


def kept_rows(there: Classes, here: Classes) -> dict[int, int]:
    """The row of a class there, by that of the class here.

    Args:
        there: the classes of a trained network.
        here: those of a network that is to be trained.
    """
    if there.names and here.names:
        before = {name: number for number, name in there.names.items()}
        kept = {row: before[name] for row, name in here.names.items() if name in before}
    else:
        kept = {number: number for number in range(min(there.count, here.count))}
    if there.null is not None and here.null is not None:
        kept[here.null] = there.null
    return kept


def _notes(kept: Mapping[int, int], there: Classes, here: Classes) -> list[str]:
    notes = []
    anew = [here.names.get(row, str(row)) for row in range(here.count) if row not in kept]
    if anew:
        notes.append(
            f"of the {here.count} classes, {here.count - len(anew)} begin as they were; anew begin "
            f"{listed(anew, 5)}."
        )
    if moved := [row for row, before in kept.items() if row != before and row < here.count]:
        names = [here.names.get(row, str(row)) for row in moved]
        notes.append(f"of other numbers than there, and found by name, are {listed(names, 5)}.")
    if lost := set(range(there.count)) - set(kept.values()):
        notes.append(f"of the {there.count} classes that were there, {len(lost)} are left out.")
    if here.null is not None and here.null not in kept:
        notes.append("what stands for no class begins anew.")
    return notes
