"""The coefficients of the schedulers whose steps can be tabled.

They are computed as diffusers computes them, in float32 and in its order: where it cancels digits,
so does this, and a step equals that of the library.
"""

from __future__ import annotations

from typing import Any

import torch
from attrs import evolve
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from fpdm.diffusion.levels import ancestral_weights
from fpdm.diffusion.schedulers import (
    DPMScheduler,
    EvenDDIMScheduler,
    EvenDDPMScheduler,
    FlowDPMScheduler,
    FlowScheduler,
    FlowUniPCScheduler,
    TowardsImage,
    UniPCScheduler,
)
from fpdm.diffusion.steps import Corrected, Multistep, Steps

LEAST = 1e-20  # of a variance, before its logarithm
FIXED, LEARNED = ("fixed_small", "fixed_large"), "learned_range"


def tabled(scheduler: Any, *, negate: bool = False, eta: float | None = None) -> Steps | None:
    """The steps of a run.

    Args:
        scheduler: of diffusers, its timesteps set.
        negate: whether the scheduler wants the negated prediction.
        eta: how much of the noise of ancestral sampling is drawn; None is none.

    Returns:
        The steps, on the CPU; None for a scheduler that is not known, is set up in a way that is
        not, or does not begin at its first timestep.
    """
    make = _MAKERS.get(type(scheduler))  # of a class that derives from one, the step may differ
    if make is None or getattr(scheduler, "begin_index", None) is not None:
        return None
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None and len(sigmas) != len(scheduler.timesteps) + 1:
        return None
    sign = -1.0 if isinstance(scheduler, TowardsImage) != negate else 1.0
    steps = make(scheduler, sign)
    if eta and steps is not None:
        return _with_noise(scheduler, steps, eta)
    return steps


def _with_noise(scheduler: Any, steps: Steps, eta: float) -> Steps | None:
    """DDIM that draws noise."""
    if type(scheduler) is not EvenDDIMScheduler:
        return None
    weights = ancestral_weights(scheduler, eta)
    draws = tuple(bool(each > 0) for each in weights[-1].numpy())
    return evolve(steps, table=torch.stack([*steps.table.T[:2], *weights], dim=1), draws=draws)


def _flow(scheduler: Any, sign: float) -> Steps | None:
    """Euler: `x + (σ' - σ) v`."""
    config = scheduler.config
    if config.get("stochastic_sampling"):
        return None
    sigmas = scheduler.sigmas.cpu()
    stride = sign * (sigmas[1:] - sigmas[:-1])
    ones, nothing = torch.ones_like(stride), torch.zeros_like(stride)
    return Steps(torch.stack([nothing, ones, ones, stride], dim=1), reads=False)


def _ancestral(scheduler: Any, sign: float) -> Steps | None:
    """The posterior of the clean image, and noise of its deviation."""
    config, kind = scheduler.config, scheduler.variance_type
    if kind not in (*FIXED, LEARNED) or config.thresholding:
        return None
    timesteps = scheduler.timesteps.cpu()
    alphas = scheduler.alphas_cumprod.cpu()[timesteps]
    before = torch.cat([alphas[1:], alphas.new_ones(1)])
    read = _clean(config.prediction_type, alphas**0.5, (1 - alphas) ** 0.5, sign)
    if read is None:
        return None
    kept = alphas / before
    beta = 1 - kept
    small = ((1 - before) / (1 - alphas) * beta).clamp(min=LEAST)
    if kind == LEARNED:
        low, high = small.log(), beta.log()
        noise = [(low + high) / 4, (high - low) / 4]  # half of a straight line from one to other
    else:
        noise = [(small if kind == "fixed_small" else beta.clamp(min=LEAST)) ** 0.5]
    of_clean = before**0.5 * beta / (1 - alphas)
    of_x = kept**0.5 * (1 - before) / (1 - alphas)
    return Steps(
        torch.stack([*read, of_x, of_clean, *noise], dim=1),
        limit=config.clip_sample_range if config.clip_sample else None,
        draws=tuple(bool(each > 0) for each in timesteps.numpy()),
        learned=kind == LEARNED,
    )


def _multistep(scheduler: Any, sign: float) -> Steps | None:
    """DPM-Solver++ of first and second order; the first is DDIM."""
    config = scheduler.config
    known = config.algorithm_type == "dpmsolver++" and config.solver_order <= 2
    if not known or config.thresholding:
        return None
    alphas, sigmas = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas.cpu())
    read = _clean(config.prediction_type, alphas[:-1], sigmas[:-1], sign)
    if read is None:
        return None
    levels = alphas.log() - sigmas.log()
    gap = levels[1:] - levels[:-1]
    of_x, shrink = sigmas[1:] / sigmas[:-1], (-gap).exp() - 1.0
    of_clean = -(alphas[1:] * shrink)
    limit = config.get("clip_sample_range") if isinstance(scheduler, DPMScheduler) else None
    if config.solver_order == 1:
        return Steps(torch.stack([*read, of_x, of_clean], dim=1), limit=limit)
    if config.solver_type == "midpoint":
        curved = 0.5 * of_clean
    else:
        curved = alphas[1:] * (shrink / gap + 1.0)
    curved[1:] = curved[1:] / (gap[:-1] / gap[1:])
    curved = torch.where(_second_order(config, len(gap)), curved, 0.0)
    table = torch.stack([*read, of_x, of_clean + curved, -curved], dim=1)
    return Multistep(table, limit=limit)


def _second_order(config: Any, steps: int) -> Tensor:
    """At which timesteps DPM-Solver++ looks at the clean image before; (T,)."""
    second = torch.ones(steps, dtype=torch.bool)
    second[0] = False
    few = config.lower_order_final and steps < 15
    if config.euler_at_final or few or config.final_sigmas_type == "zero":
        second[-1] = False
    return second


def _corrected(scheduler: Any, sign: float) -> Steps | None:
    """UniPC of first and second order, B(h) in either form, predicting clean images."""
    config = scheduler.config
    known = scheduler.predict_x0 and not scheduler.solver_p and config.solver_order <= 2
    if not known or config.thresholding or not config.lower_order_final:
        return None
    alphas, sigmas = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas.cpu())
    read = _clean(config.prediction_type, alphas[:-1], sigmas[:-1], sign)
    if read is None:
        return None
    levels, steps = alphas.log() - sigmas.log(), len(sigmas) - 1
    gap = levels[1:] - levels[:-1]
    of_x, shrink = sigmas[1:] / sigmas[:-1], (-gap).expm1()
    of_one = -(alphas[1:] * shrink)  # of the clean image where the step begins
    bent = alphas[1:] * (-gap if config.solver_type == "bh1" else shrink)
    order = torch.full((steps,), config.solver_order).clamp(max=steps - torch.arange(steps))
    order[0] = 1
    second = order == 2
    back = torch.cat([gap.new_zeros(1), -gap[:-1] / gap[1:]])  # where the step before began
    curved = torch.where(second, -(bent * 0.5) / back, 0.0)
    predictor = [of_x, of_one - curved, curved]

    first, last = _rhos(gap, back, bent / alphas[1:])
    first = torch.where(second, -(bent * first) / back, 0.0)
    last = -(bent * torch.where(second, last, 0.5))
    corrector = torch.stack([of_x, last, of_one - last - first, first])  # last, clean, one, two
    corrector = torch.cat([corrector.new_zeros(4, 1), corrector[:, :-1]], dim=1)
    skipped = torch.tensor([i == 0 or i - 1 in scheduler.disable_corrector for i in range(steps)])
    corrector = torch.where(skipped, 0.0, corrector)
    return Corrected(torch.stack([*read, *predictor, skipped.float(), *corrector], dim=1))


def _rhos(gap: Tensor, back: Tensor, bent: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of the differences in a correction of second order; each (T,)."""
    first = (-gap).expm1() / -gap - 1
    second = first / -gap - 1 / 2
    right = torch.stack([first / bent, second * 2 / bent], dim=1)
    ones = torch.ones_like(back)
    left = torch.stack([torch.stack([ones, ones], 1), torch.stack([back, ones], 1)], dim=1)
    solvable = left.det().isfinite() & (left.det() != 0) & right.isfinite().all(1)
    left = torch.where(solvable[:, None, None], left, torch.eye(2))
    found = torch.linalg.solve(left, right)
    return found[:, 0], found[:, 1]


def _clean(kind: str, alphas: Tensor, sigmas: Tensor, sign: float) -> list[Tensor] | None:
    """The clean image of `x` and of a prediction; each (T,)."""
    ones = torch.ones_like(alphas)
    if kind == "epsilon":
        return [1 / alphas, -sign * sigmas / alphas]
    if kind == "sample":
        return [0 * ones, sign * ones]
    if kind == "v_prediction":
        return [alphas, -sign * sigmas]
    return [ones, -sign * sigmas] if kind == "flow_prediction" else None


_MAKERS = {
    DPMScheduler: _multistep,
    EvenDDIMScheduler: _multistep,
    EvenDDPMScheduler: _ancestral,
    FlowScheduler: _flow,
    DPMSolverMultistepScheduler: _multistep,
    FlowDPMScheduler: _multistep,
    UniPCMultistepScheduler: _corrected,
    UniPCScheduler: _corrected,
    FlowUniPCScheduler: _corrected,
}
