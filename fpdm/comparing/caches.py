"""Caches of blocks between timesteps, as users of diffusers have them, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fpdm.errors import InvalidValueError, UnknownNameError, suggest

NAMES = ("first-block", "taylorseer")
"""FirstBlockCache (after TeaCache, Liu et al. 2024) and TaylorSeer (Liu et al. 2025)."""


@contextmanager
def caching(network: Any, cache: Any) -> Iterator[None]:
    """Cache the blocks of a network while the context lasts.

    Args:
        network: an explicit transformer.
        cache: a table with a `name` of `NAMES` and the options of diffusers, such as `threshold` of
            the first and `cache_interval` and `max_order` of the second; None caches nothing.

    Yields:
        Nothing.

    Raises:
        InvalidValueError: the network has no blocks that can be cached, or an option is not known.
        UnknownNameError: there is no such cache.
    """
    if cache is None:
        yield
        return
    if not hasattr(network, "enable_cache"):
        raise InvalidValueError(f"cache: the blocks of a {type(network).__name__} are not cached.")
    network.enable_cache(_config(cache))
    try:
        yield
    finally:
        network.disable_cache()


def _config(cache: Any) -> Any:
    options = dict(cache) if isinstance(cache, Mapping) else {"name": cache}
    name = options.pop("name", None)
    if name not in NAMES:
        raise UnknownNameError(f"cache: no {name!r}. {suggest(str(name), NAMES)}")
    try:
        from diffusers.hooks import FirstBlockCacheConfig, TaylorSeerCacheConfig

        kind = {"first-block": FirstBlockCacheConfig, "taylorseer": TaylorSeerCacheConfig}[name]
        return kind(**options)
    except ImportError as error:
        raise InvalidValueError(
            f"cache: this diffusers has no {name!r}; use a newer one."
        ) from error
    except TypeError as error:
        raise InvalidValueError(f"cache: {name}: {error}.") from error
