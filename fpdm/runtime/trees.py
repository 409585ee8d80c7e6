"""Values as trees of tensors, which transforms of torch take apart and put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils import _pytree


def register_tree(cls: type, *, tensors: tuple[str, ...], plain: tuple[str, ...] = ()) -> None:
    """Let `torch.export`, `torch.func` and FSDP see the tensors in the values of a class.

    Args:
        cls: its arguments are named like its attributes.
        tensors: attributes that hold a tensor, another tree, or None.
        plain: attributes that hold a number. What is in neither is left out of a tree.
    """

    def flatten(value: Any) -> tuple[list[Any], list[Any]]:
        there = [name for name in tensors if getattr(value, name) is not None]
        context = [there, {name: getattr(value, name) for name in plain}]
        return [getattr(value, name) for name in there], context

    def flatten_with_keys(value: Any) -> tuple[list[tuple[_pytree.KeyEntry, Any]], Any]:
        parts, context = flatten(value)
        keys = [_pytree.GetAttrKey(name) for name in context[0]]
        return list(zip(keys, parts, strict=True)), context

    def unflatten(parts: Iterable[Any], context: Any) -> Any:
        there, numbers = context
        return cls(**dict(zip(there, parts, strict=True)), **numbers)

    _pytree.register_pytree_node(
        cls,
        flatten,
        unflatten,
        serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
        to_dumpable_context=lambda context: context,
        from_dumpable_context=lambda context: context,
        flatten_with_keys_fn=flatten_with_keys,
    )
