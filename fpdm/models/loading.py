"""Networks that are loaded whole, or not at all: what a file lacks is not made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fpdm.errors import InvalidValueError, listed

WHERE = ("subfolder", "cache_dir", "revision", "token", "local_files_only", "force_download")
"""Options of diffusers that say where a configuration is."""

LACKS = {"missing_keys": "missing", "unexpected_keys": "not known", "error_msgs": "refused"}


def class_of(cls: Any, name: Any, options: Mapping[str, Any]) -> str | None:
    """What a saved configuration says that it is of; None if it does not say.

    Args:
        cls: a class of diffusers that is loaded.
        name: of the folder, or on the hub.
        options: of `from_pretrained`.
    """
    where = {key: value for key, value in options.items() if key in WHERE}
    said = cls.load_config(name, **where).get("_class_name")
    return str(said) if said else None


def check_whole_network(name: Any, told: Mapping[str, Any]) -> None:
    """Check that all weights were there, and no others.

    Args:
        name: of the folder, or on the hub.
        told: what diffusers says of the loading.

    Raises:
        InvalidValueError: some were not; diffusers has left them at random.
    """
    wrong = [
        f"{what}: {listed(list(told[kind]), 5)}" for kind, what in LACKS.items() if told.get(kind)
    ]
    if wrong:
        raise InvalidValueError(
            f"The weights in {name} do not make the network that its config.json describes, and "
            f"the rest of it would be random; {'; '.join(wrong)}."
        )
