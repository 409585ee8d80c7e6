"""What becomes of the learning rate when a training is made longer or shorter, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fpdm.training.config import TrainConfig
from fpdm.training.loop import decay_end, learning_rate_curve
from fpdm.training.reading import structure_config


def said_of_steps(then: Mapping[str, Any], now: TrainConfig, *, done: int) -> tuple[str, ...]:
    """What is said of a training whose steps, or where its learning rate ends, have changed.

    Args:
        then: steps and optimizer of the part before, as plain data.
        now: the configuration.
        done: steps done.

    Returns:
        A sentence, or none where nothing has changed.
    """
    before = structure_config({"steps": then["steps"], "optimizer": dict(then["optimizer"])})
    ends = [decay_end(config.optimizer, config.steps) for config in (before, now)]
    if before.steps == now.steps and ends[0] == ends[1]:
        return ()
    steps = f"steps: {before.steps} before, {now.steps} now, {done} done"
    return (f"{steps}; {_said_of_rate(before, now, ends, done)}.",)


def _said_of_rate(before: TrainConfig, now: TrainConfig, ends: list[int], done: int) -> str:
    peak, final = now.optimizer.learning_rate, now.optimizer.final_learning_rate
    if final == 1:
        return f"the learning rate stays {peak:.3g} after its warm-up"
    then, curve = (learning_rate_curve(config.optimizer, config.steps) for config in (before, now))
    last = f"{peak * curve(now.steps):.3g}"
    if ends[0] == ends[1]:
        return f"the learning rate comes to its end at step {ends[1]} as before, and is {last} then"
    old, new = f"{peak * then(done):.3g}", f"{peak * curve(done):.3g}"
    goes = f"goes on at {new}" if old == new else f"goes from {old} to {new}"
    return (
        f"the learning rate falls until step {ends[1]} instead of {ends[0]}, so that it {goes}, "
        f"and is {last} at the end; with optimizer.decay_steps={ends[0]} it is as before"
    )
