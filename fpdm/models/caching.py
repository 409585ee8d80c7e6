"""Caches of blocks, as models of diffusers have them: some timesteps pass over most blocks.

Sources: FirstBlockCache, after Liu et al., Timestep embedding tells: it's time to cache for video
diffusion model (TeaCache), 2024; Liu et al., From reusing to forecasting: accelerating diffusion
models with TaylorSeers, 2025; Ma et al., MagCache, 2025. All of them are those of diffusers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from fpdm.errors import InvalidValueError
from fpdm.models.block import Block
from fpdm.runtime.runs import kept_by

ALLOWED = ("FirstBlockCacheConfig", "MagCacheConfig", "TaylorSeerCacheConfig")
IDENTIFIERS = ("cache_identifiers", "skip_predict_identifiers")
BLOCK = r"blocks\.\d+"
STATES, SAMPLES = "states", "samples"
"""Under these a run keeps the state of each hook, and of how many samples it is."""

_ALONE = threading.RLock()
"""The hooks of diffusers have one state at a time: runs in threads take turns with theirs."""


class CachesBlocks:
    """A network whose blocks, all in its `encoder`, can be cached between timesteps."""

    encoder: Any

    @property
    def is_cache_enabled(self) -> bool:
        """Whether blocks are passed over at some timesteps."""
        return bool(self.encoder.is_cache_enabled)

    def enable_cache(self, config: Any) -> None:
        """Cache what blocks compute, and pass over them at some timesteps of a run.

        The cache belongs to a run, and begins empty in the next one, and where guidance begins or
        ends. A call outside of a run is computed whole. A budget counts all blocks as passed.
        The network cannot be copied then: hooks of diffusers would lead to the first one.

        Args:
            config: of diffusers: a `FirstBlockCacheConfig`, a `TaylorSeerCacheConfig`, or a
                `MagCacheConfig`. What TaylorSeer calls modules by begins at the blocks,
                `blocks.0.attn`; without any it predicts what the last block returns, as in its lite
                mode, and passes over the others.

        Raises:
            InvalidValueError: there is a cache already, the network has too few blocks for this
                one, or `config` is another, or names modules that there are not.
        """
        if self.is_cache_enabled:
            raise InvalidValueError(
                f"{type(config).__name__}: this {type(self).__name__} has a cache already: call "
                f"disable_cache() before."
            )
        config = fit(config, self.encoder, name=type(self).__name__)
        register_block()
        self.encoder.enable_cache(config)

    def disable_cache(self) -> None:
        """Compute all blocks again at every timestep."""
        if self.is_cache_enabled:
            self.encoder.disable_cache()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """How it is copied and pickled, which hooks do not survive."""
        if self.is_cache_enabled:
            raise InvalidValueError(
                f"A {type(self).__name__} with a cache cannot be copied: call disable_cache() "
                f"before."
            )
        return super().__reduce_ex__(protocol)


def fit(config: Any, encoder: Any, *, name: str) -> Any:
    """Check the configuration of a cache, and say which modules it is for.

    Args:
        config: of diffusers.
        encoder: whose blocks are to be cached.
        name: of the class of the network.

    Returns:
        The configuration; of TaylorSeer, with the names of modules.

    Raises:
        InvalidValueError: it is for other networks, or names modules that there are not.
    """
    kind, depth = type(config).__name__, len(encoder.blocks)
    if kind not in ALLOWED or not type(config).__module__.startswith("diffusers."):
        raise InvalidValueError(
            f"config: the blocks of a {name} cannot be cached as a {kind} says: use a "
            f"{', '.join(ALLOWED[:-1])} or {ALLOWED[-1]} of diffusers."
        )
    if kind != "TaylorSeerCacheConfig":
        if depth < 2:
            raise InvalidValueError(
                f"{kind}: the first block decides about the others, and there are none: must be a "
                f"network of depth ≥ 2."
            )
        return config
    given = {key: getattr(config, key) or [] for key in IDENTIFIERS}
    if config.use_lite_mode or not any(given.values()):
        last = rf"blocks\.{depth - 1}"
        given = {"cache_identifiers": [last], "skip_predict_identifiers": [rf"(?!{last}$){BLOCK}"]}
    else:
        _check_names(given, encoder)
    return replace(config, use_lite_mode=False, **given)


def _check_names(given: dict[str, list[str]], encoder: nn.Module) -> None:
    names = [name for name, _ in encoder.named_modules()]
    for key, patterns in given.items():
        for pattern in patterns:
            try:
                found = any(re.fullmatch(pattern, name) for name in names)
            except re.error as error:
                raise InvalidValueError(f"{key}: {pattern!r} is no pattern: {error}.") from error
            if not found:
                raise InvalidValueError(
                    f"{key}: no module is called {pattern!r}: they are such as 'blocks.0', "
                    f"'blocks.0.attn' and 'blocks.0.mlp'."
                )


def register_block() -> None:
    """Tell diffusers what goes into a block and comes out of it, which it looks up by its class."""
    from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

    TransformerBlockRegistry.register(Block, TransformerBlockMetadata(return_hidden_states_index=0))


@contextmanager
def cached(encoder: Any, *, samples: int) -> Iterator[None]:
    """A call of an encoder whose blocks are cached, with the state of the run that it is in.

    Args:
        encoder: to be called.
        samples: in this call; a state of another number is forgotten.
    """
    own = kept_by(encoder)
    if own.get(SAMPLES) != samples:
        own.update({SAMPLES: samples, STATES: {}})
    states = own[STATES]
    with _ALONE:
        managers = state_managers(encoder)
        for manager in managers:
            manager._state_cache = states.setdefault(manager, {})
        try:
            with encoder.cache_context("run"):
                yield
        finally:
            for manager in managers:
                manager._state_cache = {}


def state_managers(module: nn.Module) -> list[Any]:
    """What keeps the state of hooks of diffusers, each once.

    Args:
        module: with all that is in it.
    """
    from diffusers.hooks.hooks import StateManager

    registries = (vars(part).get("_diffusers_hook") for part in module.modules())
    hooks = (hook for each in registries if each is not None for hook in each.hooks.values())
    found = (value for hook in hooks for value in vars(hook).values())
    return list(dict.fromkeys(value for value in found if isinstance(value, StateManager)))
