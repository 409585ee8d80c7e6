"""The folder that latents are written to, which another run may have begun."""

from __future__ import annotations

from pathlib import Path

from fpdm.data.index import INDEX, PLAN
from fpdm.data.plan import Plan
from fpdm.data.records import read_record, write_record
from fpdm.data.shards import shard_name
from fpdm.errors import InvalidValueError
from fpdm.runtime.storage import clear_temporary, naming, things


def check_target(target: Path, plan: Plan) -> None:
    """See that nothing would be lost, or mixed with something else.

    Args:
        target: the folder to write, which may be missing.
        plan: what is to be written.

    Raises:
        InvalidValueError: `target` is a file, holds something else, or was begun with another plan.
    """
    if target.is_file():
        raise InvalidValueError(f"{target} is a file: must be a folder, or nothing yet.")
    if (target / PLAN).is_file():
        if said := plan.differences(read_record(target / PLAN, Plan)):
            raise InvalidValueError(
                f"{target} was begun with {', '.join(said)}: give the same arguments to go on, or "
                f"choose another folder."
            )
    elif things(target):
        raise InvalidValueError(f"{target} already holds something: choose another folder.")


def is_complete(target: Path, plan: Plan) -> bool:
    """Whether the index and every shard are there.

    Args:
        target: the folder.
        plan: what was to be written.
    """
    shards = (target / shard_name(number) for number in range(plan.shards))
    return (target / INDEX).is_file() and all(shard.is_file() for shard in shards)


def prepare_target(target: Path, plan: Plan) -> None:
    """Make the folder, note the plan, and remove what a killed run has left half written.

    Args:
        target: the folder.
        plan: what is to be written.
    """
    with naming(target):
        target.mkdir(parents=True, exist_ok=True)
    clear_temporary(target)
    if not (target / PLAN).is_file():
        write_record(target / PLAN, plan)
